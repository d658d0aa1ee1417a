/*
 * Branches: a conditional jump over a jump becomes one jump of the opposite condition; jumps to
 * jumps go to where those lead; what the verifier knows to be always or never taken is no branch.
 * Moves no code.
 */
#include "ebpf/lower_internal.h"

#define HOPS_MAX 8u

static const uint8_t inverse[] = {
    /* JEQ JGT JGE JSET JNE JSGT JSGE JLT JLE JSLT JSLE, in opcodes.def's order; JSET has none */
    4, 8, 7, 3, 0, 10, 9, 2, 1, 6, 5,
};

static bool can_invert(uint16_t op)
{
    return low_is_conditional(op) && (op - OP_JEQ64_K) / 4 != 3;
}

static uint16_t invert(uint16_t op)
{
    unsigned n = op - OP_JEQ64_K;

    return (uint16_t)(OP_JEQ64_K + inverse[n / 4] * 4 + n % 4);
}

/* The next slot that does something. */
static uint32_t skip_nops(const struct lowering *l, uint32_t slot)
{
    while (slot < l->nr - 1 &&
           (l->code[slot].op == LOW_NOP || l->code[slot].op == OP_LD_IMM64_HIGH))
        slot++;
    return slot;
}

static uint32_t final_target(const struct lowering *l, uint32_t slot)
{
    for (unsigned hops = 0; hops < HOPS_MAX; hops++) {
        uint32_t at = skip_nops(l, slot);

        if (l->code[at].op != OP_JA)
            return slot;
        slot = (uint32_t)l->code[at].off;
    }
    return slot;
}

static void retarget(struct lowering *l, uint32_t slot, uint32_t target)
{
    l->code[slot].off = (int32_t)target;
    low_mark_target(l, slot, target);
}

/* `if c goto over; goto t; over:` is `if !c goto t`. */
static void join_with_jump(struct lowering *l, uint32_t slot)
{
    struct ebpf_decoded *i = &l->code[slot], *jump;
    uint32_t next = slot + 1;

    while (next < l->nr && l->code[next].op == LOW_NOP && !(l->low->flags[next] & LOW_TARGET))
        next++;
    if (next >= l->nr || !can_invert(i->op))
        return;
    jump = &l->code[next];
    if (jump->op != OP_JA || (l->low->flags[next] & LOW_TARGET) || next + 1 >= l->nr ||
        skip_nops(l, (uint32_t)i->off) != skip_nops(l, next + 1))
        return;
    i->op = invert(i->op);
    i->off = jump->off;
    low_drop(jump);
}

/* Always 0. */
int low_branches(struct lowering *l)
{
    for (uint32_t slot = 0; slot < l->nr; slot++) {
        struct ebpf_decoded *i = &l->code[slot];
        const struct ebpf_proof_slot *proof = &l->proof->slots[slot];

        if (low_is_conditional(i->op) && proof->never_taken)
            low_drop(i);
        else if (low_is_conditional(i->op) && proof->always_taken)
            i->op = OP_JA;
        if (low_is_conditional(i->op))
            join_with_jump(l, slot);
        if (low_is_conditional(i->op) || i->op == OP_JA)
            retarget(l, slot, final_target(l, (uint32_t)i->off));
    }
    return 0;
}
