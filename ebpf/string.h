/*
 * The C library's memory and string functions that the engine uses, by their own names. The
 * kernel has them (kernel/string.c), a host process has its libc's.
 */
#ifndef SKEP_EBPF_STRING_H
#define SKEP_EBPF_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);

#endif
