/*
 * Helpers that ask where, when and on what the program runs.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/port.h"

#define HZ            250u /* ticks of jiffies64 a second, as Debian's kernels have */
#define NS_PER_SECOND 1000000000u

uint64_t helper_ktime_get_ns(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return port_time_ns();
}

/* The machine never sleeps, so time since boot is the same. */
uint64_t helper_ktime_get_boot_ns(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return helper_ktime_get_ns(r1, r2, r3, r4, r5);
}

/* There is no clock that would be cheaper to read. */
uint64_t helper_ktime_get_coarse_ns(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return helper_ktime_get_ns(r1, r2, r3, r4, r5);
}

uint64_t helper_jiffies64(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return port_time_ns() / (NS_PER_SECOND / HZ);
}

uint64_t helper_get_prandom_u32(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return (uint32_t)port_random();
}

uint64_t helper_get_smp_processor_id(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return port_cpu_id();
}

/* All memory is one node's. */
uint64_t helper_get_numa_node_id(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return 0;
}

/* Address of the running thread's structure, for probe_read_kernel. */
uint64_t helper_get_current_task(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return (uintptr_t)port_current_task();
}

uint64_t helper_get_current_pid_tgid(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return port_pid_tgid();
}

/* There are no users: everything runs as 0:0. */
uint64_t helper_get_current_uid_gid(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return 0;
}

/* A buffer shorter than the name gets it cut, with its NUL; a longer one is filled with zeroes. */
uint64_t helper_get_current_comm(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    char comm[16] = "", *dst = (char *)r1;
    uint32_t size = (uint32_t)r2;

    (void)r3, (void)r4, (void)r5;
    port_comm(comm);
    comm[sizeof(comm) - 1] = 0;
    copy_text(dst, comm, size);
    return 0;
}

uint64_t helper_get_attach_cookie(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r1, (void)r2, (void)r3, (void)r4, (void)r5;
    return ebpf_run_current()->cookie;
}

/* get_func_arg(ctx, n, value): the context of a traced function is its arguments, and in front of
 * them how many there are. -EINVAL: fewer. */
uint64_t helper_get_func_arg(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const uint64_t *args = (const uint64_t *)r1;
    uint32_t n = (uint32_t)r2;

    (void)r4, (void)r5;
    if (n >= args[-1])
        return helper_error(-EINVAL);
    *(uint64_t *)r3 = args[n];
    return 0;
}
