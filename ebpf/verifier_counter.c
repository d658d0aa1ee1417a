/*
 * What a trip of a loop changes: its counters, how many trips they allow, and the range of each
 * over all trips. See verifier_loop.h.
 */
#include "ebpf/verifier_loop.h"

#include "ebpf/base.h"

struct reg *cell_now(struct verifier *v, struct cell cell)
{
    struct frame *f = &v->now->frames[cell.frame];

    return cell.slot ? &f->slots[cell.index].spill : &f->regs[cell.index];
}

/* NULL: it was not live. */
struct reg *cell_kept(struct kept *kept, struct cell cell)
{
    struct slot *slot;

    if (!cell.slot)
        return kept_reg(kept, cell.frame, cell.index);
    slot = kept_slot(kept, cell.frame, cell.index);
    return slot && slot->size ? &slot->spill : NULL;
}

/* Calls visit for every live register and spill of a kept state. False as soon as one does. */
bool visit_cells(struct verifier *v, struct kept *kept, cell_visitor visit, void *arg)
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

/* The smallest width that holds both, all of it. */
struct scalar widen(const struct scalar *a, const struct scalar *b)
{
    for (unsigned width = 8; width < 64; width *= 2)
        if ((a->umax | b->umax) >> width == 0)
            return scalar_range(0, (UINT64_C(1) << width) - 1);
    return scalar_unknown();
}

/* ---- which are counters -------------------------------------------------------------------------
 */

static bool add_counter(struct loop *l, struct cell cell, int64_t step, const struct reg *first)
{
    if (l->nr_counters == COUNTERS_MAX || step > INT32_MAX || step < INT32_MIN || step == 0)
        return false;
    l->counters[l->nr_counters++] = (struct counter){.cell = cell, .step = step, .first = *first};
    return true;
}

/* Are both the same pointer, but for the constant that was added? */
bool same_pointer_but_offset(const struct reg *a, const struct reg *b)
{
    return a->type == b->type && a->map == b->map && a->frame == b->frame && a->id == b->id &&
           a->ref == b->ref && a->map_uid == b->map_uid && a->type != REG_CTX &&
           __builtin_memcmp(&a->n, &b->n, sizeof(a->n)) == 0;
}

/* Do both hold a register of one type, in the same bytes? */
bool same_spill(const struct slot *old, const struct slot *now)
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

/* A number that differs from what it was a trip ago. */
static void compare_number(struct loop *l, struct cell cell, const struct reg *old, struct reg *now)
{
    bool constant = scalar_is_const(&old->n) && scalar_is_const(&now->n);

    if (constant && add_counter(l, cell, (int64_t)(now->n.umin - old->n.umin), old))
        return;
    if (!constant && old->id && old->id == now->id &&
        add_counter(l, cell, now->off - old->off, old))
        return;
    now->n = widen(&old->n, &now->n);
    now->id = 0;
    now->off = 0;
}

/* Looks at one cell of the older state; what it becomes is put into v->now. */
static bool compare_cell(struct verifier *v, struct cell cell, struct reg *old, void *arg)
{
    struct loop *l = arg;
    struct reg *now = cell_now(v, cell), before = *old;

    if (cell.slot && (cell.index >= v->now->frames[cell.frame].nr_slots ||
                      !v->now->frames[cell.frame].slots[cell.index].size))
        return true; /* forgotten */
    if (now->type != old->type) {
        now->type = REG_NONE;
        return true;
    }
    if (old->type == REG_SCALAR) {
        if (__builtin_memcmp(&old->n, &now->n, sizeof(old->n)) != 0 ||
            (old->id && old->id == now->id && old->off != now->off))
            compare_number(l, cell, old, now);
        else if (old->id != now->id || old->off != now->off)
            now->id = 0, now->off = 0;
        return true;
    }
    if (old->type == REG_PACKET || old->type == REG_PACKET_META) {
        if (old->range < now->range)
            now->range = old->range;
        before.range = now->range;
    }
    if (!same_pointer_but_offset(&before, now) ||
        (now->off != old->off && !add_counter(l, cell, now->off - old->off, &before)))
        now->type = REG_NONE;
    return true;
}

/* ---- how many trips there may be ----------------------------------------------------------------
 */

/* A value as an unsigned number that grows as the counter's numbers do; and back. */
static uint64_t in_order(const struct counter *c, uint64_t value)
{
    return c->is_signed ? value ^ UINT64_C(1) << 63 : value;
}

/* Where the counter's values begin, seen in the direction of its step. */
static uint64_t beginning(const struct counter *c)
{
    const struct scalar *n = &c->first.n;

    if (c->is_signed)
        return is_up(c) ? (uint64_t)n->smin : (uint64_t)n->smax;
    return is_up(c) ? n->umin : n->umax;
}

static void add_candidate(struct loop *l, uint64_t bound, const struct counter *c)
{
    int64_t distance = (int64_t)(bound - beginning(c));
    uint64_t last;

    if (distance == 0 || (distance > 0) != is_up(c) || l->nr_candidates == CANDIDATES_MAX)
        return;
    last = is_up(c) ? (uint64_t)(distance - 1) / (uint64_t)c->step
                    : ((uint64_t)-distance - 1) / (uint64_t)-c->step;
    if (last < TRIPS_MIN || last >= ISA_MAY_GOTO_MAX)
        return;
    for (unsigned i = 0; i < l->nr_candidates; i++)
        if (l->candidates[i].last == last && cell_same(l->candidates[i].cell, c->cell))
            return;
    l->candidates[l->nr_candidates++] = (struct candidate){c->cell, last};
}

bool loop_leaves(const struct loop *l, uint32_t pc)
{
    return pc < l->pc || pc > l->end;
}

static bool is_compared(const struct verifier *v, const struct counter *c,
                        const struct ebpf_decoded *insn, bool src_is_reg)
{
    return !c->cell.slot && c->cell.frame == v->now->depth &&
           (c->cell.index == insn->dst || (src_is_reg && c->cell.index == insn->src));
}

/* Bounds that one conditional jump may set to counters that stand in a register it compares, or to
 * the others, which may have been loaded into one. */
static void find_bounds(struct verifier *v, struct loop *l, uint32_t pc, bool compared)
{
    const struct ebpf_decoded *insn = &v->code[pc];
    bool src_is_reg = (insn->op - OP_JEQ64_K) % 2 == 1;
    bool wide = (insn->op - OP_JEQ64_K) % 4 <= FORM_64_X;
    const struct reg *dst = reg_now(v, insn->dst), *src = reg_now(v, insn->src);

    for (unsigned i = 0; i < l->nr_counters; i++) {
        const struct counter *c = &l->counters[i];

        if (c->first.type != REG_SCALAR || is_compared(v, c, insn, src_is_reg) != compared)
            continue;
        if (!src_is_reg)
            add_candidate(l, wide ? insn->imm : (uint32_t)insn->imm, c);
        else if (src->type == REG_SCALAR)
            add_candidate(l, src->n.umax, c);
        if (src_is_reg && dst->type == REG_SCALAR)
            add_candidate(l, dst->n.umax, c);
    }
}

/* Bounds are looked for where the loop can be left, nearest to its end first. */
static void find_candidates(struct verifier *v, struct loop *l, bool compared)
{
    for (uint32_t pc = l->end + 1; pc-- > l->pc && l->nr_candidates < CANDIDATES_MAX;) {
        const struct ebpf_decoded *insn = &v->code[pc];
        uint32_t target = (uint32_t)insn->off;

        if (insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X &&
            (loop_leaves(l, target) || loop_leaves(l, pc + 1) || target == l->pc))
            find_bounds(v, l, pc, compared);
    }
}

/* Compares v->now, come back to l's head, with the state there a trip ago. v->now becomes what may
 * be so at the head on any trip, but for its counters, which are put into l with the candidates for
 * their bound. False: no way to tell. */
bool counters_find(struct verifier *v, struct loop *l, struct kept *old)
{
    if (old->nr_refs != v->now->nr_refs || old->lock.map != v->now->lock.map ||
        old->lock.id != v->now->lock.id)
        return false;
    forget_different(v, old);
    if (!visit_cells(v, old, compare_cell, l))
        return false;
    if (!l->endless) {
        find_candidates(v, l, true);
        find_candidates(v, l, false);
        return l->nr_candidates > 0;
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

/* ---- the ranges over all trips ------------------------------------------------------------------
 */

/* All that the counter can be at the head, for k from 0 to last. What bounds k is told from the
 * first value that is nearest, less than a step exactly; the others may have begun anywhere in
 * their range. False: it might wrap, now or in one step more. */
static bool range_in_order(const struct counter *c, uint64_t last, bool bounds, struct scalar *n)
{
    uint64_t low = in_order(c, c->is_signed ? (uint64_t)c->first.n.smin : c->first.n.umin);
    uint64_t high = in_order(c, c->is_signed ? (uint64_t)c->first.n.smax : c->first.n.umax);
    uint64_t step = (uint64_t)(is_up(c) ? c->step : -c->step), from, way = last * step;
    uint64_t unit = step & -step;

    if (bounds && low != high)
        way += step - 1;
    if (is_up(c)) {
        from = bounds ? low : high;
        if (way > UINT64_MAX - from)
            return false;
        high = high > from + way ? high : from + way;
        if (step > UINT64_MAX - high)
            return false;
    } else {
        from = bounds ? high : low;
        if (way > from)
            return false;
        low = low < from - way ? low : from - way;
        if (step > low)
            return false;
    }
    low = in_order(c, low);
    high = in_order(c, high);
    *n = c->is_signed ? scalar_signed_range((int64_t)low, (int64_t)high) : scalar_range(low, high);
    n->bits = tnum_intersect(n->bits, (struct tnum){c->first.n.bits.value & (unit - 1),
                                                    c->first.n.bits.mask | ~(unit - 1)});
    return scalar_sync(n);
}

static bool counter_range(struct counter *c, uint64_t last, bool bounds, struct scalar *n)
{
    c->is_signed = false;
    if (range_in_order(c, last, bounds, n))
        return true;
    c->is_signed = true;
    return range_in_order(c, last, bounds, n);
}

/* The next bound to try. False: there is none. */
bool counters_next_bound(struct loop *l)
{
    struct scalar n;

    while (l->next_candidate < l->nr_candidates) {
        l->bound = l->candidates[l->next_candidate++];
        for (unsigned i = 0; i < l->nr_counters; i++)
            if (cell_same(l->counters[i].cell, l->bound.cell) &&
                counter_range(&l->counters[i], l->bound.last, true, &n))
                return true;
    }
    return false;
}

static bool set_pointer(struct verifier *v, const struct loop *l, const struct counter *c)
{
    struct reg *reg = cell_now(v, c->cell);
    uint64_t far = l->bound.last * (uint64_t)(is_up(c) ? c->step : -c->step);
    struct scalar n;

    if (far > OFFSET_MAX)
        return false;
    n = is_up(c) ? scalar_range(0, far) : scalar_signed_range(-(int64_t)far, 0);
    *reg = c->first;
    reg->n = scalar_alu(OP_ADD64_X, &reg->n, &n);
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META) {
        if (is_up(c))
            reg->range = reg->range > (int64_t)far ? reg->range - (int64_t)far : 0;
    } else if (reg->type != REG_MAP_VALUE && reg->type != REG_STACK && reg->type != REG_RECORD &&
               reg->type != REG_MEM) {
        return false;
    }
    reg->id = ID_LOOP | ++v->next_id;
    return true;
}

/* Gives each counter of v->now its range over the trips of l->bound. A number whose range would
 * wrap is no counter but any number. False: it cannot be told. */
bool counters_set(struct verifier *v, struct loop *l)
{
    unsigned nr = 0;

    for (unsigned i = 0; i < l->nr_counters; i++) {
        struct counter c = l->counters[i];
        bool bounds = cell_same(c.cell, l->bound.cell);
        struct scalar n;

        if (c.first.type != REG_SCALAR) {
            if (!set_pointer(v, l, &c))
                return false;
        } else if (counter_range(&c, l->bound.last, bounds, &n)) {
            reg_set_scalar(cell_now(v, c.cell), n);
            cell_now(v, c.cell)->id = ID_LOOP | ++v->next_id;
        } else {
            if (bounds)
                return false;
            reg_set_unknown(cell_now(v, c.cell));
            continue;
        }
        l->counters[nr++] = c;
    }
    l->nr_counters = nr;
    return true;
}

/* ---- after a trip -------------------------------------------------------------------------------
 */

static bool is_packet(const struct reg *reg)
{
    return reg->type == REG_PACKET || reg->type == REG_PACKET_META;
}

/* Is it, whatever it was at the head, one step on? What is known of a packet behind it is not
 * looked at. */
bool counter_stepped(const struct counter *c, const struct reg *head, const struct reg *now)
{
    if (now->type != head->type || now->id != head->id || now->off != head->off + c->step)
        return false;
    return head->type == REG_SCALAR ||
           ((is_packet(head) || now->map == head->map) && now->frame == head->frame &&
            __builtin_memcmp(&now->n, &head->n, sizeof(now->n)) == 0);
}

/* The largest k that a counter can be at, one step or more after its beginning. False: it cannot be
 * so. */
bool counter_most(const struct counter *c, const struct scalar *n, uint64_t *k)
{
    uint64_t most = is_up(c) ? (c->is_signed ? (uint64_t)n->smax : n->umax)
                             : (c->is_signed ? (uint64_t)n->smin : n->umin);
    uint64_t begin = in_order(c, beginning(c)), far = in_order(c, most);
    uint64_t step = (uint64_t)(is_up(c) ? c->step : -c->step);
    uint64_t distance = is_up(c) ? far - begin : begin - far;

    if ((is_up(c) ? far < begin : far > begin) || distance < step)
        return false;
    *k = distance / step;
    return true;
}
