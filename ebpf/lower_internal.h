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
#define LOW_ALL       0xfffu

/* Operands, in the first two fields of low_shape; the others are bits of registers. */
enum { LOW_DST = 1, LOW_SRC = 2, LOW_INDEX = 4 };

struct low_shape {
    uint8_t reads, writes;
    uint16_t also_reads, also_writes;
    bool removable;
};

extern const struct low_shape low_shapes[NR_LOW_OPS];

uint16_t low_helper_arguments(const struct ebpf_decoded *i);

static inline struct low_effect low_effect(const struct ebpf_decoded *i)
{
    const struct low_shape *s = &low_shapes[i->op];
    unsigned dst = 1u << i->dst, src = 1u << i->src, reads = s->also_reads;
    unsigned index =
        (s->reads & LOW_INDEX) && low_index(i) != LOW_NO_INDEX ? 1u << low_index(i) : 0;

    if (i->op == OP_CALL_HELPER || i->op == LOW_CALL_BACK)
        reads = low_helper_arguments(i);
    else if (i->op == LOW_CALL_DIRECT)
        reads = (unsigned)i->off;
    reads |= (s->reads & LOW_DST ? dst : 0) | (s->reads & LOW_SRC ? src : 0) | index;
    return (struct low_effect){
        .reads = (uint16_t)reads,
        .writes = (uint16_t)((s->writes & LOW_DST ? dst : 0) | (s->writes & LOW_SRC ? src : 0) |
                             s->also_writes),
        .removable = s->removable,
    };
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
