/*
 * Loops proven at once: what verifier_loop.c (arrivals at a head), verifier_counter.c (what a trip
 * changes), verifier_changes.c (what came back otherwise) and verifier_trial.c (going back, and
 * trying again) share.
 *
 * When a path comes back to a loop's head, the two states met there show how a trip changes things:
 * counters go up by a step, other numbers change somehow. One state is made that stands for every
 * trip (counters over their whole range, linked to themselves by an id; what else changed: any
 * number) and the body is walked once from it: the loop's trial. If each way back to the head finds
 * every counter exactly one step on, still in range, and all else as it was, then that is true of
 * every trip, and the range bounds their number: the loop is safe and it ends. If not, the trial is
 * undone and the trips are walked one by one, as Linux does.
 *
 * Counters c_i = init_i + k * step_i share k. Where a bound is known of one, it holds for k and so
 * for all. Trips that pass a may_goto need no counter, since the machine bounds them; nor do those
 * of a helper that calls back, which does itself. There a state that every trip leads back into is
 * enough.
 */
#ifndef SKEP_EBPF_VERIFIER_LOOP_H
#define SKEP_EBPF_VERIFIER_LOOP_H

#include "ebpf/verifier_state.h"

#define COUNTERS_MAX   8u
#define CANDIDATES_MAX 8u
#define CHANGES_MAX    16u
#define TRIPS_MIN      4u /* fewer are walked */

/* A register or spilled register of some frame. */
struct cell {
    uint8_t frame, index;
    bool slot;
};

struct counter {
    struct cell cell;
    bool is_signed; /* its range does not wrap as a signed number; else as an unsigned one */
    int64_t step;
    struct reg first; /* what it was at the start: a number may have been any of a range */
};

/* How many trips there may be, as the comparison of one counter says. */
struct candidate {
    struct cell cell;
    uint64_t last; /* the largest k at the head */
};

struct loop {
    struct kept *head;   /* the state that stands for all trips; on the path */
    struct loop *before; /* the trial that was under way when this one began */
    struct loop *outer;  /* of those, the one of the innermost loop around this one */
    uint32_t pc, end, serial, tries;
    bool endless;           /* without counters: something at run time bounds it */
    struct candidate bound; /* on trial */
    uint64_t trips;         /* through this loop and those around it */
    struct candidate candidates[CANDIDATES_MAX];
    unsigned nr_candidates, next_candidate;
    struct counter counters[COUNTERS_MAX];
    unsigned nr_counters;
};

/* What came back otherwise than the head says: numbers, and what it shall say of them; and what it
 * shall say nothing of. */
struct changes {
    struct loop *l;
    bool any;
    struct cells forgotten;
    struct cell cells[CHANGES_MAX];
    struct scalar n[CHANGES_MAX];
    unsigned nr;
};

static inline bool cell_same(struct cell a, struct cell b)
{
    return a.frame == b.frame && a.index == b.index && a.slot == b.slot;
}

static inline bool is_up(const struct counter *c)
{
    return c->step > 0;
}

/* ---- verifier_counter.c */
typedef bool (*cell_visitor)(struct verifier *v, struct cell cell, struct reg *reg, void *arg);
bool visit_cells(struct verifier *v, struct kept *kept, cell_visitor visit, void *arg);
struct reg *cell_now(struct verifier *v, struct cell cell);
struct reg *cell_kept(struct kept *kept, struct cell cell);
bool loop_leaves(const struct loop *l, uint32_t pc);
bool counters_find(struct verifier *v, struct loop *l, struct kept *old);
bool counters_next_bound(struct loop *l);
bool counters_set(struct verifier *v, struct loop *l);
bool counter_stepped(const struct counter *c, const struct reg *head, const struct reg *now);
bool counter_most(const struct counter *c, const struct scalar *n, uint64_t *k);
struct scalar widen(const struct scalar *a, const struct scalar *b);
bool same_pointer_but_offset(const struct reg *a, const struct reg *b);
bool same_spill(const struct slot *old, const struct slot *now);

/* ---- verifier_changes.c */
bool counters_changed(struct verifier *v, struct changes *changes);
void counters_include(struct verifier *v, const struct changes *changes);

/* ---- verifier_trial.c */
void mark_past(struct verifier *v, struct kept *kept);
bool trial_start(struct verifier *v, struct kept *old, bool endless);
bool trial_again(struct verifier *v, struct loop *l, const struct changes *changes);

#endif
