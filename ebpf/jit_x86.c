/*
 * The JIT's driver: one pass over the lowered slots emits code into a buffer, with holes for what
 * has a distance in it; jit_layout closes the holes. Time is linear in the program.
 */
#include <linux/errno.h>

#include "ebpf/jit_x86.h"

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/jit.h"
#include "ebpf/port.h"

#define BYTES_PER_SLOT 8u /* first guess of the buffer's size */

/* A place for bytes that depend on distances. */
struct fixup *jit_add_fixup(struct jit *j, enum fixup_kind kind, uint32_t target)
{
    struct fixup *f = &j->fixups[j->nr_fixups++];

    if (j->nr_fixups > j->max_fixups)
        port_fatal("jit: more than %u jumps at slot %u", j->max_fixups, j->pc);
    f->at = (uint32_t)(j->at - j->buffer);
    f->kind = (uint8_t)kind;
    f->target = target;
    return f;
}

static void emit_other(struct jit *j, const struct ebpf_decoded *i)
{
    switch (i->op) {
    case OP_JA:
        jit_add_fixup(j, FIX_JUMP, (uint32_t)i->off);
        break;
    case OP_MAY_GOTO:
        jit_emit_may_goto(j, i);
        break;
    case OP_CALL_HELPER:
    case LOW_CALL_BACK:
        jit_emit_call(j, (uintptr_t)((const struct ebpf_helper *)i->imm)->call);
        break;
    case LOW_CALL_DIRECT:
        jit_emit_call(j, i->imm);
        break;
    case OP_CALL_LOCAL:
        jit_add_fixup(j, FIX_CALL, (uint32_t)i->imm);
        if (j->low->returns_other)
            jit_emit_take_back(j);
        break;
    case OP_TAIL_CALL:
        jit_emit_tail_call(j);
        break;
    case OP_EXIT:
        jit_emit_exit(j);
        break;
    case LOW_LD_FUNCTION:
        jit_add_fixup(j, FIX_FUNCTION, (uint32_t)i->imm)->reg = (uint8_t)home(i->dst);
        break;
    case OP_LD_IMM64:
        jit_mov_imm(j, home(i->dst), i->imm);
        break;
    case LOW_LEA64:
    case LOW_LEA32:
        jit_emit_lea(j, i, i->op == LOW_LEA64);
        break;
    case LOW_ROL64:
    case LOW_ROL32:
        jit_emit_rotate(j, i, i->op == LOW_ROL64);
        break;
    case LOW_MUL64:
    case LOW_MUL32:
        jit_emit_mul_imm(j, home(i->dst), home(i->src), (int32_t)i->imm, i->op == LOW_MUL64);
        break;
    case LOW_LDX_BE16:
    case LOW_LDX_BE32:
    case LOW_LDX_BE64:
        jit_emit_load_swapped(j, i);
        break;
    case LOW_SWITCH:
        jit_emit_switch(j, i);
        break;
    case LOW_ARRAY_LOOKUP:
    case LOW_ARRAY_INDEX:
    case LOW_ARRAY_ELEMENT:
        jit_emit_lookup(j, i);
        break;
    case LOW_RING_RESERVE:
        jit_emit_ring_reserve(j, i);
        break;
    case LOW_RING_COMMIT:
        jit_emit_ring_commit(j, i);
        break;
    default:
        port_fatal("jit: slot %u has operation %u", j->pc, i->op);
    }
}

static void emit(struct jit *j, const struct ebpf_decoded *i)
{
    struct jit_op op = jit_ops[i->op];

    switch ((enum jit_kind)op.kind) {
    case KIND_NONE:
        return;
    case KIND_ALU:
        jit_emit_alu(j, i, op);
        return; /* it says itself what the flags hold */
    case KIND_MOV:
    case KIND_MUL:
    case KIND_NEG:
    case KIND_MOVSX:
    case KIND_SWAP:
        jit_emit_alu(j, i, op);
        break;
    case KIND_SHIFT:
        j->flags_of = NO_FLAGS;
        jit_emit_shift(j, i, op);
        return;
    case KIND_DIVIDE:
        jit_emit_divide(j, i, op);
        break;
    case KIND_JCC:
        jit_emit_jcc(j, i, op);
        break;
    case KIND_LOAD:
        jit_emit_load(j, i, op);
        break;
    case KIND_STORE:
    case KIND_STORE_IMM:
        jit_emit_store(j, i, op);
        break;
    case KIND_ATOMIC:
        jit_emit_atomic(j, i, op);
        break;
    case KIND_OTHER:
        emit_other(j, i);
        break;
    }
    j->flags_of = NO_FLAGS;
}

static int grow(struct jit *j)
{
    size_t used = (size_t)(j->at - j->buffer), size = j->buffer_size * 2;
    uint8_t *buffer = port_alloc_pages(size);

    if (!buffer)
        return -ENOMEM;
    __builtin_memcpy(buffer, j->buffer, used);
    port_free_pages(j->buffer, j->buffer_size);
    j->buffer = buffer;
    j->at = buffer + used;
    j->buffer_size = size;
    j->end = buffer + size;
    return 0;
}

/* Jumps to a function's first slot do not go through its prologue, calls do. */
static void enter_function(struct jit *j)
{
    struct jit_entry *entry;

    j->function = j->function ? j->function + 1 : j->low->functions;
    entry = &j->entries[j->function - j->low->functions];
    entry->offset = (uint32_t)(j->at - j->buffer);
    entry->first_fixup = j->nr_fixups;
    jit_emit_prologue(j);
}

static int emit_all(struct jit *j)
{
    const struct ebpf_lowered *low = j->low;

    for (j->pc = 0; j->pc < low->nr; j->pc++) {
        if (j->end - j->at < (ptrdiff_t)JIT_INSN_MAX && grow(j))
            return -ENOMEM;
        if (low->flags[j->pc] & (LOW_TARGET | LOW_FUNCTION))
            j->flags_of = NO_FLAGS;
        if (low->flags[j->pc] & LOW_FUNCTION)
            enter_function(j);
        j->offsets[j->pc] = (uint32_t)(j->at - j->buffer);
        j->first_fixup[j->pc] = j->nr_fixups;
        if (j->pc != 0 && j->pc == j->skip)
            continue;
        if (j->probe)
            jit_emit_call(j, j->probe);
        emit(j, &low->code[j->pc]);
    }
    j->offsets[low->nr] = (uint32_t)(j->at - j->buffer);
    j->first_fixup[low->nr] = j->nr_fixups;
    return 0;
}

int ebpf_jit_compile_probed(const struct ebpf_prog *prog, const struct ebpf_lowered *low,
                            uint32_t features, void (*probe)(void), struct ebpf_jit **out)
{
    struct jit j = {.prog = prog,
                    .low = low,
                    .features = features,
                    .probe = (uintptr_t)probe,
                    .max_fixups = low->nr_fixups + (probe ? low->nr : 0)};
    struct ebpf_jit *jit = port_alloc(sizeof(*jit));
    size_t slots = (low->nr + 1) * sizeof(uint32_t);
    int err = -ENOMEM;

    j.buffer_size = round_up_to((size_t)low->nr * BYTES_PER_SLOT + JIT_INSN_MAX, 4096);
    j.buffer = j.at = port_alloc_pages(j.buffer_size);
    j.end = j.buffer + j.buffer_size;
    j.fixups = port_alloc((j.max_fixups + 1) * sizeof(j.fixups[0]));
    j.offsets = port_alloc(slots);
    j.first_fixup = port_alloc(slots);
    j.entries = port_alloc(low->nr_functions * sizeof(j.entries[0]));
    if (jit)
        jit->offsets = port_alloc(slots);
    if (jit && jit->offsets && j.buffer && j.fixups && j.offsets && j.first_fixup && j.entries) {
        jit->nr = low->nr;
        err = emit_all(&j);
        if (!err)
            err = jit_layout(&j, jit);
    }
    port_free_pages(j.buffer, j.buffer_size);
    port_free(j.fixups);
    port_free(j.offsets);
    port_free(j.first_fixup);
    port_free(j.entries);
    if (err)
        ebpf_jit_free(jit);
    else
        *out = jit;
    return err;
}

/* Compiles a lowered program; features are PORT_CPU_... that its code may use. The caller frees
 * *out. 0, -ENOMEM, or an error of sealing. Thread context. */
int ebpf_jit_compile(const struct ebpf_prog *prog, const struct ebpf_lowered *low,
                     uint32_t features, struct ebpf_jit **out)
{
    return ebpf_jit_compile_probed(prog, low, features, NULL, out);
}

void ebpf_jit_free(struct ebpf_jit *jit)
{
    if (!jit)
        return;
    port_exec_free(jit->code, jit->size);
    port_free(jit->offsets);
    port_free(jit);
}
