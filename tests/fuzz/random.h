/*
 * Random numbers from a seed, the same everywhere: what a test found is found again from its seed.
 */
#ifndef SKEP_TESTS_RANDOM_H
#define SKEP_TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* splitmix64: any seed will do, neighbours give unrelated numbers. */
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 0 to n - 1; 0 when n is 0. */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
    return n ? (uint32_t)((random_next(r) >> 32) * n >> 32) : 0;
}

/* True once in n times. */
static inline bool random_one_in(struct random *r, uint32_t n)
{
    return random_below(r, n) == 0;
}

/* Numbers as programs meet them: small ones, powers of two and their neighbours, the ends of each
 * width, and any at all. */
static inline uint64_t random_number(struct random *r)
{
    uint64_t bit = 1ull << random_below(r, 64);

    switch (random_below(r, 8)) {
    case 0:
    case 1:
        return random_below(r, 17);
    case 2:
        return 0 - (uint64_t)random_below(r, 17);
    case 3:
        return bit;
    case 4:
        return bit - 1;
    case 5:
        return random_next(r) >> random_below(r, 64);
    case 6:
        return 0 - bit - random_below(r, 2);
    default:
        return random_next(r);
    }
}

#endif
