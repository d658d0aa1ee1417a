/*
 * Arithmetic but for shifts and division: moves, additions, multiplications, sign extension, byte
 * order. Where the shorter of two encodings does the same, it is taken.
 */
#include "ebpf/jit_x86.h"

/* Loads a constant. */
void jit_mov_imm_keeping_flags(struct jit *j, unsigned dst, uint64_t imm)
{
    if (imm == (uint32_t)imm) {
        put_rex(j, false, 0, 0, dst, false);
        put1(j, (uint8_t)(0xb8 + (dst & 7)));
        put4(j, (uint32_t)imm);
    } else if (fits32((int64_t)imm)) {
        op_rr(j, true, 0xc7, 0, dst);
        put4(j, (uint32_t)imm);
    } else {
        put_rex(j, true, 0, 0, dst, false);
        put1(j, (uint8_t)(0xb8 + (dst & 7)));
        put8(j, imm);
    }
}

/* Loads a constant the shortest way. Changes flags. */
void jit_mov_imm(struct jit *j, unsigned dst, uint64_t imm)
{
    if (imm == 0)
        alu_rr(j, false, X86_XOR, dst, dst);
    else
        jit_mov_imm_keeping_flags(j, dst, imm);
}

static unsigned log2_of(uint32_t power_of_two)
{
    return (unsigned)__builtin_ctz(power_of_two);
}

/* dst = src * imm. A multiplication takes three cycles; shifts and additions by lea one. */
void jit_emit_mul_imm(struct jit *j, unsigned dst, unsigned src, int32_t imm, bool wide)
{
    if (imm == 3 || imm == 5 || imm == 9) {
        struct x86_mem m = {(uint8_t)src, (uint8_t)src, (uint8_t)log2_of((uint32_t)imm - 1), 0};

        op_rm(j, wide, 0x8d, dst, m);
    } else if (imm > 0 && (imm & (imm - 1)) == 0) {
        if (dst != src || (imm == 1 && !wide))
            mov_rr(j, wide, dst, src);
        if (imm > 1) {
            op_rr(j, wide, 0xc1, 4, dst);
            put1(j, (uint8_t)log2_of((uint32_t)imm));
        }
    } else {
        op_rr(j, wide, fits8(imm) ? 0x6b : 0x69, dst, src);
        if (fits8(imm))
            put1(j, (uint8_t)imm);
        else
            put4(j, (uint32_t)imm);
    }
}

/* dst = src + (index << scale) + off. */
void jit_emit_lea(struct jit *j, const struct ebpf_decoded *i, bool wide)
{
    unsigned dst = home(i->dst), base = home(i->src);

    if (low_index(i) == LOW_NO_INDEX) {
        if (dst == base)
            alu_ri(j, wide, X86_ADD, dst, i->off);
        else
            op_rm(j, wide, 0x8d, dst, mem_at(base, i->off));
        return;
    }
    op_rm(j, wide, 0x8d, dst,
          (struct x86_mem){(uint8_t)base, (uint8_t)home(low_index(i)), low_scale(i), i->off});
}

static void emit_alu(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE;
    unsigned dst = home(i->dst);
    int32_t imm = (int32_t)i->imm;

    j->flags_of = i->dst;
    j->flags_wide = wide;
    if (!(op.flags & OP_IMM)) {
        alu_rr(j, wide, op.code, dst, home(i->src));
    } else if (op.code == X86_AND && imm == 0xff) {
        op0f_rr(j, false, 0xb6, dst, dst, dst >= RSP && dst <= RDI);
        j->flags_of = NO_FLAGS;
    } else if (op.code == X86_AND && imm == 0xffff) {
        op0f_rr(j, false, 0xb7, dst, dst, false);
        j->flags_of = NO_FLAGS;
    } else if (op.code == X86_AND && imm >= 0) {
        alu_ri(j, false, X86_AND, dst, imm); /* the upper half becomes 0 in either case */
    } else if (imm == 128 && (op.code == X86_ADD || op.code == X86_SUB)) {
        alu_ri(j, wide, op.code == X86_ADD ? X86_SUB : X86_ADD, dst, -128);
    } else {
        alu_ri(j, wide, op.code, dst, imm);
    }
}

static void emit_movsx(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE;
    unsigned dst = home(i->dst), src = home(i->src);

    if (op.bits == 32)
        op_rr(j, true, 0x63, dst, src);
    else
        op0f_rr(j, wide, op.bits == 8 ? 0xbe : 0xbf, dst, src,
                op.bits == 8 && src >= RSP && src <= RDI);
}

static void emit_swap(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    unsigned dst = home(i->dst);

    if (op.code && op.bits == 16) {
        put1(j, 0x66);
        op_rr(j, false, 0xc1, 0, dst); /* rol dst16, 8 */
        put1(j, 8);
    } else if (op.code) {
        put_rex(j, op.bits == 64, 0, 0, dst, false);
        put2(j, 0x0f, (uint8_t)(0xc8 + (dst & 7)));
    }
    if (op.bits == 16)
        op0f_rr(j, false, 0xb7, dst, dst, false);
    else if (op.bits == 32 && !op.code)
        mov_rr(j, false, dst, dst);
}

static void emit_mov(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE;

    if (op.flags & OP_IMM)
        jit_mov_imm(j, home(i->dst), wide ? i->imm : (uint32_t)i->imm);
    else if (i->dst != i->src || !wide)
        mov_rr(j, wide, home(i->dst), home(i->src));
}

/* KIND_ALU, MOV, MUL, NEG, MOVSX, SWAP. */
void jit_emit_alu(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE;

    switch ((enum jit_kind)op.kind) {
    case KIND_ALU:
        emit_alu(j, i, op);
        break;
    case KIND_MOV:
        emit_mov(j, i, op);
        break;
    case KIND_MUL:
        if (op.flags & OP_IMM)
            jit_emit_mul_imm(j, home(i->dst), home(i->dst), (int32_t)i->imm, wide);
        else
            op0f_rr(j, wide, 0xaf, home(i->dst), home(i->src), false);
        break;
    case KIND_NEG:
        op_rr(j, wide, 0xf7, 3, home(i->dst));
        break;
    case KIND_MOVSX:
        emit_movsx(j, i, op);
        break;
    default:
        emit_swap(j, i, op);
        break;
    }
}
