/* SHA-1 (FIPS 180-4 6.1), for program tags alone: not a security primitive here. */
#ifndef SKEP_EBPF_SHA1_H
#define SKEP_EBPF_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_SIZE 20u

void sha1(const void *data, size_t len, uint8_t digest[SHA1_SIZE]);

#endif
