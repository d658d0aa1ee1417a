/*
 * Known bits ("tristate numbers"): a set of 64-bit values told by which bits are the same in all of
 * them. Pure; used by scalar.c alone. Addition, subtraction: Vishwanathan, Shachnai, Narayana,
 * Nagarakatte, "Sound, Precise, and Fast Abstract Interpretation with Tristate Numbers", 2022.
 */
#ifndef SKEP_EBPF_TNUM_H
#define SKEP_EBPF_TNUM_H

#include <stdbool.h>
#include <stdint.h>

struct tnum {
    uint64_t value; /* the known bits that are 1 */
    uint64_t mask;  /* the bits that are not known; value has 0 there */
};

#define TNUM_UNKNOWN                                                                               \
    (struct tnum)                                                                                  \
    {                                                                                              \
        0, UINT64_MAX                                                                              \
    }

static inline struct tnum tnum_const(uint64_t value)
{
    return (struct tnum){value, 0};
}

/* The bits above the highest one in which min and max differ. */
static inline struct tnum tnum_range(uint64_t min, uint64_t max)
{
    uint64_t differ = min ^ max, below;

    if (differ >> 63)
        return TNUM_UNKNOWN;
    below = differ ? (UINT64_C(2) << (63 - __builtin_clzll(differ))) - 1 : 0;
    return (struct tnum){min & ~below, below};
}

static inline bool tnum_contains(struct tnum a, uint64_t value)
{
    return ((value ^ a.value) & ~a.mask) == 0;
}

/* Is every value of b one of a? */
static inline bool tnum_includes(struct tnum a, struct tnum b)
{
    return (b.mask & ~a.mask) == 0 && tnum_contains(a, b.value);
}

/* Have they a bit that differs for certain? */
static inline bool tnum_disjoint(struct tnum a, struct tnum b)
{
    return ((a.value ^ b.value) & ~a.mask & ~b.mask) != 0;
}

/* Of two that are not disjoint. */
static inline struct tnum tnum_intersect(struct tnum a, struct tnum b)
{
    uint64_t mask = a.mask & b.mask;

    return (struct tnum){(a.value | b.value) & ~mask, mask};
}

static inline struct tnum tnum_union(struct tnum a, struct tnum b)
{
    uint64_t mask = a.mask | b.mask | (a.value ^ b.value);

    return (struct tnum){a.value & ~mask, mask};
}

static inline struct tnum tnum_lsh(struct tnum a, unsigned shift)
{
    return (struct tnum){a.value << shift, a.mask << shift};
}

static inline struct tnum tnum_rsh(struct tnum a, unsigned shift)
{
    return (struct tnum){a.value >> shift, a.mask >> shift};
}

/* An unknown sign stays unknown in every copy of it. */
static inline struct tnum tnum_arsh(struct tnum a, unsigned shift)
{
    return (struct tnum){(uint64_t)((int64_t)a.value >> shift),
                         (uint64_t)((int64_t)a.mask >> shift)};
}

static inline struct tnum tnum_add(struct tnum a, struct tnum b)
{
    uint64_t values = a.value + b.value, masks = a.mask + b.mask;
    uint64_t carries = values ^ (values + masks), mask = carries | a.mask | b.mask;

    return (struct tnum){values & ~mask, mask};
}

static inline struct tnum tnum_sub(struct tnum a, struct tnum b)
{
    uint64_t values = a.value - b.value;
    uint64_t borrows = (values + a.mask) ^ (values - b.mask), mask = borrows | a.mask | b.mask;

    return (struct tnum){values & ~mask, mask};
}

static inline struct tnum tnum_and(struct tnum a, struct tnum b)
{
    uint64_t value = a.value & b.value;

    return (struct tnum){value, (a.value | a.mask) & (b.value | b.mask) & ~value};
}

static inline struct tnum tnum_or(struct tnum a, struct tnum b)
{
    uint64_t value = a.value | b.value;

    return (struct tnum){value, (a.mask | b.mask) & ~value};
}

static inline struct tnum tnum_xor(struct tnum a, struct tnum b)
{
    uint64_t mask = a.mask | b.mask;

    return (struct tnum){(a.value ^ b.value) & ~mask, mask};
}

/* Long multiplication: a known 1 adds b, an unknown bit adds what may or may not be b. */
static inline struct tnum tnum_mul(struct tnum a, struct tnum b)
{
    struct tnum sum = tnum_const(a.value * b.value), unknown = tnum_const(0);

    /* Of any number times b, the zeroes at b's end are known. */
    if (a.mask == UINT64_MAX && (b.value | b.mask))
        return (struct tnum){0, UINT64_MAX << __builtin_ctzll(b.value | b.mask)};
    for (; a.value | a.mask; a = tnum_rsh(a, 1), b = tnum_lsh(b, 1)) {
        if (a.value & 1)
            unknown = tnum_add(unknown, (struct tnum){0, b.mask});
        else if (a.mask & 1)
            unknown = tnum_add(unknown, (struct tnum){0, b.value | b.mask});
    }
    return tnum_add(sum, unknown);
}

#endif
