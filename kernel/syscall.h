/*
 * System calls: Linux's numbers, arguments, flags and errors, entered through one table. In one
 * address space a call is an ordinary function call to syscall_dispatch; user/app/skep_app.h
 * wraps it for applications. SYSCALL_DEFINEn (kernel/syscall_define.h) puts a call into the table
 * and gives it its sys_enter_ and sys_exit_ tracepoints.
 */
#ifndef SKEP_KERNEL_SYSCALL_H
#define SKEP_KERNEL_SYSCALL_H

#include <stdint.h>

/* The result, or a negative errno; -ENOSYS for a number that is not in the table. */
long syscall_dispatch(long nr, const uint64_t args[6]);

#endif
