/*
 * Loads and stores: what the verifier has proven goes straight to memory.
 */
#include "ebpf/jit_x86.h"
#include "ebpf/port.h"

static struct x86_mem address(const struct ebpf_decoded *i, unsigned base, bool indexed)
{
    struct x86_mem m = mem_at(home(base), i->off);

    if (indexed) {
        m.index = home(low_index(i));
        m.scale = low_scale(i);
    }
    return m;
}

void jit_emit_load(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    struct x86_mem m = address(i, i->src, op.flags & OP_INDEX);
    bool is_signed = op.flags & OP_SIGNED;
    unsigned dst = home(i->dst);

    switch (op.bits) {
    case 8:
        op0f_rm(j, is_signed, is_signed ? 0xbe : 0xb6, dst, m);
        break;
    case 16:
        op0f_rm(j, is_signed, is_signed ? 0xbf : 0xb7, dst, m);
        break;
    case 32:
        op_rm(j, is_signed, is_signed ? 0x63 : 0x8b, dst, m);
        break;
    default:
        op_rm(j, true, 0x8b, dst, m);
        break;
    }
}

/* LOW_LDX_BE16, BE32, BE64: movbe where there is one. */
void jit_emit_load_swapped(struct jit *j, const struct ebpf_decoded *i)
{
    struct x86_mem m = address(i, i->src, low_index(i) != LOW_NO_INDEX);
    unsigned dst = home(i->dst);

    if (i->op == LOW_LDX_BE16) {
        op0f_rm(j, false, 0xb7, dst, m);
        put1(j, 0x66);
        op_rr(j, false, 0xc1, 0, dst);
        put1(j, 8);
    } else if (j->features & PORT_CPU_MOVBE) {
        put_rex(j, i->op == LOW_LDX_BE64, dst, mem_index_bits(m), m.base, false);
        put2(j, 0x0f, 0x38);
        put1(j, 0xf0);
        put_mem(j, dst, m);
    } else {
        op_rm(j, i->op == LOW_LDX_BE64, 0x8b, dst, m);
        put_rex(j, i->op == LOW_LDX_BE64, 0, 0, dst, false);
        put2(j, 0x0f, (uint8_t)(0xc8 + (dst & 7)));
    }
}

static void put_imm_of(struct jit *j, uint64_t imm, unsigned bits)
{
    if (bits == 8)
        put1(j, (uint8_t)imm);
    else if (bits == 16)
        put2(j, (uint8_t)imm, (uint8_t)(imm >> 8));
    else
        put4(j, (uint32_t)imm);
}

/* KIND_STORE, KIND_STORE_IMM. */
void jit_emit_store(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool imm = op.kind == KIND_STORE_IMM, wide = op.bits == 64;
    struct x86_mem m = address(i, i->dst, op.flags & OP_INDEX);
    unsigned src = imm ? 0 : home(i->src);

    if (op.bits == 16)
        put1(j, 0x66);
    put_rex(j, wide, src, mem_index_bits(m), m.base, !imm && op.bits == 8 && src >= RSP);
    put1(j, (uint8_t)((imm ? 0xc6 : 0x88) + (op.bits != 8)));
    put_mem(j, src, m);
    if (imm)
        put_imm_of(j, i->imm, op.bits);
}
