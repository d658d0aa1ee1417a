/*
 * Memory and strings for freestanding code: the C library's functions by their own names (the
 * compiler calls some of them by itself) and two of ours. On the host the C library provides
 * the former.
 */
#ifndef SKEP_KERNEL_STRING_H
#define SKEP_KERNEL_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *block, int value, size_t n);

size_t strlen(const char *text);
size_t strnlen(const char *text, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *text, int c);
char *strrchr(const char *text, int c);
char *strstr(const char *text, const char *part);
char *strncpy(char *restrict dst, const char *restrict src, size_t n);

/* Copies text, cut if need be, into a buffer of size bytes (not 0); always terminated. False when
 * it was cut. */
bool string_copy(char *dst, const char *src, size_t size);
/* All of text as an unsigned number, decimal or 0x hexadecimal. False, and *out untouched, when
 * it is anything else or does not fit 64 bits. */
bool string_to_u64(const char *text, uint64_t *out);

#endif
