/*
 * Registers to spare. BPF has ten, so compilers spill to the stack, and put the address of a
 * variable into a register again at each use; the machine has more. What a function uses most of
 * its stack slots and 64-bit constants moves into registers that it does not use otherwise: one
 * that only lowered programs have, those of r6 to r9 that it does not mention, and, where it calls
 * nothing, those of r1 to r5. Uses in loops count more. The moves that are left in place of loads
 * and stores are for the passes after this to remove.
 *
 * A stack slot qualifies where all that touches it are whole loads and stores of one size through
 * r10 (proof->shared_stack has the rest).
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define STACK_SLOTS   (ISA_STACK_SIZE / 8)
#define CONSTANTS_MAX 16u
#define DEPTH_MAX     4u
#define DEPTH_WEIGHT  8u /* a use in a loop for so many outside */
#define SAVED_WEIGHT  4u /* uses that pay for saving and restoring a register */

/* Something that may move into a register: what uses it weigh. */
struct candidate {
    uint32_t weight;
    uint8_t reg;  /* where it moves; 0: nowhere */
    uint8_t size; /* slots: of each access, 0: none yet; BAD: it stays where it is */
    int16_t off;
    uint64_t constant;
};

#define BAD 0xffu

struct spare {
    struct lowering *l;
    struct low_function *f;
    uint32_t *depth; /* of loops, at each slot; NULL: no loops */
    struct candidate slots[STACK_SLOTS], constants[CONSTANTS_MAX];
    uint32_t nr_constants;
};

/* ---- loops ----------------------------------------------------------------------------------- */

static bool jumps_back(const struct ebpf_decoded *i, uint32_t slot)
{
    return (low_flow(i->op) & LOW_FLOW_JUMPS) && (uint32_t)i->off <= slot;
}

/* A loop goes from its head to the last jump back to it. */
static int measure_loops(struct spare *s)
{
    struct lowering *l = s->l;
    uint32_t *ends, depth = 0;

    if (!l->loops)
        return 0;
    ends = port_alloc(l->nr * sizeof(ends[0]));
    s->depth = port_alloc((l->nr + 1) * sizeof(s->depth[0]));
    if (!ends || !s->depth) {
        port_free(ends);
        return -ENOMEM;
    }
    for (uint32_t slot = 0; slot < l->nr; slot++)
        if (jumps_back(&l->code[slot], slot))
            ends[l->code[slot].off] = slot + 1;
    for (uint32_t slot = 0; slot < l->nr; slot++) {
        if (ends[slot]) {
            s->depth[slot]++;
            s->depth[ends[slot]]--;
        }
    }
    for (uint32_t slot = 0; slot < l->nr; slot++)
        s->depth[slot] = depth += s->depth[slot];
    port_free(ends);
    return 0;
}

static uint32_t weight_at(const struct spare *s, uint32_t slot)
{
    uint32_t depth = s->depth ? s->depth[slot] : 0, weight = 1;

    for (uint32_t n = 0; n < depth && n < DEPTH_MAX; n++)
        weight *= DEPTH_WEIGHT;
    return weight;
}

/* ---- candidates ------------------------------------------------------------------------------ */

static bool is_plain(uint16_t op)
{
    return op >= OP_LDX_B && op <= OP_ST_DW;
}

/* The register through which an instruction addresses memory; NO: it does not. */
static int base_of(const struct ebpf_decoded *i)
{
    if (is_plain(i->op))
        return (i->op - OP_LDX_B) % 3 ? i->dst : i->src;
    if (i->op >= OP_LDSX_B && i->op <= OP_LDSX_W)
        return i->src;
    return i->op >= OP_ATOMIC_ADD64 && i->op <= OP_ATOMIC_CMPXCHG32 ? i->dst : -1;
}

static struct candidate *slot_of(struct spare *s, int32_t off)
{
    return off < 0 && off >= -(int32_t)ISA_STACK_SIZE ? &s->slots[(-off - 1) / 8] : NULL;
}

static void note_stack(struct spare *s, const struct ebpf_decoded *i, uint32_t slot)
{
    uint8_t size = is_plain(i->op) ? (uint8_t)(1u << (i->op - OP_LDX_B) / 3) : BAD;
    struct candidate *first = slot_of(s, i->off), *last = slot_of(s, i->off + 7);

    if (!first)
        return;
    if (size < 4 || i->off % size || (first->size && first->off != i->off) ||
        (first->size && first->size != size))
        size = BAD;
    first->size = size;
    first->off = (int16_t)i->off;
    first->weight += weight_at(s, slot);
    if (size == BAD && last) /* it may reach into the next one */
        last->size = BAD;
}

static void note_constant(struct spare *s, const struct ebpf_decoded *i, uint32_t slot)
{
    const struct ebpf_prog *prog = s->l->prog;
    struct candidate *c = s->constants, *end = c + s->nr_constants;

    if (i->imm == (uint32_t)i->imm)
        return; /* as short where it is */
    while (c < end && c->constant != i->imm)
        c++;
    if (c == s->constants + CONSTANTS_MAX)
        return;
    if (c == end) {
        bool map = ebpf_maps_include(prog->maps, prog->nr_maps, i->imm);

        *c = (struct candidate){.constant = i->imm, .size = map ? BAD : 0}; /* an argument */
        s->nr_constants++;
    }
    c->weight += weight_at(s, slot);
}

/* Fills in the candidates. The registers that the function uses, a bit each. */
static uint16_t look_at(struct spare *s)
{
    uint64_t shared = s->l->proof->shared_stack;
    uint16_t used = 1; /* r0 */

    __builtin_memset(s->slots, 0, sizeof(s->slots));
    __builtin_memset(s->constants, 0, sizeof(s->constants));
    s->nr_constants = 0;
    for (unsigned n = 0; n < STACK_SLOTS; n++)
        s->slots[n].size = shared >> n & 1 ? BAD : 0;
    for (uint32_t slot = s->f->first; slot < s->f->end; slot++) {
        const struct ebpf_decoded *i = &s->l->code[slot];
        struct low_effect e = low_effect(i);

        used |= e.reads | e.writes;
        if ((e.reads >> ISA_FP & 1) && base_of(i) == (int)ISA_FP)
            note_stack(s, i, slot);
        else if (i->op == OP_LD_IMM64)
            note_constant(s, i, slot);
    }
    return used;
}

/* ---- choice ---------------------------------------------------------------------------------- */

static struct candidate *heaviest(struct spare *s)
{
    struct candidate *best = NULL;

    for (unsigned n = 0; n < STACK_SLOTS; n++)
        if (s->slots[n].size != BAD && !s->slots[n].reg && s->slots[n].weight &&
            (!best || s->slots[n].weight > best->weight))
            best = &s->slots[n];
    for (uint32_t n = 0; n < s->nr_constants; n++)
        if (s->constants[n].size != BAD && !s->constants[n].reg &&
            (!best || s->constants[n].weight > best->weight))
            best = &s->constants[n];
    return best;
}

static void begin_with(struct low_function *f, uint8_t reg, uint64_t value, bool constant)
{
    f->begins[f->nr_begins++] =
        (struct low_begin){.reg = reg, .value = value, .constant = constant};
}

/* True: something moves. */
static bool choose(struct spare *s, uint16_t used)
{
    static const uint8_t order[] = {5, 4, 3, 2, 1, 6, 7, 8, 9, LOW_SPARE};
    bool any = false;

    for (unsigned n = 0; n < sizeof(order); n++) {
        uint8_t reg = order[n];
        bool saved = reg >= 6;
        struct candidate *c;

        if (used >> reg & 1)
            continue;
        c = heaviest(s);
        if (!c || c->weight < (saved ? SAVED_WEIGHT : 2))
            break;
        c->reg = reg;
        any = true;
        if (!c->size)
            begin_with(s->f, reg, c->constant, true);
        else if (s->l->proof->reads_unwritten_stack)
            begin_with(s->f, reg, 0, false);
    }
    return any;
}

/* ---- rewriting ------------------------------------------------------------------------------- */

static void move_access(struct ebpf_decoded *i, const struct candidate *c)
{
    bool wide = c->size == 8;

    switch ((i->op - OP_LDX_B) % 3) {
    case 0:
        *i = (struct ebpf_decoded){
            .op = wide ? OP_MOV64_X : OP_MOV32_X, .dst = i->dst, .src = c->reg};
        break;
    case 1:
        *i = (struct ebpf_decoded){
            .op = wide ? OP_MOV64_X : OP_MOV32_X, .dst = c->reg, .src = i->src};
        break;
    default:
        *i = (struct ebpf_decoded){
            .op = wide ? OP_MOV64_K : OP_MOV32_K, .dst = c->reg, .imm = i->imm};
        break;
    }
}

static void move_constant(const struct spare *s, struct ebpf_decoded *i)
{
    for (uint32_t n = 0; n < s->nr_constants; n++)
        if (s->constants[n].constant == i->imm && s->constants[n].reg)
            *i = (struct ebpf_decoded){.op = OP_MOV64_X, .dst = i->dst, .src = s->constants[n].reg};
}

static void rewrite(struct spare *s)
{
    for (uint32_t slot = s->f->first; slot < s->f->end; slot++) {
        struct ebpf_decoded *i = &s->l->code[slot];
        const struct candidate *c = base_of(i) == (int)ISA_FP ? slot_of(s, i->off) : NULL;

        if (c && c->reg)
            move_access(i, c);
        else if (i->op == OP_LD_IMM64)
            move_constant(s, i);
    }
}

/* 0 or -ENOMEM. */
int low_spare(struct lowering *l)
{
    struct spare *s = port_alloc(sizeof(*s));
    int err = -ENOMEM;

    if (!s)
        return err;
    s->l = l;
    err = measure_loops(s);
    for (uint32_t n = 0; n < l->low->nr_functions && !err; n++) {
        s->f = &l->low->functions[n];
        if (choose(s, look_at(s)))
            rewrite(s);
    }
    port_free(s->depth);
    port_free(s);
    return err;
}
