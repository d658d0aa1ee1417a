/*
 * Random numbers. Without RDRAND: HMAC_DRBG with SHA-256 (NIST SP 800-90A, by BearSSL) once a
 * device has given a seed (drivers/virtio/rng.c). Without either: xoshiro256** (Blackman, Vigna
 * 2018), seeded from the jitter of the time stamp counter and stirred with it at every request.
 * That spreads well but can be guessed, so the log says once that it is weak.
 */
#include "kernel/random.h"

#include <stdint.h>

#include <bearssl.h>

#include "arch/x86_64/arch.h"
#include "kernel/printk.h"
#include "kernel/string.h"

#define SEED_ROUNDS 64

/* Guarded by interrupts off. */
static uint64_t state[4];
static bool weak;
static br_hmac_drbg_context drbg;
static bool seeded;

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* splitmix64 (Steele, Lea, Flood 2014): turns what is alike into what is not. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

/* How long each round takes depends on caches and on what the host does meanwhile. */
static void seed(void)
{
    for (unsigned i = 0; i < SEED_ROUNDS; i++)
        state[i % 4] = mix(state[i % 4] + arch_read_tsc() + 0x9e3779b97f4a7c15u);
    state[0] |= 1; /* all zero would stay so */
}

static uint64_t weak_next(void)
{
    state[3] ^= arch_read_tsc();
    uint64_t result = rotate(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

/* See random.h. */
void random_seed(const uint8_t seed[RANDOM_SEED_SIZE])
{
    uint64_t flags = arch_irq_save();

    if (seeded)
        br_hmac_drbg_update(&drbg, seed, RANDOM_SEED_SIZE);
    else
        br_hmac_drbg_init(&drbg, &br_sha256_vtable, seed, RANDOM_SEED_SIZE);
    seeded = true;
    arch_irq_restore(flags);
}

/* False when numbers come, or will come, from the weak generator. Any context. */
bool random_is_strong(void)
{
    return seeded || (!weak && arch_cpu_has_rdrand());
}

static uint64_t next(void)
{
    uint64_t value;

    if (!weak && arch_rdrand(&value))
        return value;
    uint64_t flags = arch_irq_save();
    if (seeded) {
        br_hmac_drbg_generate(&drbg, &value, sizeof(value));
        arch_irq_restore(flags);
        return value;
    }
    bool first = !weak;
    if (first) {
        weak = true;
        seed();
    }
    value = weak_next();
    arch_irq_restore(flags);
    if (first)
        pr_warn("random: no RDRAND; numbers come from clock jitter and are weak");
    return value;
}

/* Fills buf with len random bytes. Any context. */
void random_bytes(void *buf, size_t len)
{
    uint8_t *to = buf;

    while (len) {
        uint64_t value = next();
        size_t piece = len < sizeof(value) ? len : sizeof(value);
        memcpy(to, &value, piece);
        to += piece;
        len -= piece;
    }
}
