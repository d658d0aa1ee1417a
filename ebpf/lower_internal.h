/*
 * Shared by the lowering passes: one program under way. Internal to lower*.c.
 */
#ifndef SKEP_EBPF_LOWER_INTERNAL_H
#define SKEP_EBPF_LOWER_INTERNAL_H

#include "ebpf/lower.h"

struct lowering {
    const struct ebpf_prog *prog;
    const struct ebpf_proof *proof;
    struct ebpf_lowered *low;
    struct ebpf_decoded *code; /* low->code */
    uint32_t nr;
};

/* What an instruction reads and writes, a bit for each register. */
struct low_effect {
    uint16_t reads, writes;
    bool removable; /* nothing but its writes matters */
};

#define LOW_ARGUMENTS 0x3eu /* r1 to r5 */
#define LOW_CLOBBERED 0x3fu /* r0 to r5 */
#define LOW_ALL       0x7ffu

struct low_effect low_effect(const struct ebpf_decoded *i);

/* Classes of operations that several passes ask for. */
static inline bool low_is_conditional(uint16_t op)
{
    return op >= OP_JEQ64_K && op <= OP_JSLE32_X;
}

static inline bool low_is_alu(uint16_t op)
{
    return op <= OP_SMOD32_X;
}

/* Of the four forms of an operation. */
static inline enum isa_form low_form(uint16_t op)
{
    return (enum isa_form)(op >= OP_JEQ64_K ? (op - OP_JEQ64_K) % 4 : op % 4);
}

static inline uint16_t low_base(uint16_t op)
{
    return (uint16_t)(op - low_form(op));
}

static inline void low_drop(struct ebpf_decoded *i)
{
    i->op = LOW_NOP;
}

/* lower_liveness.c: fills in low->live and drops what nobody reads. */
void low_liveness(struct lowering *l, bool drop);

/* The passes. */
int low_switches(struct lowering *l);
int low_values(struct lowering *l);
int low_reach(struct lowering *l);
void low_branches(struct lowering *l);

#endif
