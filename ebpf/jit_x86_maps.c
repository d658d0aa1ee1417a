/*
 * What helpers on maps do, without a call: elements of arrays, records of ring buffers (ringbuf.h
 * says why that needs no lock). r9 to r11 are scratch.
 */
#include "ebpf/jit_x86.h"

#include "ebpf/base.h"
#include "ebpf/ringbuf.h"

/* ---- arrays ---------------------------------------------------------------------------------- */

/* rax = data + index * stride, for an index in r10 that fits in 31 bits. */
static void emit_element(struct jit *j, const struct low_lookup *l)
{
    if (is_power_of_two(l->stride) && l->stride <= 8) {
        jit_mov_imm(j, RAX, (uintptr_t)l->data);
        op_rm(j, true, 0x8d, RAX, (struct x86_mem){RAX, R10, (uint8_t)__builtin_ctz(l->stride), 0});
        return;
    }
    jit_emit_mul_imm(j, R10, R10, (int32_t)l->stride, true);
    jit_mov_imm(j, RAX, (uintptr_t)l->data);
    alu_rr(j, true, X86_ADD, RAX, R10);
}

/* The slot that a test for NULL after the lookup leads to, when it comes right after. */
static bool null_check_follows(const struct jit *j, const struct ebpf_decoded *next)
{
    return j->pc + 1 < j->low->nr && !(j->low->flags[j->pc + 1] & (LOW_TARGET | LOW_FUNCTION)) &&
           next->op == OP_JEQ64_K && next->dst == 0 && next->imm == 0;
}

/* LOW_ARRAY_LOOKUP, LOW_ARRAY_INDEX, LOW_ARRAY_ELEMENT. An index out of bounds goes where the test
 * of the result for NULL would. */
void jit_emit_lookup(struct jit *j, const struct ebpf_decoded *i)
{
    const struct low_lookup *l = &j->low->lookups[i->imm];
    uint8_t *outside = NULL;

    if (i->op == LOW_ARRAY_ELEMENT) {
        jit_mov_imm(j, RAX, l->key < l->nr ? (uintptr_t)l->data + (uint64_t)l->key * l->stride : 0);
        return;
    }
    if (i->op == LOW_ARRAY_INDEX)
        mov_rr(j, false, R10, home(i->src));
    else
        op_rm(j, false, 0x8b, R10, mem_at(home(i->src), i->off));
    if (!l->in_bounds) {
        alu_rr(j, false, X86_XOR, RAX, RAX);
        alu_ri(j, false, X86_CMP, R10, (int32_t)l->nr);
        if (null_check_follows(j, i + 1)) {
            jit_add_fixup(j, FIX_JCC, (uint32_t)i[1].off)->cc = CC_AE;
            j->skip = j->pc + 1;
        } else {
            outside = short_jump(j, SHORT_JCC(CC_AE));
        }
    }
    emit_element(j, l);
    if (outside)
        short_here(j, outside);
}

/* ---- ring buffers ---------------------------------------------------------------------------- */

static struct x86_mem ring_field(size_t offset)
{
    return mem_at(R10, (int32_t)offset);
}

#define RING(field) ring_field(offsetof(struct ebpf_ringbuf, field))

/* rax = the producer, which moves on by size; CC_A where the record does not fit. */
static uint8_t *emit_take(struct jit *j, int32_t size)
{
    uint8_t *again, *full;

    op_rm(j, true, 0x8b, RAX, RING(producer));
    again = j->at;
    op_rm(j, true, 0x8d, R11, mem_at(RAX, size)); /* lea */
    mov_rr(j, true, R9, R11);
    op_rm(j, true, 0x2b, R9, RING(consumer)); /* sub */
    op_rm(j, true, 0x3b, R9, RING(mask));     /* cmp */
    full = short_jump(j, SHORT_JCC(CC_A));
    op0f_rm(j, true, 0xb1, R11, RING(producer)); /* cmpxchg */
    put2(j, SHORT_JCC(CC_NE), 0);
    j->at[-1] = (uint8_t)(again - j->at);
    return full;
}

/* rax = the record at position rax, whose header is filled in. */
static void emit_header(struct jit *j, uint32_t length)
{
    op_rm(j, true, 0x23, RAX, RING(mask)); /* and */
    op_rm(j, true, 0x03, RAX, RING(data)); /* add */
    mov_rr(j, true, R9, RAX);
    alu_rr(j, true, X86_SUB, R9, R10);
    op_rr(j, true, 0xc1, 5, R9); /* shr */
    put1(j, 3);
    op_rm(j, false, 0xc7, 0, mem_at(RAX, offsetof(struct ebpf_ringbuf_header, len)));
    put4(j, length | BPF_RINGBUF_BUSY_BIT);
    op_rm(j, false, 0x89, R9, mem_at(RAX, offsetof(struct ebpf_ringbuf_header, from)));
    alu_ri(j, true, X86_ADD, RAX, (int32_t)sizeof(struct ebpf_ringbuf_header));
}

/* LOW_RING_RESERVE: off bytes in the ring at imm. */
void jit_emit_ring_reserve(struct jit *j, const struct ebpf_decoded *i)
{
    uint8_t *full, *done;

    jit_mov_imm(j, R10, i->imm);
    full = emit_take(j, (int32_t)ebpf_ringbuf_record_size((uint32_t)i->off));
    emit_header(j, (uint32_t)i->off);
    done = short_jump(j, SHORT_JMP);
    short_here(j, full);
    op_rm(j, true, 0xff, 0, RING(dropped)); /* inc */
    alu_rr(j, false, X86_XOR, RAX, RAX);
    short_here(j, done);
}

/* LOW_RING_COMMIT: the record in src, which nobody is to be woken for. It is busy and no more. */
void jit_emit_ring_commit(struct jit *j, const struct ebpf_decoded *i)
{
    op_rm(j, false, 0x81, X86_SUB,
          mem_at(home(i->src), -(int32_t)sizeof(struct ebpf_ringbuf_header)));
    put4(j, BPF_RINGBUF_BUSY_BIT - (i->imm ? BPF_RINGBUF_DISCARD_BIT : 0));
    if (is_live(j, 0))
        jit_mov_imm(j, RAX, 0);
}
