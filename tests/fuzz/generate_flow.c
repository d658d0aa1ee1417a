/*
 * Control flow in generated programs: branches whose ways meet again or leave, checks that make
 * pointers usable, loops that end.
 */
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/prog.h"
#include "tests/fuzz/generate_internal.h"

#define NESTING_MAX 4u
#define LOOPS_MAX   2u

static void land(struct gen *g, uint32_t jump)
{
    struct bpf_insn *insn = &g->out->insns[jump];
    uint32_t distance = g->out->nr_insns - jump - 1;

    if (insn->code == (BPF_JMP32 | BPF_JA))
        insn->imm = (int32_t)distance;
    else
        insn->off = (int16_t)distance;
}

static uint32_t emit_goto(struct gen *g)
{
    bool far = random_one_in(&g->random, 4);

    return emit(g, far ? BPF_JMP32 | BPF_JA : BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

static void jump_back(struct gen *g, uint8_t code, unsigned dst, int32_t imm, uint32_t to)
{
    emit(g, code, dst, 0, (int)to - (int)g->out->nr_insns - 1, imm);
}

/* ---- where two ways meet -------------------------------------------------------------------- */

static struct reg merge_regs(const struct reg *a, const struct reg *b)
{
    struct reg r = *a;

    if (is_scalar(a) && is_scalar(b)) {
        if (a->kind != b->kind)
            r.kind = K_SCALAR;
        r.max = a->max > b->max ? a->max : b->max;
        return r;
    }
    if (a->kind != b->kind || a->area != b->area || (a->kind == K_STACK && a->at != b->at))
        return (struct reg){.kind = K_NONE};
    if (a->lo != b->lo || b->at)
        r.at = a->kind == K_STACK ? a->at : 1;
    r.lo = a->lo < b->lo ? a->lo : b->lo;
    r.hi = a->hi < b->hi ? a->hi : b->hi;
    r.align = a->align < b->align ? a->align : b->align;
    return r;
}

/* g->now: what holds on both ways. */
static void merge(struct gen *g, const struct state *other)
{
    struct state *now = &g->now;

    for (unsigned i = 0; i < ISA_REGISTERS; i++)
        now->regs[i] = merge_regs(&now->regs[i], &other->regs[i]);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *s = &now->slots[i];
        bool pointer = (s->held.kind != K_NONE && !is_scalar(&s->held)) ||
                       (other->slots[i].held.kind != K_NONE && !is_scalar(&other->slots[i].held));

        s->written &= other->slots[i].written;
        s->held = merge_regs(&s->held, &other->slots[i].held);
        if (pointer && s->held.kind == K_NONE)
            s->written = 0; /* bytes on one way only */
    }
    now->shared |= other->shared;
}

/* ---- ends ----------------------------------------------------------------------------------- */

static bool is_called_back(const struct gen *g)
{
    return g->function && g->function->called_back;
}

/* r0 depends on every number there is, and the program ends. */
static void make_exit(struct gen *g)
{
    static const uint8_t mixing[] = {BPF_ADD, BPF_XOR, BPF_SUB, BPF_MUL};

    if (!is_scalar(&g->now.regs[0]))
        set_number(g, 0, random_number(&g->random));
    for (unsigned i = 1; i < ISA_FP; i++)
        if (is_scalar(&g->now.regs[i]) && !random_one_in(&g->random, 4))
            emit(g, BPF_ALU64 | BPF_X | mixing[random_below(&g->random, ARRAY_LEN(mixing))], 0, i,
                 0, 0);
    for (unsigned i = SLOTS - 6; i < SLOTS; i++) {
        const struct slot *s = &g->now.slots[i];

        if (s->written != 0xff || !(s->held.kind == K_NONE || is_scalar(&s->held)))
            continue;
        emit(g, BPF_LDX | BPF_MEM | BPF_DW, 1, ISA_FP, (int)i * 8 - (int)ISA_STACK_SIZE, 0);
        emit(g, BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0);
    }
    if (is_called_back(g))
        emit(g, BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, random_one_in(&g->random, 2));
    emit(g, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The end of a function, and the exit that failed checks share. */
void end_function(struct gen *g)
{
    make_exit(g);
    if (!g->nr_fails)
        return;
    for (uint32_t i = 0; i < g->nr_fails; i++)
        land(g, g->fails[i]);
    set_number(g, 0, random_below(&g->random, is_called_back(g) ? 2 : 3));
    emit(g, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* ---- branches ------------------------------------------------------------------------------- */

/* The jump at `jump` has been made: taken holds when it is, g->now when not. Makes what is on
 * either way. */
static void make_ways(struct gen *g, uint32_t jump, struct state *taken)
{
    unsigned form = g->nesting < NESTING_MAX ? random_below(&g->random, 4) : 0;
    struct state fallen;
    uint32_t end;

    g->nesting++;
    switch (form) {
    case 0: /* if (!c) { } */
        make_block(g, random_below(&g->random, 3));
        land(g, jump);
        merge(g, taken);
        break;
    case 1: /* if (!c) return */
        make_exit(g);
        land(g, jump);
        g->now = *taken;
        break;
    default: /* if (!c) { } else { } */
        make_block(g, 1 + random_below(&g->random, 4));
        end = emit_goto(g);
        land(g, jump);
        fallen = g->now;
        g->now = *taken;
        make_block(g, random_below(&g->random, 4));
        land(g, end);
        merge(g, &fallen);
        break;
    }
    g->nesting--;
}

static void lower(struct reg *r, uint64_t max)
{
    if (r->kind == K_SCALAR && r->max > max)
        r->max = max;
}

/* What a comparison of 64 bits with a small constant says of r. */
static void refine(uint8_t code, uint64_t imm, struct reg *fallen, struct reg *taken)
{
    switch (code) {
    case BPF_JEQ:
        lower(taken, imm);
        break;
    case BPF_JNE:
    case BPF_JGT:
        lower(fallen, imm);
        break;
    case BPF_JLE:
        lower(taken, imm);
        break;
    case BPF_JGE:
        lower(fallen, imm ? imm - 1 : UINT64_MAX);
        break;
    case BPF_JLT:
        lower(taken, imm ? imm - 1 : UINT64_MAX);
        break;
    }
}

/* A comparison of numbers. */
void make_branch(struct gen *g)
{
    static const uint8_t codes[] = {
#define JUMP(NAME, name, code, text) code,
#include "ebpf/opcodes.def"
    };
    uint8_t code = codes[random_below(&g->random, ARRAY_LEN(codes))];
    bool wide = random_one_in(&g->random, 2);
    unsigned dst = any_scalar(g), src = any_scalar(g);
    int32_t imm = (int32_t)random_number(&g->random);
    struct state taken;
    uint32_t jump;

    if (random_one_in(&g->random, 3)) {
        jump = emit(g, (wide ? BPF_JMP : BPF_JMP32) | code | BPF_X, dst, src, 0, 0);
        taken = g->now;
    } else {
        jump = emit(g, (wide ? BPF_JMP : BPF_JMP32) | code | BPF_K, dst, 0, 0, imm);
        taken = g->now;
        if (wide && imm >= 0)
            refine(code, (uint64_t)imm, &g->now.regs[dst], &taken.regs[dst]);
    }
    make_ways(g, jump, &taken);
}

/* ---- checks --------------------------------------------------------------------------------- */

/* After a comparison: who finds the check failed leaves, or goes another way. */
static void fail_when(struct gen *g, uint32_t jump, bool taken_fails, struct state *taken)
{
    if (taken_fails && g->nr_fails < FAILS_MAX && random_one_in(&g->random, 2)) {
        g->fails[g->nr_fails++] = jump;
        return;
    }
    if (taken_fails || g->nesting >= NESTING_MAX || random_one_in(&g->random, 2)) {
        make_ways(g, jump, taken);
        return;
    }
    /* What fell through has failed: it leaves at once. */
    make_exit(g);
    land(g, jump);
    g->now = *taken;
}

/* if (p + n > end): four comparisons, either way round. */
static void check_packet(struct gen *g)
{
    static const struct {
        uint8_t code;
        bool swapped, taken_fails;
    } forms[] = {{BPF_JGT, false, true},
                 {BPF_JLE, false, false},
                 {BPF_JLT, true, true},
                 {BPF_JGE, true, false}};
    unsigned form = random_below(&g->random, ARRAY_LEN(forms)), limit = pick_target(g);
    int pointer = pick(g, REG(K_DATA), 0x3ff), end = pick(g, REG(K_PACKET_END), 0x3ff);
    int32_t size = 1 + (int32_t)random_below(&g->random, random_one_in(&g->random, 4) ? 100 : 32);
    struct state taken;
    uint32_t jump;
    struct reg *r;

    if (pointer < 0 || end < 0 || g->now.regs[pointer].area != A_PACKET ||
        limit == (unsigned)pointer || limit == (unsigned)end)
        return;
    emit_mov(g, limit, (unsigned)pointer);
    emit(g, BPF_ALU64 | BPF_ADD | BPF_K, limit, 0, 0, size);
    g->now.regs[limit].kind = K_NONE;
    jump = emit(g, BPF_JMP | BPF_X | forms[form].code, forms[form].swapped ? (unsigned)end : limit,
                forms[form].swapped ? limit : (unsigned)end, 0, 0);
    taken = g->now;
    r = forms[form].taken_fails ? &g->now.regs[pointer] : &taken.regs[pointer];
    r->hi = r->hi > size ? r->hi : size;
    fail_when(g, jump, forms[form].taken_fails, &taken);
}

static void widen_memory(struct state *s, int32_t size)
{
    for (unsigned i = 0; i < ISA_FP; i++) {
        struct reg *r = &s->regs[i];

        /* lo is where in the memory it points, as long as no index was added. */
        if (r->kind == K_DATA && r->area == A_MEMORY && r->at == 0 && r->hi < size - r->lo)
            r->hi = size - r->lo;
    }
}

/* if (length < n) */
static void check_length(struct gen *g)
{
    static const struct {
        uint8_t code;
        int8_t above; /* what is added to the constant */
        bool taken_fails;
    } forms[] = {
        {BPF_JLT, 0, true}, {BPF_JLE, -1, true}, {BPF_JGE, 0, false}, {BPF_JGT, -1, false}};
    unsigned form = random_below(&g->random, ARRAY_LEN(forms));
    int length = pick(g, REG(K_LENGTH), 0x3ff);
    int32_t size = 1 + (int32_t)random_below(&g->random, random_one_in(&g->random, 2) ? 64 : 20);
    struct state taken;
    uint32_t jump;

    if (length < 0)
        return;
    jump = emit(g, BPF_JMP | BPF_K | forms[form].code, (unsigned)length, 0, 0,
                size + forms[form].above);
    taken = g->now;
    widen_memory(forms[form].taken_fails ? &g->now : &taken, size);
    fail_when(g, jump, forms[form].taken_fails, &taken);
}

/* A comparison after which more of the packet or the memory may be used. */
void make_check(struct gen *g)
{
    if (g->out->prog_type == BPF_PROG_TYPE_XDP)
        check_packet(g);
    else
        check_length(g);
}

/* What a map lookup gave is compared with NULL. */
void make_null_check(struct gen *g)
{
    int reg = pick(g, REG(K_VALUE_OR_NULL), (uint16_t)(0x3ff & ~g->locked));
    bool equal = random_one_in(&g->random, 2);
    struct state taken;
    uint32_t jump;

    if (reg < 0)
        return;
    jump = emit(g, BPF_JMP | BPF_K | (equal ? BPF_JEQ : BPF_JNE), (unsigned)reg, 0, 0, 0);
    taken = g->now;
    (equal ? &g->now : &taken)->regs[reg].kind = K_DATA;
    (equal ? &taken : &g->now)->regs[reg] = (struct reg){.kind = K_SCALAR, .max = 0};
    fail_when(g, jump, equal, &taken);
}

/* ---- loops ---------------------------------------------------------------------------------- */

/* Makes g->now hold at the head on every trip: numbers may be any, pointers stay as they are. */
static void generalise(struct gen *g)
{
    int kept = __builtin_popcount(g->locked & CALLER_SAVED);

    for (unsigned i = 0; i < ISA_FP; i++) {
        struct reg *r = &g->now.regs[i];

        if (g->locked & REG(i))
            continue;
        if (is_scalar(r) && (i > 5 || g->no_calls)) {
            set_scalar(g, i, UINT64_MAX);
        } else if (r->kind != K_NONE && (i > 5 || (g->no_calls && kept++ < 3))) {
            g->locked |= (uint16_t)REG(i);
        } else {
            r->kind = K_NONE;
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        struct reg *held = &g->now.slots[i].held;

        if (is_scalar(held))
            held->kind = K_NONE;
        else if (held->kind != K_NONE)
            g->locked_slots |= 1ull << i;
    }
}

/* At the end of a trip: where the head counts on a number, there is one again. */
static void restore(struct gen *g, const struct state *at_head)
{
    for (unsigned i = 0; i < ISA_FP; i++)
        if (is_scalar(&at_head->regs[i]) && !is_scalar(&g->now.regs[i]))
            set_number(g, i, random_number(&g->random));
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *s = &g->now.slots[i];
        bool bytes = at_head->slots[i].held.kind == K_NONE && at_head->slots[i].written;

        if (!bytes || (s->written == 0xff && (s->held.kind == K_NONE || is_scalar(&s->held))))
            continue;
        if ((at_head->slots[i].written & ~s->written) == 0 && s->held.kind == K_NONE)
            continue;
        emit(g, BPF_ST | BPF_MEM | BPF_DW, ISA_FP, 0, (int)i * 8 - (int)ISA_STACK_SIZE,
             (int32_t)random_number(&g->random));
        *s = (struct slot){.written = 0xff};
    }
}

/* A loop of `trips` trips, counted in a register. */
static void make_counted(struct gen *g, unsigned counter, uint32_t trips)
{
    /* may_goto in an inner loop makes more paths than a verifier can walk. */
    unsigned form = random_below(&g->random, g->loops > 1 ? 3 : 4);
    uint32_t head, leave = 0, leave_too = 0;
    struct state at_head;

    set_number(g, counter, form == 0 ? trips : 0);
    g->locked |= (uint16_t)REG(counter);
    generalise(g);
    g->now.regs[counter].max = form == 0 ? trips : trips - 1;
    at_head = g->now;
    head = g->out->nr_insns;
    if (form == 3)
        leave_too = emit(g, BPF_JMP | BPF_JCOND, 0, 0, 0, 0);
    if (form >= 2)
        leave = emit(g, BPF_JMP | BPF_JGE | BPF_K, counter, 0, 0, (int32_t)trips);
    make_block(g, 1 + random_below(&g->random, 4));
    restore(g, &at_head);
    emit(g, BPF_ALU64 | BPF_ADD | BPF_K, counter, 0, 0, form == 0 ? -1 : 1);
    if (form == 0)
        jump_back(g, BPF_JMP | BPF_JNE | BPF_K, counter, 0, head);
    else if (form == 1)
        jump_back(g, BPF_JMP | BPF_JLT | BPF_K, counter, (int32_t)trips, head);
    else
        jump_back(g, BPF_JMP | BPF_JA, 0, 0, head);
    if (form >= 2) {
        land(g, leave);
        at_head.shared = g->now.shared;
        g->now = at_head;
    }
    if (form == 3)
        land(g, leave_too);
    g->now.regs[counter].max = trips;
}

void make_loop(struct gen *g)
{
    uint16_t locked = g->locked;
    uint64_t locked_slots = g->locked_slots;
    bool no_calls = g->no_calls;
    int counter;

    if (g->loops >= LOOPS_MAX || g->nesting >= NESTING_MAX)
        return;
    g->no_calls = no_calls || random_one_in(&g->random, 2);
    counter = pick(g, ~0u, (uint16_t)(~locked & (g->no_calls ? 0x3ff : CALLEE_SAVED)));
    if (counter >= 0) {
        g->loops++;
        g->nesting++;
        make_counted(g, (unsigned)counter, 1 + random_below(&g->random, g->loops > 1 ? 4 : 12));
        g->nesting--;
        g->loops--;
    }
    g->locked = locked;
    g->locked_slots = locked_slots;
    g->no_calls = no_calls;
}
