/*
 * System calls about the process: getpid, exit, and getrandom, which has no better place. There is
 * one process, number 1, which never ends.
 */
#include <linux/errno.h>
#include <linux/random.h>

#include "kernel/access.h"
#include "kernel/printk.h"
#include "kernel/random.h"
#include "kernel/syscall_define.h"
#include "kernel/thread.h"

#define PROCESS_ID 1

SYSCALL_DEFINE0(getpid)
{
    return PROCESS_ID;
}

/* Ends the calling thread, which is what Linux's exit (not exit_group) does. */
SYSCALL_DEFINE1(exit, int, error_code)
{
    pr_info("%s: exit(%d)", thread_current()->name, error_code);
    thread_exit();
}

/* Never blocks: there is no pool to wait for. */
SYSCALL_DEFINE3(getrandom, char *, ubuf, size_t, len, unsigned int, flags)
{
    const unsigned known = GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE;

    if (flags & ~known || (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    if (len > 0x7fffffff)
        len = 0x7fffffff;
    if (access_check_write(ubuf, len))
        return -EFAULT;
    random_bytes(ubuf, len);
    return (long)len;
}
