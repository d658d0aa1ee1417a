/*
 * Trials: a loop's body is walked once for all its trips, from a state made for that; undone when
 * it does not hold, and begun again with what was learned. See verifier_loop.h.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_loop.h"

#define TRIES_MAX        12u
#define CALLBACKS_WALKED 32u /* trips of a helper that calls back; more are refused as a whole */

static bool add_cell(struct verifier *v, struct cell cell, struct reg *reg, void *arg)
{
    struct cells *cells = arg;

    (void)v;
    if (reg->type == REG_SCALAR && (reg->id || !scalar_is_unknown(&reg->n))) {
        if (cell.slot)
            cells->slots[cell.frame] |= UINT64_C(1) << cell.index;
        else
            cells->regs[cell.frame] |= (uint16_t)(1u << cell.index);
    }
    return true;
}

/* Every number of kept that is not any number, or that is linked to another, matters to the path
 * that leads here. */
void mark_past(struct verifier *v, struct kept *kept)
{
    struct cells cells = {{0}, {0}};

    visit_cells(v, kept, add_cell, &cells);
    precise_cells(v, cells);
}

static bool set_precise(struct verifier *v, struct cell cell, struct reg *reg, void *arg)
{
    (void)v, (void)cell, (void)arg;
    reg->precise = true;
    return true;
}

/* ---- the state for all trips --------------------------------------------------------------------
 */

/* How often the body may run in all, through the loops around it. */
static bool count_trips(struct verifier *v, struct loop *l)
{
    uint64_t around = 1;

    l->trips = l->bound.last + 1;
    for (l->outer = l->before; l->outer; l->outer = l->outer->outer) {
        bool inside = !loop_leaves(l->outer, l->pc);

        for (unsigned f = 1; f <= v->now->depth; f++)
            inside |= !loop_leaves(l->outer, v->now->frames[f].call_slot);
        if (inside)
            break;
    }
    if (l->outer)
        around = l->outer->trips;
    if (l->endless) {
        l->trips = around;
        return true;
    }
    if (l->trips > ISA_MAY_GOTO_MAX / around)
        return false;
    l->trips *= around;
    return true;
}

/* v->now, with everything but its counters as it shall be, becomes the head. */
static bool make_head(struct verifier *v, struct loop *l)
{
    if (!count_trips(v, l) || (!l->endless && !counters_set(v, l)))
        return false;
    l->head = keep(v, v->now, l->pc);
    if (!l->head)
        return false;
    /* What the head says of numbers is said of all trips: all of it counts. */
    mark_past(v, l->head);
    visit_cells(v, l->head, set_precise, NULL);
    l->head->loop = l;
    if (!path_push(v, l->head)) {
        keep_free(v, l->head);
        l->head = NULL;
        return false;
    }
    states_add(v, l->head);
    regs_forget_precise(v);
    return true;
}

/* ---- beginning ----------------------------------------------------------------------------------
 */

/* The trial of l, the last that was begun, is over. */
static void end_trial(struct verifier *v, struct loop *l)
{
    v->trial = l->before;
    loop_free(v, l);
}

static void drop_branches(struct verifier *v, uint32_t nr)
{
    while (v->nr_branches > nr) {
        struct branch *last = &v->branches[--v->nr_branches];

        if (last->loop)
            end_trial(v, last->loop);
        keep_free(v, last->state);
    }
}

/* Takes the walk back to where old was kept, without it: what was found from there on will be found
 * again for all trips. A copy of old is put aside, in case that the trial fails. */
static bool go_back(struct verifier *v, struct loop *l, struct kept *old)
{
    uint32_t size = old->bytes, nr_trace = old->trace, nr_branches = old->branches;
    struct kept *copy = verifier_alloc(v, size);
    uint32_t index = v->nr_path;

    if (!copy)
        return false;
    __builtin_memcpy(copy, old, size);
    while (v->path[--index] != old)
        ;
    drop_branches(v, nr_branches);
    path_cut(v, index);
    states_drop_since(v, copy->serial - 1);
    v->nr_trace = nr_trace;
    l->serial = v->serial;
    if (!verifier_grow(v, (void **)&v->branches, &v->branches_room, v->nr_branches + 1,
                       sizeof(v->branches[0]))) {
        keep_free(v, copy);
        return false;
    }
    v->branches[v->nr_branches++] =
        (struct branch){.state = copy, .nr_trace = nr_trace, .nr_path = index, .loop = l};
    l->before = v->trial;
    v->trial = l;
    return true;
}

static void give_up(struct verifier *v, uint32_t pc, bool endless)
{
    if (endless)
        v->info[pc].walk_endless = true;
    else
        v->info[pc].walk_loop = true;
}

/* v->now has come back to the head of a loop, where the path was a trip ago with old: begins a
 * trial. False with v->now as it was: there can be none, which is noted; or with an error, which
 * loop_fall_back undoes. */
bool trial_start(struct verifier *v, struct kept *old, bool endless)
{
    struct loop *l = verifier_alloc(v, sizeof(*l));
    struct kept *arrived;

    if (!l)
        return false;
    *l = (struct loop){.pc = v->now->pc, .end = v->info[v->now->pc].loop_end, .endless = endless};
    arrived = keep(v, v->now, v->now->pc);
    if (arrived && counters_find(v, l, old) && (endless || counters_next_bound(l))) {
        keep_free(v, arrived);
        if (go_back(v, l, old))
            return make_head(v, l);
        loop_free(v, l);
        return false;
    }
    if (arrived)
        unkeep(v, arrived, v->now);
    keep_free(v, arrived);
    loop_free(v, l);
    give_up(v, v->now->pc, endless);
    return false;
}

/* ---- undoing ------------------------------------------------------------------------------------
 */

static uint32_t branch_of(struct verifier *v, const struct loop *l)
{
    uint32_t i = v->nr_branches;

    while (i-- > 0)
        if (v->branches[i].loop == l)
            break;
    return i;
}

/* Back to where the trial of l began; its branch stays. */
static void undo(struct verifier *v, uint32_t index)
{
    struct branch *b = &v->branches[index];

    drop_branches(v, index + 1);
    path_cut(v, b->nr_path);
    v->nr_trace = b->nr_trace;
    states_drop_since(v, b->loop->serial);
    b->loop->head = NULL;
}

/* The same loop once more, with what has been learned, if anything. */
bool trial_again(struct verifier *v, struct loop *l, const struct changes *changes)
{
    uint32_t index = branch_of(v, l);
    uint32_t size = l->head->bytes;
    struct kept *head = verifier_alloc(v, size);

    if (!head)
        return false;
    __builtin_memcpy(head, l->head, size);
    undo(v, index);
    unkeep(v, head, v->now);
    v->now->pc = l->pc;
    keep_free(v, head);
    if (l->tries++ == TRIES_MAX)
        return false;
    if (changes)
        counters_include(v, changes);
    return make_head(v, l);
}

/* A rejection of the innermost trial's loop. True: v->now is where the walk goes on, at the loop's
 * head, trip by trip or with another bound. */
static bool leave_trial(struct verifier *v, struct loop *l)
{
    uint32_t index = branch_of(v, l);
    struct branch *b = &v->branches[index];

    v->err = 0;
    if (l->head && counters_next_bound(l)) {
        if (trial_again(v, l, NULL))
            return true;
        v->err = 0;
    }
    undo(v, index);
    unkeep(v, b->state, v->now);
    keep_free(v, b->state);
    v->nr_branches--;
    give_up(v, l->pc, l->endless);
    end_trial(v, l);
    return !v->info[v->now->pc].calls_back || callback_trips_max(v) <= CALLBACKS_WALKED;
}

/* After a rejection: undoes the innermost trial, and those around it while their trips are not to
 * be walked. False: there was no trial to go on from; it is final. */
bool loop_fall_back(struct verifier *v)
{
    int err = v->err;

    if (!v->trial || err == -ENOMEM || err == -E2BIG)
        return false;
    if (!v->first_err) {
        v->first_err = v->err;
        v->first_slot = v->err_slot;
        __builtin_memcpy(v->first_message, v->message, sizeof(v->message));
    }
    while (v->trial)
        if (leave_trial(v, v->trial))
            return true;
    v->err = v->first_err;
    v->err_slot = v->first_slot;
    __builtin_memcpy(v->message, v->first_message, sizeof(v->message));
    return false;
}

/* Every path of the trial has been walked. The head becomes the state before the first trip, for
 * later paths to be compared with: of the counters, only their beginnings. */
void loop_succeed(struct verifier *v, struct branch *branch)
{
    struct loop *l = branch->loop;

    for (unsigned i = 0; i < l->nr_counters; i++) {
        struct reg *reg = cell_kept(l->head, l->counters[i].cell);

        if (!reg)
            continue;
        *reg = l->counters[i].first;
        reg->precise = true;
        if (reg->type == REG_SCALAR)
            reg->id = 0, reg->off = 0;
    }
    end_trial(v, l);
    keep_free(v, branch->state);
}

void loop_free(struct verifier *v, struct loop *loop)
{
    verifier_free(v, loop, sizeof(*loop));
}

/* The state that stands for all trips. */
struct kept *loop_head(const struct loop *loop)
{
    return loop->head;
}

/* The most trips there can be; 0: only may_goto bounds them. */
uint64_t loop_trips(const struct loop *loop)
{
    return loop->endless ? 0 : loop->bound.last + 1;
}
