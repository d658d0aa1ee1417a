/*
 * The verifier: proves, before a program ever runs, that no run of it can do harm. Its one public
 * header; verifier_state.h is shared by its own files. Called by prog.c at PROG_LOAD and by tools.
 */
#ifndef SKEP_EBPF_VERIFIER_H
#define SKEP_EBPF_VERIFIER_H

#include <stdint.h>

struct ebpf_prog_load;
struct ebpf_decoded;
struct ebpf_proof;

enum ebpf_verify_flag {
    EBPF_VERIFY_STRICT_ALIGNMENT = 1, /* BPF_F_STRICT_ALIGNMENT */
    EBPF_VERIFY_EXACT = 2,            /* tests: no number is ever taken for irrelevant */
    EBPF_VERIFY_WALK_LOOPS = 4,       /* tests: every trip of every loop is walked */
};

/* What a run of the verifier cost, whatever its verdict. */
struct ebpf_verify_cost {
    uint32_t processed;                 /* instructions, over all paths */
    uint32_t peak_states, total_states; /* states kept to compare others with */
    uint32_t max_states_per_insn;       /* the most that there were at one instruction */
    uint32_t mark_read;                 /* states gone through at most to mark what mattered */
    uint64_t walked_back;               /* instructions gone back for that, in all */
    uint64_t peak_bytes;
    uint32_t insn; /* slot of the instruction that a rejection is about */
};

/* ---- watching the walk ---------------------------------------------------------------------- */

enum ebpf_walk_event {
    WALK_STARTED,      /* at pc: the program, or a function that is walked for itself */
    WALK_INSN,         /* the instruction at pc is about to execute */
    WALK_STEPPED,      /* it has, and pc is the next one */
    WALK_EXITED,       /* it has, and was the program's end */
    WALK_DEAD_END,     /* it has, and no way leads on: neither outcome of the branch can be */
    WALK_PUT_ASIDE,    /* the other way of the branch at pc waits for its turn */
    WALK_RESUMED,      /* a way that was put aside: pc is where it goes on */
    WALK_IMPOSSIBLE,   /* a way that was put aside, and cannot be: pc is where it would go on */
    WALK_KEPT,         /* what is known at pc is kept as a state, for others to be held against */
    WALK_PRUNED,       /* the path ends at pc: the state kept there includes it */
    WALK_LOOP_STARTED, /* what is known at pc, the head of a loop, now stands for all its trips */
    WALK_LOOP_CLOSED,  /* the path ends at pc, back at the head, as the state there foresees */
    WALK_LOOP_PROVEN,  /* every path from that head has been walked */
    WALK_LOOP_UNDONE,  /* not all trips at once: from pc once more, trip by trip or otherwise */
    WALK_REJECTED,     /* the instruction at pc breaks a rule: the walk is over */
    WALK_CAUSE,        /* after that, if a log is asked for: a step of the path that made it so */
};

struct verifier;

/* What one event is about. Valid while it is being told. */
struct ebpf_walk {
    enum ebpf_walk_event event;
    uint32_t pc;
    uint32_t length; /* instructions that the path has behind it, from the program's start */
    uint32_t state;  /* KEPT, PRUNED, LOOP_*: number of the state, from 1 */
    uint64_t trips;  /* LOOP_STARTED: the most there can be, 0 for those that may_goto bounds */
    const char *why; /* LOOP_UNDONE, REJECTED: what is wrong; CAUSE: what it did; else "" */
    uint32_t frames; /* functions under way */
    struct verifier *v;
};

/* Somebody who is told of each step of the walk, in order. */
struct ebpf_watch {
    void (*see)(void *arg, const struct ebpf_walk *walk);
    void *arg;
};

typedef void (*ebpf_cell_visitor)(void *arg, const char *name, const char *value);
void ebpf_walk_cells(const struct ebpf_walk *walk, uint32_t frame, ebpf_cell_visitor visit,
                     void *arg);
uint32_t ebpf_walk_function(const struct ebpf_walk *walk, uint32_t frame);

/* ---- verifying ------------------------------------------------------------------------------ */

int ebpf_verify(const struct ebpf_prog_load *load, const struct ebpf_decoded *decoded,
                uint32_t flags, struct ebpf_proof *out);
void ebpf_proof_free(struct ebpf_proof *proof);

/* What the last verification in this thread cost; clear: nothing is known of any. */
void ebpf_verify_get_cost(struct ebpf_verify_cost *out);
void ebpf_verify_clear_cost(void);

#endif
