/*
 * Helpers that ask where and when the program runs, print, compare strings, and read a packet.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
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

/* Returns the characters printed, or -EINVAL for a format that Linux refuses. */
uint64_t helper_trace_printk(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const uint64_t args[] = {r3, r4, r5};
    char line[EBPF_FORMAT_MAX / 2]; /* as much as the stack may take in an interrupt */
    long len = ebpf_format(line, sizeof(line), (const char *)r1, (uint32_t)r2, args, 3);

    if (len >= 0)
        port_trace_printk(line, (size_t)len);
    return (uint64_t)len;
}

/* strncmp(r1, r3, r2): the sign of the first difference. */
uint64_t helper_strncmp(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const uint8_t *a = (const uint8_t *)r1, *b = (const uint8_t *)r3;

    (void)r4, (void)r5;
    for (uint32_t i = 0; i < (uint32_t)r2; i++) {
        if (a[i] != b[i])
            return (uint64_t)(int64_t)(a[i] < b[i] ? -1 : 1);
        if (a[i] == 0)
            break;
    }
    return 0;
}

/* skb_load_bytes(ctx, offset, to, len). */
uint64_t helper_skb_load_bytes(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_skb *skb = (const struct ebpf_skb *)r1;
    uint64_t len = (uint64_t)(skb->data_end - skb->data);
    uint32_t offset = (uint32_t)r2, size = (uint32_t)r4;

    (void)r5;
    if ((uint64_t)offset + size > len) {
        __builtin_memset((void *)r3, 0, size);
        return (uint64_t)(int64_t)-EFAULT;
    }
    __builtin_memcpy((void *)r3, skb->data + offset, size);
    return 0;
}
