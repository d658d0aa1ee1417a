/*
 * Network devices as lwIP interfaces: frames in, frames out, link state, addresses. Network thread.
 */
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/netif.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include <linux/errno.h>

#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/trace_events.h"
#include "net/net.h"
#include "net/services.h"

#define POLL_BUDGET          64u /* frames a device may deliver before others have their turn */
#define MAX_PIECES           16u
#define DHCP_TIMEOUT_SECONDS 10u

/* When no DHCP server answers: the addresses of QEMU's user network. */
#define FALLBACK_ADDRESS "10.0.2.15"
#define FALLBACK_NETMASK "255.255.255.0"
#define FALLBACK_GATEWAY "10.0.2.2"

struct interface {
    struct netif lwip; /* first: lwIP hands out pointers to it */
    struct netdev *dev;
    struct interface *next;
};

static struct interface *interfaces;
static char hostname[32] = "skep";

/* ---- frames ------------------------------------------------------------------------------- */

/* A frame came in: netdev's upcall. The frame is the driver's again when this returns. */
static void receive_frame(struct netdev *dev, uint8_t *frame, size_t len, void *arg)
{
    struct interface *interface = arg;
    struct pbuf *p;

    if (dev->xdp != NULL && !net_xdp(dev, &frame, &len))
        return;
    p = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_POOL);
    if (p == NULL) {
        dev->stats.rx_dropped++;
        return;
    }
    pbuf_take(p, frame, (u16_t)len);
    trace_netif_receive_skb(p, (unsigned)len, dev->name);
    if (interface->lwip.input(p, &interface->lwip) != ERR_OK)
        pbuf_free(p);
}

/* lwIP's linkoutput: p stays the caller's. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    struct interface *interface = netif->state;
    struct netdev_iovec pieces[MAX_PIECES];
    struct pbuf *part, *whole = NULL;
    unsigned count = 0;
    int error;

    if (pbuf_clen(p) > MAX_PIECES) {
        whole = pbuf_clone(PBUF_RAW, PBUF_RAM, p);
        if (whole == NULL)
            return ERR_MEM;
        p = whole;
    }
    for (part = p; part != NULL; part = part->next)
        pieces[count++] = (struct netdev_iovec){part->payload, part->len};
    error = interface->dev->send(interface->dev, pieces, count);
    if (whole != NULL)
        pbuf_free(whole);
    if (error == -ENOBUFS)
        return ERR_MEM; /* TCP tries again */
    return error == 0 ? ERR_OK : ERR_IF;
}

static void update_link(struct interface *interface)
{
    bool up = interface->dev->link_up;

    if (up == (netif_is_link_up(&interface->lwip) != 0))
        return;
    pr_info("net: %s: link %s", interface->dev->name, up ? "up" : "down");
    if (up)
        netif_set_link_up(&interface->lwip);
    else
        netif_set_link_down(&interface->lwip);
}

/* Handles what devices have received. True when one has more, for which no interrupt will come. */
bool net_netif_poll(void)
{
    struct interface *interface;
    bool more = false;

    for (interface = interfaces; interface != NULL; interface = interface->next) {
        if (interface->dev->poll(interface->dev, POLL_BUDGET) == POLL_BUDGET)
            more = true;
        update_link(interface);
    }
    return more;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static unsigned prefix_length(u32_t netmask)
{
    unsigned length = 0;

    for (; netmask != 0; netmask &= netmask - 1)
        length++;
    return length;
}

/* The address set last, for other threads: one aligned word, written by the network thread. */
static uint32_t own_address;

void net_get_ip4(uint8_t address[4])
{
    uint32_t word = __atomic_load_n(&own_address, __ATOMIC_RELAXED);

    memcpy(address, &word, sizeof(word));
}

/* lwIP calls it when an address of an interface changes. */
static void address_changed(struct netif *netif, netif_nsc_reason_t reason,
                            const netif_ext_callback_args_t *args)
{
    const struct interface *interface = netif->state;
    s8_t index;

    if (reason & LWIP_NSC_IPV4_ADDRESS_CHANGED)
        __atomic_store_n(&own_address, netif_ip4_addr(netif)->addr, __ATOMIC_RELAXED);
    if ((reason & LWIP_NSC_IPV4_ADDRESS_CHANGED) && !ip4_addr_isany(netif_ip4_addr(netif))) {
        pr_info("net: %s: address %pI4/%u, gateway %pI4", interface->dev->name,
                netif_ip4_addr(netif), prefix_length(netif_ip4_netmask(netif)->addr),
                netif_ip4_gw(netif));
    }
    if (reason & LWIP_NSC_IPV6_ADDR_STATE_CHANGED) {
        index = args->ipv6_addr_state_changed.addr_index;
        if (ip6_addr_ispreferred(netif_ip6_addr_state(netif, index)) &&
            !ip6_addr_ispreferred(args->ipv6_addr_state_changed.old_state))
            pr_info("net: %s: address %pI6", interface->dev->name,
                    netif_ip6_addr(netif, index)->addr);
    }
}

/* An IPv4 address from the command line. False when absent, or malformed, which is logged. */
static bool setting_ip4(const char *name, ip4_addr_t *out)
{
    char text[32];

    if (cmdline_get(name, text, sizeof(text)) <= 0)
        return false;
    if (ip4addr_aton(text, out))
        return true;
    pr_warn("net: %s=%s is no IPv4 address; ignored", name, text);
    return false;
}

static void use_fallback(void *arg)
{
    struct interface *interface = arg;
    ip4_addr_t address, netmask, gateway;

    if (!ip4_addr_isany(netif_ip4_addr(&interface->lwip)))
        return;
    pr_warn("net: %s: no answer from a DHCP server; taking " FALLBACK_ADDRESS,
            interface->dev->name);
    ip4addr_aton(FALLBACK_ADDRESS, &address);
    ip4addr_aton(FALLBACK_NETMASK, &netmask);
    ip4addr_aton(FALLBACK_GATEWAY, &gateway);
    /* DHCP goes on asking, and an answer replaces this. */
    netif_set_addr(&interface->lwip, &address, &netmask, &gateway);
}

/* The address that the command line gives, or DHCP. */
static void configure_ip4(struct interface *interface, bool first)
{
    ip4_addr_t address, netmask, gateway;
    uint64_t seconds;

    if (first && setting_ip4("skep.ip", &address)) {
        if (!setting_ip4("skep.netmask", &netmask))
            IP4_ADDR(&netmask, 255, 255, 255, 0);
        if (!setting_ip4("skep.gateway", &gateway))
            ip4_addr_set_any(&gateway);
        netif_set_addr(&interface->lwip, &address, &netmask, &gateway);
        return;
    }
    if (dhcp_start(&interface->lwip) != ERR_OK)
        pr_err("net: %s: cannot start DHCP", interface->dev->name);
    seconds = cmdline_u64("skep.dhcp_timeout", DHCP_TIMEOUT_SECONDS);
    if (first && seconds <= 3600)
        sys_timeout((u32_t)seconds * 1000, use_fallback, interface);
}

/* The link-local address, what routers advertise, and the one that the command line gives. */
static void configure_ip6(struct interface *interface, bool first)
{
    ip6_addr_t address;
    char text[48];
    s8_t index;

    netif_create_ip6_linklocal_address(&interface->lwip, 1);
    netif_set_ip6_autoconfig_enabled(&interface->lwip, 1);
    if (!first || cmdline_get("skep.ip6", text, sizeof(text)) <= 0)
        return;
    if (!ip6addr_aton(text, &address))
        pr_warn("net: skep.ip6=%s is no IPv6 address; ignored", text);
    else if (netif_add_ip6_address(&interface->lwip, &address, &index) == ERR_OK)
        netif_ip6_addr_set_state(&interface->lwip, index, IP6_ADDR_TENTATIVE);
}

/* ---- start -------------------------------------------------------------------------------- */

/* netif_add's callback: fills in the link layer's part. */
static err_t init_netif(struct netif *netif)
{
    struct interface *interface = netif->state;

    netif->name[0] = 'e';
    netif->name[1] = 't';
    netif->hostname = hostname;
    netif->mtu = interface->dev->mtu;
    netif->hwaddr_len = sizeof(interface->dev->mac);
    memcpy(netif->hwaddr, interface->dev->mac, sizeof(interface->dev->mac));
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = send_frame;
    return ERR_OK;
}

static void add_interface(struct netdev *dev, void (*wake)(struct netdev *dev))
{
    struct interface *interface = kzalloc(sizeof(*interface));
    bool first = interfaces == NULL;

    if (interface == NULL)
        return;
    interface->dev = dev;
    netif_add_noaddr(&interface->lwip, interface, init_netif, ethernet_input);
    if (first)
        netif_set_default(&interface->lwip);
    interface->next = interfaces;
    interfaces = interface;
    dev->rx_arg = interface;
    dev->rx = receive_frame;
    dev->wake = wake;
    netif_set_up(&interface->lwip);
    update_link(interface);
    configure_ip6(interface, first);
    configure_ip4(interface, first);
}

/* Makes an interface of every registered device and starts its configuration. wake is what the
 * drivers call in interrupt context. */
void net_netif_add_all(void (*wake)(struct netdev *dev))
{
    static netif_ext_callback_t callback;
    struct netdev *dev;

    cmdline_get("skep.hostname", hostname, sizeof(hostname));
    netif_add_ext_callback(&callback, address_changed);
    for (dev = netdev_first(); dev != NULL; dev = dev->next)
        add_interface(dev, wake);
    if (interfaces == NULL)
        pr_warn("net: no network device found; running without network");
}
