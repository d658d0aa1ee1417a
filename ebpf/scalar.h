/*
 * What the verifier knows of a number: its known bits and its signed and unsigned ranges, of the
 * whole 64 bits and of the low 32, each sharpened by the others. Pure. What an instruction does to
 * numbers is here once; constants are computed by alu.h. Called by the verifier's other files.
 */
#ifndef SKEP_EBPF_SCALAR_H
#define SKEP_EBPF_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/isa.h"
#include "ebpf/tnum.h"

struct scalar {
    struct tnum bits;
    uint64_t umin, umax;
    int64_t smin, smax;
    uint32_t umin32, umax32; /* of the low half */
    int32_t smin32, smax32;
};

struct scalar scalar_const(uint64_t value);
struct scalar scalar_unknown(void);
struct scalar scalar_range(uint64_t umin, uint64_t umax);
struct scalar scalar_signed_range(int64_t smin, int64_t smax);

static inline bool scalar_is_const(const struct scalar *s)
{
    return s->bits.mask == 0;
}

bool scalar_is_unknown(const struct scalar *s);
bool scalar_contains(const struct scalar *s, uint64_t value);
bool scalar_includes(const struct scalar *a, const struct scalar *b);
bool scalar_intersect(struct scalar *a, const struct scalar *b);
bool scalar_sync(struct scalar *s);

struct scalar scalar_zero_extend(const struct scalar *s, unsigned bits);
struct scalar scalar_sign_extend(const struct scalar *s, unsigned bits);

struct scalar scalar_alu(enum ebpf_op op, const struct scalar *a, const struct scalar *b);
struct scalar scalar_unary(enum ebpf_op op, const struct scalar *a);

int scalar_decide(enum ebpf_op op, const struct scalar *a, const struct scalar *b);
bool scalar_refine(enum ebpf_op op, bool taken, struct scalar *a, struct scalar *b);

#endif
