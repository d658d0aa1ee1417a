/*
 * What every file of the engine needs and no C library gives it here: bytes, strings, rounding.
 * The compiler's builtins stand for the functions; the machine supplies memcpy and its like.
 */
#ifndef SKEP_EBPF_BASE_H
#define SKEP_EBPF_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/errno.h>

#define ARRAY_LEN(a)                   (sizeof(a) / sizeof((a)[0]))
#define END_OF(type, field)            (offsetof(type, field) + sizeof(((type *)0)->field))
#define CONTAINER_OF(ptr, type, field) ((type *)((char *)(ptr)-offsetof(type, field)))

static inline uint64_t round_up_to(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* The smallest power of two from value, at most 2^31, up. */
static inline uint32_t power_of_two_from(uint32_t value)
{
    uint32_t power = 1;
    while (power < value)
        power <<= 1;
    return power;
}

/* Length of text, looking at no more than bound bytes; bound when there is no NUL among them. */
static inline size_t bounded_length(const char *text, size_t bound)
{
    size_t n = 0;
    while (n < bound && text[n] != '\0')
        n++;
    return n;
}

static inline bool text_equal(const char *a, const char *b)
{
    return __builtin_strcmp(a, b) == 0;
}

/* Copies at most size - 1 characters and always ends the text. */
static inline void copy_text(char *dst, const char *src, size_t size)
{
    size_t n = bounded_length(src, size - 1);
    __builtin_memcpy(dst, src, n);
    __builtin_memset(dst + n, 0, size - n);
}

static inline bool all_zero(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++)
        if (b[i] != 0)
            return false;
    return true;
}

#endif
