/*
 * Which registers are read later, by a backward walk over the program, repeated until loops have
 * settled; and the removal of instructions whose result is never read. The walk is bounded, so that
 * time stays linear: what has not settled by then counts as live.
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/port.h"

#define ROUNDS_MAX 8u

static uint16_t before_switch(const uint16_t *before, const struct low_switch *s)
{
    uint16_t live = before[s->otherwise];

    for (uint32_t n = 0; n < s->nr; n++)
        live |= before[s->slots[n]];
    return live;
}

/* What is live after a slot that does not just go on to the next. */
static uint16_t live_after(const struct lowering *l, const uint16_t *before, uint32_t slot,
                           uint8_t flow, uint16_t next)
{
    const struct ebpf_decoded *i = &l->code[slot];
    uint16_t live = flow & LOW_FLOW_ENDS ? 0 : next;

    if (flow & LOW_FLOW_JUMPS)
        live |= before[i->off];
    else if (flow & LOW_FLOW_TABLE)
        live |= before_switch(before, &l->low->switches[i->imm]);
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
        uint8_t flow = low_flow(i->op);
        uint16_t live = flow ? live_after(l, before, slot, flow, next) : next;
        struct low_effect e = low_effect(i);

        next = (uint16_t)((live & ~e.writes) | e.reads);
        if (drop && e.removable && !(live & e.writes)) {
            low_drop(i);
            next = live;
        }
        low->live[slot] = live;
        if (next != before[slot])
            again |= low->flags[slot] & LOW_LOOP;
        before[slot] = next;
    }
    return again;
}

/* Fills in low->live; drop: removes dead instructions, which makes others dead in turn. 0 or
 * -ENOMEM. */
int low_liveness(struct lowering *l, bool drop)
{
    uint16_t *before = port_alloc(l->nr * sizeof(before[0]));
    bool settled = !l->loops; /* then all that a slot leads to has been seen before it */

    if (!before)
        return -ENOMEM;
    for (unsigned round = 0; round < ROUNDS_MAX && !settled; round++)
        settled = !walk(l, before, false);
    if (!settled)
        for (uint32_t slot = 0; slot < l->nr; slot++)
            l->low->live[slot] = LOW_ALL;
    else if (drop || !l->loops)
        walk(l, before, drop);
    port_free(before);
    return 0;
}
