/*
 * Which registers are read later, by a backward walk over the program, repeated until loops have
 * settled; and the removal of instructions whose result is never read. The walk is bounded, so that
 * time stays linear: what has not settled by then counts as live.
 */
#include "ebpf/lower_internal.h"

#define ROUNDS_MAX 8u

static bool falls_through(uint16_t op)
{
    return op != OP_JA && op != OP_EXIT && op != LOW_SWITCH;
}

static uint16_t live_before(const struct lowering *l, uint32_t slot)
{
    struct low_effect e = low_effect(&l->code[slot]);

    return (uint16_t)((l->low->live[slot] & ~e.writes) | e.reads);
}

static uint16_t live_after_switch(const struct lowering *l, const struct low_switch *s)
{
    uint16_t live = live_before(l, s->otherwise);

    for (uint32_t n = 0; n < s->nr; n++)
        live |= live_before(l, s->slots[n]);
    return live;
}

static uint16_t live_after(const struct lowering *l, uint32_t slot)
{
    const struct ebpf_decoded *i = &l->code[slot];
    uint16_t live = 0;

    if (falls_through(i->op) && slot + 1 < l->nr)
        live |= live_before(l, slot + 1);
    if (i->op == OP_JA || i->op == OP_MAY_GOTO || low_is_conditional(i->op))
        live |= live_before(l, (uint32_t)i->off);
    else if (i->op == LOW_SWITCH)
        live |= live_after_switch(l, &l->low->switches[i->imm]);
    return live;
}

/* One walk; true when something changed that an earlier part of the walk has used already. */
static bool walk(struct lowering *l, bool drop)
{
    bool again = false;

    for (uint32_t slot = l->nr; slot-- > 0;) {
        struct low_effect e = low_effect(&l->code[slot]);
        uint16_t live = live_after(l, slot);

        if (drop && e.removable && !(live & e.writes))
            low_drop(&l->code[slot]);
        if (live != l->low->live[slot] && (l->low->flags[slot] & LOW_TARGET))
            again = true;
        l->low->live[slot] = live;
    }
    return again;
}

/* Fills in low->live; drop: removes dead instructions, which makes others dead in turn. */
void low_liveness(struct lowering *l, bool drop)
{
    unsigned round = 0;

    for (uint32_t slot = 0; slot < l->nr; slot++)
        l->low->live[slot] = 0;
    while (walk(l, false))
        if (++round == ROUNDS_MAX)
            break;
    if (round == ROUNDS_MAX)
        for (uint32_t slot = 0; slot < l->nr; slot++)
            l->low->live[slot] = LOW_ALL;
    if (drop && round < ROUNDS_MAX)
        walk(l, true);
}
