/*
 * What the engine needs from its machine (ebpf/port.h), made of kernel/. Called by ebpf/ only. The
 * events that run programs come from kernel/probe.c; here links are put on their targets.
 */
#include "ebpf/port.h"

#include <asm/errno.h>

#include "arch/x86_64/arch.h"
#include "ebpf/ebpf.h"
#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/random.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/trace_pipe.h"

/* All threads belong to the one process there is. */
#define PROCESS_ID 1u

/* ---- memory ------------------------------------------------------------------------------- */

void *port_alloc(size_t size)
{
    return kzalloc(size);
}

void port_free(void *block)
{
    kfree(block);
}

void *port_alloc_pages(size_t size)
{
    void *pages = page_alloc(page_order(size));

    if (pages)
        memset(pages, 0, size);
    return pages;
}

void port_free_pages(void *pages, size_t size)
{
    if (pages)
        page_free(pages, page_order(size));
}

/* The bytes that page_alloc really gave for size: all of them change rights together. */
static size_t block_size(size_t size)
{
    return (size_t)PAGE_SIZE << page_order(size);
}

void *port_exec_alloc(size_t size)
{
    return page_alloc(page_order(size));
}

int port_exec_seal(void *code, size_t size)
{
    return arch_protect((uintptr_t)code, block_size(size), ARCH_PROT_RX);
}

void port_exec_free(void *code, size_t size)
{
    if (!code)
        return;
    int err = arch_protect((uintptr_t)code, block_size(size), ARCH_PROT_RW);
    ASSERT(err == 0, "unsealing %p: %d", code, err);
    page_free(code, page_order(size));
}

int port_read_safe(void *dst, const void *src, size_t n)
{
    return arch_read_safe(dst, src, n);
}

int port_write_safe(void *dst, const void *src, size_t n)
{
    return arch_write_safe(dst, src, n);
}

/* ---- time, cpu, random -------------------------------------------------------------------- */

uint64_t port_time_ns(void)
{
    return arch_time_ns();
}

uint32_t port_cpu_id(void)
{
    return arch_cpu_id();
}

uint32_t port_cpu_features(void)
{
    return (arch_cpu_has_bmi2() ? PORT_CPU_BMI2 : 0) | (arch_cpu_has_movbe() ? PORT_CPU_MOVBE : 0);
}

/* A 64-bit random number. Any context. */
uint64_t port_random(void)
{
    uint64_t number;

    random_bytes(&number, sizeof(number));
    return number;
}

/* ---- timers -------------------------------------------------------------------------------- */

struct port_timer {
    struct timer timer;
    void (*fire)(void *arg);
    void *arg;
};

static void timer_fired(struct timer *timer, void *arg)
{
    struct port_timer *t = arg;

    (void)timer;
    t->fire(t->arg);
}

struct port_timer *port_timer_create(void (*fire)(void *arg), void *arg)
{
    struct port_timer *t = kzalloc(sizeof(*t));

    if (t) {
        t->timer.fire = timer_fired;
        t->timer.arg = t;
        t->fire = fire;
        t->arg = arg;
    }
    return t;
}

void port_timer_start(struct port_timer *timer, uint64_t deadline_ns)
{
    timer_set(&timer->timer, deadline_ns);
}

bool port_timer_cancel(struct port_timer *timer)
{
    return timer_cancel(&timer->timer);
}

void port_timer_free(struct port_timer *timer)
{
    kfree(timer);
}

/* ---- exclusion ---------------------------------------------------------------------------- */

uint64_t port_lock(void)
{
    return arch_irq_save();
}

void port_unlock(uint64_t saved)
{
    arch_irq_restore(saved);
}

void port_preempt_disable(void)
{
    preempt_disable();
}

void port_preempt_enable(void)
{
    preempt_enable();
}

/* ---- the running thread ------------------------------------------------------------------- */

uint64_t port_pid_tgid(void)
{
    return (uint64_t)PROCESS_ID << 32 | thread_current()->tid;
}

void port_comm(char comm[16])
{
    _Static_assert(THREAD_NAME_SIZE == 16, "a thread's name is Linux's comm");
    string_copy(comm, thread_current()->name, 16);
}

const void *port_current_task(void)
{
    return thread_current();
}

/* ---- output ------------------------------------------------------------------------------- */

void port_trace_printk(const char *text, size_t len)
{
    struct trace_common common;

    probe_fill_common(&common, 0);
    trace_pipe_write(&common, "bpf_trace_printk: ", text, len);
}

void port_ring_notify(void *map)
{
    (void)map;
    probe_notify();
}

int port_vformat(char *buf, size_t size, const char *fmt, va_list args)
{
    return format_text_va(buf, size, fmt, args);
}

int port_format(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = format_text_va(buf, size, fmt, args);
    va_end(args);
    return len;
}

_Noreturn void port_fatal(const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    format_text_va(text, sizeof(text), fmt, args);
    va_end(args);
    panic("ebpf: %s", text);
}

/* ---- attach points ------------------------------------------------------------------------ */

void *port_tracepoint_by_id(uint32_t id, uint32_t *ctx_size)
{
    struct tracepoint *tp = tracepoint_by_id(id);

    if (tp)
        *ctx_size = tp->ctx_size;
    return tp;
}

void *port_tracepoint_by_name(const char *name, uint32_t *nargs)
{
    struct tracepoint *tp = tracepoint_by_raw_name(name);

    if (tp)
        *nargs = tp->nr_args;
    return tp;
}

const char *port_tracepoint_name(const void *target)
{
    const struct tracepoint *tp = target;

    return tp->name;
}

static struct netdev *netdev_by_index(uint32_t ifindex)
{
    struct netdev *dev = netdev_first();

    while (dev && dev->ifindex != ifindex)
        dev = dev->next;
    return dev;
}

bool port_netdev_exists(uint32_t ifindex)
{
    return netdev_by_index(ifindex) != NULL;
}

static int attach_xdp(struct ebpf_link *link)
{
    struct netdev *dev = netdev_by_index(ebpf_link_ifindex(link));

    return dev ? probe_xdp_attach(dev, link) : -ENODEV;
}

int port_attach(struct ebpf_link *link)
{
    switch (ebpf_link_hook(link)) {
    case EBPF_HOOK_TRACEPOINT:
        return tracepoint_attach(ebpf_link_target(link), TRACE_RECORD, link);
    case EBPF_HOOK_RAW_TRACEPOINT:
        return tracepoint_attach(ebpf_link_target(link), TRACE_RAW, link);
    case EBPF_HOOK_XDP:
        return attach_xdp(link);
    }
    return -EINVAL;
}

void port_detach(struct ebpf_link *link)
{
    enum ebpf_hook hook = ebpf_link_hook(link);
    int err;

    if (hook == EBPF_HOOK_XDP)
        err = probe_xdp_attach(netdev_by_index(ebpf_link_ifindex(link)), NULL);
    else
        err = tracepoint_detach(ebpf_link_target(link),
                                hook == EBPF_HOOK_TRACEPOINT ? TRACE_RECORD : TRACE_RAW, link);
    ASSERT(err == 0, "detaching link %p from hook %d: %d", (void *)link, hook, err);
}
