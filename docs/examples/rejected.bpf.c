/*
 * Example of chapter 16: four programs that look right, and that no verifier lets through.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u64);
} counts SEC(".maps");

struct table {
    __u32 hits[64];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct table);
} tables SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

/* Counts packets of each queue: of those that the map has. */
SEC("xdp")
int count(struct xdp_md *ctx)
{
    __u32 key = ctx->rx_queue_index;
    __u64 *value = bpf_map_lookup_elem(&counts, &key);

    *value += 1;
    return XDP_PASS;
}

/* Drops UDP: in packets that are long enough for an Ethernet header. */
SEC("xdp")
int drop_udp(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);

    if (data + sizeof(*eth) > end)
        return XDP_PASS;
    if (eth->h_proto != bpf_htons(ETH_P_IP))
        return XDP_PASS;
    return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
}

static __attribute__((noinline)) int bump(struct table *table, __u64 i)
{
    return ++table->hits[i];
}

/* Counts by a byte of the packet: one of 64 counters, it is hoped. */
SEC("xdp")
int spread(struct xdp_md *ctx)
{
    __u8 *data = (void *)(long)ctx->data;
    __u8 *end = (void *)(long)ctx->data_end;
    __u32 key = 0;
    struct table *table = bpf_map_lookup_elem(&tables, &key);

    if (!table || data + 34 > end)
        return XDP_PASS;
    return bump(table, data[33] >> 1) > 100 ? XDP_DROP : XDP_PASS;
}

/* Reports packets: but not those of interface 3. */
SEC("xdp")
int report(struct xdp_md *ctx)
{
    __u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

    if (!event)
        return XDP_PASS;
    *event = ctx->rx_queue_index;
    if (ctx->ingress_ifindex == 3)
        return XDP_DROP;
    bpf_ringbuf_submit(event, 0);
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
