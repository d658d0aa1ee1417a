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
    bool loops; /* something jumps back */
};

/* What an instruction reads and writes, a bit for each register. */
struct low_effect {
    uint16_t reads, writes;
    bool removable; /* nothing but its writes matters */
};

#define LOW_ARGUMENTS 0x3eu /* r1 to r5 */
#define LOW_CLOBBERED 0x3fu /* r0 to r5 */
#define LOW_ALL       0xfffu

/* Operands that a row of low_shapes names. */
enum { LOW_DST = 1, LOW_SRC = 2, LOW_INDEX = 4 };

/* Masks for the operands' bits, so that every pass can ask without a branch for most operations. */
struct low_shape {
    uint16_t dst_read, src_read, dst_written, src_written;
    uint16_t also_reads, also_writes;
    bool removable;
    bool reads_more; /* an index, or a helper's arguments */
    uint8_t flow;    /* LOW_FLOW_..., 0 for what only goes on to the next slot */
};

enum {
    LOW_FLOW_JUMPS = 1, /* may go on at slot `off` */
    LOW_FLOW_ENDS = 2,  /* never goes on to the next slot */
    LOW_FLOW_TABLE = 4, /* LOW_SWITCH */
    LOW_FLOW_CALLS = 8, /* machine code calls something for it */
};

extern const struct low_shape low_shapes[NR_LOW_OPS];

uint16_t low_helper_arguments(const struct ebpf_decoded *i);
uint16_t low_reads_more(const struct ebpf_decoded *i);

static inline struct low_effect low_effect(const struct ebpf_decoded *i)
{
    const struct low_shape *s = &low_shapes[i->op];
    unsigned dst = 1u << i->dst, src = 1u << i->src;
    unsigned reads = s->also_reads | (dst & s->dst_read) | (src & s->src_read);

    if (s->reads_more)
        reads |= low_reads_more(i);
    return (struct low_effect){
        .reads = (uint16_t)reads,
        .writes = (uint16_t)(s->also_writes | (dst & s->dst_written) | (src & s->src_written)),
        .removable = s->removable,
    };
}

static inline uint8_t low_flow(uint16_t op)
{
    return low_shapes[op].flow;
}

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

/* from jumps to slot `to`. */
static inline void low_mark_target(struct lowering *l, uint32_t from, uint32_t to)
{
    l->low->flags[to] |= to <= from ? LOW_TARGET | LOW_LOOP : LOW_TARGET;
    l->loops |= to <= from;
}

/* lower_liveness.c: fills in low->live and drops what nobody reads. */
int low_liveness(struct lowering *l, bool drop);

/* The passes. */
int low_switches(struct lowering *l);
int low_spare(struct lowering *l);
int low_values(struct lowering *l);
int low_reach(struct lowering *l);
int low_branches(struct lowering *l);

#endif
