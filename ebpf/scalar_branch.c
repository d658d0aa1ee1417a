/*
 * Conditions on scalars: whether a comparison can be decided, and what either outcome says about
 * both sides. 32-bit comparisons are 64-bit ones on the halves, extended as the comparison reads
 * them.
 */
#include "ebpf/scalar.h"

#include "ebpf/base.h"

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* The condition without its form, in the order of opcodes.def. */
enum condition { EQ, GT, GE, SET, NE, SGT, SGE, LT, LE, SLT, SLE, CLEAR };

_Static_assert((OP_JSLE64_K - OP_JEQ64_K) / 4 == SLE, "conditions are numbered as opcodes.def");

static const uint8_t opposite[] = {
    [EQ] = NE,   [GT] = LE, [GE] = LT, [SET] = CLEAR, [NE] = EQ,   [SGT] = SLE,
    [SGE] = SLT, [LT] = GE, [LE] = GT, [SLT] = SGE,   [SLE] = SGT, [CLEAR] = SET,
};

static enum condition condition_of(enum ebpf_op op)
{
    return (enum condition)((op - OP_JEQ64_K) / 4);
}

static bool is_wide(enum ebpf_op op)
{
    return (op - OP_JEQ64_K) % 4 <= FORM_64_X;
}

static bool is_signed(enum condition c)
{
    return c == SGT || c == SGE || c == SLT || c == SLE;
}

static bool disjoint(const struct scalar *a, const struct scalar *b)
{
    return a->umin > b->umax || a->umax < b->umin || a->smin > b->smax || a->smax < b->smin ||
           a->umin32 > b->umax32 || a->umax32 < b->umin32 || a->smin32 > b->smax32 ||
           a->smax32 < b->smin32 || tnum_disjoint(a->bits, b->bits);
}

/* Does the condition hold for every pair of values? */
static bool always(enum condition c, const struct scalar *a, const struct scalar *b)
{
    switch (c) {
    case EQ:
        return scalar_is_const(a) && scalar_is_const(b) && a->umin == b->umin;
    case NE:
        return disjoint(a, b);
    case GT:
        return a->umin > b->umax;
    case GE:
        return a->umin >= b->umax;
    case LT:
        return a->umax < b->umin;
    case LE:
        return a->umax <= b->umin;
    case SGT:
        return a->smin > b->smax;
    case SGE:
        return a->smin >= b->smax;
    case SLT:
        return a->smax < b->smin;
    case SLE:
        return a->smax <= b->smin;
    case SET:
        return (a->bits.value & b->bits.value) != 0;
    case CLEAR:
        return ((a->bits.value | a->bits.mask) & (b->bits.value | b->bits.mask)) == 0;
    }
    return false;
}

/* The halves that a 32-bit comparison reads. */
static struct scalar half(enum condition c, const struct scalar *s)
{
    return is_signed(c) ? scalar_sign_extend(s, 32) : scalar_zero_extend(s, 32);
}

/* 1: the jump is taken for all values, 0: for none, -1: it depends. */
int scalar_decide(enum ebpf_op op, const struct scalar *a, const struct scalar *b)
{
    enum condition c = condition_of(op);
    struct scalar ha, hb;

    if (!is_wide(op)) {
        ha = half(c, a);
        hb = half(c, b);
        a = &ha;
        b = &hb;
    }
    if (always(c, a, b))
        return 1;
    return always((enum condition)opposite[c], a, b) ? 0 : -1;
}

/* a is not the constant c. */
static bool exclude(struct scalar *a, uint64_t c)
{
    if (scalar_is_const(a))
        return a->umin != c;
    if (a->umin == c)
        a->umin++;
    if (a->umax == c)
        a->umax--;
    if (a->smin == (int64_t)c)
        a->smin++;
    if (a->smax == (int64_t)c)
        a->smax--;
    return true;
}

/* a < b, or a <= b. */
static bool order(struct scalar *a, struct scalar *b, bool equal)
{
    if (!equal && (b->umax == 0 || a->umin == UINT64_MAX))
        return false;
    a->umax = MIN(a->umax, b->umax - !equal);
    b->umin = MAX(b->umin, a->umin + !equal);
    return true;
}

static bool order_signed(struct scalar *a, struct scalar *b, bool equal)
{
    if (!equal && (b->smax == INT64_MIN || a->smin == INT64_MAX))
        return false;
    a->smax = MIN(a->smax, b->smax - !equal);
    b->smin = MAX(b->smin, a->smin + !equal);
    return true;
}

/* a & b has a bit set, which tells something when only one bit can be. */
static bool common_bit(struct scalar *a, const struct scalar *b)
{
    uint64_t possible = (a->bits.value | a->bits.mask) & (b->bits.value | b->bits.mask);

    if (possible == 0)
        return false;
    if (is_power_of_two(possible)) {
        a->bits.value |= possible;
        a->bits.mask &= ~possible;
    }
    return true;
}

/* No bit is set in both: where b is 1, a is 0. */
static bool no_common_bit(struct scalar *a, const struct scalar *b)
{
    if (a->bits.value & b->bits.value)
        return false;
    a->bits.mask &= ~b->bits.value;
    return true;
}

static bool assume(enum condition c, struct scalar *a, struct scalar *b)
{
    switch (c) {
    case EQ:
        if (!scalar_intersect(a, b))
            return false;
        *b = *a;
        return true;
    case NE:
        return (!scalar_is_const(b) || exclude(a, b->umin)) &&
               (!scalar_is_const(a) || exclude(b, a->umin));
    case LT:
    case LE:
        return order(a, b, c == LE);
    case GT:
    case GE:
        return order(b, a, c == GE);
    case SLT:
    case SLE:
        return order_signed(a, b, c == SLE);
    case SGT:
    case SGE:
        return order_signed(b, a, c == SGE);
    case SET:
        return common_bit(a, b) && common_bit(b, a);
    case CLEAR:
        return no_common_bit(a, b) && no_common_bit(b, a);
    }
    return true;
}

/* Puts what was learned of the low half back into the whole. */
static bool meet_half(struct scalar *s, const struct scalar *half)
{
    struct scalar low = scalar_unknown();

    low.bits.value = half->bits.value & UINT32_MAX;
    low.bits.mask = half->bits.mask | ~(uint64_t)UINT32_MAX;
    low.umin32 = half->umin32;
    low.umax32 = half->umax32;
    low.smin32 = half->smin32;
    low.smax32 = half->smax32;
    return scalar_intersect(s, &low);
}

/* a and b become what they can be where the jump op is taken, or not. False: it cannot be so. */
bool scalar_refine(enum ebpf_op op, bool taken, struct scalar *a, struct scalar *b)
{
    enum condition c = condition_of(op);

    if (!taken)
        c = (enum condition)opposite[c];
    if (is_wide(op))
        return assume(c, a, b) && scalar_sync(a) && scalar_sync(b);
    struct scalar ha = half(c, a), hb = half(c, b);

    return assume(c, &ha, &hb) && scalar_sync(&ha) && scalar_sync(&hb) && meet_half(a, &ha) &&
           meet_half(b, &hb);
}
