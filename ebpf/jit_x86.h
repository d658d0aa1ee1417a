/*
 * The x86-64 code generator, shared by jit_x86*.c: where BPF's registers are, the state of one
 * compilation, and the encoder. Intel SDM volume 2 chapter 2 (prefixes, ModR/M, SIB) and the
 * instruction pages.
 *
 * BPF registers have fixed homes, chosen so that calls need no moves: arguments where the System V
 * ABI wants them, r6 to r9 and LOW_SPARE in callee-saved registers. rbp is the frame pointer of
 * both worlds. r9 to r11 are scratch within one instruction.
 */
#ifndef SKEP_EBPF_JIT_X86_H
#define SKEP_EBPF_JIT_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/lower.h"

struct ebpf_jit;

enum x86_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

#define NO_INDEX RSP /* rsp cannot be an index */

/* Condition codes as in Jcc. */
enum x86_cc {
    CC_B = 2,
    CC_AE = 3,
    CC_E = 4,
    CC_NE = 5,
    CC_BE = 6,
    CC_A = 7,
    CC_S = 8,
    CC_NS = 9,
    CC_L = 12,
    CC_GE = 13,
    CC_LE = 14,
    CC_G = 15,
};

/* The /digit of the 80..83 group; the opcode of the register form is digit * 8 + 1. */
enum x86_alu { X86_ADD, X86_OR, X86_ADC, X86_SBB, X86_AND, X86_SUB, X86_XOR, X86_CMP };

struct x86_mem {
    uint8_t base, index, scale;
    int32_t disp;
};

/* What has a length or a displacement that is known at the end only. In the buffer it takes no
 * bytes. */
enum fixup_kind {
    FIX_JUMP,     /* to slot `target` */
    FIX_JCC,      /* likewise, if cc */
    FIX_CALL,     /* function number `target` */
    FIX_HELPER,   /* C function at `address` */
    FIX_TABLE,    /* lea reg, [rip + table `target`] */
    FIX_FUNCTION, /* likewise, function number `target` */
};

struct fixup {
    uint32_t at; /* offset in the buffer */
    uint8_t kind, cc, reg;
    uint8_t size; /* in the final code */
    uint32_t target;
    uint64_t address;
};

struct jit {
    const struct ebpf_prog *prog;
    const struct ebpf_lowered *low;
    uint32_t features;
    uint64_t probe; /* called before each instruction; 0: nothing is */
    uint8_t *buffer, *at, *end;
    size_t buffer_size;
    struct fixup *fixups;
    uint32_t nr_fixups, max_fixups;
    uint32_t *offsets;     /* in the buffer, of each slot; nr + 1 */
    uint32_t *first_fixup; /* of each slot; nr + 1 */
    struct jit_entry {
        uint32_t offset, first_fixup;
    } * entries; /* of each function: where its prologue begins */
    uint32_t pc;
    /* The function under way. */
    const struct low_function *function;
    uint32_t saved;     /* callee-saved machine registers pushed */
    bool frame, padded; /* rbp frame; one word pushed to align the stack */
    uint32_t frame_size;
    uint32_t exit_slot; /* whose code is the epilogue; UINT32_MAX: none yet */
    /* Flags hold the comparison of this register with 0 (ZF alone); NO_FLAGS: they do not. */
    uint8_t flags_of;
    bool flags_wide;
    uint32_t skip; /* the slot whose work has been done with one before it; 0: none */
};

#define NO_FLAGS 0xffu

/* Homes of r0 to r10 and LOW_SPARE. */
extern const uint8_t jit_home[LOW_REGISTERS];

/* No instruction takes more bytes than this in the buffer. */
#define JIT_INSN_MAX 160u

/* ---- encoder ------------------------------------------------------------------------------- */

static inline void put1(struct jit *j, uint8_t byte)
{
    *j->at++ = byte;
}

static inline void put2(struct jit *j, uint8_t a, uint8_t b)
{
    put1(j, a);
    put1(j, b);
}

static inline void put4(struct jit *j, uint32_t value)
{
    __builtin_memcpy(j->at, &value, sizeof(value));
    j->at += sizeof(value);
}

static inline void put8(struct jit *j, uint64_t value)
{
    __builtin_memcpy(j->at, &value, sizeof(value));
    j->at += sizeof(value);
}

static inline bool fits8(int64_t value)
{
    return value == (int8_t)value;
}

static inline bool fits32(int64_t value)
{
    return value == (int32_t)value;
}

/* force: also when it says nothing, so that byte registers 4 to 7 are spl to dil's successors. */
static inline void put_rex(struct jit *j, bool wide, unsigned reg, unsigned index, unsigned base,
                           bool force)
{
    unsigned rex = (wide ? 8u : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;

    if (rex || force)
        put1(j, (uint8_t)(0x40 | rex));
}

static inline void put_modrm(struct jit *j, unsigned mod, unsigned reg, unsigned rm)
{
    put1(j, (uint8_t)(mod << 6 | (reg & 7) << 3 | (rm & 7)));
}

/* op reg, rm or op rm, reg: one opcode byte, two registers. */
static inline void op_rr(struct jit *j, bool wide, uint8_t opcode, unsigned reg, unsigned rm)
{
    put_rex(j, wide, reg, 0, rm, false);
    put1(j, opcode);
    put_modrm(j, 3, reg, rm);
}

/* Likewise without a prefix; rm's own high bit is the caller's. */
static inline void op_rr_bare(struct jit *j, uint8_t opcode, unsigned reg, unsigned rm)
{
    put1(j, opcode);
    put_modrm(j, 3, reg, rm);
}

/* Likewise with the 0f escape. */
static inline void op0f_rr(struct jit *j, bool wide, uint8_t opcode, unsigned reg, unsigned rm,
                           bool force_rex)
{
    put_rex(j, wide, reg, 0, rm, force_rex);
    put2(j, 0x0f, opcode);
    put_modrm(j, 3, reg, rm);
}

static inline void put_mem(struct jit *j, unsigned reg, struct x86_mem m)
{
    unsigned mod = m.disp == 0 && (m.base & 7) != RBP ? 0 : fits8(m.disp) ? 1 : 2;

    if (m.index != NO_INDEX || (m.base & 7) == RSP) {
        put_modrm(j, mod, reg, RSP);
        put1(j, (uint8_t)(m.scale << 6 | (m.index & 7) << 3 | (m.base & 7)));
    } else {
        put_modrm(j, mod, reg, m.base);
    }
    if (mod == 1)
        put1(j, (uint8_t)m.disp);
    else if (mod == 2)
        put4(j, (uint32_t)m.disp);
}

static inline unsigned mem_index_bits(struct x86_mem m)
{
    return m.index == NO_INDEX ? 0 : m.index;
}

static inline void op_rm(struct jit *j, bool wide, uint8_t opcode, unsigned reg, struct x86_mem m)
{
    put_rex(j, wide, reg, mem_index_bits(m), m.base, false);
    put1(j, opcode);
    put_mem(j, reg, m);
}

static inline void op0f_rm(struct jit *j, bool wide, uint8_t opcode, unsigned reg, struct x86_mem m)
{
    put_rex(j, wide, reg, mem_index_bits(m), m.base, false);
    put2(j, 0x0f, opcode);
    put_mem(j, reg, m);
}

static inline void mov_rr(struct jit *j, bool wide, unsigned dst, unsigned src)
{
    op_rr(j, wide, 0x89, src, dst);
}

static inline void alu_rr(struct jit *j, bool wide, enum x86_alu op, unsigned dst, unsigned src)
{
    op_rr(j, wide, (uint8_t)(op * 8 + 1), src, dst);
}

static inline void alu_ri(struct jit *j, bool wide, enum x86_alu op, unsigned dst, int32_t imm)
{
    if (fits8(imm)) {
        op_rr(j, wide, 0x83, op, dst);
        put1(j, (uint8_t)imm);
    } else if (dst == RAX) {
        put_rex(j, wide, 0, 0, 0, false);
        put1(j, (uint8_t)(op * 8 + 5));
        put4(j, (uint32_t)imm);
    } else {
        op_rr(j, wide, 0x81, op, dst);
        put4(j, (uint32_t)imm);
    }
}

static inline void push_r(struct jit *j, unsigned reg)
{
    put_rex(j, false, 0, 0, reg, false);
    put1(j, (uint8_t)(0x50 + (reg & 7)));
}

static inline void pop_r(struct jit *j, unsigned reg)
{
    put_rex(j, false, 0, 0, reg, false);
    put1(j, (uint8_t)(0x58 + (reg & 7)));
}

static inline struct x86_mem mem_at(unsigned base, int32_t disp)
{
    return (struct x86_mem){.base = (uint8_t)base, .index = NO_INDEX, .disp = disp};
}

/* A short jump within one instruction; patched by short_here. */
static inline uint8_t *short_jump(struct jit *j, uint8_t opcode)
{
    put2(j, opcode, 0);
    return j->at;
}

static inline void short_here(struct jit *j, uint8_t *from)
{
    from[-1] = (uint8_t)(j->at - from);
}

#define SHORT_JMP     0xeb
#define SHORT_JCC(cc) ((uint8_t)(0x70 + (cc)))

/* ---- between the files ----------------------------------------------------------------------- */

static inline unsigned home(unsigned bpf_register)
{
    return jit_home[bpf_register];
}

static inline bool is_live(const struct jit *j, unsigned bpf_register)
{
    return j->low->live[j->pc] >> bpf_register & 1;
}

/* What an instruction is, for the emitters: made from opcodes.def in jit_x86_ops.c. */
enum jit_kind {
    KIND_NONE,
    KIND_ALU, /* code: enum x86_alu */
    KIND_MOV,
    KIND_MUL,
    KIND_SHIFT, /* code: /digit of the c1 and d3 groups */
    KIND_DIVIDE,
    KIND_NEG,
    KIND_MOVSX, /* bits: how many are extended */
    KIND_SWAP,  /* bits; code: 1 reverses, 0 truncates */
    KIND_JCC,   /* code: enum x86_cc, CC_TEST for JSET */
    KIND_LOAD,  /* bits */
    KIND_STORE,
    KIND_STORE_IMM,
    KIND_ATOMIC, /* code: enum jit_atomic of jit_x86_memory.c */
    KIND_OTHER,  /* by op */
};

enum { OP_WIDE = 1, OP_IMM = 2, OP_SIGNED = 4, OP_REMAINDER = 8, OP_FETCH = 16, OP_INDEX = 32 };

#define CC_TEST 0x40u

struct jit_op {
    uint8_t kind, code, bits, flags;
};

extern const struct jit_op jit_ops[NR_LOW_OPS];

struct fixup *jit_add_fixup(struct jit *j, enum fixup_kind kind, uint32_t target);

/* jit_x86_alu.c */
void jit_mov_imm(struct jit *j, unsigned dst, uint64_t imm);
void jit_mov_imm_keeping_flags(struct jit *j, unsigned dst, uint64_t imm);
void jit_emit_alu(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
void jit_emit_lea(struct jit *j, const struct ebpf_decoded *i, bool wide);
void jit_emit_rotate(struct jit *j, const struct ebpf_decoded *i, bool wide);
void jit_emit_mul_imm(struct jit *j, unsigned dst, unsigned src, int32_t imm, bool wide);
/* jit_x86_shift.c */
void jit_emit_shift(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
/* jit_x86_divide.c */
void jit_emit_divide(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
/* jit_x86_memory.c */
void jit_emit_load(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
void jit_emit_load_swapped(struct jit *j, const struct ebpf_decoded *i);
void jit_emit_store(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
/* jit_x86_atomic.c */
void jit_emit_atomic(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
/* jit_x86_jumps.c */
void jit_emit_jcc(struct jit *j, const struct ebpf_decoded *i, struct jit_op op);
void jit_emit_switch(struct jit *j, const struct ebpf_decoded *i);
int jit_layout(struct jit *j, struct ebpf_jit *out);
/* jit_x86_calls.c */
void jit_emit_prologue(struct jit *j);
void jit_emit_exit(struct jit *j);
void jit_emit_may_goto(struct jit *j, const struct ebpf_decoded *i);
void jit_emit_call(struct jit *j, uint64_t function);
void jit_emit_tail_call(struct jit *j);
void jit_emit_take_back(struct jit *j);
/* jit_x86_maps.c */
void jit_emit_lookup(struct jit *j, const struct ebpf_decoded *i);
void jit_emit_ring_reserve(struct jit *j, const struct ebpf_decoded *i);
void jit_emit_ring_commit(struct jit *j, const struct ebpf_decoded *i);

#endif
