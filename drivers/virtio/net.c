/*
 * virtio-net (virtio 1.2, 5.1): one receive and one transmit queue, behind struct netdev. The
 * receive queue and configuration changes interrupt; sent buffers are taken back at the next
 * send, so the transmit queue never interrupts. No offloads: every frame is complete and
 * checksummed in software. poll and send run in the network thread.
 */
#include "drivers/virtio/device.h"

#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/page.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/trace_events.h"

/* Feature bits and status (5.1.3, 5.1.4). */
#define VIRTIO_NET_F_MTU     (1ull << 3)
#define VIRTIO_NET_F_MAC     (1ull << 5)
#define VIRTIO_NET_F_STATUS  (1ull << 16)
#define VIRTIO_NET_S_LINK_UP 1u
#define VIRTIO_NET_QUEUE_RX  0
#define VIRTIO_NET_QUEUE_TX  1
#define VIRTIO_NET_RING_SIZE 256u
#define ETHERNET_HEADER_SIZE 14u
#define ETHERNET_MTU         1500u
#define MIN_MTU              68u

/* In front of every frame (5.1.6); with VERSION_1 it always has num_buffers. */
struct virtio_net_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};
_Static_assert(sizeof(struct virtio_net_header) == 12, "virtio 1.2, 5.1.6");

/* Configuration space, as far as it is read here (5.1.4). */
struct virtio_net_config {
    uint8_t mac[6];
    uint16_t status;
    uint16_t max_virtqueue_pairs;
    uint16_t mtu;
};
_Static_assert(sizeof(struct virtio_net_config) == 12, "virtio 1.2, 5.1.4");

/*
 * Half a page a frame, either way. The virtio header ends where the frame begins; on receipt it
 * lies in the headroom, which belongs to XDP once the device is done.
 */
#define BUFFER_SIZE  2048u
#define FRAME_OFFSET NETDEV_HEADROOM
_Static_assert(FRAME_OFFSET >= sizeof(struct virtio_net_header), "the header fits the headroom");
_Static_assert(FRAME_OFFSET + NETDEV_MAX_FRAME + NETDEV_HEADROOM <= BUFFER_SIZE,
               "a frame has its room on both sides");

struct virtio_net {
    struct virtio_device dev;
    struct netdev netdev;
    struct virtio_queue rx, tx;
    uint8_t *free_tx;    /* list through the buffers' first bytes */
    bool config_changed; /* set in interrupt context */
    bool broken_reported;
};

static struct virtio_net *of_netdev(struct netdev *netdev)
{
    return (struct virtio_net *)((uint8_t *)netdev - offsetof(struct virtio_net, netdev));
}

/* ---- interrupts --------------------------------------------------------------------------- */

static void wake(struct virtio_net *net)
{
    if (net->netdev.wake != NULL)
        net->netdev.wake(&net->netdev);
}

static void rx_interrupt(void *arg)
{
    struct virtio_net *net = arg;

    virtqueue_interrupt_off(&net->rx.ring);
    wake(net);
}

static void config_interrupt(void *arg)
{
    struct virtio_net *net = arg;

    __atomic_store_n(&net->config_changed, true, __ATOMIC_RELAXED);
    wake(net);
}

/* ---- receive ------------------------------------------------------------------------------ */

static void update_link(struct virtio_net *net)
{
    struct virtio_net_config config;

    net->netdev.link_up = true;
    if (!(net->dev.features & VIRTIO_NET_F_STATUS))
        return;
    virtio_device_read_config(&net->dev, 0, &config, sizeof(config));
    net->netdev.link_up = config.status & VIRTIO_NET_S_LINK_UP;
}

/* Lends a buffer to the device. The ring has room: there are no more buffers than entries. */
static void give_rx_buffer(struct virtio_net *net, uint8_t *buffer)
{
    struct virtq_buffer piece = {
        .data = buffer + FRAME_OFFSET - sizeof(struct virtio_net_header),
        .len = sizeof(struct virtio_net_header) + NETDEV_MAX_FRAME,
    };

    if (virtqueue_add(&net->rx.ring, &piece, 0, 1, buffer) != 0)
        net->netdev.stats.rx_errors++;
}

/* One frame that the device wrote: len counts the virtio header. */
static void receive(struct virtio_net *net, uint8_t *buffer, uint32_t len)
{
    struct netdev *netdev = &net->netdev;
    uint8_t *frame = buffer + FRAME_OFFSET;

    if (len < sizeof(struct virtio_net_header) + ETHERNET_HEADER_SIZE) {
        netdev->stats.rx_errors++;
        return;
    }
    len -= sizeof(struct virtio_net_header);
    netdev->stats.rx_packets++;
    netdev->stats.rx_bytes += len;
    trace_receive_packet(frame, len);
    if (netdev->rx == NULL)
        netdev->stats.rx_dropped++;
    else
        netdev->rx(netdev, frame, len, netdev->rx_arg);
}

static void report_broken(struct virtio_net *net)
{
    if (net->broken_reported || !(net->rx.ring.broken || net->tx.ring.broken))
        return;
    net->broken_reported = true;
    net->netdev.link_up = false;
    pr_err("%s: the device wrote an impossible used index; not used any more", net->dev.name);
}

/* netdev.poll: see kernel/netdev.h. */
static unsigned virtio_net_poll(struct netdev *netdev, unsigned budget)
{
    struct virtio_net *net = of_netdev(netdev);
    unsigned count = 0;

    if (__atomic_exchange_n(&net->config_changed, false, __ATOMIC_RELAXED))
        update_link(net);
    do {
        uint8_t *buffer;
        uint32_t len;

        while (count < budget && (buffer = virtqueue_take(&net->rx.ring, &len)) != NULL) {
            receive(net, buffer, len);
            give_rx_buffer(net, buffer);
            count++;
        }
        virtio_queue_kick(&net->rx);
    } while (count < budget && virtqueue_interrupt_on(&net->rx.ring));
    report_broken(net);
    return count;
}

/* ---- transmit ----------------------------------------------------------------------------- */

static void free_tx_buffer(struct virtio_net *net, uint8_t *buffer)
{
    memcpy(buffer, &net->free_tx, sizeof(net->free_tx));
    net->free_tx = buffer;
}

static uint8_t *alloc_tx_buffer(struct virtio_net *net)
{
    uint8_t *buffer;
    uint32_t len;

    while ((buffer = virtqueue_take(&net->tx.ring, &len)) != NULL)
        free_tx_buffer(net, buffer);
    virtqueue_interrupt_off(&net->tx.ring);
    buffer = net->free_tx;
    if (buffer != NULL)
        memcpy(&net->free_tx, buffer, sizeof(net->free_tx));
    return buffer;
}

/* netdev.send: see kernel/netdev.h. */
static int virtio_net_send(struct netdev *netdev, const struct netdev_iovec *pieces, unsigned count)
{
    struct virtio_net *net = of_netdev(netdev);
    struct virtq_buffer piece;
    uint8_t *buffer;
    size_t len = 0;
    unsigned i;
    int error;

    for (i = 0; i < count; i++) {
        if (pieces[i].len > NETDEV_MAX_FRAME - len) {
            netdev->stats.tx_errors++;
            return -EMSGSIZE;
        }
        len += pieces[i].len;
    }
    buffer = alloc_tx_buffer(net);
    if (buffer == NULL) {
        netdev->stats.tx_dropped++;
        return -ENOBUFS;
    }
    memset(buffer, 0, sizeof(struct virtio_net_header));
    len = sizeof(struct virtio_net_header);
    for (i = 0; i < count; i++) {
        memcpy(buffer + len, pieces[i].data, pieces[i].len);
        len += pieces[i].len;
    }
    piece = (struct virtq_buffer){buffer, (uint32_t)len};
    error = virtqueue_add(&net->tx.ring, &piece, 1, 0, buffer);
    if (error != 0) {
        free_tx_buffer(net, buffer);
        netdev->stats.tx_errors++;
        return error == -ENOSPC ? -ENOBUFS : error;
    }
    virtio_queue_kick(&net->tx);
    netdev->stats.tx_packets++;
    netdev->stats.tx_bytes += len - sizeof(struct virtio_net_header);
    return 0;
}

/* ---- start -------------------------------------------------------------------------------- */

/* count buffers in one block that is never freed. */
static uint8_t *alloc_buffers(unsigned count)
{
    return page_alloc(page_order((size_t)count * BUFFER_SIZE));
}

static int set_up_queues(struct virtio_net *net)
{
    int entry = virtio_device_interrupt(&net->dev, rx_interrupt, net);
    uint8_t *rx_buffers, *tx_buffers;
    unsigned i;
    int error;

    if (entry < 0)
        return entry;
    error = virtio_device_add_queue(&net->dev, VIRTIO_NET_QUEUE_RX, VIRTIO_NET_RING_SIZE, entry,
                                    &net->rx);
    if (error == 0)
        error = virtio_device_add_queue(&net->dev, VIRTIO_NET_QUEUE_TX, VIRTIO_NET_RING_SIZE,
                                        VIRTIO_MSI_NO_VECTOR, &net->tx);
    if (error != 0)
        return error;
    /* Without the change interrupt the link is taken as it is now. */
    entry = virtio_device_interrupt(&net->dev, config_interrupt, net);
    if (entry >= 0)
        virtio_device_config_interrupt(&net->dev, entry);

    rx_buffers = alloc_buffers(net->rx.ring.size);
    tx_buffers = alloc_buffers(net->tx.ring.size);
    if (rx_buffers == NULL || tx_buffers == NULL)
        return -ENOMEM;
    for (i = 0; i < net->rx.ring.size; i++)
        give_rx_buffer(net, rx_buffers + i * BUFFER_SIZE);
    for (i = 0; i < net->tx.ring.size; i++)
        free_tx_buffer(net, tx_buffers + i * BUFFER_SIZE);
    virtqueue_interrupt_off(&net->tx.ring);
    return 0;
}

/* MAC, MTU and link from the configuration. -EINVAL for an MTU that IPv4 forbids (RFC 791). */
static int read_identity(struct virtio_net *net)
{
    struct virtio_net_config config;

    virtio_device_read_config(&net->dev, 0, &config, sizeof(config));
    memcpy(net->netdev.mac, config.mac, sizeof(config.mac));
    net->netdev.mtu = ETHERNET_MTU;
    if ((net->dev.features & VIRTIO_NET_F_MTU) && config.mtu < ETHERNET_MTU)
        net->netdev.mtu = config.mtu;
    update_link(net);
    return net->netdev.mtu < MIN_MTU ? -EINVAL : 0;
}

/* Starts the driver on an opened device and registers it. Its memory lives for ever. */
int virtio_net_probe(const struct virtio_device *dev)
{
    static unsigned nr_devices;
    struct virtio_net *net = kzalloc(sizeof(*net));
    char *name = kzalloc(8);
    int error = -ENOMEM;

    if (net == NULL || name == NULL)
        goto out;
    net->dev = *dev;
    error = virtio_device_negotiate(&net->dev, VIRTIO_NET_F_MAC,
                                    VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MTU);
    if (error == 0)
        error = read_identity(net);
    if (error == 0)
        error = set_up_queues(net);
    if (error != 0)
        goto out;
    format_text(name, 8, "eth%u", nr_devices++);
    net->netdev.name = name;
    net->netdev.driver = "virtio-net";
    net->netdev.send = virtio_net_send;
    net->netdev.poll = virtio_net_poll;
    virtio_device_ready(&net->dev);
    virtio_queue_kick(&net->rx);
    netdev_register(&net->netdev);
    pr_info("%s: %s, MAC %pM, MTU %u, link %s, rings %u/%u", dev->name, name, net->netdev.mac,
            net->netdev.mtu, net->netdev.link_up ? "up" : "down", net->rx.ring.size,
            net->tx.ring.size);
out:
    if (error != 0)
        pr_warn("%s: cannot be used (error %d)", dev->name, error);
    return error;
}
