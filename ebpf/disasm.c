/*
 * The disassembler: one instruction to one line of text, `(b7) r0 = 1`. What bpftool 7.1 knows is
 * printed as it does in `prog dump xlated` (kernel/bpf/disasm.c, and xlated_dumper.c for map
 * references); what came later (cpu v4, may_goto) as later kernels do. Pure; works on any bytes.
 */
#include "ebpf/disasm.h"

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/isa.h"

struct text {
    char *buf;
    size_t size, used;
};

static void put_char(struct text *t, char c)
{
    if (t->used + 1 < t->size) {
        t->buf[t->used++] = c;
        t->buf[t->used] = 0;
    }
}

static void put(struct text *t, const char *text)
{
    while (*text)
        put_char(t, *text++);
}

static void put_unsigned(struct text *t, uint64_t value, unsigned base)
{
    char digits[24];
    unsigned n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n)
        put_char(t, digits[--n]);
}

static void put_signed(struct text *t, int64_t value)
{
    if (value < 0)
        put_char(t, '-');
    put_unsigned(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

/* With its sign always, as %+d. */
static void put_offset(struct text *t, int64_t value)
{
    if (value >= 0)
        put_char(t, '+');
    put_signed(t, value);
}

static void put_hex(struct text *t, uint64_t value)
{
    put(t, "0x");
    put_unsigned(t, value, 16);
}

static void put_reg(struct text *t, char kind, unsigned reg)
{
    put_char(t, kind);
    put_unsigned(t, reg, 10);
}

static const char *size_name(uint8_t code)
{
    static const char *const names[] = {
#define MEM(NAME, type, code, text) [(code) >> 3] = text,
#include "ebpf/opcodes.def"
    };
    return names[BPF_SIZE(code) >> 3];
}

static const char *signed_size_name(uint8_t code)
{
    static const char *const names[] = {
#define LDSX(NAME, type, code, text) [(code) >> 3] = text,
#include "ebpf/opcodes.def"
        [BPF_DW >> 3] = "s64",
    };
    return names[BPF_SIZE(code) >> 3];
}

/* *(u32 *)(r1 +4) */
static void put_memory(struct text *t, const char *type, unsigned reg, int off)
{
    put(t, "*(");
    put(t, type);
    put(t, " *)(");
    put_reg(t, 'r', reg);
    put_char(t, ' ');
    put_offset(t, off);
    put_char(t, ')');
}

static void put_unknown(struct text *t, const struct bpf_insn *insn)
{
    put(t, "unknown opcode ");
    put_hex(t, insn->code);
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

static const char *alu_text(const struct bpf_insn *insn)
{
    static const struct {
        uint8_t code, off;
        const char *text;
    } alus[] = {
#define ALU(NAME, name, code, off, text) {code, off, text},
#include "ebpf/opcodes.def"
    };

    for (unsigned i = 0; i < ARRAY_LEN(alus); i++)
        if (alus[i].code == BPF_OP(insn->code) && alus[i].off == insn->off)
            return alus[i].text;
    return NULL;
}

static const char *movsx_text(const struct bpf_insn *insn)
{
    static const struct {
        uint8_t bits, wide;
        const char *text;
    } moves[] = {
#define MOVSX(NAME, name, bits, wide, text) {bits, wide, text},
#include "ebpf/opcodes.def"
    };
    unsigned wide = BPF_CLASS(insn->code) == BPF_ALU64 ? 64 : 32;

    if (BPF_OP(insn->code) != BPF_MOV || BPF_SRC(insn->code) != BPF_X)
        return NULL;
    for (unsigned i = 0; i < ARRAY_LEN(moves); i++)
        if (moves[i].bits == insn->off && moves[i].wide == wide)
            return moves[i].text;
    return NULL;
}

static void put_swap(struct text *t, const struct bpf_insn *insn)
{
    static const struct {
        uint8_t code, bits;
        const char *text;
    } swaps[] = {
#define SWAP(NAME, name, code, bits, text) {code, bits, text},
#include "ebpf/opcodes.def"
    };

    for (unsigned i = 0; i < ARRAY_LEN(swaps); i++) {
        if (swaps[i].code == insn->code && swaps[i].bits == insn->imm) {
            put_reg(t, 'r', insn->dst_reg);
            put(t, " = ");
            put(t, swaps[i].text);
            put_char(t, ' ');
            put_reg(t, 'r', insn->dst_reg);
            return;
        }
    }
    put_unknown(t, insn);
}

static void put_alu(struct text *t, const struct bpf_insn *insn)
{
    char kind = BPF_CLASS(insn->code) == BPF_ALU64 ? 'r' : 'w';
    const char *op = alu_text(insn), *extend = movsx_text(insn);

    if (BPF_OP(insn->code) == BPF_END) {
        put_swap(t, insn);
        return;
    }
    if (!op && !extend && BPF_OP(insn->code) != BPF_NEG) {
        put_unknown(t, insn);
        return;
    }
    put_reg(t, kind, insn->dst_reg);
    if (BPF_OP(insn->code) == BPF_NEG) {
        put(t, " = -");
        put_reg(t, kind, insn->dst_reg);
        return;
    }
    put_char(t, ' ');
    put(t, extend ? "=" : op);
    put_char(t, ' ');
    if (extend)
        put(t, extend);
    if (BPF_SRC(insn->code) == BPF_X)
        put_reg(t, kind, insn->src_reg);
    else
        put_signed(t, insn->imm);
}

/* ---- memory --------------------------------------------------------------------------------- */

static void put_atomic(struct text *t, const struct bpf_insn *insn)
{
    static const struct {
        int32_t imm;
        const char *name;
    } atomics[] = {
#define ATOMIC(NAME, function, imm) {imm, #function},
#include "ebpf/opcodes.def"
    };
    const char *name = NULL;
    struct bpf_insn op = {.code = BPF_ALU | BPF_OP((unsigned)insn->imm)};

    for (unsigned i = 0; i < ARRAY_LEN(atomics); i++)
        if (atomics[i].imm == insn->imm)
            name = atomics[i].name;
    if (!name) {
        put_unknown(t, insn);
        return;
    }
    if (!(insn->imm & BPF_FETCH)) {
        put(t, "lock ");
        put_memory(t, size_name(insn->code), insn->dst_reg, insn->off);
        put_char(t, ' ');
        put(t, alu_text(&op));
        put_char(t, ' ');
        put_reg(t, 'r', insn->src_reg);
        return;
    }
    put_reg(t, 'r', insn->imm == BPF_CMPXCHG ? 0 : insn->src_reg);
    put(t, BPF_SIZE(insn->code) == BPF_DW ? " = atomic64_" : " = atomic_");
    put(t, insn->imm == BPF_CMPXCHG || insn->imm == BPF_XCHG ? "" : "fetch_");
    put(t, name);
    put(t, "((");
    put(t, size_name(insn->code));
    put(t, " *)(");
    put_reg(t, 'r', insn->dst_reg);
    put_char(t, ' ');
    put_offset(t, insn->off);
    put(t, insn->imm == BPF_CMPXCHG ? "), r0, " : "), ");
    put_reg(t, 'r', insn->src_reg);
    put_char(t, ')');
}

static void put_load_store(struct text *t, const struct bpf_insn *insn)
{
    switch (insn->code & ~(uint8_t)BPF_DW) {
    case BPF_LDX | BPF_MEM:
    case BPF_LDX | BPF_MEMSX:
        put_reg(t, 'r', insn->dst_reg);
        put(t, " = ");
        put_memory(t,
                   BPF_MODE(insn->code) == BPF_MEM ? size_name(insn->code)
                                                   : signed_size_name(insn->code),
                   insn->src_reg, insn->off);
        break;
    case BPF_STX | BPF_MEM:
        put_memory(t, size_name(insn->code), insn->dst_reg, insn->off);
        put(t, " = ");
        put_reg(t, 'r', insn->src_reg);
        break;
    case BPF_ST | BPF_MEM:
        put_memory(t, size_name(insn->code), insn->dst_reg, insn->off);
        put(t, " = ");
        put_signed(t, insn->imm);
        break;
    case BPF_STX | BPF_ATOMIC:
        put_atomic(t, insn);
        break;
    default:
        put_unknown(t, insn);
    }
}

static void put_map(struct text *t, const char *kind, uint32_t map, bool value, uint32_t offset)
{
    put(t, "map[");
    put(t, kind);
    put_unsigned(t, map, 10);
    put(t, "]");
    if (value) {
        put(t, "[0]+");
        put_unsigned(t, offset, 10);
    }
}

static void put_imm64(struct text *t, const struct bpf_insn *insn, unsigned left)
{
    uint32_t low = (uint32_t)insn->imm, high = left > 1 ? (uint32_t)insn[1].imm : 0;

    put_reg(t, 'r', insn->dst_reg);
    put(t, " = ");
    switch (insn->src_reg) {
    case BPF_PSEUDO_MAP_FD:
    case BPF_PSEUDO_MAP_VALUE:
        put_map(t, "id:", low, insn->src_reg == BPF_PSEUDO_MAP_VALUE, high);
        break;
    case BPF_PSEUDO_MAP_IDX:
    case BPF_PSEUDO_MAP_IDX_VALUE:
        put_map(t, "idx:", low, insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE, high);
        break;
    case BPF_PSEUDO_FUNC:
        put(t, "subprog[");
        put_offset(t, insn->imm);
        put_char(t, ']');
        break;
    default:
        put_hex(t, (uint64_t)high << 32 | low);
    }
}

static void put_load_immediate(struct text *t, const struct bpf_insn *insn, unsigned left)
{
    if (insn->code == (BPF_LD | BPF_IMM | BPF_DW)) {
        put_imm64(t, insn, left);
        return;
    }
    if (BPF_MODE(insn->code) != BPF_ABS && BPF_MODE(insn->code) != BPF_IND) {
        put_unknown(t, insn);
        return;
    }
    put(t, "r0 = *(");
    put(t, size_name(insn->code));
    put(t, " *)skb[");
    if (BPF_MODE(insn->code) == BPF_IND) {
        put_reg(t, 'r', insn->src_reg);
        put(t, " + ");
    }
    put_signed(t, insn->imm);
    put_char(t, ']');
}

/* ---- jumps and calls ------------------------------------------------------------------------ */

static void put_call(struct text *t, const struct bpf_insn *insn)
{
    const char *name;

    put(t, "call ");
    if (BPF_SRC(insn->code) == BPF_X) {
        put_reg(t, 'r', insn->dst_reg);
        return;
    }
    if (insn->src_reg == BPF_PSEUDO_CALL) {
        put(t, "pc");
        put_offset(t, insn->imm);
        return;
    }
    name = ebpf_helper_name((uint32_t)insn->imm);
    if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL) {
        put(t, "kernel-function");
    } else if (name) {
        put(t, "bpf_");
        put(t, name);
    } else {
        put(t, "unknown");
    }
    put_char(t, '#');
    put_signed(t, insn->imm);
}

static void put_branch(struct text *t, const struct bpf_insn *insn)
{
    static const char *const conditions[16] = {
#define JUMP(NAME, name, code, text) [(code) >> 4] = text,
#include "ebpf/opcodes.def"
    };
    char kind = BPF_CLASS(insn->code) == BPF_JMP ? 'r' : 'w';
    const char *condition = conditions[BPF_OP(insn->code) >> 4];

    if (!condition) {
        put_unknown(t, insn);
        return;
    }
    put(t, "if ");
    put_reg(t, kind, insn->dst_reg);
    put_char(t, ' ');
    put(t, condition);
    put_char(t, ' ');
    if (BPF_SRC(insn->code) == BPF_X)
        put_reg(t, kind, insn->src_reg);
    else
        put_hex(t, (uint32_t)insn->imm);
    put(t, " goto pc");
    put_offset(t, insn->off);
}

static void put_jump(struct text *t, const struct bpf_insn *insn)
{
    switch (insn->code) {
    case BPF_JMP | BPF_JA:
        put(t, "goto pc");
        put_offset(t, insn->off);
        break;
    case BPF_JMP32 | BPF_JA:
        put(t, "gotol pc");
        put_offset(t, insn->imm);
        break;
    case BPF_JMP | BPF_JCOND:
        put(t, "may_goto pc");
        put_offset(t, insn->off);
        break;
    case BPF_JMP | BPF_CALL:
    case BPF_JMP | BPF_CALL | BPF_X:
        put_call(t, insn);
        break;
    case BPF_JMP | BPF_EXIT:
        put(t, "exit");
        break;
    default:
        put_branch(t, insn);
    }
}

/* Writes the instruction at insn, of which `left` slots follow to the program's end (itself
 * included), as text into buf. Returns how many slots it takes: 2 for ld_imm64, else 1. */
unsigned ebpf_disasm(const struct bpf_insn *insn, unsigned left, char *buf, size_t size)
{
    struct text t = {buf, size, 0};

    if (size)
        buf[0] = 0;
    put_char(&t, '(');
    put_char(&t, "0123456789abcdef"[insn->code >> 4]);
    put_char(&t, "0123456789abcdef"[insn->code & 15]);
    put(&t, ") ");
    switch (BPF_CLASS(insn->code)) {
    case BPF_ALU:
    case BPF_ALU64:
        put_alu(&t, insn);
        break;
    case BPF_JMP:
    case BPF_JMP32:
        put_jump(&t, insn);
        break;
    case BPF_LD:
        put_load_immediate(&t, insn, left);
        break;
    default:
        put_load_store(&t, insn);
    }
    return insn->code == (BPF_LD | BPF_IMM | BPF_DW) && left > 1 ? 2 : 1;
}
