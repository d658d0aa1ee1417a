/*
 * What portable kernel code needs of panic.c, symbols.c and thread.c when it runs in a host
 * process (unit tests, skep-vm). A panic prints its message and aborts; a test that expects one
 * uses PANICS() of kernel_host.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel/panic.h"
#include "kernel/symbols.h"
#include "kernel/thread.h"
#include "user/vm/kernel_host.h"

jmp_buf *host_panic_catcher;
char host_panic_message[512];

static unsigned preempt_depth;

_Noreturn void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(host_panic_message, sizeof(host_panic_message), fmt, args);
    va_end(args);
    if (host_panic_catcher)
        longjmp(*host_panic_catcher, 1);
    fprintf(stderr, "panic: %s\n", host_panic_message);
    abort();
}

const char *symbol_find(uintptr_t addr, uintptr_t *offset)
{
    (void)addr;
    *offset = 0;
    return NULL;
}

/* Weak, these and what follows: the suite of the scheduler links the real ones. */
__attribute__((weak)) void preempt_disable(void)
{
    preempt_depth++;
}

__attribute__((weak)) void preempt_enable(void)
{
    ASSERT(preempt_depth > 0, "preempt_enable without preempt_disable");
    preempt_depth--;
}

__attribute__((weak)) bool preempt_enabled(void)
{
    return preempt_depth == 0;
}

/* A process of the host is one thread of the kernel. */
__attribute__((weak)) struct thread *thread_current(void)
{
    static struct thread host_thread = {.tid = 1, .name = "host", .state = THREAD_RUNNING};
    return &host_thread;
}
