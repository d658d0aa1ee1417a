/*
 * Memory: several bytes put together by shifts and ors, which is how compilers read what may be
 * unaligned, become one load; loads of what was just spilled to the stack become moves.
 */
#include "ebpf/lower_values.h"

/* The stack slot that [r10 + off, + size) lies in, or NULL. */
static struct stack_value *slot_at(struct values *v, unsigned base, int32_t off)
{
    if (base != ISA_FP || off >= 0 || off < -(int32_t)ISA_STACK_SIZE || off % 8)
        return NULL;
    return &v->stack[-off / 8 - 1];
}

void values_forget_stack(struct values *v)
{
    if (!v->any_stack)
        return;
    for (unsigned n = 0; n < STACK_SLOTS; n++)
        v->stack[n].known = false;
    v->any_stack = false;
}

static unsigned size_of(uint16_t op)
{
    return 1u << (op - OP_LDX_B) / 3;
}

/* Bytes that only stores outside of the stack can change. */
static bool is_outside(const struct values *v)
{
    uint8_t memory = v->l->proof->slots[v->slot].memory;

    return memory == PROOF_MEM_PACKET || memory == PROOF_MEM_MAP_VALUE ||
           memory == PROOF_MEM_RECORD;
}

static unsigned holder(const struct values *v, uint32_t number)
{
    for (unsigned reg = 0; reg < LOW_REGISTERS; reg++)
        if (v->reg[reg].number == number)
            return reg;
    return NO_REG;
}

/* A load of what a slot of the stack is known to hold. */
static bool load_slot(struct values *v, struct ebpf_decoded *i)
{
    struct stack_value *slot = slot_at(v, i->src, i->off);
    unsigned size = size_of(i->op), reg;

    if (!slot || !slot->known || slot->size != size)
        return false;
    reg = size == 8 ? holder(v, slot->value.number) : NO_REG;
    v->reg[i->dst] = slot->value;
    if (size == 8) {
        if (reg != NO_REG && reg != i->dst)
            *i = (struct ebpf_decoded){.op = OP_MOV64_X, .dst = i->dst, .src = (uint8_t)reg};
    } else {
        v->reg[i->dst].number = v->next_number++;
        v->reg[i->dst].constant = false;
        v->reg[i->dst].shifted.kind = SHIFT_NONE;
    }
    v->reg[i->dst].sum.base = NO_REG;
    return true;
}

/* A register whose lower half is what the four bytes at r10 + off hold, or NO_REG. */
unsigned values_on_stack(struct values *v, int32_t off)
{
    const struct stack_value *slot = slot_at(v, ISA_FP, off);

    for (unsigned reg = 0; slot && slot->known && slot->size >= 4 && reg < LOW_REGISTERS; reg++)
        if (v->reg[reg].low_number == slot->value.low_number)
            return reg;
    return NO_REG;
}

/* A plain load, after its address has been folded. */
void values_load(struct values *v, struct ebpf_decoded *i)
{
    struct bytes bytes = {0};

    if (i->op >= OP_LDX_B && i->op <= OP_ST_DW) {
        if (load_slot(v, i))
            return;
        if (is_outside(v) && i->src != i->dst)
            bytes = (struct bytes){.n = (uint8_t)size_of(i->op),
                                   .base = i->src,
                                   .off = i->off,
                                   .base_value = v->reg[i->src].number,
                                   .epoch = v->epoch};
    }
    values_redefine(v, i->dst);
    v->reg[i->dst].bytes = bytes;
}

static void store_slot(struct values *v, const struct ebpf_decoded *i)
{
    unsigned size = size_of(i->op);
    struct stack_value *slot = slot_at(v, i->dst, i->off);

    for (int32_t at = i->off & ~7; at < i->off + (int32_t)size; at += 8) {
        struct stack_value *touched = slot_at(v, ISA_FP, at);

        if (touched)
            touched->known = false;
    }
    if (!slot || (i->op - OP_LDX_B) % 3 != 1)
        return;
    *slot = (struct stack_value){.known = true, .size = (uint8_t)size, .value = v->reg[i->src]};
    if (slot->value.bytes.n * 8u + slot->value.bytes.shift > size * 8)
        slot->value.bytes.n = 0;
    v->any_stack = true;
}

/* Stores and atomic operations. */
void values_store(struct values *v, const struct ebpf_decoded *i)
{
    bool plain = i->op >= OP_LDX_B && i->op <= OP_ST_DW;

    if (plain && i->dst == ISA_FP) {
        store_slot(v, i);
        return;
    }
    if (!is_outside(v))
        values_forget_stack(v);
    if (v->l->proof->slots[v->slot].memory != PROOF_MEM_STACK)
        v->epoch++;
}

/* What a left shift of such bytes is. */
struct bytes values_shift_bytes(const struct values *v, const struct bytes *b, unsigned amount,
                                unsigned width)
{
    struct bytes shifted = *b;

    (void)v;
    shifted.shift = (uint8_t)(b->shift + amount);
    if (amount % 8 || b->n * 8u + b->shift + amount > width)
        shifted.n = 0;
    return shifted;
}

static bool bytes_hold(const struct values *v, const struct bytes *b)
{
    return b->n && b->epoch == v->epoch && v->reg[b->base].number == b->base_value;
}

static uint16_t load_of(unsigned n)
{
    return n == 2 ? OP_LDX_H : n == 4 ? OP_LDX_W : n == 8 ? OP_LDX_DW : LOW_NOP;
}

/* OR64_X, OR32_X of neighbouring bytes. False: it is nothing of the kind. */
bool values_join_bytes(struct values *v, struct ebpf_decoded *i)
{
    struct bytes low = v->reg[i->dst].bytes, high = v->reg[i->src].bytes;

    if (low.shift > high.shift) {
        low = v->reg[i->src].bytes;
        high = v->reg[i->dst].bytes;
    }
    if (!bytes_hold(v, &low) || !bytes_hold(v, &high) || low.base != high.base ||
        high.off != low.off + low.n || high.shift != low.shift + 8 * low.n ||
        (i->op == OP_OR32_X && high.shift + 8 * high.n > 32))
        return false;
    low.n = (uint8_t)(low.n + high.n);
    if (low.shift == 0 && load_of(low.n) != LOW_NOP)
        *i = (struct ebpf_decoded){
            .op = load_of(low.n), .dst = i->dst, .src = low.base, .off = low.off};
    values_redefine(v, i->dst);
    if (low.base != i->dst)
        v->reg[i->dst].bytes = low;
    return true;
}
