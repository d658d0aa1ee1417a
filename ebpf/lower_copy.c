/*
 * Operands that are copies: an instruction that is the last to read a copy reads the original
 * instead, and the move is dead. lower_spare.c leaves many of them.
 */
#include "ebpf/lower_values.h"

/* The lower half is enough: narrow. */
static void use_original(const struct values *v, uint8_t *operand, bool narrow)
{
    const struct sum *sum = &v->reg[*operand].sum;

    if (sum_holds(v, sum) && sum->index == LOW_NO_INDEX && sum->disp == 0 &&
        (narrow || !sum->narrow) && sum_unread(v, *operand) && !live_after(v, *operand))
        *operand = sum->base;
}

static bool is_store(uint16_t op)
{
    return op >= OP_LDX_B && op <= OP_ST_DW && (op - OP_LDX_B) % 3 == 1;
}

/* Before the instruction is looked at further. */
void values_use_copies(struct values *v, struct ebpf_decoded *i)
{
    enum isa_form form = low_form(i->op);

    if (low_is_conditional(i->op)) {
        bool narrow = form == FORM_32_K || form == FORM_32_X;

        if (form == FORM_64_K || form == FORM_32_K || i->src != i->dst)
            use_original(v, &i->dst, narrow);
        if ((form == FORM_64_X || form == FORM_32_X) && i->src != i->dst)
            use_original(v, &i->src, narrow);
    } else if (low_is_alu(i->op) && (form == FORM_64_X || form == FORM_32_X)) {
        if (i->src != i->dst)
            use_original(v, &i->src, form == FORM_32_X);
    } else if (is_store(i->op) && i->src != i->dst) {
        use_original(v, &i->src, i->op != OP_STX_DW);
    }
}
