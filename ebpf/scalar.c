/*
 * The scalar domain's core: making, comparing, intersecting and sharpening, and what arithmetic
 * does. Conditions are scalar_branch.c's. 32-bit operations are 64-bit ones on operands extended
 * with zeroes and with the sign: both agree with the machine in the low half.
 */
#include "ebpf/scalar.h"

#include "ebpf/alu.h"
#include "ebpf/base.h"

#define SIGN      (UINT64_C(1) << 63)
#define LOW       UINT64_C(0xffffffff)
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

struct scalar scalar_const(uint64_t value)
{
    return (struct scalar){
        .bits = {value, 0},
        .umin = value,
        .umax = value,
        .smin = (int64_t)value,
        .smax = (int64_t)value,
        .umin32 = (uint32_t)value,
        .umax32 = (uint32_t)value,
        .smin32 = (int32_t)value,
        .smax32 = (int32_t)value,
    };
}

struct scalar scalar_unknown(void)
{
    return (struct scalar){
        .bits = {0, UINT64_MAX},
        .umin = 0,
        .umax = UINT64_MAX,
        .smin = INT64_MIN,
        .smax = INT64_MAX,
        .umin32 = 0,
        .umax32 = UINT32_MAX,
        .smin32 = INT32_MIN,
        .smax32 = INT32_MAX,
    };
}

bool scalar_is_unknown(const struct scalar *s)
{
    return s->bits.mask == UINT64_MAX && s->umin == 0 && s->umax == UINT64_MAX &&
           s->smin == INT64_MIN && s->smax == INT64_MAX && s->umin32 == 0 &&
           s->umax32 == UINT32_MAX && s->smin32 == INT32_MIN && s->smax32 == INT32_MAX;
}

bool scalar_contains(const struct scalar *s, uint64_t value)
{
    return tnum_contains(s->bits, value) && value >= s->umin && value <= s->umax &&
           (int64_t)value >= s->smin && (int64_t)value <= s->smax && (uint32_t)value >= s->umin32 &&
           (uint32_t)value <= s->umax32 && (int32_t)value >= s->smin32 &&
           (int32_t)value <= s->smax32;
}

/* Is every value of b, as far as it can be told, one of a? */
bool scalar_includes(const struct scalar *a, const struct scalar *b)
{
    return tnum_includes(a->bits, b->bits) && b->umin >= a->umin && b->umax <= a->umax &&
           b->smin >= a->smin && b->smax <= a->smax && b->umin32 >= a->umin32 &&
           b->umax32 <= a->umax32 && b->smin32 >= a->smin32 && b->smax32 <= a->smax32;
}

/* ---- each part sharpened by the others ---------------------------------------------------------
 */

static void ranges_from_bits(struct scalar *s)
{
    uint64_t low = s->bits.value, high = s->bits.value | s->bits.mask;
    int64_t slow = (int64_t)(low | (s->bits.mask & SIGN)),
            shigh = (int64_t)(low | (s->bits.mask & ~SIGN));
    uint32_t sign32 = (uint32_t)s->bits.mask & (UINT32_C(1) << 31);
    int32_t slow32 = (int32_t)((uint32_t)low | sign32),
            shigh32 = (int32_t)((uint32_t)low | ((uint32_t)s->bits.mask & INT32_MAX));

    s->umin = MAX(s->umin, low);
    s->umax = MIN(s->umax, high);
    s->smin = MAX(s->smin, slow);
    s->smax = MIN(s->smax, shigh);
    s->umin32 = MAX(s->umin32, (uint32_t)low);
    s->umax32 = MIN(s->umax32, (uint32_t)high);
    s->smin32 = MAX(s->smin32, slow32);
    s->smax32 = MIN(s->smax32, shigh32);
}

/* A range that does not cross the sign change is the same range of the other sort. */
static void cross_signs(struct scalar *s)
{
    if ((int64_t)s->umin <= (int64_t)s->umax) {
        s->smin = MAX(s->smin, (int64_t)s->umin);
        s->smax = MIN(s->smax, (int64_t)s->umax);
    }
    if ((uint64_t)s->smin <= (uint64_t)s->smax) {
        s->umin = MAX(s->umin, (uint64_t)s->smin);
        s->umax = MIN(s->umax, (uint64_t)s->smax);
    }
    if ((int32_t)s->umin32 <= (int32_t)s->umax32) {
        s->smin32 = MAX(s->smin32, (int32_t)s->umin32);
        s->smax32 = MIN(s->smax32, (int32_t)s->umax32);
    }
    if ((uint32_t)s->smin32 <= (uint32_t)s->smax32) {
        s->umin32 = MAX(s->umin32, (uint32_t)s->smin32);
        s->umax32 = MIN(s->umax32, (uint32_t)s->smax32);
    }
}

static void cross_widths(struct scalar *s)
{
    uint64_t umin = (s->umin & ~LOW) | s->umin32, umax = (s->umax & ~LOW) | s->umax32;
    int64_t smin = (int64_t)(((uint64_t)s->smin & ~LOW) | s->umin32),
            smax = (int64_t)(((uint64_t)s->smax & ~LOW) | s->umax32);

    if (s->umin >> 32 == s->umax >> 32) {
        s->umin32 = MAX(s->umin32, (uint32_t)s->umin);
        s->umax32 = MIN(s->umax32, (uint32_t)s->umax);
    }
    if (s->smin >> 32 == s->smax >> 32) {
        s->umin32 = MAX(s->umin32, (uint32_t)s->smin);
        s->umax32 = MIN(s->umax32, (uint32_t)s->smax);
    }
    if (s->smin >= INT32_MIN && s->smax <= INT32_MAX) {
        s->smin32 = MAX(s->smin32, (int32_t)s->smin);
        s->smax32 = MIN(s->smax32, (int32_t)s->smax);
        s->smin = MAX(s->smin, (int64_t)s->smin32);
        s->smax = MIN(s->smax, (int64_t)s->smax32);
    }
    s->umin = MAX(s->umin, umin);
    s->umax = MIN(s->umax, umax);
    s->smin = MAX(s->smin, smin);
    s->smax = MIN(s->smax, smax);
}

static bool bits_from_ranges(struct scalar *s)
{
    struct tnum whole = tnum_range(s->umin, s->umax), half = tnum_range(s->umin32, s->umax32);

    half.mask |= ~LOW;
    half.value &= LOW & ~half.mask;
    if (tnum_disjoint(s->bits, whole))
        return false;
    s->bits = tnum_intersect(s->bits, whole);
    if (tnum_disjoint(s->bits, half))
        return false;
    s->bits = tnum_intersect(s->bits, half);
    return true;
}

static bool is_empty(const struct scalar *s)
{
    return s->umin > s->umax || s->smin > s->smax || s->umin32 > s->umax32 || s->smin32 > s->smax32;
}

/* Sharpens the parts by one another. False: no value is left. */
bool scalar_sync(struct scalar *s)
{
    if (scalar_is_unknown(s))
        return true;
    for (unsigned round = 0; round < 2; round++) {
        struct scalar before = *s;

        ranges_from_bits(s);
        cross_signs(s);
        cross_widths(s);
        cross_signs(s);
        if (is_empty(s) || !bits_from_ranges(s))
            return false;
        if (s->bits.mask == 0) {
            bool possible = scalar_contains(s, s->bits.value);

            *s = scalar_const(s->bits.value);
            return possible;
        }
        if (__builtin_memcmp(&before, s, sizeof(before)) == 0)
            return true;
    }
    ranges_from_bits(s);
    return !is_empty(s);
}

struct scalar scalar_range(uint64_t umin, uint64_t umax)
{
    struct scalar s = scalar_unknown();

    s.umin = umin;
    s.umax = umax;
    scalar_sync(&s);
    return s;
}

struct scalar scalar_signed_range(int64_t smin, int64_t smax)
{
    struct scalar s = scalar_unknown();

    s.smin = smin;
    s.smax = smax;
    scalar_sync(&s);
    return s;
}

/* a becomes what is in both. False: nothing is. */
bool scalar_intersect(struct scalar *a, const struct scalar *b)
{
    if (tnum_disjoint(a->bits, b->bits))
        return false;
    a->bits = tnum_intersect(a->bits, b->bits);
    a->umin = MAX(a->umin, b->umin);
    a->umax = MIN(a->umax, b->umax);
    a->smin = MAX(a->smin, b->smin);
    a->smax = MIN(a->smax, b->smax);
    a->umin32 = MAX(a->umin32, b->umin32);
    a->umax32 = MIN(a->umax32, b->umax32);
    a->smin32 = MAX(a->smin32, b->smin32);
    a->smax32 = MIN(a->smax32, b->smax32);
    return scalar_sync(a);
}

/* The low bits (8, 16 or 32), with zeroes above. */
struct scalar scalar_zero_extend(const struct scalar *s, unsigned bits)
{
    uint64_t low = (UINT64_C(1) << bits) - 1;
    struct scalar r = scalar_unknown();

    if (s->bits.mask == 0)
        return scalar_const(s->bits.value & low);
    if (s->umax <= low)
        return *s;
    r.bits.value = s->bits.value & low;
    r.bits.mask = s->bits.mask & low;
    r.umax = low;
    if (bits == 32) {
        r.umin = s->umin32;
        r.umax = s->umax32;
        r.smin32 = s->smin32;
        r.smax32 = s->smax32;
    } else if (s->umin >> bits == s->umax >> bits) {
        r.umin = s->umin & low;
        r.umax = s->umax & low;
    }
    scalar_sync(&r);
    return r;
}

/* The low bits (8, 16 or 32), with their sign above. */
struct scalar scalar_sign_extend(const struct scalar *s, unsigned bits)
{
    unsigned shift = 64 - bits;
    int64_t smallest = INT64_MIN >> shift, largest = INT64_MAX >> shift;
    struct scalar r = scalar_unknown();

    if (s->bits.mask == 0)
        return scalar_const((uint64_t)((int64_t)(s->bits.value << shift) >> shift));
    if (s->smin >= smallest && s->smax <= largest)
        return *s;
    r.bits = tnum_arsh(tnum_lsh(s->bits, shift), shift);
    r.smin = smallest;
    r.smax = largest;
    if (bits == 32) {
        r.smin = s->smin32;
        r.smax = s->smax32;
        r.umin32 = s->umin32;
        r.umax32 = s->umax32;
    }
    scalar_sync(&r);
    return r;
}

/* ---- arithmetic: each gives all that op can make of the operands' values
 * ------------------------- Parts that an operation says nothing about stay unknown; scalar_sync
 * fills them in. */

static void add(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    bool low = __builtin_add_overflow(a->umin, b->umin, &r->umin);
    bool high = __builtin_add_overflow(a->umax, b->umax, &r->umax);
    bool slow = __builtin_add_overflow(a->smin, b->smin, &r->smin);
    bool shigh = __builtin_add_overflow(a->smax, b->smax, &r->smax);

    /* When all sums wrap once, they stay in order. */
    if (low != high)
        r->umin = 0, r->umax = UINT64_MAX;
    if (slow != shigh || r->smin > r->smax)
        r->smin = INT64_MIN, r->smax = INT64_MAX;
    r->bits = tnum_add(a->bits, b->bits);
}

static void sub(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    bool low = __builtin_sub_overflow(a->umin, b->umax, &r->umin);
    bool high = __builtin_sub_overflow(a->umax, b->umin, &r->umax);
    bool slow = __builtin_sub_overflow(a->smin, b->smax, &r->smin);
    bool shigh = __builtin_sub_overflow(a->smax, b->smin, &r->smax);

    if (low != high)
        r->umin = 0, r->umax = UINT64_MAX;
    if (slow != shigh || r->smin > r->smax)
        r->smin = INT64_MIN, r->smax = INT64_MAX;
    r->bits = tnum_sub(a->bits, b->bits);
}

static void mul(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    const int64_t as[] = {a->smin, a->smax}, bs[] = {b->smin, b->smax};
    int64_t smin = INT64_MAX, smax = INT64_MIN;
    bool overflow = false;

    if (!__builtin_mul_overflow(a->umax, b->umax, &r->umax))
        r->umin = a->umin * b->umin;
    else
        r->umax = UINT64_MAX;
    for (unsigned i = 0; i < 4; i++) {
        int64_t product;

        overflow |= __builtin_mul_overflow(as[i & 1], bs[i >> 1], &product);
        smin = MIN(smin, product);
        smax = MAX(smax, product);
    }
    if (!overflow)
        r->smin = smin, r->smax = smax;
    r->bits = tnum_mul(a->bits, b->bits);
}

static void bitwise_and(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    r->bits = tnum_and(a->bits, b->bits);
    r->umax = MIN(a->umax, b->umax);
}

static void bitwise_or(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    r->bits = tnum_or(a->bits, b->bits);
    r->umin = MAX(a->umin, b->umin);
}

static void bitwise_xor(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    r->bits = tnum_xor(a->bits, b->bits);
}

/* Shifts get counts below the width, so that no masking comes between. */
static void lsh(struct scalar *r, const struct scalar *a, const struct scalar *count)
{
    unsigned least = (unsigned)count->umin, most = (unsigned)count->umax;

    if (least == most)
        r->bits = tnum_lsh(a->bits, least);
    else
        r->bits.mask = UINT64_MAX << least;
    if (a->umax <= UINT64_MAX >> most) {
        r->umin = a->umin << least;
        r->umax = a->umax << most;
    }
    if (least == most && a->smin >= INT64_MIN >> most && a->smax <= INT64_MAX >> most) {
        r->smin = (int64_t)((uint64_t)a->smin << most);
        r->smax = (int64_t)((uint64_t)a->smax << most);
    }
}

static void rsh(struct scalar *r, const struct scalar *a, const struct scalar *count)
{
    if (count->umin == count->umax)
        r->bits = tnum_rsh(a->bits, (unsigned)count->umin);
    r->umin = a->umin >> count->umax;
    r->umax = a->umax >> count->umin;
}

static void arsh(struct scalar *r, const struct scalar *a, const struct scalar *count)
{
    if (count->umin == count->umax)
        r->bits = tnum_arsh(a->bits, (unsigned)count->umin);
    r->smin = a->smin >> (a->smin < 0 ? count->umin : count->umax);
    r->smax = a->smax >> (a->smax < 0 ? count->umax : count->umin);
}

/* Division by zero gives 0, which the lower bound must let in unless it cannot happen. */
static void udiv(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    r->umin = b->umin ? a->umin / b->umax : 0;
    r->umax = b->umin ? a->umax / b->umin : a->umax;
}

/* A remainder by zero leaves the dividend. */
static void umod(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    if (b->umin && a->umax < b->umin) {
        *r = *a;
        return;
    }
    r->umax = b->umin ? MIN(a->umax, b->umax - 1) : a->umax;
    if (scalar_is_const(b) && is_power_of_two(b->umin))
        r->bits = tnum_and(a->bits, tnum_const(b->umin - 1));
}

static void sdiv(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    if (!scalar_is_const(b) || b->smin <= 0)
        return;
    r->smin = a->smin / b->smin;
    r->smax = a->smax / b->smin;
}

/* The remainder has the dividend's sign and is no further from zero than it. */
static void smod(struct scalar *r, const struct scalar *a, const struct scalar *b)
{
    r->smin = MIN(a->smin, 0);
    r->smax = MAX(a->smax, 0);
    if (b->smin > 0) {
        r->smin = MAX(r->smin, 1 - b->smax);
        r->smax = MIN(r->smax, b->smax - 1);
    }
}

static const struct {
    void (*apply)(struct scalar *r, const struct scalar *a, const struct scalar *b);
    bool zero, sign; /* how the 32-bit form's operands may be extended */
    bool shift;
} alus[] = {
    [OP_ADD64_K / 4] = {add, true, true, false},
    [OP_SUB64_K / 4] = {sub, true, true, false},
    [OP_MUL64_K / 4] = {mul, true, true, false},
    [OP_DIV64_K / 4] = {udiv, true, false, false},
    [OP_OR64_K / 4] = {bitwise_or, true, true, false},
    [OP_AND64_K / 4] = {bitwise_and, true, true, false},
    [OP_LSH64_K / 4] = {lsh, true, true, true},
    [OP_RSH64_K / 4] = {rsh, true, false, true},
    [OP_MOD64_K / 4] = {umod, true, false, false},
    [OP_XOR64_K / 4] = {bitwise_xor, true, true, false},
    [OP_ARSH64_K / 4] = {arsh, false, true, true},
    [OP_SDIV64_K / 4] = {sdiv, false, true, false},
    [OP_SMOD64_K / 4] = {smod, false, true, false},
};

static uint64_t alu_constant(unsigned index, bool wide, uint64_t a, uint64_t b)
{
    switch (index) {
#define ALU(NAME, name, code, off, text)                                                           \
    case OP_##NAME##64_K / 4:                                                                      \
        return wide ? alu_##name##64(a, b) : alu_##name##32(a, b);
#include "ebpf/opcodes.def"
    }
    return 0;
}

static struct scalar apply(unsigned index, const struct scalar *a, const struct scalar *b)
{
    struct scalar r = scalar_unknown();

    alus[index].apply(&r, a, b);
    scalar_sync(&r);
    return r;
}

/* The low half of r, which holds for the low half of the result. */
static bool meet_low_half(struct scalar *result, const struct scalar *r)
{
    struct scalar low = scalar_zero_extend(r, 32);

    return scalar_intersect(result, &low);
}

/* Nothing is known of the sum, difference or exclusive or of a number that nothing is known of. */
static bool hides_other(unsigned index)
{
    return index == OP_ADD64_K / 4 || index == OP_SUB64_K / 4 || index == OP_XOR64_K / 4;
}

static bool low_half_is_unknown(const struct scalar *s)
{
    return (uint32_t)s->bits.mask == UINT32_MAX && s->umin32 == 0 && s->umax32 == UINT32_MAX &&
           s->smin32 == INT32_MIN && s->smax32 == INT32_MAX;
}

static struct scalar alu_narrow(unsigned index, const struct scalar *a, const struct scalar *b)
{
    struct scalar result = scalar_range(0, UINT32_MAX), za, zb, r;

    if (hides_other(index) && (low_half_is_unknown(a) || low_half_is_unknown(b)))
        return result;
    za = scalar_zero_extend(a, 32);
    zb = scalar_zero_extend(b, 32);
    if (alus[index].shift && zb.umax > 31)
        return result;
    if (alus[index].zero) {
        r = apply(index, &za, &zb);
        meet_low_half(&result, &r);
    }
    /* Numbers without a sign bit are extended in one way. */
    if (alus[index].sign && !(alus[index].zero && za.umax <= INT32_MAX &&
                              (alus[index].shift || zb.umax <= INT32_MAX))) {
        struct scalar sa = scalar_sign_extend(a, 32), sb = scalar_sign_extend(b, 32);

        r = apply(index, &sa, alus[index].shift ? &zb : &sb);
        meet_low_half(&result, &r);
    }
    return result;
}

/* What the arithmetic operation op (of any form) can make of a and b. */
struct scalar scalar_alu(enum ebpf_op op, const struct scalar *a, const struct scalar *b)
{
    unsigned index = (unsigned)op / 4;
    bool wide = (unsigned)op % 4 <= FORM_64_X;

    if (index == OP_MOV64_K / 4)
        return wide ? *b : scalar_zero_extend(b, 32);
    if (scalar_is_const(a) && scalar_is_const(b))
        return scalar_const(alu_constant(index, wide, a->bits.value, b->bits.value));
    if (!wide)
        return alu_narrow(index, a, b);
    if (hides_other(index) && (scalar_is_unknown(a) || scalar_is_unknown(b)))
        return scalar_unknown();
    if (alus[index].shift && b->umax > 63)
        return scalar_unknown();
    return apply(index, a, b);
}

/* ---- one operand -------------------------------------------------------------------------------
 */

static struct scalar swap(const struct scalar *a, unsigned bits)
{
    struct scalar r = bits == 64 ? *a : scalar_zero_extend(a, bits), s = scalar_unknown();

    s.bits.value = __builtin_bswap64(r.bits.value) >> (64 - bits);
    s.bits.mask = __builtin_bswap64(r.bits.mask) >> (64 - bits);
    scalar_sync(&s);
    return s;
}

/* What a negation, sign-extending move or byte swap can make of a. */
struct scalar scalar_unary(enum ebpf_op op, const struct scalar *a)
{
    struct scalar zero = scalar_const(0), r;

    switch (op) {
    case OP_NEG64:
        return scalar_alu(OP_SUB64_X, &zero, a);
    case OP_NEG32:
        return scalar_alu(OP_SUB32_X, &zero, a);
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    case OP_##NAME:                                                                                \
        r = scalar_sign_extend(a, bits);                                                           \
        return (wide) == 64 ? r : scalar_zero_extend(&r, 32);
#include "ebpf/opcodes.def"
    case OP_LE16:
        return scalar_zero_extend(a, 16);
    case OP_LE32:
        return scalar_zero_extend(a, 32);
    case OP_LE64:
        return *a;
    case OP_BE16:
    case OP_BSWAP16:
        return swap(a, 16);
    case OP_BE32:
    case OP_BSWAP32:
        return swap(a, 32);
    case OP_BE64:
    case OP_BSWAP64:
        return swap(a, 64);
    default:
        return scalar_unknown();
    }
}
