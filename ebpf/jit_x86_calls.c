/*
 * Functions and calls: frames with only the callee-saved registers in use, calls between functions,
 * helpers called directly, tail calls, may_goto's counter.
 *
 * A frame, from high to low: return address, caller's rbp, 512 bytes at most of BPF stack,
 * may_goto's counter, saved registers, a word of padding if the stack would not be 16-byte aligned
 * at calls. What a function does not use it does not have.
 */
#include "ebpf/jit_x86.h"

#include "ebpf/base.h"
#include "ebpf/jit.h"

static const uint8_t callee_saved[] = {6, 7, 8, 9, LOW_SPARE};

/* Zeroes the BPF stack, in r9 and r10, since arguments are in the other registers. */
static void emit_zero_stack(struct jit *j)
{
    int32_t size = (int32_t)round_up_to(j->function->stack, 8);
    uint8_t *again;

    op_rm(j, true, 0x8d, R9, mem_at(RBP, -size));
    again = j->at;
    op_rm(j, true, 0xc7, 0, mem_at(R9, 0));
    put4(j, 0);
    alu_ri(j, true, X86_ADD, R9, 8);
    alu_rr(j, true, X86_CMP, R9, RBP);
    put2(j, SHORT_JCC(CC_B), 0);
    j->at[-1] = (uint8_t)(again - j->at);
}

/* Decides on the frame of j->function and emits its entry. */
void jit_emit_prologue(struct jit *j)
{
    const struct low_function *f = j->function;
    unsigned words = 1; /* the return address */

    j->saved = 0;
    j->frame = f->uses_fp || f->may_goto;
    j->frame_size = (uint32_t)round_up_to(f->stack, 8) + (f->may_goto ? 8 : 0);
    j->exit_slot = UINT32_MAX;
    for (unsigned n = 0; n < ARRAY_LEN(callee_saved); n++) {
        if (f->written >> callee_saved[n] & 1) {
            j->saved |= 1u << n;
            words++;
        }
    }
    words += (j->frame ? 1 : 0) + j->frame_size / 8;
    j->padded = f->calls && words % 2;
    if (j->frame) {
        push_r(j, RBP);
        mov_rr(j, true, RBP, RSP);
        if (j->frame_size)
            alu_ri(j, true, X86_SUB, RSP, (int32_t)j->frame_size);
    }
    if (f->zero_stack)
        emit_zero_stack(j);
    if (f->may_goto) {
        op_rm(j, true, 0xc7, 0, mem_at(RBP, -(int32_t)j->frame_size));
        put4(j, ISA_MAY_GOTO_MAX);
    }
    for (unsigned n = 0; n < ARRAY_LEN(callee_saved); n++)
        if (j->saved >> n & 1)
            push_r(j, home(callee_saved[n]));
    if (j->padded)
        push_r(j, RAX);
    for (unsigned n = 0; n < f->nr_begins; n++)
        jit_mov_imm(j, home(f->begins[n].reg), f->begins[n].value);
}

/* Everything but the return. */
static void emit_epilogue(struct jit *j)
{
    if (j->padded && (j->saved || !j->frame))
        pop_r(j, RCX); /* r4 is dead at an exit, and no argument of a tail call */
    for (unsigned n = ARRAY_LEN(callee_saved); n-- > 0;)
        if (j->saved >> n & 1)
            pop_r(j, home(callee_saved[n]));
    if (j->frame && j->frame_size == 0 && !(j->padded && !j->saved))
        pop_r(j, RBP);
    else if (j->frame)
        put1(j, 0xc9); /* leave */
}

/* The first exit of a function is its epilogue; later ones jump there if it is longer than that. */
void jit_emit_exit(struct jit *j)
{
    if (j->exit_slot != UINT32_MAX && (j->saved || j->frame)) {
        jit_add_fixup(j, FIX_JUMP, j->exit_slot);
        return;
    }
    j->exit_slot = j->pc;
    emit_epilogue(j);
    put1(j, 0xc3);
}

/* Below zero the counter stays below zero, so that a loop once left is left for good. */
void jit_emit_may_goto(struct jit *j, const struct ebpf_decoded *i)
{
    op_rm(j, true, 0xff, 1, mem_at(RBP, -(int32_t)j->frame_size)); /* dec */
    jit_add_fixup(j, FIX_JCC, (uint32_t)i->off)->cc = CC_S;
}

/* A C function with r1 to r5; its result goes to r0. */
void jit_emit_call(struct jit *j, uint64_t function)
{
    jit_add_fixup(j, FIX_HELPER, 0)->address = function;
}

/* The run is this program's again; r0 is kept, and the stack aligned. */
void jit_emit_take_back(struct jit *j)
{
    push_r(j, RAX);
    push_r(j, RAX);
    jit_mov_imm(j, RDI, (uintptr_t)j->prog);
    jit_emit_call(j, (uintptr_t)ebpf_jit_take_back);
    pop_r(j, RAX);
    pop_r(j, RAX);
}

/* The target takes over this function's frame: its own is taken down first. */
void jit_emit_tail_call(struct jit *j)
{
    uint8_t *fall_through;

    jit_emit_call(j, (uintptr_t)ebpf_jit_tail_call);
    op_rr(j, true, 0x85, RAX, RAX);
    fall_through = short_jump(j, SHORT_JCC(CC_E));
    mov_rr(j, true, RDI, RDX);
    emit_epilogue(j);
    put2(j, 0xff, 0xe0); /* jmp rax */
    short_here(j, fall_through);
}
