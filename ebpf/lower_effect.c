/*
 * What each instruction reads and writes, for every pass that moves or removes one: a row for each
 * operation, made from opcodes.def.
 */
#include "ebpf/lower_internal.h"

#include <linux/bpf.h>

#include "ebpf/helper.h"

#define BIT(reg) (1u << (reg))

/* {operands read, operands written, other registers read, others written, removable} */
#define DST_FROM_DST                                                                               \
    {                                                                                              \
        LOW_DST, LOW_DST, 0, 0, true                                                               \
    }
#define DST_FROM_BOTH                                                                              \
    {                                                                                              \
        LOW_DST | LOW_SRC, LOW_DST, 0, 0, true                                                     \
    }
#define DST_FROM_CONST                                                                             \
    {                                                                                              \
        0, LOW_DST, 0, 0, true                                                                     \
    }
#define DST_FROM_SRC                                                                               \
    {                                                                                              \
        LOW_SRC, LOW_DST, 0, 0, true                                                               \
    }
#define DST_FROM_INDEXED                                                                           \
    {                                                                                              \
        LOW_SRC | LOW_INDEX, LOW_DST, 0, 0, true                                                   \
    }
#define READS_BOTH                                                                                 \
    {                                                                                              \
        LOW_DST | LOW_SRC, 0, 0, 0, false                                                          \
    }
#define READS_DST                                                                                  \
    {                                                                                              \
        LOW_DST, 0, 0, 0, false                                                                    \
    }
#define STORE_INDEXED                                                                              \
    {                                                                                              \
        LOW_DST | LOW_SRC | LOW_INDEX, 0, 0, 0, false                                              \
    }
#define CALL                                                                                       \
    {                                                                                              \
        0, 0, LOW_ARGUMENTS, LOW_CLOBBERED, false                                                  \
    }

#define READS_OF(code) ((code) == BPF_MOV ? 0 : LOW_DST)
#define FETCHES(imm)   (((imm)&BPF_FETCH) && (imm) != BPF_CMPXCHG ? LOW_SRC : 0)
#define R0_OF(imm)     ((imm) == BPF_CMPXCHG ? BIT(0) : 0)
#define ATOMIC_ROW(imm)                                                                            \
    {                                                                                              \
        LOW_DST | LOW_SRC, FETCHES(imm), R0_OF(imm), R0_OF(imm), false                             \
    }

const struct low_shape low_shapes[NR_LOW_OPS] = {
#define ALU(NAME, name, code, off, text)                                                           \
    [OP_##NAME##64_K] = {READS_OF(code), LOW_DST, 0, 0, true},                                     \
    [OP_##NAME##64_X] = {READS_OF(code) | LOW_SRC, LOW_DST, 0, 0, true},                           \
    [OP_##NAME##32_K] = {READS_OF(code), LOW_DST, 0, 0, true},                                     \
    [OP_##NAME##32_X] = {READS_OF(code) | LOW_SRC, LOW_DST, 0, 0, true},
#define MOVSX(NAME, name, bits, wide, text) [OP_##NAME] = DST_FROM_SRC,
#define SWAP(NAME, name, code, bits, text)  [OP_##NAME] = DST_FROM_DST,
#define JUMP(NAME, name, code, text)                                                               \
    [OP_##NAME##64_K] = READS_DST, [OP_##NAME##64_X] = READS_BOTH, [OP_##NAME##32_K] = READS_DST,  \
    [OP_##NAME##32_X] = READS_BOTH,
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
    [OP_CALL_HELPER] = CALL,
    [OP_CALL_LOCAL] = CALL,
    [OP_TAIL_CALL] = CALL,
    [LOW_CALL_DIRECT] = CALL,
    [LOW_CALL_BACK] = CALL,
    [LOW_LD_FUNCTION] = DST_FROM_CONST,
    [OP_EXIT] = {0, 0, BIT(0), 0, false},
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
    [LOW_SWITCH] = READS_DST,
    /* As the call it stands for, but for its arguments. */
    [LOW_ARRAY_LOOKUP] = {LOW_SRC, 0, 0, LOW_CLOBBERED, false},
    [LOW_ARRAY_ELEMENT] = {0, 0, 0, LOW_CLOBBERED, false},
    [LOW_RING_RESERVE] = {0, 0, 0, LOW_CLOBBERED, false},
    [LOW_RING_COMMIT] = {LOW_SRC, 0, 0, LOW_CLOBBERED, false},
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
