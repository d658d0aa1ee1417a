/*
 * Loops proven at once. When a path comes back to a loop's head, the two states met there show how
 * a trip changes things: counters go up by a step, other numbers change somehow. One state is made
 * that stands for every trip (counters over their whole range, linked to themselves by an id; what
 * else changed: any number) and the body is walked once from it. If each way back to the head
 * finds every counter exactly one step on, still in range, and all else as it was, then that is
 * true of every trip, and the range bounds their number: the loop is safe and it ends. If not, the
 * trial is undone and the trips are walked one by one, as Linux does.
 *
 * Counters c_i = init_i + k * step_i share k. Where a bound is known of one, it holds for k and so
 * for all. Trips that pass a may_goto need no counter, since the machine bounds them; nor do those
 * of a helper that calls back, which does itself. There a state that every trip leads back into is
 * enough.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_state.h"

#define COUNTERS_MAX   8u
#define CANDIDATES_MAX 4u
#define TRIES_MAX      12u
#define TRIPS_MIN      4u /* fewer are walked */

/* A register or spilled register of some frame. */
struct cell {
    uint8_t frame, index;
    bool slot;
};

struct counter {
    struct cell cell;
    bool is_signed; /* its range does not wrap as a signed number; else as an unsigned one */
    uint64_t init;
    int64_t step;
    struct reg first; /* pointers: what it was at the start */
};

struct loop {
    struct kept *head; /* the state that stands for all trips; on the path */
    uint32_t pc, end, serial, tries;
    bool endless;  /* without counters: something at run time bounds it */
    uint64_t last; /* the largest k at the head */
    uint64_t candidates[CANDIDATES_MAX];
    unsigned nr_candidates, next_candidate;
    struct counter counters[COUNTERS_MAX];
    unsigned nr_counters;
};

static struct reg *cell_now(struct verifier *v, struct cell cell)
{
    struct frame *f = &v->now->frames[cell.frame];

    return cell.slot ? &f->slots[cell.index].spill : &f->regs[cell.index];
}

static struct reg *cell_kept(struct kept *kept, struct cell cell)
{
    struct slot *slot;

    if (!cell.slot)
        return kept_reg(kept, cell.frame, cell.index);
    slot = kept_slot(kept, cell.frame, cell.index);
    return slot && slot->size ? &slot->spill : NULL;
}

/* Calls visit for every live register and spill of a kept state. False as soon as one does. */
typedef bool (*cell_visitor)(struct verifier *v, struct cell cell, struct reg *reg, void *arg);

static bool visit_cells(struct verifier *v, struct kept *kept, cell_visitor visit, void *arg)
{
    for (unsigned f = 0; f <= kept->depth; f++) {
        for (uint32_t regs = kept->frames[f].regs; regs; regs &= regs - 1) {
            struct cell cell = {(uint8_t)f, (uint8_t)__builtin_ctz(regs), false};

            if (!visit(v, cell, cell_kept(kept, cell), arg))
                return false;
        }
        for (uint64_t slots = kept->frames[f].slots; slots; slots &= slots - 1) {
            struct cell cell = {(uint8_t)f, (uint8_t)__builtin_ctzll(slots), true};
            struct reg *reg = cell_kept(kept, cell);

            if (reg && !visit(v, cell, reg, arg))
                return false;
        }
    }
    return true;
}

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
static void mark_past(struct verifier *v, struct kept *kept)
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

/* ---- what a trip changes ------------------------------------------------------------------------
 */

/* The smallest width that holds both, all of it. */
static struct scalar widen(const struct scalar *a, const struct scalar *b)
{
    for (unsigned width = 8; width < 64; width *= 2)
        if ((a->umax | b->umax) >> width == 0)
            return scalar_range(0, (UINT64_C(1) << width) - 1);
    return scalar_unknown();
}

static bool add_counter(struct loop *l, struct cell cell, uint64_t init, int64_t step,
                        const struct reg *first)
{
    if (l->nr_counters == COUNTERS_MAX || step > INT32_MAX || step < INT32_MIN || step == 0)
        return false;
    l->counters[l->nr_counters++] =
        (struct counter){.cell = cell, .init = init, .step = step, .first = *first};
    return true;
}

static bool same_pointer_but_offset(const struct reg *a, const struct reg *b)
{
    return a->type == b->type && a->map == b->map && a->frame == b->frame && a->id == b->id &&
           a->ref == b->ref && a->map_uid == b->map_uid && a->type != REG_CTX &&
           __builtin_memcmp(&a->n, &b->n, sizeof(a->n)) == 0;
}

struct comparison {
    struct loop *l;
    bool numbers; /* some counter is a number */
};

static bool same_spill(const struct slot *old, const struct slot *now)
{
    return old->size && old->size == now->size && old->start == now->start &&
           old->spill.type == now->spill.type;
}

/* What only one of the states has is forgotten: v->now then includes both but for numbers. */
static void forget_different(struct verifier *v, struct kept *old)
{
    for (unsigned f = 0; f <= old->depth; f++) {
        struct frame *now = &v->now->frames[f];

        for (unsigned r = 0; r < ISA_FP; r++)
            if (!kept_reg(old, f, r))
                now->regs[r].type = REG_NONE;
        for (unsigned s = 0; s < now->nr_slots; s++) {
            const struct slot *before = kept_slot(old, f, s);
            struct slot *slot = &now->slots[s];

            bool same = before && same_spill(before, slot);

            for (unsigned i = 0; i < 8; i++)
                if (!before || before->bytes[i] != slot->bytes[i] ||
                    (slot->bytes[i] >= BYTE_SPILL && !same))
                    slot->bytes[i] = BYTE_NONE;
            if (!same)
                slot->size = 0;
        }
    }
}

/* Looks at one cell of the older state; what it becomes is put into v->now. */
static bool compare_cell(struct verifier *v, struct cell cell, struct reg *old, void *arg)
{
    struct comparison *c = arg;
    struct reg *now = cell_now(v, cell), before = *old;

    if (cell.slot && (cell.index >= v->now->frames[cell.frame].nr_slots ||
                      !v->now->frames[cell.frame].slots[cell.index].size))
        return true; /* forgotten */
    if (now->type != old->type) {
        now->type = REG_NONE;
        return true;
    }
    if (old->type == REG_PACKET || old->type == REG_PACKET_META) {
        if (old->range < now->range)
            now->range = old->range;
        before.range = now->range;
    }
    if (old->type != REG_SCALAR) {
        old = &before;
        if (same_pointer_but_offset(old, now) && old->off == now->off)
            return true;
        return same_pointer_but_offset(old, now) &&
               add_counter(c->l, cell, (uint64_t)old->off, now->off - old->off, old);
    }
    if (__builtin_memcmp(&old->n, &now->n, sizeof(old->n)) == 0) {
        if (old->id != now->id || old->off != now->off)
            now->id = 0, now->off = 0;
        return true;
    }
    if (scalar_is_const(&old->n) && scalar_is_const(&now->n) &&
        add_counter(c->l, cell, old->n.umin, (int64_t)(now->n.umin - old->n.umin), old)) {
        c->numbers = true;
        return true;
    }
    now->n = widen(&old->n, &now->n);
    now->id = 0;
    now->off = 0;
    return true;
}

/* ---- how many trips there may be ----------------------------------------------------------------
 */

static void add_candidate(struct loop *l, uint64_t bound, const struct counter *c)
{
    int64_t distance = (int64_t)(bound - c->init);
    uint64_t last;

    if (distance == 0 || (distance > 0) != (c->step > 0) || l->nr_candidates == CANDIDATES_MAX)
        return;
    last = c->step > 0 ? (uint64_t)(distance - 1) / (uint64_t)c->step
                       : ((uint64_t)-distance - 1) / (uint64_t)-c->step;
    if (last < TRIPS_MIN || last >= ISA_MAY_GOTO_MAX)
        return;
    for (unsigned i = 0; i < l->nr_candidates; i++)
        if (l->candidates[i] == last)
            return;
    l->candidates[l->nr_candidates++] = last;
}

static bool leaves(const struct loop *l, uint32_t pc)
{
    return pc < l->pc || pc > l->end;
}

/* Bounds are looked for where the loop can be left, nearest to its end first. */
static void find_candidates(struct verifier *v, struct loop *l)
{
    for (uint32_t pc = l->end + 1; pc-- > l->pc;) {
        const struct ebpf_decoded *insn = &v->code[pc];
        uint32_t target = (uint32_t)insn->off;
        bool src_is_reg = insn->op % 2 == (OP_JEQ64_K + 1) % 2;

        if (insn->op < OP_JEQ64_K || insn->op > OP_JSLE32_X ||
            !(leaves(l, target) || leaves(l, pc + 1) || target == l->pc))
            continue;
        for (unsigned i = 0; i < l->nr_counters; i++) {
            const struct counter *c = &l->counters[i];
            bool wide = (insn->op - OP_JEQ64_K) % 4 <= FORM_64_X;
            const struct reg *dst = reg_now(v, insn->dst), *src = reg_now(v, insn->src);

            if (c->first.type != REG_SCALAR)
                continue;
            if (!src_is_reg)
                add_candidate(l, wide ? insn->imm : (uint32_t)insn->imm, c);
            else if (src->type == REG_SCALAR)
                add_candidate(l, src->n.umax, c);
            if (src_is_reg && dst->type == REG_SCALAR)
                add_candidate(l, dst->n.umax, c);
        }
    }
}

/* Trips of this loop for each time that it is come to, through the loops around it. */
static bool too_many_trips(struct verifier *v, const struct loop *l)
{
    uint64_t trips = l->last + 1;

    for (uint32_t i = 0; i < v->nr_branches; i++) {
        const struct loop *outer = v->branches[i].loop;
        bool inside;

        if (!outer || outer == l || outer->endless)
            continue;
        inside = !leaves(outer, l->pc);
        for (unsigned f = 1; f <= v->now->depth; f++)
            inside |= !leaves(outer, v->now->frames[f].call_slot);
        if (inside)
            trips *= outer->last + 1;
        if (trips > ISA_MAY_GOTO_MAX)
            return true;
    }
    return trips > ISA_MAY_GOTO_MAX;
}

/* ---- the state for all trips --------------------------------------------------------------------
 */

/* All init + k * step, k from 0 to last. False: the range wraps. */
static bool counter_range(struct counter *c, uint64_t last, struct scalar *n)
{
    uint64_t far = c->init + last * (uint64_t)c->step, beyond = far + (uint64_t)c->step;
    bool up = c->step > 0;
    uint64_t unit = (uint64_t)c->step & -(uint64_t)c->step;

    if (up ? c->init <= far && far < beyond : c->init >= far && far > beyond) {
        c->is_signed = false;
        *n = up ? scalar_range(c->init, far) : scalar_range(far, c->init);
    } else if (up ? (int64_t)c->init <= (int64_t)far && (int64_t)far < (int64_t)beyond
                  : (int64_t)c->init >= (int64_t)far && (int64_t)far > (int64_t)beyond) {
        c->is_signed = true;
        *n = up ? scalar_signed_range((int64_t)c->init, (int64_t)far)
                : scalar_signed_range((int64_t)far, (int64_t)c->init);
    } else {
        return false;
    }
    n->bits = tnum_intersect(n->bits, (struct tnum){c->init & (unit - 1), ~(unit - 1)});
    return scalar_sync(n);
}

static bool set_counter(struct verifier *v, struct loop *l, struct counter *c)
{
    struct reg *reg = cell_now(v, c->cell);
    uint64_t far = l->last * (uint64_t)(c->step < 0 ? -c->step : c->step);
    struct scalar n;

    if (c->first.type == REG_SCALAR) {
        if (!counter_range(c, l->last, &n))
            return false;
        reg_set_scalar(reg, n);
        reg->id = ID_LOOP | ++v->next_id;
        return true;
    }
    if (far > OFFSET_MAX)
        return false;
    n = c->step > 0 ? scalar_range(0, far) : scalar_signed_range(-(int64_t)far, 0);
    *reg = c->first;
    reg->n = scalar_alu(OP_ADD64_X, &reg->n, &n);
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META) {
        if (c->step > 0)
            reg->range = reg->range > (int64_t)far ? reg->range - (int64_t)far : 0;
    } else if (reg->type != REG_MAP_VALUE && reg->type != REG_STACK && reg->type != REG_RECORD &&
               reg->type != REG_MEM) {
        return false;
    }
    reg->id = ID_LOOP | ++v->next_id;
    return true;
}

/* v->now, with everything but its counters as it shall be, becomes the head. */
static bool make_head(struct verifier *v, struct loop *l)
{
    for (unsigned i = 0; i < l->nr_counters; i++)
        if (!set_counter(v, l, &l->counters[i]))
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

static void drop_branches(struct verifier *v, uint32_t nr)
{
    while (v->nr_branches > nr) {
        struct branch *last = &v->branches[--v->nr_branches];

        if (last->loop)
            loop_free(v, last->loop);
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
    return true;
}

/* May the loop be tried, and with what? v->now becomes the head but for its counters. */
static bool prepare(struct verifier *v, struct loop *l, struct kept *old)
{
    struct comparison c = {.l = l};

    if (old->nr_refs != v->now->nr_refs || old->lock.map != v->now->lock.map ||
        old->lock.id != v->now->lock.id)
        return false;
    forget_different(v, old);
    if (!visit_cells(v, old, compare_cell, &c))
        return false;
    if (!l->endless) {
        find_candidates(v, l);
        if (!c.numbers || !l->nr_candidates)
            return false;
        l->last = l->candidates[l->next_candidate++];
        return true;
    }
    for (unsigned i = 0; i < l->nr_counters; i++) {
        struct reg *reg = cell_now(v, l->counters[i].cell);

        if (reg->type != REG_SCALAR)
            return false;
        reg_set_scalar(reg, widen(&l->counters[i].first.n, &reg->n));
    }
    l->nr_counters = 0;
    frame_now(v)->trips = 0; /* there may be any number of trips to come */
    return true;
}

/* Has it been tried at once before, in vain? */
static bool was_tried(const struct verifier *v, bool endless)
{
    const struct insn_info *info = &v->info[v->now->pc];

    return (v->flags & EBPF_VERIFY_WALK_LOOPS) || (endless ? info->walk_endless : info->walk_loop);
}

static void give_up(struct verifier *v, uint32_t pc, bool endless)
{
    if (endless)
        v->info[pc].walk_endless = true;
    else
        v->info[pc].walk_loop = true;
}

static bool start(struct verifier *v, struct kept *old, bool endless)
{
    struct loop *l = verifier_alloc(v, sizeof(*l));
    struct kept *arrived;

    if (!l)
        return false;
    *l = (struct loop){.pc = v->now->pc, .end = v->info[v->now->pc].loop_end, .endless = endless};
    arrived = keep(v, v->now, v->now->pc);
    if (arrived && prepare(v, l, old)) {
        keep_free(v, arrived);
        if (!go_back(v, l, old)) {
            loop_free(v, l);
            return false;
        }
        /* From here on a failure is undone by loop_fall_back. */
        return !too_many_trips(v, l) && make_head(v, l);
    }
    if (arrived)
        unkeep(v, arrived, v->now);
    keep_free(v, arrived);
    loop_free(v, l);
    give_up(v, v->now->pc, endless);
    return false;
}

/* ---- coming back --------------------------------------------------------------------------------
 */

enum way_back { BACK_OTHER, BACK_NEVER, BACK_SAME, BACK_FURTHER, BACK_CHANGED };

/* The largest k that a counter can be at. False: it cannot be so. */
static bool most(const struct counter *c, const struct scalar *n, uint64_t *k)
{
    uint64_t far = c->step > 0 ? (c->is_signed ? (uint64_t)n->smax : n->umax)
                               : (c->is_signed ? (uint64_t)n->smin : n->umin);
    int64_t distance = (int64_t)(far - c->init);

    if (c->step > 0 ? distance < c->step : distance > c->step)
        return false;
    *k = c->step > 0 ? (uint64_t)distance / (uint64_t)c->step
                     : (uint64_t)-distance / (uint64_t)-c->step;
    return true;
}

static bool stepped(const struct counter *c, const struct reg *head, const struct reg *now)
{
    return now->type == head->type && now->id == head->id && now->off == head->off + c->step &&
           (head->type == REG_SCALAR || (now->map == head->map && now->frame == head->frame &&
                                         __builtin_memcmp(&now->n, &head->n, sizeof(now->n)) == 0));
}

/* Has v->now, come from old, a trip behind it that counts at run time? */
static bool bounded_at_run_time(const struct verifier *v, const struct kept *old)
{
    return v->info[v->now->pc].calls_back ||
           v->now->frames[v->now->depth].may_gotos > old->frames[old->depth].may_gotos;
}

static enum way_back come_back(struct verifier *v, struct loop *l, uint64_t *furthest)
{
    unsigned linked = 0;
    struct reg saved[COUNTERS_MAX];
    bool same;

    *furthest = UINT64_MAX;
    for (unsigned i = 0; i < l->nr_counters; i++) {
        const struct counter *c = &l->counters[i];
        const struct reg *head = cell_kept(l->head, c->cell), *now = cell_now(v, c->cell);
        uint64_t k;

        if (!head || !stepped(c, head, now))
            continue;
        linked++;
        if (c->first.type != REG_SCALAR)
            continue;
        if (!most(c, &now->n, &k))
            return BACK_NEVER;
        *furthest = k < *furthest ? k : *furthest;
    }
    if (l->endless ? !bounded_at_run_time(v, l->head) : linked == 0)
        return BACK_OTHER;
    if (linked < l->nr_counters)
        return BACK_CHANGED;
    for (unsigned i = 0; i < l->nr_counters; i++) {
        struct reg *now = cell_now(v, l->counters[i].cell);

        saved[i] = *now;
        *now = *cell_kept(l->head, l->counters[i].cell);
        if (now->type != REG_SCALAR && saved[i].range < now->range && now->type == REG_PACKET)
            now->range = saved[i].range;
    }
    same = kept_includes(v, l->head, v->now, LIKE_ALL);
    for (unsigned i = 0; i < l->nr_counters; i++)
        *cell_now(v, l->counters[i].cell) = saved[i];
    if (!same)
        return BACK_CHANGED;
    return l->endless || *furthest <= l->last ? BACK_SAME : BACK_FURTHER;
}

/* ---- trying again -------------------------------------------------------------------------------
 */

struct widening {
    struct loop *l;
    struct cell cells[16];
    struct scalar n[16];
    unsigned nr;
};

static bool is_counter(const struct loop *l, struct cell cell)
{
    for (unsigned i = 0; i < l->nr_counters; i++)
        if (__builtin_memcmp(&l->counters[i].cell, &cell, sizeof(cell)) == 0)
            return true;
    return false;
}

/* Collects numbers that came back otherwise. */
static bool find_changed(struct verifier *v, struct cell cell, struct reg *head, void *arg)
{
    struct widening *w = arg;
    const struct reg *now = cell_now(v, cell);

    if (head->type != REG_SCALAR || now->type != REG_SCALAR || is_counter(w->l, cell))
        return true;
    if (scalar_includes(&head->n, &now->n) && (head->id == 0 || head->id == now->id))
        return true;
    if (w->nr == ARRAY_LEN(w->cells))
        return false;
    w->cells[w->nr] = cell;
    w->n[w->nr++] = scalar_includes(&head->n, &now->n) ? head->n : widen(&head->n, &now->n);
    return true;
}

static uint32_t trial_of(struct verifier *v, const struct loop *l)
{
    uint32_t i = v->nr_branches;

    while (i-- > 0)
        if (v->branches[i].loop == l)
            break;
    return i;
}

/* Back to where the trial of l began; its branch stays. */
static void undo_trial(struct verifier *v, uint32_t index)
{
    struct branch *b = &v->branches[index];

    drop_branches(v, index + 1);
    path_cut(v, b->nr_path);
    v->nr_trace = b->nr_trace;
    states_drop_since(v, b->loop->serial);
    b->loop->head = NULL;
}

/* The same loop once more, with what has been learned. */
static bool try_again(struct verifier *v, struct loop *l, const struct widening *w)
{
    uint32_t index = trial_of(v, l);
    uint32_t size = l->head->bytes;
    struct kept *head = verifier_alloc(v, size);

    if (!head)
        return false;
    __builtin_memcpy(head, l->head, size);
    undo_trial(v, index);
    unkeep(v, head, v->now);
    v->now->pc = l->pc;
    keep_free(v, head);
    if (l->tries++ == TRIES_MAX || (!l->endless && too_many_trips(v, l)))
        return false;
    for (unsigned i = 0; w && i < w->nr; i++) {
        struct reg *reg = cell_now(v, w->cells[i]);

        reg_set_scalar(reg, w->n[i]);
    }
    return make_head(v, l);
}

static enum arrival arrive_again(struct verifier *v, struct loop *l)
{
    struct widening w = {.l = l};
    uint64_t furthest;

    switch (come_back(v, l, &furthest)) {
    case BACK_NEVER:
        mark_past(v, l->head);
        return ARRIVAL_DONE;
    case BACK_OTHER:
        return ARRIVAL_GO_ON;
    case BACK_SAME:
        mark_past(v, l->head);
        return ARRIVAL_DONE;
    case BACK_FURTHER:
        l->last = furthest;
        if (furthest < ISA_MAY_GOTO_MAX && try_again(v, l, NULL))
            return ARRIVAL_STARTED;
        break;
    case BACK_CHANGED:
        if (visit_cells(v, l->head, find_changed, &w) && w.nr && try_again(v, l, &w))
            return ARRIVAL_STARTED;
        break;
    }
    if (!v->err)
        verifier_reject(v, -EINVAL, RULE_ENDLESS, NO_REG,
                        "the loop at insn %u could not be proven at once", l->pc);
    return ARRIVAL_FAIL;
}

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

static enum arrival try_at_once(struct verifier *v, struct kept *old, bool endless)
{
    if (start(v, old, endless))
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

    if (!old)
        return ARRIVAL_GO_ON;
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

/* After a rejection: undoes the innermost trial. True: v->now is where the walk goes on, at the
 * loop's head, trip by trip or with another bound. False: there was no trial; it is final. */
bool loop_fall_back(struct verifier *v)
{
    uint32_t i = v->nr_branches;
    struct branch *b;
    struct loop *l;

    while (i > 0 && !v->branches[i - 1].loop)
        i--;
    if (i == 0 || v->err == -ENOMEM || v->err == -E2BIG)
        return false;
    b = &v->branches[i - 1];
    l = b->loop;
    if (!v->first_err) {
        v->first_err = v->err;
        v->first_slot = v->err_slot;
        __builtin_memcpy(v->first_message, v->message, sizeof(v->message));
    }
    v->err = 0;
    if (l->head && l->next_candidate < l->nr_candidates) {
        l->last = l->candidates[l->next_candidate++];
        if (try_again(v, l, NULL))
            return true;
        v->err = 0;
    }
    undo_trial(v, i - 1);
    unkeep(v, b->state, v->now);
    keep_free(v, b->state);
    v->nr_branches--;
    give_up(v, l->pc, l->endless);
    loop_free(v, l);
    return true;
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
    loop_free(v, l);
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
    return loop->endless ? 0 : loop->last + 1;
}
