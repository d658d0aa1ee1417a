/*
 * Builds ustar archives in memory, for tests; also damaged ones, which tar would not make.
 */
#ifndef SKEP_TESTS_USTAR_BUILD_H
#define SKEP_TESTS_USTAR_BUILD_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define USTAR_BLOCK 512u

/* Computes the checksum of the header at block anew. */
static inline void ustar_seal(uint8_t *block)
{
    unsigned sum = 0;

    memset(block + 148, ' ', 8);
    for (unsigned i = 0; i < USTAR_BLOCK; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
}

/* Appends one entry at archive + at; type is '0' file, '5' directory, ... Returns the new end. */
static inline size_t ustar_put(uint8_t *archive, size_t at, const char *name, char type,
                               const void *data, size_t size)
{
    uint8_t *block = archive + at;

    memset(block, 0, USTAR_BLOCK);
    strncpy((char *)block, name, 100);
    snprintf((char *)block + 100, 8, "%07o", type == '5' ? 0755 : 0644);
    snprintf((char *)block + 124, 12, "%011o", (unsigned)size);
    snprintf((char *)block + 136, 12, "%011o", 1000000000u);
    block[156] = (uint8_t)type;
    memcpy(block + 257, "ustar\00000", 8);
    ustar_seal(block);
    memset(block + USTAR_BLOCK, 0, (size + USTAR_BLOCK - 1) / USTAR_BLOCK * USTAR_BLOCK);
    if (size)
        memcpy(block + USTAR_BLOCK, data, size);
    return at + USTAR_BLOCK + (size + USTAR_BLOCK - 1) / USTAR_BLOCK * USTAR_BLOCK;
}

#endif
