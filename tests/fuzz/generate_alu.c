/*
 * Arithmetic in generated programs: every operation and form, and an upper bound of what comes out
 * of it where a verifier knows one too.
 */
#include "ebpf/base.h"
#include "tests/fuzz/generate_internal.h"

#define LOW32(max) ((max) < UINT32_MAX ? (max) : UINT32_MAX)

/* The least 2^n - 1 that is not below value. */
uint64_t bit_ceiling(uint64_t value)
{
    return value ? UINT64_MAX >> __builtin_clzll(value) : 0;
}

/* a + b, a * b: 64 bits unless they do not fit. */
static uint64_t add_bound(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t mul_bound(uint64_t a, uint64_t b)
{
    return b && a > UINT32_MAX / b ? UINT64_MAX : a * b;
}

/* How large `a code b` can be, b an exact number when constant, in 64 bits before any truncation.
 * UINT64_MAX: anything. */
static uint64_t bound(uint8_t code, uint64_t a, uint64_t b, bool constant)
{
    switch (code) {
    case BPF_ADD:
        return add_bound(a, b);
    case BPF_MUL:
        return mul_bound(a, b);
    case BPF_AND:
        return a < b ? a : b;
    case BPF_OR:
    case BPF_XOR:
        return bit_ceiling(a | b);
    case BPF_MOV:
        return b;
    case BPF_RSH:
        return constant ? a >> b : a;
    case BPF_LSH:
        return constant && b < 32 && a <= UINT32_MAX >> b ? a << b : UINT64_MAX;
    }
    return UINT64_MAX;
}

static void set_result(struct gen *g, unsigned dst, bool wide, uint8_t code, uint64_t b,
                       bool constant)
{
    uint64_t a = g->now.regs[dst].kind == K_NONE ? UINT64_MAX : g->now.regs[dst].max, max;

    if (wide) {
        max = bound(code, a, b, constant);
    } else {
        max = bound(code, LOW32(a), constant ? (uint32_t)b : LOW32(b), constant);
        /* A sum that may not fit is cut off anywhere. */
        max = LOW32(max);
    }
    set_scalar(g, dst, max);
}

static int32_t immediate(struct gen *g, uint8_t code, bool wide)
{
    int32_t imm = (int32_t)random_number(&g->random);

    if (code == BPF_LSH || code == BPF_RSH || code == BPF_ARSH)
        return imm & (wide ? 63 : 31);
    return (code == BPF_DIV || code == BPF_MOD) && imm == 0 ? 1 : imm;
}

static void make_operation(struct gen *g)
{
    static const struct {
        uint8_t code, off;
    } operations[] = {
#define ALU(NAME, name, code, off, text) {code, off},
#include "ebpf/opcodes.def"
    };
    unsigned which = random_below(&g->random, ARRAY_LEN(operations));
    uint8_t code = operations[which].code;
    bool wide = random_one_in(&g->random, 2);
    uint8_t class = wide ? BPF_ALU64 : BPF_ALU;
    unsigned src = any_scalar(g), dst = code == BPF_MOV ? pick_target(g) : need_scalar(g);

    if (random_one_in(&g->random, 2)) {
        int32_t imm = immediate(g, code, wide);

        emit(g, class | code | BPF_K, dst, 0, operations[which].off, imm);
        set_result(g, dst, wide, code, (uint64_t)(int64_t)imm, true);
        return;
    }
    if (!is_scalar(&g->now.regs[src])) /* dst was made just now, in its place */
        src = dst;
    emit(g, class | code | BPF_X, dst, src, operations[which].off, 0);
    set_result(g, dst, wide, code, g->now.regs[src].max, false);
}

static void make_unary(struct gen *g)
{
    static const struct {
        uint8_t code, bits;
    } swaps[] = {
#define SWAP(NAME, name, code, bits, text) {code, bits},
#include "ebpf/opcodes.def"
    };
    unsigned which = random_below(&g->random, ARRAY_LEN(swaps) + 2), dst = need_scalar(g);

    if (which < ARRAY_LEN(swaps)) {
        emit(g, swaps[which].code, dst, 0, 0, swaps[which].bits);
        set_scalar(g, dst, UINT64_MAX >> (64 - swaps[which].bits));
    } else {
        bool wide = which == ARRAY_LEN(swaps);

        emit(g, (wide ? BPF_ALU64 : BPF_ALU) | BPF_NEG, dst, 0, 0, 0);
        set_scalar(g, dst, wide ? UINT64_MAX : UINT32_MAX);
    }
}

static void make_movsx(struct gen *g)
{
    static const struct {
        uint8_t bits, wide;
    } moves[] = {
#define MOVSX(NAME, name, bits, wide, text) {bits, wide},
#include "ebpf/opcodes.def"
    };
    unsigned which = random_below(&g->random, ARRAY_LEN(moves));
    unsigned src = any_scalar(g), dst = pick_target(g);
    bool wide = moves[which].wide == 64;

    emit(g, (wide ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, dst, src, moves[which].bits, 0);
    set_scalar(g, dst, wide ? UINT64_MAX : UINT32_MAX);
}

/* Any arithmetic on numbers. */
void make_alu(struct gen *g)
{
    switch (random_below(&g->random, 8)) {
    case 0:
        make_unary(g);
        break;
    case 1:
        make_movsx(g);
        break;
    case 2:
        set_number(g, pick_target(g), random_number(&g->random));
        break;
    default:
        make_operation(g);
        break;
    }
}

/* Makes the number in reg one from 0 to max and a multiple of align (a power of two). */
void make_bounded(struct gen *g, unsigned reg, uint32_t max, uint32_t align)
{
    uint32_t mask = (uint32_t)(bit_ceiling((uint64_t)max + 1) >> 1) & ~(align - 1);
    bool wide = random_one_in(&g->random, 2);

    if (align == 1 && g->now.regs[reg].max <= max && !random_one_in(&g->random, 4))
        return;
    if (align == 1 && g->nr_fails < FAILS_MAX && random_one_in(&g->random, 3)) {
        g->fails[g->nr_fails++] = emit(g, BPF_JMP | BPF_JGT | BPF_K, reg, 0, 0, (int32_t)max);
        set_scalar(g, reg, max);
        return;
    }
    if (align == 1 && mask && random_one_in(&g->random, 4)) {
        int bits = __builtin_popcount(mask);

        emit(g, BPF_ALU64 | BPF_RSH | BPF_K, reg, 0, 0, 64 - bits);
        set_scalar(g, reg, mask);
        return;
    }
    emit(g, (wide ? BPF_ALU64 : BPF_ALU) | BPF_AND | BPF_K, reg, 0, 0, (int32_t)mask);
    set_scalar(g, reg, mask);
}
