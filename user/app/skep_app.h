/*
 * What an application sees of Skep: one header. An application is a folder of C files with
 *
 *     int app_main(int argc, char **argv);
 *
 * which runs in a thread of its own (`make run APP=folder`; arguments come from skep.args="..." on
 * the kernel command line). It may return: the machine and its services go on.
 *
 * These are Linux's system calls, with its numbers, flags and structures, except that a failure is
 * the return value, a negative errno, since there is no C library to keep errno in. Each of them
 * passes its tracepoints, syscalls:sys_enter_... and sys_exit_...
 */
#ifndef SKEP_APP_H
#define SKEP_APP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/stat.h>         /* struct stat */
#include <asm/unistd.h>       /* __NR_... */
#include <linux/errno.h>      /* E... */
#include <linux/fcntl.h>      /* O_..., AT_FDCWD */
#include <linux/fs.h>         /* SEEK_... */
#include <linux/random.h>     /* GRND_... */
#include <linux/time.h>       /* CLOCK_... */
#include <linux/time_types.h> /* struct __kernel_timespec */

#include "kernel/printk.h" /* format_text */
#include "kernel/string.h"
#include "kernel/syscall.h"

int app_main(int argc, char **argv);

static inline long app_syscall(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t args[6] = {a, b, c, d};
    return syscall_dispatch(nr, args);
}

/* Arguments as words. An int leaves the upper half zero, as a compiler passes it in a register: the
 * tracepoints show the word. */
#define APP_INT(value)  ((uint64_t)(uint32_t)(value))
#define APP_LONG(value) ((uint64_t)(int64_t)(value))
#define APP_PTR(value)  ((uint64_t)(uintptr_t)(value))

static inline int app_openat(int dirfd, const char *path, int flags, unsigned mode)
{
    return (int)app_syscall(__NR_openat, APP_INT(dirfd), APP_PTR(path), APP_INT(flags), mode);
}

static inline int app_open(const char *path, int flags, unsigned mode)
{
    return app_openat(AT_FDCWD, path, flags, mode);
}

static inline long app_read(int fd, void *buf, size_t count)
{
    return app_syscall(__NR_read, APP_INT(fd), APP_PTR(buf), count, 0);
}

static inline long app_write(int fd, const void *buf, size_t count)
{
    return app_syscall(__NR_write, APP_INT(fd), APP_PTR(buf), count, 0);
}

static inline int app_close(int fd)
{
    return (int)app_syscall(__NR_close, APP_INT(fd), 0, 0, 0);
}

static inline long app_lseek(int fd, long offset, int whence)
{
    return app_syscall(__NR_lseek, APP_INT(fd), APP_LONG(offset), APP_INT(whence), 0);
}

static inline int app_fstat(int fd, struct stat *out)
{
    return (int)app_syscall(__NR_fstat, APP_INT(fd), APP_PTR(out), 0, 0);
}

static inline int app_nanosleep(const struct __kernel_timespec *time)
{
    return (int)app_syscall(__NR_nanosleep, APP_PTR(time), 0, 0, 0);
}

static inline int app_sleep_ms(unsigned ms)
{
    const struct __kernel_timespec time = {ms / 1000, (long long)(ms % 1000) * 1000000};
    return app_nanosleep(&time);
}

static inline int app_clock_gettime(int clock, struct __kernel_timespec *out)
{
    return (int)app_syscall(__NR_clock_gettime, APP_INT(clock), APP_PTR(out), 0, 0);
}

static inline int app_getpid(void)
{
    return (int)app_syscall(__NR_getpid, 0, 0, 0, 0);
}

static inline long app_getrandom(void *buf, size_t len, unsigned flags)
{
    return app_syscall(__NR_getrandom, APP_PTR(buf), len, flags, 0);
}

static inline _Noreturn void app_exit(int status)
{
    app_syscall(__NR_exit, APP_INT(status), 0, 0, 0);
    __builtin_unreachable();
}

/* Formatted text (format_text's rules) to standard output; cut at 511 bytes. What write says. */
static inline __attribute__((format(printf, 1, 2))) long app_printf(const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    int len = format_text_va(text, sizeof(text), fmt, args);
    va_end(args);
    return app_write(1, text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

#endif
