/*
 * Code that nothing leads to any more is dropped: what the verifier never reached, and what the
 * passes have made unreachable.
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/port.h"

struct reach {
    const struct lowering *l;
    uint8_t *reached;
    uint32_t *stack; /* each slot is pushed once */
    uint32_t depth;
};

static void push(struct reach *r, uint32_t slot)
{
    if (slot >= r->l->nr || r->reached[slot])
        return;
    r->reached[slot] = 1;
    r->stack[r->depth++] = slot;
}

static void follow(struct reach *r, uint32_t slot)
{
    const struct ebpf_decoded *i = &r->l->code[slot];
    uint8_t flow = low_flow(i->op);

    if (flow & LOW_FLOW_TABLE) {
        const struct low_switch *s = &r->l->low->switches[i->imm];

        push(r, s->otherwise);
        for (uint32_t n = 0; n < s->nr; n++)
            push(r, s->slots[n]);
        return;
    }
    if ((flow & LOW_FLOW_JUMPS) || i->op == OP_CALL_LOCAL || i->op == LOW_LD_FUNCTION)
        push(r, (uint32_t)i->off);
    if (!(flow & LOW_FLOW_ENDS))
        push(r, slot + 1);
}

/* 0 or -ENOMEM. */
int low_reach(struct lowering *l)
{
    struct reach r = {.l = l, .reached = port_alloc(l->nr)};
    int err = 0;

    r.stack = port_alloc(l->nr * sizeof(r.stack[0]));
    if (r.reached && r.stack) {
        push(&r, 0);
        while (r.depth)
            follow(&r, r.stack[--r.depth]);
        for (uint32_t slot = 0; slot < l->nr; slot++)
            if (!r.reached[slot])
                low_drop(&l->code[slot]);
    } else {
        err = -ENOMEM;
    }
    port_free(r.reached);
    port_free(r.stack);
    return err;
}
