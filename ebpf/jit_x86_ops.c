/*
 * What each instruction is to the code generator: one table, made from opcodes.def.
 */
#include <linux/bpf.h>

#include "ebpf/jit_x86.h"

const uint8_t jit_home[LOW_REGISTERS] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP, R12};

/* The rows of enum ebpf_op's lists: kind, code, bits and flags by name. */
#define ALU_ADD  KIND_ALU, X86_ADD, 0, 0
#define ALU_SUB  KIND_ALU, X86_SUB, 0, 0
#define ALU_OR   KIND_ALU, X86_OR, 0, 0
#define ALU_AND  KIND_ALU, X86_AND, 0, 0
#define ALU_XOR  KIND_ALU, X86_XOR, 0, 0
#define ALU_MUL  KIND_MUL, 0, 0, 0
#define ALU_MOV  KIND_MOV, 0, 0, 0
#define ALU_LSH  KIND_SHIFT, 4, 0, 0
#define ALU_RSH  KIND_SHIFT, 5, 0, 0
#define ALU_ARSH KIND_SHIFT, 7, 0, 0
#define ALU_DIV  KIND_DIVIDE, 0, 0, 0
#define ALU_MOD  KIND_DIVIDE, 0, 0, OP_REMAINDER
#define ALU_SDIV KIND_DIVIDE, 0, 0, OP_SIGNED
#define ALU_SMOD KIND_DIVIDE, 0, 0, OP_SIGNED | OP_REMAINDER

#define CODE_JEQ  CC_E
#define CODE_JGT  CC_A
#define CODE_JGE  CC_AE
#define CODE_JSET CC_TEST
#define CODE_JNE  CC_NE
#define CODE_JSGT CC_G
#define CODE_JSGE CC_GE
#define CODE_JLT  CC_B
#define CODE_JLE  CC_BE
#define CODE_JSLT CC_L
#define CODE_JSLE CC_LE

#define ROW(...) ROW_(__VA_ARGS__)
#define ROW_(kind, code, bits, flags, more)                                                        \
    {                                                                                              \
        kind, code, bits, (flags) | (more)                                                         \
    }

/* BPF_SIZE to bits. */
#define BITS(size) ((size) == BPF_B ? 8 : (size) == BPF_H ? 16 : (size) == BPF_W ? 32 : 64)

const struct jit_op jit_ops[NR_LOW_OPS] = {
#define ALU(NAME, name, code, off, text)                                                           \
    [OP_##NAME##64_K] = ROW(ALU_##NAME, OP_WIDE | OP_IMM),                                         \
    [OP_##NAME##64_X] = ROW(ALU_##NAME, OP_WIDE), [OP_##NAME##32_K] = ROW(ALU_##NAME, OP_IMM),     \
    [OP_##NAME##32_X] = ROW(ALU_##NAME, 0),
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    [OP_##NAME] = {KIND_MOVSX, 0, bits, (wide) == 64 ? OP_WIDE : 0},
#define SWAP(NAME, name, code, bits, text)                                                         \
    [OP_##NAME] = {KIND_SWAP, (code) != (BPF_ALU | BPF_END | BPF_TO_LE), bits, 0},
#define JUMP(NAME, name, code, text)                                                               \
    [OP_##NAME##64_K] = {KIND_JCC, CODE_##NAME, 0, OP_WIDE | OP_IMM},                              \
    [OP_##NAME##64_X] = {KIND_JCC, CODE_##NAME, 0, OP_WIDE},                                       \
    [OP_##NAME##32_K] = {KIND_JCC, CODE_##NAME, 0, OP_IMM},                                        \
    [OP_##NAME##32_X] = {KIND_JCC, CODE_##NAME, 0, 0},
#define MEM(NAME, type, code, text)                                                                \
    [OP_LDX_##NAME] = {KIND_LOAD, 0, BITS(code), 0},                                               \
    [OP_STX_##NAME] = {KIND_STORE, 0, BITS(code), 0},                                              \
    [OP_ST_##NAME] = {KIND_STORE_IMM, 0, BITS(code), 0},                                           \
    [LOW_LDX_##NAME##_INDEX] = {KIND_LOAD, 0, BITS(code), OP_INDEX},                               \
    [LOW_STX_##NAME##_INDEX] = {KIND_STORE, 0, BITS(code), OP_INDEX},
#define LDSX(NAME, type, code, text)                                                               \
    [OP_LDSX_##NAME] = {KIND_LOAD, 0, BITS(code), OP_SIGNED},                                      \
    [LOW_LDSX_##NAME##_INDEX] = {KIND_LOAD, 0, BITS(code), OP_SIGNED | OP_INDEX},
#define ATOMIC(NAME, name, imm)                                                                    \
    [OP_ATOMIC_##NAME##64] = {KIND_ATOMIC, imm, 64, OP_WIDE},                                      \
    [OP_ATOMIC_##NAME##32] = {KIND_ATOMIC, imm, 32, 0},
#include "ebpf/opcodes.def"
    [OP_NEG64] = {KIND_NEG, 0, 0, OP_WIDE},
    [OP_NEG32] = {KIND_NEG, 0, 0, 0},
    [OP_JA] = {KIND_OTHER, 0, 0, 0},
    [OP_MAY_GOTO] = {KIND_OTHER, 0, 0, 0},
    [OP_CALL_HELPER] = {KIND_OTHER, 0, 0, 0},
    [OP_CALL_LOCAL] = {KIND_OTHER, 0, 0, 0},
    [OP_TAIL_CALL] = {KIND_OTHER, 0, 0, 0},
    [OP_EXIT] = {KIND_OTHER, 0, 0, 0},
    [OP_LD_IMM64] = {KIND_OTHER, 0, 0, 0},
    [OP_LD_IMM64_HIGH] = {KIND_NONE, 0, 0, 0},
    [LOW_NOP] = {KIND_NONE, 0, 0, 0},
    [LOW_LEA64] = {KIND_OTHER, 0, 0, OP_WIDE},
    [LOW_LEA32] = {KIND_OTHER, 0, 0, 0},
    [LOW_ROL64] = {KIND_OTHER, 0, 0, OP_WIDE},
    [LOW_ROL32] = {KIND_OTHER, 0, 0, 0},
    [LOW_MUL64] = {KIND_OTHER, 0, 0, OP_WIDE},
    [LOW_MUL32] = {KIND_OTHER, 0, 0, 0},
    [LOW_LDX_BE16] = {KIND_OTHER, 0, 16, 0},
    [LOW_LDX_BE32] = {KIND_OTHER, 0, 32, 0},
    [LOW_LDX_BE64] = {KIND_OTHER, 0, 64, 0},
    [LOW_SWITCH] = {KIND_OTHER, 0, 0, 0},
    [LOW_ARRAY_LOOKUP] = {KIND_OTHER, 0, 0, 0},
    [LOW_ARRAY_INDEX] = {KIND_OTHER, 0, 0, 0},
    [LOW_ARRAY_ELEMENT] = {KIND_OTHER, 0, 0, 0},
    [LOW_RING_RESERVE] = {KIND_OTHER, 0, 0, 0},
    [LOW_RING_COMMIT] = {KIND_OTHER, 0, 0, 0},
    [LOW_CALL_DIRECT] = {KIND_OTHER, 0, 0, 0},
    [LOW_CALL_BACK] = {KIND_OTHER, 0, 0, 0},
    [LOW_LD_FUNCTION] = {KIND_OTHER, 0, 0, 0},
};
