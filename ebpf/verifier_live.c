/*
 * Liveness, by data flow from the end to the start: which registers and stack slots may still be
 * read. A state's dead parts need not be compared. What one slot of the program finds is looked at
 * again only when what comes after it has changed, so that the cost is in proportion to the
 * program's jumps, however they lie.
 */
#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/verifier_flow.h"

static uint32_t helper_reads(const struct ebpf_helper *helper)
{
    uint32_t reads = 0;

    for (unsigned n = 0; n < 5; n++)
        if (helper->args[n] != ARG_NONE)
            reads |= BIT(n + 1);
    return reads;
}

/* What an instruction reads and writes of the registers. */
void insn_registers(const struct verifier *v, uint32_t pc, uint32_t *reads, uint32_t *writes)
{
    const struct ebpf_decoded *insn = &v->code[pc];
    uint32_t dst = BIT(insn->dst), src = BIT(insn->src);

    *reads = *writes = 0;
    switch ((enum ebpf_op)insn->op) {
#define ALU(NAME, name, code, off, text)                                                           \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##32_K:                                                                          \
        *reads = OP_##NAME##64_K == OP_MOV64_K ? 0 : dst;                                          \
        *writes = dst;                                                                             \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        *reads = OP_##NAME##64_K == OP_MOV64_K ? src : dst | src;                                  \
        *writes = dst;                                                                             \
        break;
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    case OP_##NAME:                                                                                \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;
#define SWAP(NAME, name, code, bits, text) case OP_##NAME:
#include "ebpf/opcodes.def"
    case OP_NEG64:
    case OP_NEG32:
        *reads = *writes = dst;
        break;
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##32_K:                                                                          \
        *reads = dst;                                                                              \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        *reads = dst | src;                                                                        \
        break;
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;                                                                                     \
    case OP_STX_##NAME:                                                                            \
        *reads = dst | src;                                                                        \
        break;                                                                                     \
    case OP_ST_##NAME:                                                                             \
        *reads = dst;                                                                              \
        break;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;
#define ATOMIC(NAME, function, imm)                                                                \
    case OP_ATOMIC_##NAME##64:                                                                     \
    case OP_ATOMIC_##NAME##32:                                                                     \
        *reads = dst | src | ((imm) == BPF_CMPXCHG ? BIT(0) : 0);                                  \
        *writes = (imm) == BPF_CMPXCHG ? BIT(0) : (imm)&BPF_FETCH ? src : 0;                       \
        break;
#include "ebpf/opcodes.def"
    case OP_CALL_HELPER:
    case OP_TAIL_CALL:
        *reads = helper_reads((const struct ebpf_helper *)insn->imm);
        *writes = CALLER_REGS;
        break;
    case OP_CALL_LOCAL:
        *reads = v->info[insn->off].live & ARGUMENTS;
        *writes = CALLER_REGS;
        break;
    case OP_EXIT:
        *reads = BIT(0);
        break;
    case OP_LD_IMM64:
        *writes = dst;
        break;
    case OP_JA:
    case OP_MAY_GOTO:
    case OP_LD_IMM64_HIGH:
    case NR_OPS:
        break;
    }
}

/* Likewise, once flow_registers has begun. */
void flow_uses(const struct flow *f, uint32_t pc, uint32_t *reads, uint32_t *writes)
{
    *reads = f->uses[pc] & 0xffff;
    *writes = f->uses[pc] >> 16;
    if (f->v->code[pc].op == OP_CALL_LOCAL)
        *reads = f->v->info[f->v->code[pc].off].live & ARGUMENTS;
}

static bool registers_step(struct flow *f, uint32_t pc)
{
    const struct verifier *v = f->v;
    const struct ebpf_decoded *insn = &v->code[pc];
    uint32_t reads, writes, live = 0;

    if (falls_through(insn))
        live |= v->info[next_of(insn, pc)].live;
    if (jumps(insn))
        live |= v->info[insn->off].live;
    flow_uses(f, pc, &reads, &writes);
    live = (live & ~writes) | reads;
    if (live == v->info[pc].live)
        return false;
    v->info[pc].live = (uint16_t)live;
    return true;
}

static bool slots_step(struct flow *f, uint32_t pc)
{
    const struct verifier *v = f->v;
    const struct ebpf_decoded *insn = &v->code[pc];
    uint64_t live = 0;

    if (falls_through(insn))
        live |= v->info[next_of(insn, pc)].live_slots;
    if (jumps(insn))
        live |= v->info[insn->off].live_slots;
    live = (live & ~f->touch[pc].kills) | f->touch[pc].reads;
    if (live == v->info[pc].live_slots)
        return false;
    v->info[pc].live_slots = live;
    return true;
}

static void look_again(struct flow *f, uint32_t pc)
{
    if (f->v->info[pc].explored)
        return;
    f->v->info[pc].explored = true;
    f->work[f->nr_work++] = pc;
}

/* What comes before pc, from slot low on, is to be looked at. */
static void look_before(struct flow *f, uint32_t pc, uint32_t low)
{
    const struct ebpf_decoded *code = f->v->code;
    uint32_t before = pc > 1 && code[pc - 1].op == OP_LD_IMM64_HIGH ? pc - 2 : pc - 1;

    for (uint32_t i = f->first[pc]; i < f->first[pc + 1]; i++)
        if (f->from[i] >= low)
            look_again(f, f->from[i]);
    if (pc && before >= low && falls_through(&code[before]))
        look_again(f, before);
}

/* Takes step until nothing changes. Once from the end to the start is enough but for jumps back and
 * for calls. */
static void solve(struct flow *f, bool (*step)(struct flow *f, uint32_t pc))
{
    struct verifier *v = f->v;

    for (uint32_t pc = v->nr; pc-- > 0;)
        if (v->code[pc].op != OP_LD_IMM64_HIGH && step(f, pc))
            look_before(f, pc, pc);
    while (f->nr_work) {
        uint32_t pc = f->work[--f->nr_work];

        v->info[pc].explored = false;
        if (step(f, pc))
            look_before(f, pc, 0);
    }
}

/* Fills in live of v->info. */
void flow_registers(struct flow *f)
{
    for (uint32_t pc = 0; pc < f->v->nr; pc++) {
        uint32_t reads, writes;

        if (f->v->code[pc].op == OP_LD_IMM64_HIGH)
            continue;
        insn_registers(f->v, pc, &reads, &writes);
        f->uses[pc] = reads | writes << 16;
    }
    solve(f, registers_step);
}

/* Fills in live_slots of v->info, from f->touch. */
void flow_slots(struct flow *f)
{
    solve(f, slots_step);
}
