/*
 * What each instruction reads and writes, for every pass that moves or removes one: a row for each
 * operation, made from opcodes.def.
 */
#include "ebpf/lower_internal.h"

#include <linux/bpf.h>

#include "ebpf/helper.h"

#define BIT(reg) (1u << (reg))

#define MASK(operands, operand) ((operands) & (operand) ? 0xffffu : 0)

/* Operands read and written; other registers, a bit each; may it go when nobody reads the result?
 * Where it leads. */
#define FLOW(reads, writes, also_reads, also_writes, removable, flow)                              \
    {                                                                                              \
        MASK(reads, LOW_DST), MASK(reads, LOW_SRC), MASK(writes, LOW_DST), MASK(writes, LOW_SRC),  \
            also_reads, also_writes, removable, ((reads)&LOW_INDEX) != 0, flow                     \
    }
#define ROW(reads, writes, also_reads, also_writes, removable)                                     \
    FLOW(reads, writes, also_reads, also_writes, removable, 0)
#define DST_FROM_DST     ROW(LOW_DST, LOW_DST, 0, 0, true)
#define DST_FROM_BOTH    ROW(LOW_DST | LOW_SRC, LOW_DST, 0, 0, true)
#define DST_FROM_CONST   ROW(0, LOW_DST, 0, 0, true)
#define DST_FROM_SRC     ROW(LOW_SRC, LOW_DST, 0, 0, true)
#define DST_FROM_INDEXED ROW(LOW_SRC | LOW_INDEX, LOW_DST, 0, 0, true)
#define READS_BOTH       ROW(LOW_DST | LOW_SRC, 0, 0, 0, false)
#define READS_DST        ROW(LOW_DST, 0, 0, 0, false)
#define JUMP_BOTH        FLOW(LOW_DST | LOW_SRC, 0, 0, 0, false, LOW_FLOW_JUMPS)
#define JUMP_DST         FLOW(LOW_DST, 0, 0, 0, false, LOW_FLOW_JUMPS)
#define STORE_INDEXED    ROW(LOW_DST | LOW_SRC | LOW_INDEX, 0, 0, 0, false)
#define CALL             FLOW(0, 0, LOW_ARGUMENTS, LOW_CLOBBERED, false, LOW_FLOW_CALLS)
/* low_reads_more knows the arguments. */
#define CALL_HELPER FLOW(LOW_INDEX, 0, 0, LOW_CLOBBERED, false, LOW_FLOW_CALLS)

#define READS_OF(code)  ((code) == BPF_MOV ? 0 : LOW_DST)
#define FETCHES(imm)    (((imm)&BPF_FETCH) && (imm) != BPF_CMPXCHG ? LOW_SRC : 0)
#define R0_OF(imm)      ((imm) == BPF_CMPXCHG ? BIT(0) : 0)
#define ATOMIC_ROW(imm) ROW(LOW_DST | LOW_SRC, FETCHES(imm), R0_OF(imm), R0_OF(imm), false)

const struct low_shape low_shapes[NR_LOW_OPS] = {
#define ALU(NAME, name, code, off, text)                                                           \
    [OP_##NAME##64_K] = ROW(READS_OF(code), LOW_DST, 0, 0, true),                                  \
    [OP_##NAME##64_X] = ROW(READS_OF(code) | LOW_SRC, LOW_DST, 0, 0, true),                        \
    [OP_##NAME##32_K] = ROW(READS_OF(code), LOW_DST, 0, 0, true),                                  \
    [OP_##NAME##32_X] = ROW(READS_OF(code) | LOW_SRC, LOW_DST, 0, 0, true),
#define MOVSX(NAME, name, bits, wide, text) [OP_##NAME] = DST_FROM_SRC,
#define SWAP(NAME, name, code, bits, text)  [OP_##NAME] = DST_FROM_DST,
#define JUMP(NAME, name, code, text)                                                               \
    [OP_##NAME##64_K] = JUMP_DST, [OP_##NAME##64_X] = JUMP_BOTH, [OP_##NAME##32_K] = JUMP_DST,     \
    [OP_##NAME##32_X] = JUMP_BOTH,
#define MEM(NAME, type, code, text)                                                                \
    [OP_LDX_##NAME] = DST_FROM_SRC, [OP_STX_##NAME] = READS_BOTH, [OP_ST_##NAME] = READS_DST,      \
    [LOW_LDX_##NAME##_INDEX] = DST_FROM_INDEXED, [LOW_STX_##NAME##_INDEX] = STORE_INDEXED,
#define LDSX(NAME, type, code, text)                                                               \
    [OP_LDSX_##NAME] = DST_FROM_SRC, [LOW_LDSX_##NAME##_INDEX] = DST_FROM_INDEXED,
#define ATOMIC(NAME, name, imm)                                                                    \
    [OP_ATOMIC_##NAME##64] = ATOMIC_ROW(imm), [OP_ATOMIC_##NAME##32] = ATOMIC_ROW(imm),
#include "ebpf/opcodes.def"
    [OP_NEG64] = DST_FROM_DST,
    [OP_NEG32] = DST_FROM_DST,
    [OP_CALL_HELPER] = CALL_HELPER,
    [OP_CALL_LOCAL] = CALL,
    [OP_TAIL_CALL] = CALL,
    [LOW_CALL_DIRECT] = CALL_HELPER,
    [LOW_CALL_BACK] = CALL_HELPER,
    [LOW_LD_FUNCTION] = DST_FROM_CONST,
    [OP_EXIT] = FLOW(0, 0, BIT(0), 0, false, LOW_FLOW_ENDS),
    [OP_JA] = FLOW(0, 0, 0, 0, false, LOW_FLOW_JUMPS | LOW_FLOW_ENDS),
    [OP_MAY_GOTO] = FLOW(0, 0, 0, 0, false, LOW_FLOW_JUMPS),
    [OP_LD_IMM64] = DST_FROM_CONST,
    [LOW_LEA64] = DST_FROM_INDEXED,
    [LOW_LEA32] = DST_FROM_INDEXED,
    [LOW_ROL64] = DST_FROM_SRC,
    [LOW_ROL32] = DST_FROM_SRC,
    [LOW_MUL64] = DST_FROM_SRC,
    [LOW_MUL32] = DST_FROM_SRC,
    [LOW_LDX_BE16] = DST_FROM_INDEXED,
    [LOW_LDX_BE32] = DST_FROM_INDEXED,
    [LOW_LDX_BE64] = DST_FROM_INDEXED,
    [LOW_SWITCH] = FLOW(LOW_DST, 0, 0, 0, false, LOW_FLOW_ENDS | LOW_FLOW_TABLE),
    /* As the call it stands for, but for its arguments. */
    [LOW_ARRAY_LOOKUP] = ROW(LOW_SRC, 0, 0, LOW_CLOBBERED, false),
    [LOW_ARRAY_INDEX] = ROW(LOW_SRC, 0, 0, LOW_CLOBBERED, false),
    [LOW_ARRAY_ELEMENT] = ROW(0, 0, 0, LOW_CLOBBERED, false),
    [LOW_RING_RESERVE] = ROW(0, 0, 0, LOW_CLOBBERED, false),
    [LOW_RING_COMMIT] = ROW(LOW_SRC, 0, 0, LOW_CLOBBERED, false),
};

/* The arguments that a helper takes. */
uint16_t low_helper_arguments(const struct ebpf_decoded *i)
{
    const struct ebpf_helper *helper = (const struct ebpf_helper *)i->imm;
    uint16_t reads = 0;

    for (unsigned n = 0; n < 5; n++)
        if (helper->args[n] != ARG_NONE)
            reads |= BIT(1 + n);
    return reads;
}

/* What the shape does not say. */
uint16_t low_reads_more(const struct ebpf_decoded *i)
{
    switch (i->op) {
    case OP_CALL_HELPER:
    case LOW_CALL_BACK:
        return low_helper_arguments(i);
    case LOW_CALL_DIRECT:
        return (uint16_t)i->off;
    default:
        return low_index(i) != LOW_NO_INDEX ? (uint16_t)BIT(low_index(i)) : 0;
    }
}
