/*
 * String helpers of our own: see kernel/string.h.
 */
#include "kernel/string.h"

/* Copies text, cut if need be, into a buffer of size bytes (not 0); always terminated. False when
 * it was cut. Any context. */
bool string_copy(char *dst, const char *src, size_t size)
{
    size_t len = strnlen(src, size);
    bool whole = len < size;

    if (!whole)
        len = size - 1;
    memcpy(dst, src, len);
    dst[len] = 0;
    return whole;
}

/* The value of a digit in any base up to 16, or 16. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

/* All of text as an unsigned number, decimal or 0x hexadecimal. False, and *out untouched, when
 * it is anything else or does not fit 64 bits. Any context. */
bool string_to_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    unsigned base = 10;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned digit = digit_value(*text);
        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *out = value;
    return true;
}
