/*
 * What lwIP asks of a system without an OS layer: the time, random numbers, memory, messages.
 */
#include <stdarg.h>

#include "lwip/sys.h"

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/printk.h"
#include "kernel/random.h"

#include <stdlib.h>

/* Milliseconds since boot; wraps after 49 days, which lwIP expects. */
u32_t sys_now(void)
{
    return (u32_t)(arch_time_ns() / 1000000);
}

/* For port numbers, sequence numbers and identifiers. */
uint32_t net_random(void)
{
    uint32_t bits;

    random_bytes(&bits, sizeof(bits));
    return bits;
}

void *net_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return kzalloc(count * size);
}

/* lwIP's debug output, of the modules that lwipopts.h switches on. */
void net_diag(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    printk_va(LOG_DEBUG, fmt, args);
    va_end(args);
}

/* A decimal number at the start of text (the HTTP server's Content-Length); 0 when there is none,
 * INT_MAX when it is too large. */
int atoi(const char *text)
{
    bool negative;
    long value = 0;

    while (*text == ' ')
        text++;
    negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    for (; *text >= '0' && *text <= '9'; text++) {
        value = value * 10 + (*text - '0');
        if (value > INT_MAX)
            value = INT_MAX;
    }
    return (int)(negative ? -value : value);
}
