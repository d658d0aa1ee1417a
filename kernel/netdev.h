/*
 * The joint between drivers/ and net/: neither includes the other. A driver fills in a
 * struct netdev and registers it; net/ binds its upcall and sends.
 */
#ifndef SKEP_KERNEL_NETDEV_H
#define SKEP_KERNEL_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETDEV_MAX_FRAME 1514 /* Ethernet header and 1,500 bytes; no FCS */
/* Free bytes a driver guarantees in front of a received frame and behind it, for XDP; as many as
 * Linux has in front (XDP_PACKET_HEADROOM). */
#define NETDEV_HEADROOM 256

/* A piece of a frame to send. */
struct netdev_iovec {
    const void *data;
    size_t len;
};

struct ebpf_link;
struct netdev;

/* One received frame, borrowed: valid until the upcall returns, which may write to it and to the
 * NETDEV_HEADROOM bytes on either side. Network thread. */
typedef void (*netdev_rx_fn)(struct netdev *dev, uint8_t *frame, size_t len, void *arg);

struct netdev_stats {
    uint64_t rx_packets, rx_bytes, rx_dropped, rx_errors;
    uint64_t tx_packets, tx_bytes, tx_dropped, tx_errors;
    uint64_t xdp_dropped, xdp_tx, xdp_aborted; /* received frames that an XDP program kept back */
};

struct netdev {
    const char *name;   /* "eth0" */
    const char *driver; /* "virtio-net" */
    uint32_t ifindex;   /* from 1, by registration */
    uint8_t mac[6];
    uint16_t mtu;
    bool link_up;
    struct netdev_stats stats;

    /* Queues a copy of the frame gathered from `count` pieces. 0, -ENOBUFS when the ring is
     * full, -EMSGSIZE. Network thread. */
    int (*send)(struct netdev *dev, const struct netdev_iovec *pieces, unsigned count);
    /* Hands every frame that has arrived (at most budget) to rx, then refills the ring. Returns
     * the number handled; less than budget means that the interrupt is armed again. Network
     * thread. */
    unsigned (*poll)(struct netdev *dev, unsigned budget);

    struct ebpf_link *xdp; /* the attached XDP program; set by kernel/probe.c */
    netdev_rx_fn rx;       /* set by net/ */
    void *rx_arg;
    /* Set by net/: the driver calls it in interrupt context when poll has work. */
    void (*wake)(struct netdev *dev);
    struct netdev *next;
};

/* Takes a place in the list of devices; dev must live for ever. Sets ifindex. */
void netdev_register(struct netdev *dev);
struct netdev *netdev_first(void);

#endif
