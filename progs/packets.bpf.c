/*
 * Lesson: who sends packets to this machine?
 *
 * A program for the tracepoint virtio_net:receive_packet, which comes with every frame that the
 * network card delivers, before the network stack has seen it. It counts UDP and TCP packets by
 * source address and source port, for IPv4 and IPv6.
 *
 *     skepctl prog load packets.bpf.o packets
 *     skepctl prog attach pinned packets tracepoint virtio_net:receive_packet
 *     skepctl map dump name packets
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The record of virtio_net:receive_packet; see `skepctl tracepoint format`. */
struct receive_record {
    __u64 common;
    void *packet_ptr; /* the Ethernet header */
    __u32 packet_len;
};

/* Who sent it. No holes: a key is compared byte by byte, and bytes between the members would be
 * whatever the stack held. */
struct sender {
    __u8 address[16]; /* IPv4: the first 4 */
    __u16 port;       /* in host order */
    __u8 family;      /* 4 or 6 */
    __u8 protocol;    /* IPPROTO_UDP 17, IPPROTO_TCP 6 */
};

/* What came from there. */
struct traffic {
    __u64 packets;
    __u64 bytes; /* with the Ethernet header */
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4096);
    __type(key, struct sender);
    __type(value, struct traffic);
} packets SEC(".maps");

/* UDP and TCP begin alike, and this is all of them that is needed here. */
struct ports {
    __be16 source;
    __be16 dest;
};

/* Copies size bytes at offset of the packet. The packet is the kernel's memory, so the program
 * asks a helper for it instead of following the pointer; and a packet shorter than its headers
 * claim is a packet to ignore, not to trust. */
static __always_inline int load(const struct receive_record *record, __u32 offset, void *to,
                                __u32 size)
{
    if (offset + size > record->packet_len)
        return -1;
    return bpf_probe_read_kernel(to, size, (const char *)record->packet_ptr + offset);
}

/* Fills in address, family and protocol, and where the next header begins. */
static __always_inline int parse_ipv4(const struct receive_record *record, struct sender *sender,
                                      __u32 *next)
{
    struct iphdr ip;

    if (load(record, ETH_HLEN, &ip, sizeof(ip)) < 0 || ip.ihl < 5)
        return -1;
    /* Only the first fragment of a packet has the ports. */
    if (ip.frag_off & bpf_htons(0x1fff))
        return -1;
    __builtin_memcpy(sender->address, &ip.saddr, sizeof(ip.saddr));
    sender->family = 4;
    sender->protocol = ip.protocol;
    *next = ETH_HLEN + ip.ihl * 4;
    return 0;
}

/* Extension headers are not followed: such a packet counts as neither UDP nor TCP. */
static __always_inline int parse_ipv6(const struct receive_record *record, struct sender *sender,
                                      __u32 *next)
{
    struct ipv6hdr ip;

    if (load(record, ETH_HLEN, &ip, sizeof(ip)) < 0)
        return -1;
    __builtin_memcpy(sender->address, &ip.saddr, sizeof(ip.saddr));
    sender->family = 6;
    sender->protocol = ip.nexthdr;
    *next = ETH_HLEN + sizeof(ip);
    return 0;
}

SEC("tracepoint/virtio_net/receive_packet")
int count_packet(struct receive_record *record)
{
    struct sender sender = {0};
    struct ethhdr eth;
    struct ports ports;
    struct traffic first = {.packets = 1, .bytes = record->packet_len};
    struct traffic *traffic;
    __u32 next;

    if (load(record, 0, &eth, sizeof(eth)) < 0)
        return 0;
    switch (bpf_ntohs(eth.h_proto)) {
    case ETH_P_IP:
        if (parse_ipv4(record, &sender, &next) < 0)
            return 0;
        break;
    case ETH_P_IPV6:
        if (parse_ipv6(record, &sender, &next) < 0)
            return 0;
        break;
    default: /* ARP, say */
        return 0;
    }
    if (sender.protocol != IPPROTO_UDP && sender.protocol != IPPROTO_TCP)
        return 0;
    if (load(record, next, &ports, sizeof(ports)) < 0)
        return 0;
    sender.port = bpf_ntohs(ports.source);

    /* A lookup gives the address of the value in the map, or NULL where there is none. */
    traffic = bpf_map_lookup_elem(&packets, &sender);
    if (traffic) {
        __sync_fetch_and_add(&traffic->packets, 1);
        __sync_fetch_and_add(&traffic->bytes, record->packet_len);
    } else {
        bpf_map_update_elem(&packets, &sender, &first, BPF_NOEXIST);
    }
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
