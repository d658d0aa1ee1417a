/*
 * UDP ports for other threads. See udp_port.h. The network thread owns the lwIP side (pcb) and one
 * end of each queue; the port's owner has the other ends. What both touch are the queues, which
 * need no lock, and the list of ports, which only grows.
 */
#include "net/udp_port.h"

#include <linux/errno.h>

#include "lwip/udp.h"

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "net/datagram_queue.h"
#include "net/net.h"
#include "net/services.h"

struct net_port {
    struct net_port *next;
    uint16_t number;
    struct udp_pcb *pcb; /* network thread; NULL until bound */
    bool bind_failed;    /* network thread; reported once */
    struct datagram_queue rx, tx;
    struct waitq readable;
    bool interrupted; /* net_port_interrupt was called; with interrupts off */
    struct net_port_stats stats;
};

static struct net_port *ports; /* written with interrupts off */

/* ---- addresses ---------------------------------------------------------------------------- */

static void endpoint_from_lwip(struct net_endpoint *to, const ip_addr_t *from, uint16_t port)
{
    memset(to, 0, sizeof(*to));
    to->port = port;
    if (IP_IS_V6(from)) {
        to->family = NET_IPV6;
        to->zone = ip6_addr_zone(ip_2_ip6(from));
        memcpy(to->addr, ip_2_ip6(from)->addr, 16);
    } else {
        to->family = NET_IPV4;
        memcpy(to->addr, &ip_2_ip4(from)->addr, 4);
    }
}

static void endpoint_to_lwip(ip_addr_t *to, const struct net_endpoint *from)
{
    memset(to, 0, sizeof(*to));
    if (from->family == NET_IPV6) {
        IP_SET_TYPE(to, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(to)->addr, from->addr, 16);
        ip6_addr_set_zone(ip_2_ip6(to), from->zone);
    } else {
        IP_SET_TYPE(to, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(to)->addr, from->addr, 4);
    }
}

void net_endpoint_format(const struct net_endpoint *endpoint, char *buf, size_t size)
{
    if (endpoint->family == NET_IPV6)
        format_text(buf, size, "[%pI6]:%u", endpoint->addr, endpoint->port);
    else
        format_text(buf, size, "%pI4:%u", endpoint->addr, endpoint->port);
}

/* ---- the network thread's side ------------------------------------------------------------ */

/* lwIP's upcall for a datagram; takes p. */
static void receive(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr,
                    u16_t source_port)
{
    struct net_port *port = arg;
    struct datagram *slot = datagram_queue_reserve(&port->rx);

    (void)pcb;
    if (p->tot_len > NET_PORT_MAX) {
        port->stats.too_long++;
    } else if (slot == NULL) {
        port->stats.rx_dropped++;
    } else {
        endpoint_from_lwip(&slot->peer, addr, source_port);
        slot->length = pbuf_copy_partial(p, slot->data, p->tot_len, 0);
        datagram_queue_commit(&port->rx);
        port->stats.received++;
        waitq_wake_one(&port->readable);
    }
    pbuf_free(p);
}

static void bind_port(struct net_port *port)
{
    struct udp_pcb *pcb = udp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || udp_bind(pcb, IP_ANY_TYPE, port->number) != ERR_OK) {
        pr_err("net: UDP port %u cannot be opened: %s", port->number,
               pcb == NULL ? "out of control blocks" : "it is in use");
        if (pcb != NULL)
            udp_remove(pcb);
        port->bind_failed = true;
        return;
    }
    udp_recv(pcb, receive, port);
    port->pcb = pcb;
}

static void send_datagram(struct net_port *port, const struct datagram *datagram)
{
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, datagram->length, PBUF_RAM);
    ip_addr_t to;
    err_t error = ERR_MEM;

    if (p != NULL && port->pcb != NULL) {
        endpoint_to_lwip(&to, &datagram->peer);
        memcpy(p->payload, datagram->data, datagram->length);
        error = udp_sendto(port->pcb, p, &to, datagram->peer.port);
    }
    if (p != NULL)
        pbuf_free(p);
    if (error == ERR_OK)
        port->stats.sent++;
    else
        port->stats.tx_dropped++;
}

/* Binds ports that were opened, and sends what their owners queued. */
void net_port_service(void)
{
    const struct datagram *datagram;
    struct net_port *port;

    for (port = __atomic_load_n(&ports, __ATOMIC_ACQUIRE); port != NULL; port = port->next) {
        if (port->pcb == NULL && !port->bind_failed)
            bind_port(port);
        while ((datagram = datagram_queue_peek(&port->tx)) != NULL) {
            send_datagram(port, datagram);
            datagram_queue_pop(&port->tx);
        }
    }
}

/* ---- the owner's side --------------------------------------------------------------------- */

static bool add_port(struct net_port *port)
{
    uint64_t flags = arch_irq_save();
    struct net_port *other = ports;

    while (other != NULL && other->number != port->number)
        other = other->next;
    if (other == NULL) {
        port->next = ports;
        __atomic_store_n(&ports, port, __ATOMIC_RELEASE);
    }
    arch_irq_restore(flags);
    return other == NULL;
}

struct net_port *net_port_open(uint16_t number, unsigned depth)
{
    struct net_port *port = kzalloc(sizeof(*port));

    if (port == NULL)
        return NULL;
    port->number = number;
    if (datagram_queue_init(&port->rx, depth) == 0 && datagram_queue_init(&port->tx, depth) == 0 &&
        add_port(port)) {
        net_wake();
        return port;
    }
    datagram_queue_destroy(&port->rx);
    datagram_queue_destroy(&port->tx);
    kfree(port);
    return NULL;
}

/* The oldest datagram, waited for until deadline_ns; NULL and an error when none came. */
static const struct datagram *await_datagram(struct net_port *port, uint64_t deadline_ns,
                                             int *error)
{
    const struct datagram *datagram;
    uint64_t flags = arch_irq_save();

    *error = deadline_ns == 0 ? -ETIMEDOUT : 0;
    while ((datagram = datagram_queue_peek(&port->rx)) == NULL && *error == 0) {
        if (port->interrupted)
            *error = -EINTR;
        else
            *error = waitq_wait(&port->readable, deadline_ns);
    }
    if (*error == -EINTR)
        port->interrupted = false;
    arch_irq_restore(flags);
    return datagram;
}

void net_port_interrupt(struct net_port *port)
{
    uint64_t flags = arch_irq_save();

    port->interrupted = true;
    arch_irq_restore(flags);
    waitq_wake_one(&port->readable);
}

int net_port_receive(struct net_port *port, struct net_endpoint *from, void *buf, size_t size,
                     uint64_t deadline_ns)
{
    int error;
    const struct datagram *datagram = await_datagram(port, deadline_ns, &error);
    size_t length;

    if (datagram == NULL)
        return error;
    length = datagram->length;
    if (length > size) {
        length = size;
        port->stats.truncated++;
    }
    *from = datagram->peer;
    memcpy(buf, datagram->data, length);
    datagram_queue_pop(&port->rx);
    return (int)length;
}

int net_port_send(struct net_port *port, const struct net_endpoint *to, const void *buf, size_t len)
{
    struct datagram *slot;

    if (len > NET_PORT_MAX)
        return -EMSGSIZE;
    slot = datagram_queue_reserve(&port->tx);
    if (slot == NULL)
        return -ENOBUFS;
    slot->peer = *to;
    slot->length = (uint16_t)len;
    memcpy(slot->data, buf, len);
    datagram_queue_commit(&port->tx);
    net_wake();
    return 0;
}

void net_port_get_stats(const struct net_port *port, struct net_port_stats *out)
{
    *out = port->stats;
}
