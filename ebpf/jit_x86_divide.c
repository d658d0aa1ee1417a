/*
 * Division. The machine divides rdx:rax and faults where BPF has a result: by zero (quotient 0, the
 * dividend as remainder) and INT_MIN by -1. Both are tested for unless the divisor is constant or
 * the verifier knows it is not 0. rax and rdx are saved in scratch registers, and only if live.
 */
#include "ebpf/jit_x86.h"

struct division {
    unsigned dst, divisor;
    bool wide, is_signed, remainder;
};

/* What a division by 0 gives. */
static void emit_by_zero(struct jit *j, const struct division *d)
{
    if (!d->remainder)
        alu_rr(j, false, X86_XOR, d->dst, d->dst);
    else if (!d->wide)
        mov_rr(j, false, d->dst, d->dst);
}

static void emit_by_minus_one(struct jit *j, const struct division *d)
{
    if (d->remainder)
        alu_rr(j, false, X86_XOR, d->dst, d->dst);
    else
        op_rr(j, d->wide, 0xf7, 3, d->dst); /* neg */
}

static void emit_machine_division(struct jit *j, const struct division *d)
{
    bool save_rax = d->dst != RAX && is_live(j, 0);
    bool save_rdx = d->dst != RDX && is_live(j, 3);
    unsigned result = d->remainder ? RDX : RAX;

    if (save_rax)
        mov_rr(j, true, R9, RAX);
    if (save_rdx)
        mov_rr(j, true, R10, RDX);
    if (d->dst != RAX)
        mov_rr(j, d->wide, RAX, d->dst);
    if (d->is_signed) {
        put_rex(j, d->wide, 0, 0, 0, false);
        put1(j, 0x99); /* cdq, cqo */
    } else {
        alu_rr(j, false, X86_XOR, RDX, RDX);
    }
    op_rr(j, d->wide, 0xf7, d->is_signed ? 7 : 6, d->divisor);
    if (d->dst != result)
        mov_rr(j, d->wide, d->dst, result);
    if (save_rax)
        mov_rr(j, true, RAX, R9);
    if (save_rdx)
        mov_rr(j, true, RDX, R10);
}

static void emit_by_register(struct jit *j, const struct division *d, bool nonzero)
{
    uint8_t *zero = NULL, *minus_one = NULL, *done[2] = {NULL, NULL};

    if (!nonzero) {
        op_rr(j, d->wide, 0x85, d->divisor, d->divisor);
        zero = short_jump(j, SHORT_JCC(CC_E));
    }
    if (d->is_signed) {
        alu_ri(j, d->wide, X86_CMP, d->divisor, -1);
        minus_one = short_jump(j, SHORT_JCC(CC_E));
    }
    emit_machine_division(j, d);
    if (zero) {
        done[0] = short_jump(j, SHORT_JMP);
        short_here(j, zero);
        emit_by_zero(j, d);
    }
    if (minus_one) {
        done[1] = short_jump(j, SHORT_JMP);
        short_here(j, minus_one);
        emit_by_minus_one(j, d);
    }
    for (unsigned n = 0; n < 2; n++)
        if (done[n])
            short_here(j, done[n]);
}

void jit_emit_divide(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    struct division d = {
        .dst = home(i->dst),
        .divisor = R11,
        .wide = op.flags & OP_WIDE,
        .is_signed = op.flags & OP_SIGNED,
        .remainder = op.flags & OP_REMAINDER,
    };
    int32_t imm = (int32_t)i->imm;

    if (!(op.flags & OP_IMM)) {
        unsigned src = home(i->src);

        if (src == RAX || src == RDX)
            mov_rr(j, d.wide, R11, src);
        else
            d.divisor = src;
        emit_by_register(j, &d, j->low->flags[j->pc] & LOW_NONZERO);
    } else if (imm == 0) {
        emit_by_zero(j, &d);
    } else if (d.is_signed && imm == -1) {
        emit_by_minus_one(j, &d);
    } else {
        jit_mov_imm(j, R11, d.wide ? i->imm : (uint32_t)imm);
        emit_machine_division(j, &d);
    }
}
