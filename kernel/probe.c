/*
 * Runs what listens at an event: see kernel/probe.h. The joint between tracepoints and ebpf/; knows
 * neither how programs run nor how they were attached.
 *
 * Preemption is off throughout, so a run ends before another thread goes on; an interrupt may come
 * on top and have events of its own.
 */
#include <asm/errno.h>
#include <linux/bpf.h>

#include "arch/x86_64/arch.h"
#include "ebpf/ebpf.h"
#include "kernel/netdev.h"
#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/trace_pipe.h"

#define NOTIFY_INTERVAL_NS 1000000u
#define EVENT_TEXT_MAX     768u /* leaves room in TRACE_LINE_MAX for what stands before */

/* Whether an event of thread context (0) or interrupt context (1) is being handled: an event that
 * its own handling causes must not start over. Per CPU once there are several. */
static bool handling[2];

static void notify_fire(struct timer *timer, void *arg);
static struct timer notify_timer = {.fire = notify_fire};
static void (*notify_reader)(void);

void probe_fill_common(struct trace_common *common, uint32_t id)
{
    common->type = (uint16_t)id;
    common->flags = (uint8_t)((arch_irq_enabled() ? 0 : TRACE_FLAG_IRQS_OFF) |
                              (arch_in_interrupt() ? TRACE_FLAG_HARDIRQ : 0));
    common->preempt_count = preempt_enabled() ? 0 : 1;
    common->pid = (int32_t)thread_current()->tid;
}

static void run_links(const struct trace_links *links, void *ctx)
{
    for (uint32_t i = 0; links && i < links->count; i++)
        ebpf_link_run(links->links[i], ctx);
}

static void write_text(const struct tracepoint *tp, const struct trace_common *record)
{
    char text[EVENT_TEXT_MAX];
    int len = tp->print(tp, record, text, sizeof(text));

    if (len >= (int)sizeof(text))
        len = sizeof(text) - 1;
    trace_pipe_write(record, "", text, (size_t)len);
}

void probe_event(struct tracepoint *tp, struct trace_common *record, const uint64_t *args)
{
    unsigned context = arch_in_interrupt() ? 1 : 0;
    /* Inside the scheduler interrupts are off, and enabling preemption there would enter it again.
     */
    bool hold = arch_irq_enabled();

    probe_fill_common(record, tp->id);
    if (hold)
        preempt_disable();
    if (handling[context]) {
        tp->missed++;
    } else {
        handling[context] = true;
        tp->hits++;
        if (args)
            run_links(tp->links[TRACE_RAW], (void *)args);
        run_links(tp->links[TRACE_RECORD], record);
        if (tp->to_pipe)
            write_text(tp, record);
        handling[context] = false;
    }
    if (hold)
        preempt_enable();
}

uint32_t probe_xdp(struct netdev *dev, struct ebpf_xdp *xdp)
{
    uint32_t verdict = XDP_PASS;

    preempt_disable();
    if (dev->xdp)
        verdict = (uint32_t)ebpf_link_run(dev->xdp, xdp);
    preempt_enable();
    return verdict;
}

int probe_xdp_attach(struct netdev *dev, struct ebpf_link *link)
{
    int err = 0;

    preempt_disable();
    if (link && dev->xdp)
        err = -EBUSY;
    else
        dev->xdp = link;
    preempt_enable();
    return err;
}

/* ---- telling the reader -------------------------------------------------------------------- */

void probe_set_notify(void (*notify)(void))
{
    notify_reader = notify;
}

static void notify_fire(struct timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    if (notify_reader)
        notify_reader();
}

/* By way of a timer, for two reasons: an event may be inside the scheduler, where no thread can be
 * woken; and a reader that wakes for each of many events would be most of the load. */
void probe_notify(void)
{
    if (notify_reader && !notify_timer.armed)
        timer_set(&notify_timer, arch_time_ns() + NOTIFY_INTERVAL_NS);
}
