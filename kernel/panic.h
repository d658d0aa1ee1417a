/*
 * The end of the line, for our own bugs only: input never gets here. Prints the message, the
 * registers and a symbolised backtrace, and ends QEMU with ARCH_EXIT_PANIC.
 */
#ifndef SKEP_KERNEL_PANIC_H
#define SKEP_KERNEL_PANIC_H

void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* An invariant of our own. The message must print the values that broke it. */
#define ASSERT(cond, ...)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            panic("assertion failed: " #cond ": " __VA_ARGS__);                                    \
    } while (0)

#endif
