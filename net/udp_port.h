/*
 * A UDP port for a thread other than the network thread: two bounded queues of copied datagrams,
 * one each way. The network thread fills the one and drains the other; the owner (the command
 * server) sleeps until a datagram is there. A full queue drops the datagram and counts it, so
 * neither side can hold up the other. Used by net/server.c.
 */
#ifndef SKEP_NET_UDP_PORT_H
#define SKEP_NET_UDP_PORT_H

#include <stddef.h>
#include <stdint.h>

enum net_family { NET_IPV4 = 4, NET_IPV6 = 6 };

/* Where a datagram came from or goes to. Compare with memcmp: there is no padding, and unused
 * bytes are zero. */
struct net_endpoint {
    uint8_t family;   /* enum net_family */
    uint8_t zone;     /* interface number of a link-local IPv6 address, else 0 */
    uint16_t port;    /* host order */
    uint8_t addr[16]; /* network order; IPv4 in the first four bytes */
};
_Static_assert(sizeof(struct net_endpoint) == 20, "net_endpoint has no padding");

struct net_port_stats {
    uint64_t received, sent; /* datagrams that went through a queue */
    uint64_t rx_dropped;     /* arrived while the receive queue was full */
    uint64_t tx_dropped;     /* refused by lwIP: no route, no memory */
    uint64_t truncated;      /* cut to the receiver's buffer */
    uint64_t too_long;       /* dropped: over NET_PORT_MAX */
};

/* The longest datagram that a port carries. */
#define NET_PORT_MAX 1472

struct net_port;

/* Opens UDP port `port` on every address, IPv4 and IPv6, with room for depth datagrams each way.
 * May be called before the network is up. Lives for ever. NULL when out of memory or when the
 * port is taken. Thread context. */
struct net_port *net_port_open(uint16_t port, unsigned depth);

/* Takes the oldest datagram, waiting for one until deadline_ns (arch_time_ns units; UINT64_MAX:
 * for ever; 0: does not wait). Its length, at most size (the rest is cut off and counted), or
 * -ETIMEDOUT, or -EINTR. One thread at a time per port. */
int net_port_receive(struct net_port *port, struct net_endpoint *from, void *buf, size_t size,
                     uint64_t deadline_ns);

/* Ends a wait in net_port_receive, the one under way or the next, with -EINTR. Any context. */
void net_port_interrupt(struct net_port *port);

/* Queues a copy of a datagram. 0, -EMSGSIZE when longer than NET_PORT_MAX, -ENOBUFS when the queue
 * is full (nothing is queued). Does not wait. Thread context. */
int net_port_send(struct net_port *port, const struct net_endpoint *to, const void *buf,
                  size_t len);

void net_port_get_stats(const struct net_port *port, struct net_port_stats *out);

/* "10.0.2.2:1234" or "[fe80::1]:1234" into buf, at most size bytes. */
void net_endpoint_format(const struct net_endpoint *endpoint, char *buf, size_t size);

#endif
