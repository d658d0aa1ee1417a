/*
 * The scalar domain against alu.h: whatever two numbers an operation is given, the domain's result
 * for any pair of abstract values that contain them contains the machine's result. All pairs of
 * 8-bit numbers, at several places of the 64-bit range, and random ones at 64 bits.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ebpf/alu.h"
#include "ebpf/base.h"
#include "ebpf/scalar.h"
#include "tests/unit/leakcheck.h"

TestSuite(scalar, .fini = leakcheck);

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static const struct {
    enum ebpf_op op;
    uint64_t (*compute)(uint64_t, uint64_t);
    const char *name;
} alus[] = {
#define ALU(NAME, name, code, off, text)                                                           \
    {OP_##NAME##64_X, alu_##name##64, #name "64"}, {OP_##NAME##32_X, alu_##name##32, #name "32"},
#include "ebpf/opcodes.def"
};

static const struct {
    enum ebpf_op op;
    uint64_t (*compute)(uint64_t);
    const char *name;
} unaries[] = {
    {OP_NEG64, alu_neg64, "neg64"},
    {OP_NEG32, alu_neg32, "neg32"},
#define MOVSX(NAME, name, bits, wide, text) {OP_##NAME, alu_##name, #name},
#define SWAP(NAME, name, code, bits, text)  {OP_##NAME, alu_##name, #name},
#include "ebpf/opcodes.def"
};

static const struct {
    enum ebpf_op op;
    bool (*holds)(uint64_t, uint64_t);
    const char *name;
} jumps[] = {
#define JUMP(NAME, name, code, text)                                                               \
    {OP_##NAME##64_X, alu_##name##64, #name "64"}, {OP_##NAME##32_X, alu_##name##32, #name "32"},
#include "ebpf/opcodes.def"
};

/* An abstract value around v: bits forgotten, then ranges of each sort that hold v. */
static struct scalar around(uint64_t v, uint64_t window)
{
    struct scalar s = scalar_unknown();
    uint64_t r = random64();
    uint64_t below = random64() & window, above = random64() & window;

    if (r & 1) {
        s.bits.mask = random64() & random64() & window;
        s.bits.value = v & ~s.bits.mask;
    }
    if (r & 2) {
        s.umin = v > below ? v - below : 0;
        s.umax = v < UINT64_MAX - above ? v + above : UINT64_MAX;
    }
    if (r & 4) {
        s.smin = (int64_t)v > INT64_MIN + (int64_t)(below >> 1) ? (int64_t)(v - (below >> 1))
                                                                : INT64_MIN;
        s.smax = (int64_t)v < INT64_MAX - (int64_t)(above >> 1) ? (int64_t)(v + (above >> 1))
                                                                : INT64_MAX;
    }
    if (r & 8) {
        uint32_t low = (uint32_t)v, down = (uint32_t)below, up = (uint32_t)above;
        s.umin32 = low > down ? low - down : 0;
        s.umax32 = low < UINT32_MAX - up ? low + up : UINT32_MAX;
    }
    if (r & 16) {
        int32_t low = (int32_t)v, by = (int32_t)(below & INT32_MAX);
        s.smin32 = low > INT32_MIN + by ? low - by : INT32_MIN;
        s.smax32 = low < INT32_MAX - by ? low + by : INT32_MAX;
    }
    cr_assert(scalar_sync(&s), "a value that contains 0x%lx is empty", v);
    if ((r & 0x780) == 0)
        s = scalar_const(v);
    cr_assert(scalar_contains(&s, v), "0x%lx was lost from its own abstraction", v);
    return s;
}

static void check_pair(uint64_t a, uint64_t b, uint64_t window)
{
    struct scalar sa = around(a, window), sb = around(b, window), r;

    for (unsigned i = 0; i < ARRAY_LEN(alus); i++) {
        r = scalar_alu(alus[i].op, &sa, &sb);
        cr_assert(scalar_contains(&r, alus[i].compute(a, b)), "%s(0x%lx, 0x%lx) is lost",
                  alus[i].name, a, b);
    }
    for (unsigned i = 0; i < ARRAY_LEN(jumps); i++) {
        bool holds = jumps[i].holds(a, b);
        int decided = scalar_decide(jumps[i].op, &sa, &sb);
        struct scalar ra = sa, rb = sb;

        cr_assert(decided < 0 || decided == holds, "%s(0x%lx, 0x%lx) decided wrongly",
                  jumps[i].name, a, b);
        cr_assert(scalar_refine(jumps[i].op, holds, &ra, &rb), "%s(0x%lx, 0x%lx): no values",
                  jumps[i].name, a, b);
        cr_assert(scalar_contains(&ra, a) && scalar_contains(&rb, b), "%s(0x%lx, 0x%lx) is lost",
                  jumps[i].name, a, b);
        cr_assert(scalar_includes(&sa, &ra) && scalar_includes(&sb, &rb), "%s widens",
                  jumps[i].name);
    }
    r = sa;
    if (scalar_contains(&sb, a)) {
        cr_assert(scalar_intersect(&r, &sb));
        cr_assert(scalar_contains(&r, a));
    }
}

static void check_one(uint64_t a, uint64_t window)
{
    struct scalar sa = around(a, window);

    for (unsigned i = 0; i < ARRAY_LEN(unaries); i++) {
        struct scalar r = scalar_unary(unaries[i].op, &sa);
        cr_assert(scalar_contains(&r, unaries[i].compute(a)), "%s(0x%lx) is lost", unaries[i].name,
                  a);
    }
    for (unsigned bits = 8; bits <= 32; bits *= 2) {
        struct scalar z = scalar_zero_extend(&sa, bits), s = scalar_sign_extend(&sa, bits);
        unsigned shift = 64 - bits;

        cr_assert(scalar_contains(&z, a << shift >> shift));
        cr_assert(scalar_contains(&s, (uint64_t)((int64_t)(a << shift) >> shift)));
    }
}

/* Places at which an 8-bit number meets another sign or another half. */
static uint64_t place(unsigned at, uint64_t v)
{
    switch (at) {
    case 0:
        return v;
    case 1:
        return (uint64_t)(int64_t)(int8_t)v;
    case 2:
        return 0xffffff80u + v;
    case 3:
        return 0x7fffff80u + v;
    case 4:
        return 0x7fffffffffffff80u + v;
    default:
        return v << 28;
    }
}

#define PLACES 6u

Test(scalar, all_pairs_of_8_bits_contained)
{
    for (unsigned at = 0; at < PLACES; at++)
        for (uint64_t a = 0; a < 256; a++)
            for (uint64_t b = 0; b < 256; b++)
                check_pair(place(at, a), place(random64() % PLACES, b), 0xff);
}

Test(scalar, all_numbers_of_8_bits_contained)
{
    for (unsigned round = 0; round < 64; round++)
        for (unsigned at = 0; at < PLACES; at++)
            for (uint64_t a = 0; a < 256; a++)
                check_one(place(at, a), 0xff);
}

Test(scalar, random_64_bits_contained)
{
    for (unsigned i = 0; i < 60000; i++) {
        unsigned shift = random64() % 64;
        uint64_t a = random64() >> shift, b = random64() >> (random64() % 64);

        check_pair(a, b, UINT64_MAX >> (random64() % 64));
        check_one(a, UINT64_MAX >> (random64() % 64));
    }
}

/* Soundness alone would be satisfied by "unknown": these say what must be known. */
Test(scalar, results_are_sharp)
{
    struct scalar a = scalar_range(10, 20), b = scalar_range(1, 3), ten = scalar_const(10), r;

    r = scalar_alu(OP_ADD64_X, &a, &b);
    cr_assert(r.umin == 11 && r.umax == 23 && r.smax == 23 && r.umax32 == 23);
    r = scalar_alu(OP_SUB32_X, &b, &a);
    cr_assert(r.smin32 == -19 && r.smax32 == -7 && r.umax <= UINT32_MAX);
    r = scalar_alu(OP_MUL64_X, &a, &b);
    cr_assert(r.umin == 10 && r.umax == 60);
    r = scalar_alu(OP_LSH64_X, &a, &b);
    cr_assert(r.umin == 20 && r.umax == 160);
    r = scalar_alu(OP_MOD64_K, &a, &ten);
    cr_assert(r.umax == 9);
    r = scalar_alu(OP_DIV64_K, &a, &ten);
    cr_assert(r.umin == 1 && r.umax == 2);
    r = scalar_unknown();
    b = scalar_const(15);
    r = scalar_alu(OP_AND64_K, &r, &b);
    cr_assert(r.umax == 15 && r.smin == 0);
}

Test(scalar, branches_are_sharp)
{
    struct scalar a = scalar_unknown(), n = scalar_const(64);

    cr_assert(scalar_refine(OP_JLT32_K, true, &a, &n));
    a = scalar_zero_extend(&a, 32);
    cr_assert(a.umin == 0 && a.umax == 63);
    n = scalar_const(0);
    cr_assert(scalar_refine(OP_JNE64_K, true, &a, &n));
    cr_assert_eq(a.umin, 1);
    cr_assert_eq(scalar_decide(OP_JGT64_K, &a, &n), 1);
    n = scalar_const(64);
    cr_assert_eq(scalar_decide(OP_JEQ64_K, &a, &n), 0);
    cr_assert_not(scalar_refine(OP_JEQ64_K, true, &a, &n));
    a = scalar_unknown();
    n = scalar_const(8);
    cr_assert(scalar_refine(OP_JSET64_K, false, &a, &n));
    cr_assert_eq(a.bits.mask & 8, 0);
}
