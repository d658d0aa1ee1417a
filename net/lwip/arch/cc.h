/*
 * The compiler and the kernel as lwIP sees them. Included by lwip/arch.h before anything else.
 */
#ifndef SKEP_LWIP_ARCH_CC_H
#define SKEP_LWIP_ARCH_CC_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/printk.h"

#define LWIP_NO_INTTYPES_H 1
#define LWIP_NO_LIMITS_H   1
#define LWIP_NO_UNISTD_H   1
#define LWIP_NO_CTYPE_H    1

/* limits.h of a freestanding gcc asks for the C library's. */
#ifndef INT_MAX
#define INT_MAX __INT_MAX__
#endif
#ifndef SSIZE_MAX
#define SSIZE_MAX __PTRDIFF_MAX__
#endif
typedef ptrdiff_t ssize_t;

#define X8_F  "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

/* lwIP asserts what its own code promises, never what a packet says: a failure is a bug. */
#define LWIP_PLATFORM_ASSERT(text) panic("lwIP: %s (%s:%d)", text, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(args)                                                                   \
    do {                                                                                           \
        net_diag args;                                                                             \
    } while (0)

/* net/lwip/sys_arch.c */
void net_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *net_calloc(size_t count, size_t size);
uint32_t net_random(void);
#define LWIP_RAND() net_random()

#endif
