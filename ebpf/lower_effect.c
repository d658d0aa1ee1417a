/*
 * What each instruction reads and writes, for every pass that moves or removes one.
 */
#include "ebpf/lower_internal.h"

#include <linux/bpf.h>

#include "ebpf/helper.h"

#define BIT(reg) ((uint16_t)(1u << (reg)))

enum shape {
    NOTHING,
    DST_FROM_DST,  /* dst = f(dst, constant) */
    DST_FROM_BOTH, /* dst = f(dst, src) */
    DST_FROM_CONST,
    DST_FROM_SRC, /* also loads */
    DST_FROM_INDEXED,
    STORE_SRC, /* reads dst and src */
    STORE_INDEXED,
    STORE_CONST,
    ATOMIC_PLAIN,
    ATOMIC_FETCH,
    ATOMIC_CMPXCHG,
    JUMP_CONST,
    JUMP_BOTH,
    JUMP_ALWAYS,
    CALL,
    EXIT,
    LOOKUP,
};

#define ATOMIC_SHAPE(imm)                                                                          \
    ((imm) == BPF_CMPXCHG ? ATOMIC_CMPXCHG : (imm)&BPF_FETCH ? ATOMIC_FETCH : ATOMIC_PLAIN)

static const uint8_t shapes[NR_LOW_OPS] = {
#define ALU(NAME, name, code, off, text)                                                           \
    [OP_##NAME##64_K] = (code) == BPF_MOV ? DST_FROM_CONST : DST_FROM_DST,                         \
    [OP_##NAME##64_X] = (code) == BPF_MOV ? DST_FROM_SRC : DST_FROM_BOTH,                          \
    [OP_##NAME##32_K] = (code) == BPF_MOV ? DST_FROM_CONST : DST_FROM_DST,                         \
    [OP_##NAME##32_X] = (code) == BPF_MOV ? DST_FROM_SRC : DST_FROM_BOTH,
#define MOVSX(NAME, name, bits, wide, text) [OP_##NAME] = DST_FROM_SRC,
#define SWAP(NAME, name, code, bits, text)  [OP_##NAME] = DST_FROM_DST,
#define JUMP(NAME, name, code, text)                                                               \
    [OP_##NAME##64_K] = JUMP_CONST, [OP_##NAME##64_X] = JUMP_BOTH, [OP_##NAME##32_K] = JUMP_CONST, \
    [OP_##NAME##32_X] = JUMP_BOTH,
#define MEM(NAME, type, code, text)                                                                \
    [OP_LDX_##NAME] = DST_FROM_SRC, [OP_STX_##NAME] = STORE_SRC, [OP_ST_##NAME] = STORE_CONST,     \
    [LOW_LDX_##NAME##_INDEX] = DST_FROM_INDEXED, [LOW_STX_##NAME##_INDEX] = STORE_INDEXED,
#define LDSX(NAME, type, code, text)                                                               \
    [OP_LDSX_##NAME] = DST_FROM_SRC, [LOW_LDSX_##NAME##_INDEX] = DST_FROM_INDEXED,
#define ATOMIC(NAME, name, imm)                                                                    \
    [OP_ATOMIC_##NAME##64] = ATOMIC_SHAPE(imm), [OP_ATOMIC_##NAME##32] = ATOMIC_SHAPE(imm),
#include "ebpf/opcodes.def"
    [OP_NEG64] = DST_FROM_DST,
    [OP_NEG32] = DST_FROM_DST,
    [OP_JA] = JUMP_ALWAYS,
    [OP_MAY_GOTO] = JUMP_ALWAYS,
    [OP_CALL_HELPER] = CALL,
    [OP_CALL_LOCAL] = CALL,
    [OP_TAIL_CALL] = CALL,
    [LOW_CALL_DIRECT] = CALL,
    [OP_EXIT] = EXIT,
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
    [LOW_SWITCH] = JUMP_CONST,
    [LOW_ARRAY_LOOKUP] = LOOKUP,
};

static uint16_t index_bit(const struct ebpf_decoded *i)
{
    return low_index(i) == LOW_NO_INDEX ? 0 : BIT(low_index(i));
}

/* The arguments that a helper takes; r1 to r5 of anything else. */
static uint16_t arguments(const struct ebpf_decoded *i)
{
    const struct ebpf_helper *helper = (const struct ebpf_helper *)i->imm;
    uint16_t reads = 0;

    if (i->op != OP_CALL_HELPER)
        return LOW_ARGUMENTS;
    for (unsigned n = 0; n < 5; n++)
        if (helper->args[n] != ARG_NONE)
            reads |= BIT(1 + n);
    return reads;
}

struct low_effect low_effect(const struct ebpf_decoded *i)
{
    uint16_t dst = BIT(i->dst & 15), src = BIT(i->src);

    switch ((enum shape)shapes[i->op]) {
    case DST_FROM_DST:
        return (struct low_effect){dst, dst, true};
    case DST_FROM_BOTH:
        return (struct low_effect){dst | src, dst, true};
    case DST_FROM_CONST:
        return (struct low_effect){0, dst, true};
    case DST_FROM_SRC:
        return (struct low_effect){src, dst, true};
    case DST_FROM_INDEXED:
        return (struct low_effect){src | index_bit(i), dst, true};
    case STORE_SRC:
    case ATOMIC_PLAIN:
    case JUMP_BOTH:
        return (struct low_effect){dst | src, 0, false};
    case STORE_INDEXED:
        return (struct low_effect){dst | src | index_bit(i), 0, false};
    case STORE_CONST:
    case JUMP_CONST:
        return (struct low_effect){dst, 0, false};
    case ATOMIC_FETCH:
        return (struct low_effect){dst | src, src, false};
    case ATOMIC_CMPXCHG:
        return (struct low_effect){dst | src | BIT(0), BIT(0), false};
    case CALL:
        return (struct low_effect){arguments(i), LOW_CLOBBERED, false};
    case EXIT:
        return (struct low_effect){BIT(0), 0, false};
    case LOOKUP: /* as the call it stands for, but for its arguments */
        return (struct low_effect){i->dst == LOW_NO_INDEX ? 0 : src, LOW_CLOBBERED, false};
    case NOTHING:
    case JUMP_ALWAYS:
        break;
    }
    return (struct low_effect){0, 0, false};
}
