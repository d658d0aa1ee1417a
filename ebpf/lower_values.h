/*
 * What the registers hold, as far as a forward walk over straight code can tell: value numbers,
 * addresses that are sums of other registers, halves of rotates, bytes from memory. Facts refer to
 * registers by the number of the value they had; when the register has another by now, the fact is
 * void. Internal to lower_values.c and the files of its peepholes.
 */
#ifndef SKEP_EBPF_LOWER_VALUES_H
#define SKEP_EBPF_LOWER_VALUES_H

#include <stddef.h>

#include "ebpf/lower_internal.h"

#define NO_REG      0xffu
#define STACK_SLOTS (ISA_STACK_SIZE / 8)

/* base + (index << scale) + disp. base NO_REG: not known to be a sum. */
struct sum {
    uint8_t base, index, scale;
    bool narrow;   /* right in the lower half only, the upper being 0 */
    bool in_place; /* base is what the register held before `last`, the one instruction */
    int32_t disp;
    uint32_t base_value, index_value;
    uint32_t last;  /* slot of the last instruction of those that made it */
    uint32_t shift; /* slot + 1 of a left shift in place that made the index and nothing else yet */
};

enum shift_kind { SHIFT_NONE, SHIFT_LEFT, SHIFT_RIGHT };

/* The value numbered `of`, shifted. */
struct shifted {
    uint8_t kind, width, amount;
    uint32_t of;   /* low_number for 32 bits */
    uint32_t slot; /* of the shift, which was done in place */
};

/* n bytes of memory from base + off on, shifted left; n 0: not known to be that. */
struct bytes {
    uint8_t n, shift, base;
    int32_t off;
    uint32_t base_value;
    uint32_t epoch;
};

struct value {
    uint32_t number;     /* equal numbers: equal values */
    uint32_t low_number; /* likewise of the lower halves */
    struct sum sum;
    struct shifted shifted;
    struct bytes bytes;
    uint32_t mask; /* slot + 1 of an and with a constant, in place, that made it; 0: none */
    bool constant;
    uint64_t known; /* if constant */
};

struct values {
    struct lowering *l;
    uint32_t slot;
    const struct low_function *function; /* that the slot is in */
    uint32_t next_number;
    uint32_t epoch;       /* changes with every store that is not to the stack */
    uint32_t last_branch; /* slot + 1; what was before it may matter elsewhere */
    uint32_t last_read[LOW_REGISTERS];
    struct value reg[LOW_REGISTERS];
    struct stack_value {
        bool known;
        uint8_t size;
        struct value value;
    } stack[STACK_SLOTS]; /* stored at r10 - 8 * (n + 1) */
    bool any_stack;
};

static inline bool sum_holds(const struct values *v, const struct sum *s)
{
    return s->base != NO_REG && !s->in_place && v->reg[s->base].number == s->base_value &&
           (s->index == LOW_NO_INDEX || v->reg[s->index].number == s->index_value);
}

/* Is the instruction at a slot, which writes reg alone, without use if nobody reads it from here
 * on? What it wrote has not been read, and no way leads from between. */
static inline bool droppable(const struct values *v, uint32_t slot, unsigned reg)
{
    return v->last_read[reg] <= slot && slot >= v->last_branch;
}

/* Nobody but the instructions that made the sum in reg has read it: using its parts instead makes
 * them dead. */
static inline bool sum_unread(const struct values *v, unsigned reg)
{
    return v->last_read[reg] <= v->reg[reg].sum.last;
}

static inline bool live_after(const struct values *v, unsigned reg)
{
    return v->l->low->live[v->slot] >> reg & 1;
}

void values_forget_all(struct values *v);
void values_redefine(struct values *v, unsigned reg);

/* lower_address.c */
void values_add(struct values *v, struct ebpf_decoded *i);
void values_mul(struct values *v, struct ebpf_decoded *i);
void values_fold_address(struct values *v, struct ebpf_decoded *i);
/* lower_copy.c */
void values_use_copies(struct values *v, struct ebpf_decoded *i);
/* lower_rotate.c */
void values_shift(struct values *v, struct ebpf_decoded *i);
bool values_rotate(struct values *v, struct ebpf_decoded *i);
void values_shift_by(struct values *v, struct ebpf_decoded *i);
/* lower_bytes.c */
void values_load(struct values *v, struct ebpf_decoded *i);
void values_store(struct values *v, const struct ebpf_decoded *i);
unsigned values_on_stack(struct values *v, int32_t off);
void values_forget_stack(struct values *v);
struct bytes values_shift_bytes(const struct values *v, const struct bytes *b, unsigned amount,
                                unsigned width);
bool values_join_bytes(struct values *v, struct ebpf_decoded *i);
/* lower_calls.c */
int values_call(struct values *v, struct ebpf_decoded *i);

#endif
