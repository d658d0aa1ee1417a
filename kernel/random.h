/*
 * Random numbers: the CPU's RDRAND where it has one, else a generator that a device has seeded,
 * else a weak one (see random.c).
 */
#ifndef SKEP_KERNEL_RANDOM_H
#define SKEP_KERNEL_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills buf. Any context. */
void random_bytes(void *buf, size_t len);
/* False when random_bytes must not be trusted with secrets: there is no RDRAND, or it failed, and
 * there is no seed either. */
bool random_is_strong(void);
#define RANDOM_SEED_SIZE 48u /* more than the 32 bytes of strength that come of it */
/* Gives the generator random bytes from elsewhere; copied. Thread context. */
void random_seed(const uint8_t seed[RANDOM_SEED_SIZE]);

#endif
