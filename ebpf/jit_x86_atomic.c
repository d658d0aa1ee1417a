/*
 * Atomic operations (RFC 9669 5.3). Where the machine has no instruction that returns the old value
 * (or, and, xor), a loop of cmpxchg.
 */
#include <linux/bpf.h>

#include "ebpf/jit_x86.h"

#define LOCK 0xf0

static enum x86_alu alu_of(uint8_t code)
{
    switch (code & ~BPF_FETCH) {
    case BPF_OR:
        return X86_OR;
    case BPF_AND:
        return X86_AND;
    case BPF_XOR:
        return X86_XOR;
    }
    return X86_ADD;
}

/* rax carries the old value, r10 the new one; r11 keeps rax, which may also be base or operand. */
static void emit_fetch_loop(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    unsigned src = home(i->src), operand = src == RAX ? R11 : src;
    unsigned base = home(i->dst) == RAX ? R11 : home(i->dst);
    struct x86_mem m = mem_at(base, i->off);
    bool wide = op.flags & OP_WIDE;
    uint8_t *again;

    mov_rr(j, true, R11, RAX);
    op_rm(j, wide, 0x8b, RAX, m);
    again = j->at;
    mov_rr(j, true, R10, RAX);
    alu_rr(j, wide, alu_of(op.code), R10, operand);
    put1(j, LOCK);
    op0f_rm(j, wide, 0xb1, R10, m);
    put2(j, SHORT_JCC(CC_NE), 0);
    j->at[-1] = (uint8_t)(again - j->at);
    if (src != RAX) {
        mov_rr(j, wide, src, RAX);
        mov_rr(j, true, RAX, R11);
    }
}

void jit_emit_atomic(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    struct x86_mem m = mem_at(home(i->dst), i->off);
    bool wide = op.flags & OP_WIDE;
    unsigned src = home(i->src);

    switch (op.code) {
    case BPF_ADD:
    case BPF_OR:
    case BPF_AND:
    case BPF_XOR:
        put1(j, LOCK);
        op_rm(j, wide, (uint8_t)(alu_of(op.code) * 8 + 1), src, m);
        break;
    case BPF_ADD | BPF_FETCH:
        put1(j, LOCK);
        op0f_rm(j, wide, 0xc1, src, m); /* xadd */
        break;
    case BPF_XCHG:
        op_rm(j, wide, 0x87, src, m);
        break;
    case BPF_CMPXCHG:
        put1(j, LOCK);
        op0f_rm(j, wide, 0xb1, src, m);
        if (!wide)
            mov_rr(j, false, RAX, RAX); /* a success leaves the upper half */
        break;
    default:
        emit_fetch_loop(j, i, op);
        break;
    }
}
