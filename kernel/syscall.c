/*
 * The one way into the system calls: finds the number in the table that SYSCALL_DEFINEn fills.
 */
#include "kernel/syscall.h"

#include <linux/errno.h>

#include "kernel/syscall_define.h"

/* A dozen calls: a walk is as fast as any index. */
long syscall_dispatch(long nr, const uint64_t args[6])
{
    for (const struct syscall_desc *desc = __start_syscalls; desc != __stop_syscalls; desc++)
        if (desc->nr == nr)
            return desc->call(args);
    return -ENOSYS;
}
