/*
 * Two records of a program's run, side by side. They are held against each other where both are at
 * the same instruction: machine code and the fast interpreter leave instructions out whose work
 * others do, and take several branches in one.
 *
 * A register counts when an instruction reads it that the lowering passes left as it was: they may
 * compute a value earlier or later than the bytecode does, or not at all, but for those it is
 * there. Where they changed a load or store, its address counts. The instruction to blame is the
 * last one that wrote the register. Memory counts always.
 */
#include "ebpf/jit.h"
#include "ebpf/lower_internal.h"
#include "user/vm/diff.h"

struct side {
    const struct observed *o;
    uint32_t at, applied; /* moment; changes that went to memory */
};

static const struct moment *moment(const struct side *s)
{
    return &s->o->moments[s->at];
}

static bool ended(const struct side *s)
{
    return s->at >= s->o->nr_moments;
}

/* An instruction that one record may have and the other not. */
static bool may_lack(const struct watched *w, const struct moment *m)
{
    const struct ebpf_prog *prog = w->progs[m->prog];
    const struct ebpf_jit *jit = prog->jit;
    uint16_t op = prog->decoded[m->slot].op;

    return low_is_conditional(op) || op == OP_JA || op == OP_MAY_GOTO ||
           (prog->lowered && prog->lowered->code[m->slot].op == LOW_NOP) ||
           (jit && jit->offsets[m->slot] == jit->offsets[m->slot + 1]);
}

static bool meets(const struct side s[2])
{
    const struct moment *a = moment(&s[0]), *b = moment(&s[1]);

    return a->prog == b->prog && a->slot == b->slot && a->depth == b->depth;
}

/* Moves on to where both are at one instruction. False: there is no such place. */
static bool align(const struct watched *w, struct side s[2])
{
    while (!ended(&s[0]) && !ended(&s[1]) && !meets(s)) {
        if (may_lack(w, moment(&s[0])))
            s[0].at++;
        else if (may_lack(w, moment(&s[1])))
            s[1].at++;
        else
            return false;
    }
    return !ended(&s[0]) && !ended(&s[1]);
}

/* What the engines but the checked interpreter run at a moment. */
static const struct ebpf_decoded *lowered(const struct watched *w, const struct moment *m)
{
    const struct ebpf_prog *prog = w->progs[m->prog];

    return prog->lowered ? &prog->lowered->code[m->slot] : &prog->decoded[m->slot];
}

static bool is_as_written(const struct ebpf_decoded *low, const struct ebpf_decoded *i)
{
    if (low->op == LOW_CALL_DIRECT)
        return true;
    return low->op == i->op && low->dst == i->dst && low->src == i->src && low->off == i->off &&
           (low->imm == i->imm || low->op == OP_CALL_LOCAL);
}

/* The register that a load's or store's address begins with; -1: the operation is neither. */
static int base_of(const struct ebpf_decoded *i)
{
    switch (i->op) {
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
    case LOW_LDX_##NAME##_INDEX:                                                                   \
        return i->src;                                                                             \
    case OP_STX_##NAME:                                                                            \
    case OP_ST_##NAME:                                                                             \
    case LOW_STX_##NAME##_INDEX:                                                                   \
        return i->dst;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
    case LOW_LDSX_##NAME##_INDEX:                                                                  \
        return i->src;
#include "ebpf/opcodes.def"
    case LOW_LDX_BE16:
    case LOW_LDX_BE32:
    case LOW_LDX_BE64:
        return i->src;
    }
    return -1;
}

static uint64_t address_at(const struct ebpf_decoded *i, const struct moment *m)
{
    uint64_t address = m->reg[base_of(i)] + (uint64_t)(int64_t)i->off;

    if (i->op >= NR_OPS && low_index(i) != LOW_NO_INDEX)
        address += m->reg[low_index(i)] << low_scale(i);
    return address;
}

/* Which of the two forms a side runs. */
static const struct ebpf_decoded *run_by(const struct watched *w, const struct side *s)
{
    const struct moment *m = moment(s);

    return s->o->engine == EBPF_CHECKED ? &w->progs[m->prog]->decoded[m->slot] : lowered(w, m);
}

static bool different_address(const struct watched *w, const struct side s[2])
{
    const struct ebpf_decoded *a = run_by(w, &s[0]), *b = run_by(w, &s[1]);
    const struct moment *m = moment(&s[0]);
    const struct ebpf_proof *proof = w->progs[m->prog]->proof;

    if (base_of(a) < 0 || base_of(b) < 0 || proof->slots[m->slot].memory == PROOF_MEM_CTX)
        return false; /* fields of the context are elsewhere than the bytecode says */
    return address_at(a, m) != address_at(b, moment(&s[1]));
}

/* Registers that are read here and differ, a bit each. */
static uint32_t different_registers(const struct watched *w, const struct side s[2])
{
    const struct moment *a = moment(&s[0]), *b = moment(&s[1]);
    const struct ebpf_decoded *low = lowered(w, a);
    uint32_t read = low_effect(low).reads & a->written & ~(1u << ISA_FP), differ = 0;

    if (!is_as_written(low, &w->progs[a->prog]->decoded[a->slot]))
        return different_address(w, s) ? read : 0;
    for (unsigned r = 0; r < ISA_FP; r++)
        if ((read >> r & 1) &&
            (a->reg[r] != b->reg[r] || (a->on_stack >> r & 1) != (b->on_stack >> r & 1)))
            differ |= 1u << r;
    return differ;
}

/* The moment at which the instruction executes that last wrote a register before a moment. A
 * caller's arguments and a function's result are traced through the call. */
static uint32_t last_writer(const struct watched *w, const struct observed *o, uint32_t here,
                            unsigned reg)
{
    uint32_t depth = o->moments[here].depth;

    for (uint32_t n = here; n-- > 0;) {
        const struct moment *m = &o->moments[n];
        uint16_t op = w->progs[m->prog]->decoded[m->slot].op;

        if (m->depth < depth || (m->depth == depth + 1 && op == OP_EXIT && reg == 0))
            depth = m->depth; /* in the caller; in the function that has just returned */
        else if (m->depth == depth && (low_effect(lowered(w, m)).writes >> reg & 1) &&
                 op != OP_CALL_LOCAL)
            return n;
    }
    return 0;
}

/* Words of a program's frames that lowered code has no loads and stores of where the bytecode has,
 * a bit each, the lowest address first. */
static uint64_t moved_words(const struct ebpf_prog *prog)
{
    uint64_t moved = 0;

    for (uint32_t slot = 0; prog->lowered && slot < prog->nr_insns; slot++) {
        const struct ebpf_decoded *i = &prog->decoded[slot];

        if (base_of(i) == ISA_FP && i->off < 0 && i->off >= -(int32_t)ISA_STACK_SIZE &&
            base_of(&prog->lowered->code[slot]) != ISA_FP)
            moved |= 1ull << ((int32_t)ISA_STACK_SIZE + i->off) / 8;
    }
    return moved;
}

static bool is_moved(uint64_t place, uint64_t moved)
{
    return place >= PLACE_TOP(ISA_FRAMES_MAX) && place < PLACE_TOP(0) &&
           (moved >> place % ISA_STACK_SIZE / 8 & 1);
}

static bool different_memory(struct memory *memory, struct side s[2], uint64_t moved,
                             struct parting *out)
{
    for (unsigned n = 0; n < 2; n++) {
        for (; s[n].applied < moment(&s[n])->changes; s[n].applied++) {
            const struct change *change = &s[n].o->changes[s[n].applied];

            if (!is_moved(change->place, moved))
                memory_apply(memory, n, change);
        }
    }
    return memory_differs(memory, out);
}

static enum parting_kind compare(const struct watched *w, struct side s[2], struct memory *memory,
                                 struct parting *out)
{
    uint64_t moved = 0;

    for (uint32_t n = 0; n < w->nr_progs; n++)
        moved |= moved_words(w->progs[n]);
    for (;; s[0].at++, s[1].at++) {
        if (!align(w, s)) {
            if (ended(&s[0]) && ended(&s[1]))
                return PART_NOWHERE;
            return ended(&s[0]) || ended(&s[1]) ? PART_END : PART_PATH;
        }
        out->registers = different_registers(w, s);
        if (out->registers) {
            unsigned first = (unsigned)__builtin_ctz(out->registers);

            for (unsigned n = 0; n < 2; n++)
                out->last[n] = last_writer(w, s[n].o, s[n].at, first);
            return PART_REGISTERS;
        }
        if (different_memory(memory, s, moved, out))
            return PART_MEMORY;
        out->first = false;
        for (unsigned n = 0; n < 2; n++)
            out->last[n] = s[n].at;
    }
}

/* Finds the first moment at which two records of a run differ. */
void diff_find(const struct watched *w, const struct observed *a, const struct observed *b,
               struct parting *out)
{
    struct memory *memory = memory_new();
    struct side sides[2] = {{.o = a}, {.o = b}};

    *out = (struct parting){.first = true};
    out->kind = compare(w, sides, memory, out);
    for (unsigned n = 0; n < 2; n++)
        out->here[n] = sides[n].at;
    memory_free(memory);
}
