/*
 * The C library's memory and string functions (C11 7.24) for the guest. Plain C: copies go by
 * words of eight bytes, which x86 may read and write at any address.
 * Our own additions are in kernel/text.c, which the host builds too.
 */
#include "kernel/string.h"

/* Or the compiler would turn the loop inside memcpy into a call to memcpy. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

/* Eight bytes at any address, of any type. */
struct word {
    uint64_t value;
} __attribute__((packed, may_alias));

static void copy_up(uint8_t *dst, const uint8_t *src, size_t n)
{
    for (; n >= 8; n -= 8, dst += 8, src += 8)
        ((struct word *)dst)->value = ((const struct word *)src)->value;
    while (n--)
        *dst++ = *src++;
}

static void copy_down(uint8_t *dst, const uint8_t *src, size_t n)
{
    for (; n >= 8; n -= 8)
        ((struct word *)(dst + n - 8))->value = ((const struct word *)(src + n - 8))->value;
    while (n--)
        dst[n] = src[n];
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    copy_up(dst, src, n);
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    /* dst below src, or so far above that they do not overlap (the subtraction wraps). */
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        copy_up(dst, src, n);
    else
        copy_down(dst, src, n);
    return dst;
}

void *memset(void *dst, int value, size_t n)
{
    uint8_t *to = dst;
    uint64_t pattern = (uint8_t)value * 0x0101010101010101u;

    for (; n >= 8; n -= 8, to += 8)
        ((struct word *)to)->value = pattern;
    while (n--)
        *to++ = (uint8_t)value;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *left = a, *right = b;

    for (; n >= 8; n -= 8, left += 8, right += 8)
        if (((const struct word *)left)->value != ((const struct word *)right)->value)
            break;
    for (; n; n--, left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

void *memchr(const void *block, int value, size_t n)
{
    for (const uint8_t *at = block; n; n--, at++)
        if (*at == (uint8_t)value)
            return (void *)(uintptr_t)at;
    return NULL;
}

size_t strlen(const char *text)
{
    const char *end = text;
    while (*end)
        end++;
    return (size_t)(end - text);
}

size_t strnlen(const char *text, size_t limit)
{
    size_t len = 0;
    while (len < limit && text[len])
        len++;
    return len;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (uint8_t)*a - (uint8_t)*b;
    return 0;
}

char *strchr(const char *text, int c)
{
    for (;; text++) {
        if (*text == (char)c)
            return (char *)(uintptr_t)text;
        if (!*text)
            return NULL;
    }
}

char *strrchr(const char *text, int c)
{
    const char *last = NULL;

    for (;; text++) {
        if (*text == (char)c)
            last = text;
        if (!*text)
            return (char *)(uintptr_t)last;
    }
}

char *strstr(const char *text, const char *part)
{
    size_t len = strlen(part);

    for (;; text++) {
        if (strncmp(text, part, len) == 0)
            return (char *)(uintptr_t)text;
        if (!*text)
            return NULL;
    }
}

char *strncpy(char *restrict dst, const char *restrict src, size_t n)
{
    size_t len = strnlen(src, n);

    memcpy(dst, src, len);
    memset(dst + len, 0, n - len);
    return dst;
}
