/*
 * Which registers are read later, by a backward walk over the program, repeated until loops have
 * settled; and the removal of instructions whose result is never read. The walk is bounded, so that
 * time stays linear: what has not settled by then counts as live.
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/port.h"

#define ROUNDS_MAX 8u

static bool falls_through(uint16_t op)
{
    return op != OP_JA && op != OP_EXIT && op != LOW_SWITCH;
}

static uint16_t before_switch(const uint16_t *before, const struct low_switch *s)
{
    uint16_t live = before[s->otherwise];

    for (uint32_t n = 0; n < s->nr; n++)
        live |= before[s->slots[n]];
    return live;
}

/* One walk. True when a loop's head has changed, which the jump back to it has not seen. */
static bool walk(struct lowering *l, uint16_t *before, bool drop)
{
    const struct ebpf_lowered *low = l->low;
    uint16_t next = 0;
    bool again = false;

    for (uint32_t slot = l->nr; slot-- > 0;) {
        struct ebpf_decoded *i = &l->code[slot];
        uint16_t live = falls_through(i->op) ? next : 0;
        struct low_effect e;

        if (i->op == OP_JA || i->op == OP_MAY_GOTO || low_is_conditional(i->op))
            live |= before[i->off];
        else if (i->op == LOW_SWITCH)
            live |= before_switch(before, &low->switches[i->imm]);
        e = low_effect(i);
        if (drop && e.removable && !(live & e.writes)) {
            low_drop(i);
            next = live;
        } else {
            next = (uint16_t)((live & ~e.writes) | e.reads);
        }
        low->live[slot] = live;
        again |= next != before[slot] && (low->flags[slot] & LOW_LOOP);
        before[slot] = next;
    }
    return again;
}

/* Fills in low->live; drop: removes dead instructions, which makes others dead in turn. 0 or
 * -ENOMEM. */
int low_liveness(struct lowering *l, bool drop)
{
    uint16_t *before = port_alloc(l->nr * sizeof(before[0]));
    bool settled = false;

    if (!before)
        return -ENOMEM;
    for (unsigned round = 0; round < ROUNDS_MAX && !settled; round++)
        settled = !walk(l, before, false);
    if (!settled)
        for (uint32_t slot = 0; slot < l->nr; slot++)
            l->low->live[slot] = LOW_ALL;
    else if (drop)
        walk(l, before, true);
    port_free(before);
    return 0;
}
