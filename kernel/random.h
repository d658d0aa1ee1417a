/*
 * Random numbers: the CPU's RDRAND where it has one, else a weak generator (see random.c).
 */
#ifndef SKEP_KERNEL_RANDOM_H
#define SKEP_KERNEL_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fills buf. Any context. */
void random_bytes(void *buf, size_t len);
/* False when random_bytes must not be trusted with secrets: there is no RDRAND, or it failed. */
bool random_is_strong(void);

#endif
