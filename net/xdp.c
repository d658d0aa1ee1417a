/*
 * XDP at receive: runs a device's program on a frame while it lies in the driver's buffer, before
 * any memory is spent on it, and does what the program's verdict says (enum xdp_action of
 * linux/bpf.h). Called by netif.c for frames of a device that has a program. Network thread.
 *
 * Not here: redirection. Its verdict, like those that XDP does not know, drops the frame and
 * counts it as aborted.
 */
#include "ebpf/ebpf.h"
#include "kernel/netdev.h"
#include "kernel/probe.h"
#include "net/services.h"

/* Sends the frame back out of the device it came from; the driver counts what it cannot send. */
static void send_back(struct netdev *dev, const struct ebpf_xdp *xdp)
{
    struct netdev_iovec whole = {xdp->data, (size_t)(xdp->data_end - xdp->data)};

    if (dev->send(dev, &whole, 1) == 0)
        dev->stats.xdp_tx++;
}

/* True when the stack shall have the frame, which is then what the program made of it: it may have
 * moved either end by up to NETDEV_HEADROOM. *frame is borrowed and written to. */
bool net_xdp(struct netdev *dev, uint8_t **frame, size_t *len)
{
    struct ebpf_xdp xdp = {
        .data = *frame,
        .data_end = *frame + *len,
        .data_meta = *frame,
        .data_hard_start = *frame - NETDEV_HEADROOM,
        .data_hard_end = *frame + *len + NETDEV_HEADROOM,
        .ingress_ifindex = dev->ifindex,
    };

    switch (probe_xdp(dev, &xdp)) {
    case XDP_PASS:
        *frame = xdp.data;
        *len = (size_t)(xdp.data_end - xdp.data);
        return true;
    case XDP_TX:
        send_back(dev, &xdp);
        return false;
    case XDP_DROP:
        dev->stats.xdp_dropped++;
        return false;
    default: /* XDP_ABORTED: also the result of a program that was stopped */
        dev->stats.xdp_aborted++;
        return false;
    }
}
