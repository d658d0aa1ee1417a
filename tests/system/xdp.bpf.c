/*
 * XDP programs that each do something else with UDP datagrams to the echo service, and let all
 * other frames pass: what tests/system/test_xdp.py attaches.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ECHO_PORT 7

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} echoes SEC(".maps");

struct datagram {
    struct ethhdr eth;
    struct iphdr ip;
    struct udphdr udp;
} __attribute__((packed));

/* A whole datagram to the echo service, counted; NULL for other frames. */
static __always_inline struct datagram *echo_datagram(struct xdp_md *ctx)
{
    struct datagram *datagram = (void *)(long)ctx->data;
    __u32 zero = 0;
    __u64 *count;

    if ((void *)(datagram + 1) > (void *)(long)ctx->data_end)
        return 0;
    if (datagram->eth.h_proto != bpf_htons(ETH_P_IP) || datagram->ip.ihl != 5 ||
        datagram->ip.protocol != IPPROTO_UDP || datagram->udp.dest != bpf_htons(ECHO_PORT))
        return 0;
    count = bpf_map_lookup_elem(&echoes, &zero);
    if (count)
        __sync_fetch_and_add(count, 1);
    return datagram;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
    return echo_datagram(ctx) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int aborted(struct xdp_md *ctx)
{
    return echo_datagram(ctx) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int no_such_verdict(struct xdp_md *ctx)
{
    return echo_datagram(ctx) ? 4711 : XDP_PASS;
}

/* An echo service of its own: what is exchanged leaves both checksums as they are. */
SEC("xdp")
int bounce(struct xdp_md *ctx)
{
    struct datagram *datagram = echo_datagram(ctx);
    __u8 mac[ETH_ALEN];
    __be32 address;
    __be16 port;

    if (!datagram)
        return XDP_PASS;
    __builtin_memcpy(mac, datagram->eth.h_dest, ETH_ALEN);
    __builtin_memcpy(datagram->eth.h_dest, datagram->eth.h_source, ETH_ALEN);
    __builtin_memcpy(datagram->eth.h_source, mac, ETH_ALEN);
    address = datagram->ip.daddr;
    datagram->ip.daddr = datagram->ip.saddr;
    datagram->ip.saddr = address;
    port = datagram->udp.dest;
    datagram->udp.dest = datagram->udp.source;
    datagram->udp.source = port;
    return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
