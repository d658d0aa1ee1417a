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

/* dst itself and something more: the register's own value before is gone once it is added to, but
 * as long as nobody looks, the addition can still be taken back. */
static void set_in_place(struct values *v, struct ebpf_decoded *i, struct sum sum)
{
    sum.base = i->dst;
    sum.in_place = true;
    sum.last = v->slot;
    values_redefine(v, i->dst);
    v->reg[i->dst].sum = sum;
}

static bool can_take_back(const struct values *v, unsigned reg, const struct sum *sum)
{
    return sum->in_place && sum->base == reg && droppable(v, sum->last, reg) &&
           (sum->index == LOW_NO_INDEX || v->reg[sum->index].number == sum->index_value);
}

/* The sum goes on, in an instruction that reads the index again. */
static void keep_index(const struct values *v, struct sum *sum)
{
    if (sum->index != LOW_NO_INDEX && v->last_read[sum->index] > sum->last)
        sum->shift = 0;
}

static void add_constant(struct values *v, struct ebpf_decoded *i, bool wide, int64_t imm)
{
    struct sum sum = v->reg[i->dst].sum;
    bool in_place = wide && can_take_back(v, i->dst, &sum);
    int32_t disp;

    keep_index(v, &sum);
    if (in_place && !__builtin_add_overflow(sum.disp, imm, &disp)) {
        low_drop(&v->l->code[sum.last]);
        sum.disp = disp;
        make_lea(i, &sum, true);
        set_in_place(v, i, sum);
    } else if (sum_holds(v, &sum) && !(sum.narrow && wide) &&
               !__builtin_add_overflow(sum.disp, imm, &sum.disp)) {
        set_sum(v, i, sum, wide);
    } else if (wide && imm == (int32_t)imm) {
        set_in_place(v, i, (struct sum){.index = LOW_NO_INDEX, .disp = (int32_t)imm});
    } else {
        values_redefine(v, i->dst);
    }
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
    for (unsigned x = 0; x < LOW_REGISTERS; x++) {
        if (v->reg[x].number == value->shifted.of && x != reg) {
            sum->index = (uint8_t)x;
            sum->index_value = v->reg[x].number;
            sum->scale = value->shifted.amount;
            return;
        }
    }
    sum->shift = value->shifted.slot + 1;
}

/* ADD64_X. */
static void add_register(struct values *v, struct ebpf_decoded *i)
{
    struct sum sum = v->reg[i->dst].sum;

    if (i->src == i->dst) {
        values_redefine(v, i->dst);
    } else if (sum_holds(v, &sum) && !sum.narrow && sum.index == LOW_NO_INDEX) {
        take_index(v, i->src, &sum);
        set_sum(v, i, sum, true);
    } else if (sum.index == LOW_NO_INDEX && can_take_back(v, i->dst, &sum)) {
        low_drop(&v->l->code[sum.last]);
        take_index(v, i->src, &sum);
        make_lea(i, &sum, true);
        set_in_place(v, i, sum);
    } else {
        sum = (struct sum){.index = LOW_NO_INDEX};
        take_index(v, i->src, &sum);
        set_in_place(v, i, sum);
    }
}

/* ADD64_K, ADD32_K, SUB64_K, SUB32_K, ADD64_X. */
void values_add(struct values *v, struct ebpf_decoded *i)
{
    if (i->op == OP_ADD64_X)
        add_register(v, i);
    else if (i->op == OP_ADD64_K || i->op == OP_ADD32_K)
        add_constant(v, i, i->op == OP_ADD64_K, (int32_t)i->imm);
    else
        add_constant(v, i, i->op == OP_SUB64_K, -(int64_t)(int32_t)i->imm);
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

/* The shift that made the index is left to the access, if that is the index's last use. */
static void take_shift(struct values *v, const struct ebpf_decoded *i, bool load, struct sum *sum)
{
    uint32_t slot = sum->shift - 1;
    uint8_t index = sum->index;

    if (!sum->shift || v->last_read[index] > sum->last || slot < v->last_branch ||
        v->l->code[slot].op != OP_LSH64_K || v->l->code[slot].dst != index ||
        (!load && i->src == index) || (live_after(v, index) && !(load && i->dst == index)))
        return;
    sum->scale = (uint8_t)v->l->code[slot].imm;
    low_drop(&v->l->code[slot]);
    values_redefine(v, index);
    sum->index_value = v->reg[index].number;
}

/* A load or store through a register that is a sum of others. */
void values_fold_address(struct values *v, struct ebpf_decoded *i)
{
    bool load = (i->op <= OP_ST_DW && (i->op - OP_LDX_B) % 3 == 0) ||
                (i->op >= OP_LDSX_B && i->op <= OP_LDSX_W);
    uint8_t base = load ? i->src : i->dst;
    struct sum sum = v->reg[base].sum;
    bool in_place = i->op <= OP_LDSX_W && can_take_back(v, base, &sum);
    int32_t disp;

    if ((!in_place && (!sum_holds(v, &sum) || !sum_unread(v, base))) || sum.narrow ||
        __builtin_add_overflow(sum.disp, i->off, &disp) ||
        (sum.index != LOW_NO_INDEX && !indexed(i->op)))
        return;
    if (load ? live_after(v, base) && i->dst != base : live_after(v, base) || i->src == base)
        return;
    if (in_place)
        low_drop(&v->l->code[sum.last]);
    if (sum.index != LOW_NO_INDEX) {
        take_shift(v, i, load, &sum);
        i->op = indexed(i->op);
        i->imm = low_pack_index(sum.index, sum.scale);
    }
    *(load ? &i->src : &i->dst) = sum.base;
    i->off = disp;
    if (in_place)
        values_redefine(v, base);
}
