/*
 * The command server in the guest: its thread, UDP port 9970 as its link, and the guest as its
 * machine. Started by kernel/main.c.
 */
#include <linux/errno.h>

#include "arch/x86_64/arch.h"
#include "boot/bootinfo.h"
#include "ebpf/commands.h"
#include "ebpf/wire.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/page.h"
#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/string.h"
#include "kernel/symbols.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "net/net.h"
#include "net/server.h"

/* Two clients' windows: what both send at once is queued. */
#define PORT_DEPTH 64u

static struct server *server;
static struct net_port *port;
static char loader_name[32];

/* ---- the link ------------------------------------------------------------------------------ */

static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    (void)link;
    net_port_send(port, to, data, len); /* a full queue loses it: the sender repeats */
}

static struct server_link udp_link = {link_send};

/* Something came to be read since server_tick began. */
static bool news;

/* Something is there to read: a read that the server holds may be answered. While it holds none it
 * is left asleep: its waking may be the next event that is recorded, and so on for ever. Interrupt
 * context. */
static void notify(void)
{
    __atomic_store_n(&news, true, __ATOMIC_RELAXED);
    if (server_waits(server))
        net_port_interrupt(port);
}

/* ---- the machine --------------------------------------------------------------------------- */

static void count_thread(const struct thread *thread, void *arg)
{
    (void)thread;
    ++*(uint32_t *)arg;
}

static void fill_in_network(struct skep_sys_info_attr *info)
{
    const struct netdev *dev = netdev_first();

    net_get_ip4(info->ip4);
    if (!dev)
        return;
    memcpy(info->mac, dev->mac, sizeof(info->mac));
    for (; dev; dev = dev->next) {
        info->rx_packets += dev->stats.rx_packets;
        info->rx_bytes += dev->stats.rx_bytes;
        info->rx_dropped += dev->stats.rx_dropped;
        info->tx_packets += dev->stats.tx_packets;
        info->tx_bytes += dev->stats.tx_bytes;
        info->tx_dropped += dev->stats.tx_dropped;
        info->xdp_dropped += dev->stats.xdp_dropped;
        info->xdp_tx += dev->stats.xdp_tx;
        info->xdp_aborted += dev->stats.xdp_aborted;
    }
}

/* Of devices; the timer's are not counted. */
static uint32_t count_interrupts(void)
{
    uint64_t sum = 0, count;

    for (int vector = 0; vector < 256; vector++) {
        arch_irq_info(vector, &count);
        sum += count;
    }
    return (uint32_t)sum;
}

/* The model alone: the features behind it are for the boot log. */
static void fill_in_cpu(struct skep_sys_info_attr *info)
{
    arch_cpu_describe(info->cpu, sizeof(info->cpu));
    for (char *c = info->cpu; *c; c++)
        if (*c == ';')
            *c = '\0';
}

static void fill_in(struct skep_sys_info_attr *info)
{
    struct page_stats pages;
    struct heap_stats heap;

    page_get_stats(&pages);
    heap_get_stats(&heap);
    info->uptime_ns = arch_time_ns();
    info->wall_ns = time_wall_ns();
    info->memory_total = pages.total_pages * PAGE_SIZE;
    info->memory_free = pages.free_pages * PAGE_SIZE;
    info->heap_bytes = heap.allocated_bytes;
    thread_for_each(count_thread, &info->threads);
    info->irqs = count_interrupts();
    fill_in_network(info);
    string_copy(info->version, WIRE_BUILD, sizeof(info->version));
    string_copy(info->loader, loader_name, sizeof(info->loader));
    fill_in_cpu(info);
    if (cmdline_get("skep.hostname", info->hostname, sizeof(info->hostname)) <= 0)
        string_copy(info->hostname, "skep", sizeof(info->hostname));
}

static void power(uint32_t action)
{
    pr_notice("server: %s, as a client asked", action ? "rebooting" : "powering off");
    if (action)
        arch_reboot();
    arch_poweroff();
}

static const struct server_machine guest = {WIRE_BUILD, fill_in, power, symbol_at};

/* ---- the thread ---------------------------------------------------------------------------- */

static void serve(void *arg)
{
    static uint8_t datagram[NET_PORT_MAX];
    uint64_t next = UINT64_MAX;

    (void)arg;
    for (;;) {
        struct net_endpoint from;
        int len = net_port_receive(port, &from, datagram, sizeof(datagram), next);

        /* All that has arrived, then time: see server_tick. */
        for (unsigned i = 0; len >= 0 && i < PORT_DEPTH; i++) {
            server_receive(server, &from, datagram, (size_t)len, arch_time_ns());
            len = net_port_receive(port, &from, datagram, sizeof(datagram), 0);
        }
        if (len >= 0)
            server_receive(server, &from, datagram, (size_t)len, arch_time_ns());
        __atomic_store_n(&news, false, __ATOMIC_RELAXED);
        next = server_tick(server, arch_time_ns());
        if (__atomic_load_n(&news, __ATOMIC_RELAXED))
            next = 0; /* perhaps just before the read that wants it was held */
    }
}

/* Opens the port and starts the thread. boot: who started the kernel, for `sys info`, and perhaps
 * the key. 0, or -ENOMEM and no server. Thread context, after the network, the tracepoints and the
 * engine. */
int server_start(const struct boot_info *boot)
{
    string_copy(loader_name, boot->loader, sizeof(loader_name));
    server = server_create(&udp_link, &guest, server_find_key(boot));
    port = server ? net_port_open(WIRE_PORT, PORT_DEPTH) : NULL;
    if (!port || !thread_create("server", THREAD_PRIO_SERVER, serve, NULL)) {
        pr_err("server: out of memory: no client can connect");
        return -ENOMEM;
    }
    probe_set_notify(notify);
    pr_info("server: listening on UDP port %u", WIRE_PORT);
    return 0;
}
