/*
 * Checks of application memory, a page at a time: rights change by whole pages, and nothing but
 * the thread's own mistakes changes them while a call runs. Called by kernel/syscalls_*.c.
 */
#include "kernel/access.h"

#include <stdbool.h>
#include <stdint.h>

#include <linux/errno.h>

#include "arch/x86_64/arch.h"
#include "kernel/page.h"
#include "kernel/string.h"

/* Reads one byte, and writes it back when that is asked for; interrupts off, so that nobody changes
 * it between. */
static int probe_byte(uintptr_t addr, bool write)
{
    uint8_t byte;
    uint64_t flags = arch_irq_save();
    int error = arch_read_safe(&byte, (const void *)addr, 1);

    if (!error && write)
        error = arch_write_safe((void *)addr, &byte, 1);
    arch_irq_restore(flags);
    return error;
}

static int check(uintptr_t addr, size_t len, bool write)
{
    uintptr_t end;

    if (len == 0)
        return 0;
    if (__builtin_add_overflow(addr, len - 1, &end))
        return -EFAULT;
    for (uintptr_t at = addr; at <= end;) {
        if (probe_byte(at, write))
            return -EFAULT;
        if (__builtin_add_overflow(at & ~(uintptr_t)(PAGE_SIZE - 1), PAGE_SIZE, &at))
            break;
    }
    return 0;
}

/* 0 when len bytes at addr may be read, else -EFAULT. Thread context. */
int access_check_read(const void *addr, size_t len)
{
    return check((uintptr_t)addr, len, false);
}

/* 0 when len bytes at addr may be written, which it finds out by writing what is there; else
 * -EFAULT. Thread context. */
int access_check_write(void *addr, size_t len)
{
    return check((uintptr_t)addr, len, true);
}

/* Copies a terminated string of the application's into dst. Its length, -EFAULT, or -ENAMETOOLONG
 * when it does not fit size bytes. Thread context. */
long access_copy_string(char *dst, const char *src, size_t size)
{
    size_t len = 0;

    /* Never across a page's end in one piece: the string may end before an unmapped page. */
    while (len < size) {
        size_t piece = PAGE_SIZE - ((uintptr_t)src + len) % PAGE_SIZE;
        if (piece > size - len)
            piece = size - len;
        if (piece > 256)
            piece = 256;
        if (arch_read_safe(dst + len, src + len, piece))
            return -EFAULT;
        size_t got = strnlen(dst + len, piece);
        len += got;
        if (got < piece)
            return (long)len;
    }
    return -ENAMETOOLONG;
}
