/*
 * Arrivals at the head of a loop: whether the path has been there, whether a trip has changed
 * nothing, whether the state that stands for all trips foresaw this one. See verifier_loop.h.
 */
#include "ebpf/verifier_loop.h"

#include "ebpf/base.h"

/* ---- coming back to the head of a loop on trial -------------------------------------------------
 */

enum way_back { BACK_OTHER, BACK_NEVER, BACK_SAME, BACK_FURTHER, BACK_CHANGED };

/* Has v->now, come from old, a trip behind it that counts at run time? */
static bool bounded_at_run_time(const struct verifier *v, const struct kept *old)
{
    return v->info[v->now->pc].calls_back ||
           v->now->frames[v->now->depth].may_gotos > old->frames[old->depth].may_gotos;
}

/* How many counters are one step on; *furthest: the largest k that they can be at, all of them, of
 * which there is none when it is false. */
static bool count_stepped(struct verifier *v, const struct loop *l, unsigned *stepped,
                          uint64_t *furthest)
{
    uint64_t bound = 0;

    *stepped = 0;
    *furthest = UINT64_MAX;
    for (unsigned i = 0; i < l->nr_counters; i++) {
        const struct counter *c = &l->counters[i];
        const struct reg *head = cell_kept(l->head, c->cell), *now = cell_now(v, c->cell);
        uint64_t k;

        if (!head || !counter_stepped(c, head, now))
            continue;
        ++*stepped;
        if (c->first.type != REG_SCALAR)
            continue;
        if (!counter_most(c, &now->n, &k))
            return false;
        *furthest = k < *furthest ? k : *furthest;
        /* What its range was told from, nearer than the others', must hold of itself. */
        if (cell_same(c->cell, l->bound.cell) && !scalar_is_const(&c->first.n))
            bound = k;
    }
    if (*furthest < bound)
        *furthest = bound;
    return true;
}

/* Is all but the counters as the head says? */
static bool rest_is_same(struct verifier *v, const struct loop *l)
{
    struct reg saved[COUNTERS_MAX];
    bool same;

    for (unsigned i = 0; i < l->nr_counters; i++) {
        struct reg *now = cell_now(v, l->counters[i].cell);

        saved[i] = *now;
        *now = *cell_kept(l->head, l->counters[i].cell);
        if ((now->type == REG_PACKET || now->type == REG_PACKET_META) &&
            saved[i].range < now->range)
            now->range = saved[i].range;
    }
    same = kept_includes(v, l->head, v->now, LIKE_ALL);
    for (unsigned i = 0; i < l->nr_counters; i++)
        *cell_now(v, l->counters[i].cell) = saved[i];
    return same;
}

static enum way_back come_back(struct verifier *v, const struct loop *l, uint64_t *furthest)
{
    unsigned stepped;

    if (!count_stepped(v, l, &stepped, furthest))
        return BACK_NEVER;
    if (l->endless ? !bounded_at_run_time(v, l->head) : stepped == 0)
        return BACK_OTHER;
    if (stepped < l->nr_counters || !rest_is_same(v, l))
        return BACK_CHANGED;
    return l->endless || *furthest <= l->bound.last ? BACK_SAME : BACK_FURTHER;
}

static enum arrival not_at_once(struct verifier *v, uint32_t pc)
{
    if (!v->err)
        verifier_reject(v, -EINVAL, RULE_ENDLESS, NO_REG,
                        "the loop at insn %u could not be proven at once", pc);
    return ARRIVAL_FAIL;
}

static enum arrival arrive_again(struct verifier *v, struct loop *l)
{
    struct changes changes = {.l = l};
    uint64_t furthest;

    switch (come_back(v, l, &furthest)) {
    case BACK_OTHER:
        return ARRIVAL_GO_ON;
    case BACK_NEVER:
    case BACK_SAME:
        mark_past(v, l->head);
        return ARRIVAL_DONE;
    case BACK_FURTHER:
        l->bound.last = furthest;
        if (furthest < ISA_MAY_GOTO_MAX && trial_again(v, l, NULL))
            return ARRIVAL_STARTED;
        break;
    case BACK_CHANGED:
        if (counters_changed(v, &changes) && (l->endless || l->nr_counters) &&
            trial_again(v, l, &changes))
            return ARRIVAL_STARTED;
        break;
    }
    return not_at_once(v, l->pc);
}

/* ---- arriving -----------------------------------------------------------------------------------
 */

/* The last state of this path at the same place, in the same call of its function. */
static struct kept *ancestor(struct verifier *v)
{
    uint32_t activation = frame_now(v)->activation;

    for (struct kept *k = v->info[v->now->pc].states; k; k = k->next)
        if (!k->done && k->depth == v->now->depth && k->frames[k->depth].activation == activation)
            return k;
    return NULL;
}

/* At a helper that calls back: the state before the last trip. NULL: there was none, or there will
 * be none any more. */
static struct kept *last_trip(struct verifier *v)
{
    uint32_t trips = frame_now(v)->trips;

    for (uint32_t i = v->nr_path; trips && trips < callback_trips_max(v) && i-- > 0;)
        if (v->path[i]->depth <= v->now->depth)
            return v->path[i];
    return NULL;
}

/* Has it been tried at once before, in vain? */
static bool was_tried(const struct verifier *v, bool endless)
{
    const struct insn_info *info = &v->info[v->now->pc];

    return (v->flags & EBPF_VERIFY_WALK_LOOPS) || (endless ? info->walk_endless : info->walk_loop);
}

/* Gives each number of the function under way that is not known an id, so that the state to come
 * after a trip tells how it was made of this one. */
static void name_numbers(struct verifier *v)
{
    struct frame *f = frame_now(v);

    for (unsigned r = 0; r < ISA_FP; r++)
        if (f->regs[r].type == REG_SCALAR && f->regs[r].id == 0 && !scalar_is_const(&f->regs[r].n))
            f->regs[r].id = ++v->next_id, f->regs[r].off = 0;
    for (uint32_t s = 0; s < f->nr_slots; s++)
        if (f->slots[s].size && f->slots[s].spill.type == REG_SCALAR && f->slots[s].spill.id == 0 &&
            !scalar_is_const(&f->slots[s].spill.n))
            f->slots[s].spill.id = ++v->next_id, f->slots[s].spill.off = 0;
}

static enum arrival try_at_once(struct verifier *v, struct kept *old, bool endless)
{
    if (trial_start(v, old, endless))
        return ARRIVAL_STARTED;
    if (!v->err && !was_tried(v, endless))
        verifier_reject(v, -EINVAL, RULE_ENDLESS, NO_REG,
                        "the loop at insn %u could not be proven at once", v->now->pc);
    return v->err ? ARRIVAL_FAIL : ARRIVAL_GO_ON;
}

/* v->now has come to the head of a loop. */
enum arrival loop_arrive(struct verifier *v)
{
    bool calls_back = v->info[v->now->pc].calls_back, bounded;
    struct kept *old = calls_back ? last_trip(v) : ancestor(v);
    enum arrival arrival = ARRIVAL_GO_ON;

    if (!old) {
        if (!calls_back && !was_tried(v, false))
            name_numbers(v);
        return ARRIVAL_GO_ON;
    }
    if (old->loop)
        return arrive_again(v, old->loop);
    bounded = bounded_at_run_time(v, old);
    if (bounded && kept_includes(v, old, v->now, LIKE_ALL)) {
        mark_past(v, old);
        return ARRIVAL_DONE;
    }
    if (!calls_back && kept_includes(v, old, v->now, LIKE_EQUAL)) {
        verifier_reject(v, -EINVAL, RULE_ENDLESS, NO_REG,
                        "infinite loop detected at insn %u: a trip changes nothing that could end "
                        "it",
                        v->now->pc);
        return ARRIVAL_FAIL;
    }
    if (calls_back && callback_trips_max(v) <= TRIPS_MIN)
        return ARRIVAL_GO_ON;
    if (!calls_back && !was_tried(v, false))
        arrival = try_at_once(v, old, false);
    if (arrival == ARRIVAL_GO_ON && bounded && !was_tried(v, true))
        arrival = try_at_once(v, old, true);
    return arrival;
}
