/*
 * System calls about time: nanosleep, clock_gettime.
 */
#include <linux/errno.h>
#include <linux/time.h>
#include <linux/time_types.h>

#include "arch/x86_64/arch.h"
#include "kernel/access.h"
#include "kernel/syscall_define.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define NS_PER_SECOND 1000000000

typedef int clockid_t;

/* There are no signals, so a sleep is never cut short and rmtp never written. */
SYSCALL_DEFINE2(nanosleep, struct __kernel_timespec *, rqtp, struct __kernel_timespec *, rmtp)
{
    struct __kernel_timespec time;
    uint64_t ns;

    (void)rmtp;
    if (arch_read_safe(&time, rqtp, sizeof(time)))
        return -EFAULT;
    if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= NS_PER_SECOND)
        return -EINVAL;
    if (__builtin_mul_overflow((uint64_t)time.tv_sec, (uint64_t)NS_PER_SECOND, &ns) ||
        __builtin_add_overflow(ns, (uint64_t)time.tv_nsec, &ns))
        ns = UINT64_MAX; /* some 584 years */
    thread_sleep_ns(ns);
    return 0;
}

static int read_clock(clockid_t clock, uint64_t *ns)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI: /* no leap seconds are known, as on a fresh Linux */
        *ns = time_wall_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = arch_time_ns();
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = thread_runtime_ns(thread_current());
        return 0;
    }
    return -EINVAL;
}

SYSCALL_DEFINE2(clock_gettime, const clockid_t, which_clock, struct __kernel_timespec *, tp)
{
    uint64_t ns;
    int error = read_clock(which_clock, &ns);

    if (error)
        return error;
    const struct __kernel_timespec time = {
        .tv_sec = (long long)(ns / NS_PER_SECOND),
        .tv_nsec = (long long)(ns % NS_PER_SECOND),
    };
    return arch_write_safe(tp, &time, sizeof(time));
}
