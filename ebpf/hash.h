/*
 * SipHash-1-3 of a key in memory (Aumasson and Bernstein 2012): keyed, so that whoever chooses
 * the keys of a map cannot choose them into one bucket. Short keys go through one keyed
 * multiplication instead, whose halves are folded together, which is a tenth of the work.
 */
#ifndef SKEP_EBPF_HASH_H
#define SKEP_EBPF_HASH_H

#include <stddef.h>
#include <stdint.h>

struct sip_state {
    uint64_t a, b, c, d;
};

static inline uint64_t sip_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(struct sip_state *s)
{
    s->a += s->b;
    s->b = sip_rotate(s->b, 13) ^ s->a;
    s->a = sip_rotate(s->a, 32);
    s->c += s->d;
    s->d = sip_rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = sip_rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = sip_rotate(s->b, 17) ^ s->c;
    s->c = sip_rotate(s->c, 32);
}

static inline uint64_t siphash13(const void *key, size_t len, const uint64_t seed[2])
{
    struct sip_state s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                          seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    const uint8_t *at = key;
    uint64_t last = (uint64_t)len << 56, word;

    for (size_t left = len; left >= 8; left -= 8, at += 8) {
        __builtin_memcpy(&word, at, 8);
        s.d ^= word;
        sip_round(&s);
        s.a ^= word;
    }
    for (size_t i = 0; i < len % 8; i++)
        last |= (uint64_t)at[i] << (8 * i);
    s.d ^= last;
    sip_round(&s);
    s.a ^= last;
    s.c ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

static inline uint64_t fold_product(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two words, or a word and 0. The constants, from SipHash, keep a zero seed from being the
 * identity. One product alone leaves keys that differ in few bits in few buckets under one seed in
 * some hundred; the second, by 2^64 over the golden ratio, spreads them (Wang Yi's wyhash). */
static inline uint64_t hash_words(uint64_t a, uint64_t b, const uint64_t seed[2])
{
    return fold_product(
        fold_product(a ^ seed[0] ^ 0x736f6d6570736575u, b ^ seed[1] ^ 0x646f72616e646f6du),
        0x9e3779b97f4a7c15u);
}

/* A key of len bytes; constant lengths of 4, 8 and 16 are the fast ones. */
static inline uint64_t hash_bytes(const void *key, size_t len, const uint64_t seed[2])
{
    uint64_t a, b = 0;
    uint32_t half;

    switch (len) {
    case 4:
        __builtin_memcpy(&half, key, 4);
        return hash_words(half, 0, seed);
    case 8:
        __builtin_memcpy(&a, key, 8);
        return hash_words(a, 0, seed);
    case 16:
        __builtin_memcpy(&a, key, 8);
        __builtin_memcpy(&b, (const uint8_t *)key + 8, 8);
        return hash_words(a, b, seed);
    }
    return siphash13(key, len, seed);
}

#endif
