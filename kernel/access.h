/*
 * Memory that an application passed to a system call. There is one address space, so nothing needs
 * copying; but a pointer that leads nowhere must come back as -EFAULT and not end the machine.
 * Thread context.
 */
#ifndef SKEP_KERNEL_ACCESS_H
#define SKEP_KERNEL_ACCESS_H

#include <stddef.h>

/* 0 when every byte of [addr, addr + len) may be read (or read and written), else -EFAULT. */
int access_check_read(const void *addr, size_t len);
int access_check_write(void *addr, size_t len);
/* Copies a string into dst, of size bytes. Its length, -EFAULT, or -ENAMETOOLONG when it does not
 * fit. */
long access_copy_string(char *dst, const char *src, size_t size);

#endif
