/*
 * Shifts and rotates. A count needs no mask for what the machine masks itself. Rotates: BPF has
 * none, so compilers write a << n | a >> (width - n), with one half in place when a is not needed
 * any more.
 */
#include "ebpf/lower_values.h"

/* LSH64_K, LSH32_K, RSH64_K, RSH32_K. */
void values_shift(struct values *v, struct ebpf_decoded *i)
{
    bool wide = i->op == OP_LSH64_K || i->op == OP_RSH64_K;
    bool left = i->op == OP_LSH64_K || i->op == OP_LSH32_K;
    struct value before = v->reg[i->dst];
    unsigned width = wide ? 64 : 32, amount = (unsigned)i->imm & (width - 1);
    struct value *after = &v->reg[i->dst];

    values_redefine(v, i->dst);
    if (amount == 0)
        return;
    after->shifted = (struct shifted){
        .kind = left ? SHIFT_LEFT : SHIFT_RIGHT,
        .width = (uint8_t)width,
        .amount = (uint8_t)amount,
        .of = wide ? before.number : before.low_number,
        .slot = v->slot,
    };
    if (left)
        after->bytes = values_shift_bytes(v, &before.bytes, amount, width);
}

/* The count of the shift is masked by the machine as the instruction at a slot does. */
static bool masks_count(const struct values *v, const struct ebpf_decoded *i, uint32_t slot)
{
    const struct ebpf_decoded *mask = &v->l->code[slot];
    uint64_t all = low_form(i->op) == FORM_64_X ? 63 : 31;

    return (mask->op == OP_AND64_K || mask->op == OP_AND32_K) && mask->dst == i->src &&
           (mask->imm & all) == all;
}

/* A shift by a register: its count's mask goes, if it is there for nothing else. */
void values_shift_by(struct values *v, struct ebpf_decoded *i)
{
    uint32_t mask = v->reg[i->src].mask;

    if (mask && i->dst != i->src && masks_count(v, i, mask - 1) && droppable(v, mask - 1, i->src) &&
        !live_after(v, i->src)) {
        low_drop(&v->l->code[mask - 1]);
        values_redefine(v, i->src);
    }
    values_redefine(v, i->dst);
}

/* A register that still holds the value which was shifted, or NO_REG. */
static unsigned holder(const struct values *v, const struct shifted *s)
{
    for (unsigned reg = 0; reg < LOW_REGISTERS; reg++)
        if ((s->width == 64 ? v->reg[reg].number : v->reg[reg].low_number) == s->of)
            return reg;
    return NO_REG;
}

static bool are_halves(const struct shifted *a, const struct shifted *b, unsigned width)
{
    return a->kind != SHIFT_NONE && b->kind != SHIFT_NONE && a->kind != b->kind &&
           a->width == width && b->width == width && a->of == b->of &&
           (unsigned)a->amount + b->amount == width;
}

/* OR64_X, OR32_X. False: it is no rotate. */
bool values_rotate(struct values *v, struct ebpf_decoded *i)
{
    const struct shifted a = v->reg[i->dst].shifted, b = v->reg[i->src].shifted;
    bool wide = i->op == OP_OR64_X;
    unsigned source = holder(v, &a);
    struct ebpf_decoded *at = i;

    if (i->dst == i->src || !are_halves(&a, &b, wide ? 64 : 32))
        return false;
    if (source == NO_REG) {
        /* In place of dst's own shift, unless someone may have seen dst between. */
        if (v->last_read[i->dst] > a.slot || a.slot < v->last_branch ||
            v->l->code[a.slot].dst != i->dst)
            return false;
        at = &v->l->code[a.slot];
        source = i->dst;
        low_drop(i);
    }
    *at = (struct ebpf_decoded){
        .op = wide ? LOW_ROL64 : LOW_ROL32,
        .dst = i->dst,
        .src = (uint8_t)source,
        .imm = a.kind == SHIFT_LEFT ? a.amount : b.amount,
    };
    values_redefine(v, i->dst);
    return true;
}
