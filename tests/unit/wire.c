/*
 * The far end of the wire: see wire.h. Also the kernel's part that the stack needs: threads (one,
 * which never waits), the heap (the C library's, so that leaks show) and the system calls.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/init.h"
#include "lwip/memp.h"
#include "lwip/stats.h"
#include "lwip/timeouts.h"

#include "arch/x86_64/arch.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/probe.h"
#include "kernel/thread.h"
#include "kernel/trace_events.h"
#include "net/net.h"
#include "net/services.h"
#include "tests/unit/wire.h"

#define MAX_QUEUED 256

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t host_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t guest4[4] = {192, 0, 2, 2}, host4[4] = {192, 0, 2, 1};
const uint8_t wire_guest6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};
const uint8_t wire_host6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

/* ---- the kernel --------------------------------------------------------------------------- */

void *kmalloc(size_t size)
{
    return malloc(size);
}

void *kzalloc(size_t size)
{
    return calloc(1, size);
}

void kfree(void *block)
{
    free(block);
}

int waitq_wait(struct waitq *queue, uint64_t deadline_ns)
{
    (void)queue;
    (void)deadline_ns;
    return -ETIMEDOUT;
}

void waitq_wake_one(struct waitq *queue)
{
    (void)queue;
}

struct tracepoint tracepoint_netif_receive_skb;

void trace_emit_netif_receive_skb(const void *skbaddr, unsigned len, const char *name)
{
    (void)skbaddr;
    (void)len;
    (void)name;
}

void net_assert_thread(void)
{
}

void net_wake(void)
{
}

/* ---- the device --------------------------------------------------------------------------- */

static struct wire_frame *to_guest[MAX_QUEUED], *from_guest[MAX_QUEUED];
static unsigned nr_to_guest, nr_from_guest;
static struct netdev device;

static void push(struct wire_frame **queue, unsigned *count, const void *bytes, size_t len)
{
    struct wire_frame *frame;

    if (*count == MAX_QUEUED)
        return;
    frame = calloc(1, sizeof(*frame));
    frame->len = len;
    memcpy(frame->bytes, bytes, len);
    queue[(*count)++] = frame;
}

static struct wire_frame *pop(struct wire_frame **queue, unsigned *count)
{
    struct wire_frame *frame = queue[0];

    (*count)--;
    memmove(queue, queue + 1, *count * sizeof(*queue));
    return frame;
}

static int device_send(struct netdev *dev, const struct netdev_iovec *pieces, unsigned count)
{
    uint8_t bytes[WIRE_MAX_FRAME];
    size_t len = 0;
    unsigned i;

    (void)dev;
    for (i = 0; i < count; i++) {
        cr_assert_leq(pieces[i].len, NETDEV_MAX_FRAME - len, "no frame is over the MTU");
        memcpy(bytes + len, pieces[i].data, pieces[i].len);
        len += pieces[i].len;
    }
    push(from_guest, &nr_from_guest, bytes, len);
    return 0;
}

/* Each frame has its room at both ends, which only XDP may touch: anything else that reads past the
 * frame is caught. */
static unsigned device_poll(struct netdev *dev, unsigned budget)
{
    unsigned count = 0;

    while (count < budget && nr_to_guest != 0) {
        struct wire_frame *frame = pop(to_guest, &nr_to_guest);
        uint8_t *buffer = malloc(NETDEV_HEADROOM + frame->len + NETDEV_HEADROOM);
        uint8_t *start = buffer + NETDEV_HEADROOM;

        memcpy(start, frame->bytes, frame->len);
        if (dev->xdp == NULL) {
            ASAN_POISON_MEMORY_REGION(buffer, NETDEV_HEADROOM);
            ASAN_POISON_MEMORY_REGION(start + frame->len, NETDEV_HEADROOM);
        }
        dev->rx(dev, start, frame->len, dev->rx_arg);
        ASAN_UNPOISON_MEMORY_REGION(buffer, NETDEV_HEADROOM + frame->len + NETDEV_HEADROOM);
        free(buffer);
        free(frame);
        count++;
    }
    return count;
}

struct netdev *netdev_first(void)
{
    return &device;
}

/* What stands for the device's XDP program; device.xdp, which nobody follows, says that there is
 * one. */
static wire_xdp_fn xdp_program;

const struct netdev_stats *wire_xdp(wire_xdp_fn program)
{
    static int link;

    xdp_program = program;
    device.xdp = program != NULL ? (struct ebpf_link *)&link : NULL;
    return &device.stats;
}

uint32_t probe_xdp(struct netdev *dev, struct ebpf_xdp *xdp)
{
    cr_assert_eq(dev, &device);
    return xdp_program(xdp);
}

/* ---- building packets --------------------------------------------------------------------- */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static uint32_t sum(uint32_t total, const uint8_t *bytes, size_t len)
{
    size_t i;

    for (i = 0; i + 1 < len; i += 2)
        total += get16(bytes + i);
    if (len & 1)
        total += (uint32_t)bytes[len - 1] << 8;
    return total;
}

static unsigned fold(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
}

/* The checksum of a transport segment whose own field is zero. */
static unsigned transport_checksum(unsigned family, uint8_t protocol, const uint8_t *segment,
                                   size_t len)
{
    uint32_t total = protocol + (uint32_t)len;

    if (family == 4)
        total = sum(sum(total, host4, 4), guest4, 4);
    else
        total = sum(sum(total, wire_host6, 16), wire_guest6, 16);
    return fold(sum(total, segment, len));
}

static size_t put_ethernet(uint8_t *frame, unsigned type)
{
    memcpy(frame, guest_mac, 6);
    memcpy(frame + 6, host_mac, 6);
    put16(frame + 12, type);
    return 14;
}

size_t wire_make_ip4(uint8_t *frame, uint8_t protocol, const void *payload, size_t len)
{
    uint8_t *ip = frame + put_ethernet(frame, 0x0800);

    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)len + 20);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, host4, 4);
    memcpy(ip + 16, guest4, 4);
    put16(ip + 10, fold(sum(0, ip, 20)));
    memcpy(ip + 20, payload, len);
    return 14 + 20 + len;
}

size_t wire_make_ip6(uint8_t *frame, uint8_t protocol, const void *payload, size_t len)
{
    uint8_t *ip = frame + put_ethernet(frame, 0x86dd);

    memset(ip, 0, 8);
    ip[0] = 0x60;
    put16(ip + 4, (unsigned)len);
    ip[6] = protocol;
    ip[7] = 255;
    memcpy(ip + 8, wire_host6, 16);
    memcpy(ip + 24, wire_guest6, 16);
    memcpy(ip + 40, payload, len);
    return 14 + 40 + len;
}

static void send_ip(unsigned family, uint8_t protocol, const void *payload, size_t len)
{
    uint8_t frame[WIRE_MAX_FRAME];

    len = family == 4 ? wire_make_ip4(frame, protocol, payload, len)
                      : wire_make_ip6(frame, protocol, payload, len);
    wire_send(frame, len);
}

/* ---- neighbours --------------------------------------------------------------------------- */

static void answer_arp(const uint8_t *frame)
{
    uint8_t reply[42];

    if (get16(frame + 20) != 1 || memcmp(frame + 38, host4, 4) != 0)
        return;
    put_ethernet(reply, 0x0806);
    memcpy(reply + 14, frame + 14, 6);
    put16(reply + 20, 2);
    memcpy(reply + 22, host_mac, 6);
    memcpy(reply + 28, host4, 4);
    memcpy(reply + 32, frame + 22, 10);
    wire_send(reply, sizeof(reply));
}

/* Neighbour advertisement, solicited (RFC 4861, 4.4). */
static void answer_solicitation(const uint8_t *frame)
{
    uint8_t message[32] = {136, 0, 0, 0, 0x60};

    if (memcmp(frame + 14 + 40 + 8, wire_host6, 16) != 0)
        return;
    memcpy(message + 8, wire_host6, 16);
    message[24] = 2;
    message[25] = 1;
    memcpy(message + 26, host_mac, 6);
    put16(message + 2, transport_checksum(6, 58, message, sizeof(message)));
    send_ip(6, 58, message, sizeof(message));
}

static unsigned listener_reports;

unsigned wire_listener_reports(void)
{
    return listener_reports;
}

/* True when the frame was neighbour talk, which tests do not want to see. */
static bool handle_neighbour(const struct wire_frame *frame)
{
    const uint8_t *bytes = frame->bytes;
    unsigned type = get16(bytes + 12);

    if (type == 0x0806) {
        answer_arp(bytes);
        return true;
    }
    if (type != 0x86dd)
        return false;
    if (bytes[20] == 0) { /* multicast listener reports have a hop-by-hop header */
        listener_reports += bytes[62] == 131;
        return true;
    }
    if (bytes[20] != 58 || bytes[54] < 133 || bytes[54] > 137)
        return false;
    if (bytes[54] == 135)
        answer_solicitation(bytes);
    return true;
}

/* ---- running ------------------------------------------------------------------------------ */

static uint64_t now_ms = 1000;

static unsigned damage_one_in;
static bool damage_mended;

void wire_damage(unsigned n, bool mend)
{
    damage_one_in = n;
    damage_mended = mend;
}

/* The checksums of a TCP segment over IPv4, if the frame still is one. */
static void mend_tcp(uint8_t *frame, size_t len)
{
    uint8_t *ip = frame + 14, *segment = ip + 20;

    if (len < 14 + 20 + 20 || ip[0] != 0x45 || ip[9] != 6 || get16(ip + 2) != len - 14)
        return;
    put16(ip + 10, 0);
    put16(ip + 10, fold(sum(0, ip, 20)));
    put16(segment + 16, 0);
    put16(segment + 16, transport_checksum(4, 6, segment, len - 34));
}

void wire_send(const void *frame, size_t len)
{
    uint8_t bytes[WIRE_MAX_FRAME];

    memcpy(bytes, frame, len);
    if (damage_one_in != 0 && len > 14 && (unsigned)rand() % damage_one_in == 0) {
        bytes[14 + (size_t)rand() % (len - 14)] = (uint8_t)rand();
        if (damage_mended)
            mend_tcp(bytes, len);
    }
    push(to_guest, &nr_to_guest, bytes, len);
}

static void run_stack(void)
{
    net_netif_poll();
    net_port_service();
    sys_check_timeouts();
    net_timers_adjust();
}

void wire_run(void)
{
    unsigned i;

    do {
        run_stack();
        for (i = 0; i < nr_from_guest;) {
            if (!handle_neighbour(from_guest[i])) {
                i++;
                continue;
            }
            free(from_guest[i]);
            nr_from_guest--;
            memmove(from_guest + i, from_guest + i + 1, (nr_from_guest - i) * sizeof(*from_guest));
        }
    } while (nr_to_guest != 0);
}

void wire_sleep(unsigned ms)
{
    for (; ms >= 50; ms -= 50) {
        now_ms += 50;
        host_time_set(now_ms * 1000000);
        wire_run();
    }
}

/* The oldest frame; the one given before is freed. */
static const struct wire_frame *take_next(void)
{
    static struct wire_frame *taken;

    free(taken);
    taken = nr_from_guest == 0 ? NULL : pop(from_guest, &nr_from_guest);
    return taken;
}

const struct wire_frame *wire_take(void)
{
    wire_run();
    return take_next();
}

const struct wire_frame *wire_take_any(void)
{
    run_stack();
    return take_next();
}

unsigned wire_buffers_held(void)
{
    return lwip_stats.memp[MEMP_PBUF_POOL]->used;
}

static void wake(struct netdev *dev)
{
    (void)dev;
}

void wire_start(const char *cmdline)
{
    static struct netdev fresh = {
        .name = "eth0",
        .driver = "wire",
        .ifindex = 1,
        .mtu = 1500,
        .link_up = true,
        .send = device_send,
        .poll = device_poll,
    };

    device = fresh;
    memcpy(device.mac, guest_mac, 6);
    host_time_set(now_ms * 1000000);
    cmdline_init(cmdline);
    lwip_init();
    net_netif_add_all(wake);
    net_echo_init();
    net_http_init();
    net_tftp_init();
    wire_run();
}

/* ---- UDP and TCP -------------------------------------------------------------------------- */

void wire_send_udp(unsigned family, uint16_t sport, uint16_t dport, const void *data, size_t len)
{
    uint8_t segment[WIRE_MAX_FRAME];

    put16(segment, sport);
    put16(segment + 2, dport);
    put16(segment + 4, (unsigned)len + 8);
    put16(segment + 6, 0);
    memcpy(segment + 8, data, len);
    put16(segment + 6, transport_checksum(family, 17, segment, len + 8));
    send_ip(family, 17, segment, len + 8);
}

/* The transport segment of a frame with this protocol from sport to dport; NULL for others. */
static const uint8_t *segment_of(const struct wire_frame *frame, uint8_t protocol, uint16_t sport,
                                 uint16_t dport, size_t *len)
{
    const uint8_t *ip = frame->bytes + 14, *segment;

    if (get16(frame->bytes + 12) == 0x0800 && ip[9] == protocol) {
        segment = ip + 20;
        *len = get16(ip + 2) - 20;
    } else if (get16(frame->bytes + 12) == 0x86dd && ip[6] == protocol) {
        segment = ip + 40;
        *len = get16(ip + 4);
    } else {
        return NULL;
    }
    return get16(segment) == sport && get16(segment + 2) == dport ? segment : NULL;
}

int wire_take_udp(uint16_t sport, uint16_t dport, void *data, size_t size)
{
    const struct wire_frame *frame;
    const uint8_t *segment;
    size_t len;

    while ((frame = wire_take()) != NULL) {
        segment = segment_of(frame, 17, sport, dport, &len);
        if (segment == NULL)
            continue;
        len -= 8;
        cr_assert_leq(len, size);
        memcpy(data, segment + 8, len);
        return (int)len;
    }
    return -1;
}

enum { TCP_FIN_FLAG = 1, TCP_SYN_FLAG = 2, TCP_RST_FLAG = 4, TCP_PSH_FLAG = 8, TCP_ACK_FLAG = 16 };

static void send_tcp(uint16_t sport, uint16_t dport, uint32_t seq, uint32_t ack, uint8_t flags,
                     const void *data, size_t len)
{
    uint8_t segment[WIRE_MAX_FRAME];

    memset(segment, 0, 20);
    put16(segment, sport);
    put16(segment + 2, dport);
    put32(segment + 4, seq);
    put32(segment + 8, ack);
    segment[12] = 5 << 4;
    segment[13] = flags;
    put16(segment + 14, 0xffff);
    memcpy(segment + 20, data, len);
    put16(segment + 16, transport_checksum(4, 6, segment, len + 20));
    send_ip(4, 6, segment, len + 20);
}

int wire_tcp_request(uint16_t sport, uint16_t dport, const char *request, char *answer, size_t size)
{
    uint32_t seq = 1000, expected = 0;
    const struct wire_frame *frame;
    size_t len, got = 0;

    send_tcp(sport, dport, seq++, 0, TCP_SYN_FLAG, "", 0);
    for (;;) {
        const uint8_t *segment;
        size_t header;

        frame = wire_take();
        if (frame == NULL)
            return -1;
        segment = segment_of(frame, 6, dport, sport, &len);
        if (segment == NULL)
            continue;
        if (segment[13] & TCP_RST_FLAG)
            return -1;
        header = (size_t)(segment[12] >> 4) * 4;
        if (segment[13] & TCP_SYN_FLAG) {
            expected = get32(segment + 4) + 1;
            send_tcp(sport, dport, seq, expected, TCP_ACK_FLAG | TCP_PSH_FLAG, request,
                     strlen(request));
            seq += (uint32_t)strlen(request);
            continue;
        }
        if (get32(segment + 4) != expected)
            continue;
        cr_assert_leq(got + len - header, size);
        memcpy(answer + got, segment + header, len - header);
        got += len - header;
        expected += (uint32_t)(len - header);
        if (segment[13] & TCP_FIN_FLAG) {
            send_tcp(sport, dport, seq, expected + 1, TCP_ACK_FLAG | TCP_FIN_FLAG, "", 0);
            wire_run();
            return (int)got;
        }
        send_tcp(sport, dport, seq, expected, TCP_ACK_FLAG, "", 0);
    }
}
