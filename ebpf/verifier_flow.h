/*
 * The passes before the walk: what verifier_flow.c (the program's graph), verifier_copies.c (which
 * stack slots an instruction touches) and verifier_live.c (what is live where) share.
 */
#ifndef SKEP_EBPF_VERIFIER_FLOW_H
#define SKEP_EBPF_VERIFIER_FLOW_H

#include "ebpf/verifier_state.h"

#define ARGUMENTS   0x3eu /* r1 to r5 */
#define CALLER_REGS 0x3fu /* r0 to r5 */
#define BIT(n)      (1u << (n))

/* Stack slots that an instruction may read, and that it overwrites whole. */
struct touch {
    uint64_t reads, kills;
};

/* Arrays have an element a slot of the program. */
struct flow {
    struct verifier *v;
    struct touch *touch;
    uint32_t *uses;  /* registers read; registers written << 16 */
    uint32_t *first; /* one more: where those that jump here, or call it, begin in from */
    uint32_t *from;
    uint32_t *work, nr_work; /* slots yet to be looked at */
};

static inline bool is_conditional(const struct ebpf_decoded *insn)
{
    return insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X;
}

static inline bool jumps(const struct ebpf_decoded *insn)
{
    return is_conditional(insn) || insn->op == OP_JA || insn->op == OP_MAY_GOTO;
}

static inline bool falls_through(const struct ebpf_decoded *insn)
{
    return insn->op != OP_JA && insn->op != OP_EXIT;
}

static inline uint32_t next_of(const struct ebpf_decoded *insn, uint32_t pc)
{
    return pc + (insn->op == OP_LD_IMM64 ? 2 : 1);
}

static inline bool is_target(const struct flow *f, uint32_t pc)
{
    return f->first[pc] != f->first[pc + 1];
}

/* ---- verifier_live.c */
void flow_uses(const struct flow *f, uint32_t pc, uint32_t *reads, uint32_t *writes);
void flow_registers(struct flow *f);
void flow_slots(struct flow *f);

/* ---- verifier_copies.c */
void flow_copies(struct flow *f);

#endif
