/*
 * Address arithmetic. BPF adds in place and loads from one register and a displacement, so
 * memory[i] is a move, an addition and a load; the machine adds three numbers within a load, and
 * adds without destroying (lea). Likewise a multiplication by a constant keeps its source.
 */
#include "ebpf/lower_values.h"

#include "ebpf/base.h"

static void make_lea(struct ebpf_decoded *i, const struct sum *s, bool wide)
{
    i->op = wide ? LOW_LEA64 : LOW_LEA32;
    i->src = s->base;
    i->off = s->disp;
    i->imm = low_pack_index(s->index, s->scale);
}

/* dst's new value is this sum; the instruction becomes a lea if that makes what came before it
 * dead. */
static void set_sum(struct values *v, struct ebpf_decoded *i, struct sum sum, bool wide)
{
    uint8_t dst = i->dst;

    if (sum_unread(v, dst))
        make_lea(i, &sum, wide);
    sum.narrow = !wide;
    sum.last = v->slot;
    values_redefine(v, dst);
    v->reg[dst].sum = sum;
}

static void add_constant(struct values *v, struct ebpf_decoded *i, bool wide, int64_t imm)
{
    struct sum sum = v->reg[i->dst].sum;

    if (sum_holds(v, &sum) && !(sum.narrow && wide) &&
        !__builtin_add_overflow(sum.disp, imm, &sum.disp))
        set_sum(v, i, sum, wide);
    else
        values_redefine(v, i->dst);
}

/* x << 1 to 3, while x is still there, is an index with a scale. */
static void take_index(const struct values *v, unsigned reg, struct sum *sum)
{
    const struct value *value = &v->reg[reg];

    sum->index = (uint8_t)reg;
    sum->index_value = value->number;
    if (value->shifted.kind != SHIFT_LEFT || value->shifted.width != 64 ||
        value->shifted.amount > 3 || v->last_read[reg] > value->shifted.slot)
        return;
    for (unsigned x = 0; x < ISA_FP; x++) {
        if (v->reg[x].number == value->shifted.of && x != reg) {
            sum->index = (uint8_t)x;
            sum->index_value = v->reg[x].number;
            sum->scale = value->shifted.amount;
            return;
        }
    }
}

/* ADD64_K, ADD32_K, SUB64_K, SUB32_K, ADD64_X. */
void values_add(struct values *v, struct ebpf_decoded *i)
{
    struct sum sum = v->reg[i->dst].sum;

    if (i->op == OP_ADD64_K || i->op == OP_ADD32_K) {
        add_constant(v, i, i->op == OP_ADD64_K, (int32_t)i->imm);
    } else if (i->op != OP_ADD64_X) {
        add_constant(v, i, i->op == OP_SUB64_K, -(int64_t)(int32_t)i->imm);
    } else if (sum_holds(v, &sum) && !sum.narrow && sum.index == LOW_NO_INDEX && i->src != i->dst) {
        take_index(v, i->src, &sum);
        set_sum(v, i, sum, true);
    } else {
        values_redefine(v, i->dst);
    }
}

/* MUL64_K, MUL32_K of a copy. */
void values_mul(struct values *v, struct ebpf_decoded *i)
{
    const struct sum *sum = &v->reg[i->dst].sum;
    bool wide = i->op == OP_MUL64_K;

    if (sum_holds(v, sum) && !(sum->narrow && wide) && sum->index == LOW_NO_INDEX &&
        sum->disp == 0 && sum_unread(v, i->dst)) {
        i->op = wide ? LOW_MUL64 : LOW_MUL32;
        i->src = sum->base;
    }
    values_redefine(v, i->dst);
}

/* The operation with an index, of one without; 0: there is none. */
static uint16_t indexed(uint16_t op)
{
    switch (op) {
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        return LOW_LDX_##NAME##_INDEX;                                                             \
    case OP_STX_##NAME:                                                                            \
        return LOW_STX_##NAME##_INDEX;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        return LOW_LDSX_##NAME##_INDEX;
#include "ebpf/opcodes.def"
    }
    return 0;
}

/* A load or store through a register that is a sum of others. */
void values_fold_address(struct values *v, struct ebpf_decoded *i)
{
    bool load = (i->op <= OP_ST_DW && (i->op - OP_LDX_B) % 3 == 0) ||
                (i->op >= OP_LDSX_B && i->op <= OP_LDSX_W);
    uint8_t base = load ? i->src : i->dst;
    const struct sum *sum = &v->reg[base].sum;
    int32_t disp;

    if (!sum_holds(v, sum) || sum->narrow || !sum_unread(v, base) ||
        __builtin_add_overflow(sum->disp, i->off, &disp))
        return;
    if (load ? live_after(v, base) && i->dst != base : live_after(v, base) || i->src == base)
        return;
    if (sum->index != LOW_NO_INDEX) {
        if (!indexed(i->op))
            return;
        i->op = indexed(i->op);
        i->imm = low_pack_index(sum->index, sum->scale);
    }
    *(load ? &i->src : &i->dst) = sum->base;
    i->off = disp;
}
