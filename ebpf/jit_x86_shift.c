/*
 * Shifts and rotates. With BMI2 the count may be in any register; without, it must be in cl, which
 * is r4's home. The machine masks counts as BPF does: to 6 bits, or 5 for 32-bit operands.
 */
#include "ebpf/jit_x86.h"
#include "ebpf/port.h"

/* Three-byte VEX prefix, map 0f38 or 0f3a, no vector: VEX.LZ.pp.W (SDM 2.3.5). */
static void put_vex(struct jit *j, bool wide, unsigned map, unsigned pp, unsigned reg,
                    unsigned vvvv, unsigned rm)
{
    put1(j, 0xc4);
    put1(j, (uint8_t)((reg < 8 ? 0x80u : 0) | 0x40u | (rm < 8 ? 0x20u : 0) | map));
    put1(j, (uint8_t)((wide ? 0x80u : 0) | (~vvvv & 15) << 3 | pp));
}

/* shlx, shrx, sarx: dst = src shifted by count. */
static void emit_shift_any(struct jit *j, bool wide, unsigned digit, unsigned dst, unsigned count)
{
    static const uint8_t pp[8] = {[4] = 1, [5] = 3, [7] = 2};

    put_vex(j, wide, 2, pp[digit], dst, count, dst);
    put1(j, 0xf7);
    put_modrm(j, 3, dst, dst);
}

static void emit_shift_cl(struct jit *j, bool wide, unsigned digit, unsigned dst, unsigned count)
{
    unsigned target = dst == RCX ? R11 : dst;

    if (count == RCX) {
        op_rr(j, wide, 0xd3, digit, dst);
        return;
    }
    mov_rr(j, true, R11, RCX);
    mov_rr(j, false, RCX, count);
    op_rr(j, wide, 0xd3, digit, target);
    mov_rr(j, true, RCX, R11);
}

void jit_emit_shift(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE;
    unsigned dst = home(i->dst), count = (unsigned)i->imm & (wide ? 63 : 31);

    if (!(op.flags & OP_IMM)) {
        if (j->features & PORT_CPU_BMI2)
            emit_shift_any(j, wide, op.code, dst, home(i->src));
        else
            emit_shift_cl(j, wide, op.code, dst, home(i->src));
    } else if (count == 0) {
        if (!wide)
            mov_rr(j, false, dst, dst);
    } else {
        op_rr(j, wide, count == 1 ? 0xd1 : 0xc1, op.code, dst);
        if (count != 1)
            put1(j, (uint8_t)count);
        j->flags_of = i->dst;
        j->flags_wide = wide;
    }
}

/* LOW_ROL64, LOW_ROL32. */
void jit_emit_rotate(struct jit *j, const struct ebpf_decoded *i, bool wide)
{
    unsigned dst = home(i->dst), src = home(i->src), width = wide ? 64 : 32;
    unsigned count = (unsigned)i->imm & (width - 1);

    if (dst != src && (j->features & PORT_CPU_BMI2)) {
        put_vex(j, wide, 3, 3, dst, 0, src); /* rorx */
        put1(j, 0xf0);
        put_modrm(j, 3, dst, src);
        put1(j, (uint8_t)(width - count));
        return;
    }
    if (dst != src)
        mov_rr(j, wide, dst, src);
    op_rr(j, wide, 0xc1, 0, dst);
    put1(j, (uint8_t)count);
}
