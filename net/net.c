/*
 * The network thread: runs lwIP, the interfaces and the small services. It sleeps until a device
 * interrupts, a queued datagram is to be sent, or one of lwIP's timers is due.
 */
#include "net/net.h"

#include <linux/errno.h>

#include "lwip/init.h"
#include "lwip/timeouts.h"

#include "arch/x86_64/arch.h"
#include "kernel/cmdline.h"
#include "kernel/netdev.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/thread.h"
#include "net/services.h"

/* After so many rounds without rest the thread sleeps a moment, so that a flood of frames, which
 * it handles at the highest priority, cannot keep the others from running at all. */
#define BUSY_ROUNDS  16u
#define BUSY_REST_NS 1000000u

static struct {
    struct thread *thread;
    struct waitq queue; /* the network thread sleeps here */
    bool work;          /* set by any context, cleared by the thread */
} net;

/* lwIP's LWIP_ASSERT_CORE_LOCKED: only the network thread may call it. */
void net_assert_thread(void)
{
    ASSERT(thread_current() == net.thread, "lwIP called by thread %s", thread_current()->name);
}

void net_wake(void)
{
    __atomic_store_n(&net.work, true, __ATOMIC_RELEASE);
    waitq_wake_one(&net.queue);
}

static void wake_for_device(struct netdev *dev)
{
    (void)dev;
    net_wake();
}

/* Sleeps until there is work or lwIP's next timer is due. */
static void await_work(void)
{
    u32_t sleep_ms = sys_timeouts_sleeptime();
    uint64_t deadline = UINT64_MAX, flags;

    if (sleep_ms != SYS_TIMEOUTS_SLEEPTIME_INFINITE)
        deadline = arch_time_ns() + sleep_ms * 1000000ull;
    flags = arch_irq_save();
    while (!__atomic_load_n(&net.work, __ATOMIC_ACQUIRE) && waitq_wait(&net.queue, deadline) == 0)
        ;
    arch_irq_restore(flags);
}

static void network_thread(void *arg)
{
    unsigned busy_rounds = 0;

    (void)arg;
    net.thread = thread_current();
    lwip_init();
    net_netif_add_all(wake_for_device);
    if (cmdline_u64("skep.services", 1) != 0) {
        net_echo_init();
        net_http_init();
        net_tftp_init();
    }
    for (;;) {
        bool more;

        /* Cleared first: what is set during the round asks for another one. */
        __atomic_store_n(&net.work, false, __ATOMIC_RELEASE);
        more = net_netif_poll();
        net_port_service();
        sys_check_timeouts();
        net_timers_adjust();
        if (!more) {
            busy_rounds = 0;
            await_work();
        } else if (++busy_rounds == BUSY_ROUNDS) {
            busy_rounds = 0;
            thread_sleep_ns(BUSY_REST_NS);
        }
    }
}

int net_init(void)
{
    if (thread_create("net", THREAD_PRIO_NET, network_thread, NULL) == NULL) {
        pr_err("net: out of memory for the network thread");
        return -ENOMEM;
    }
    return 0;
}
