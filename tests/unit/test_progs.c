/*
 * The programs of progs/, loaded by libbpf into the engine in this process and run at crafted
 * events: what they count, and what they ignore.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "tests/unit/leakcheck.h"
#include "user/lib/bpf_transport.h"
#include "user/vm/host_port.h"

static struct ebpf_session *session;
static struct bpf_object *object;
static int link_fd;
static uint32_t event;

static long engine(void *arg, uint32_t cmd, void *attr, uint32_t size)
{
    (void)arg;
    if (cmd == SKEP_CLOSE)
        return ebpf_close(session, (int)((struct skep_close_attr *)attr)->handle);
    if (cmd == SKEP_TRACEPOINT_OPEN)
        return ebpf_tracepoint_open(session, ((struct skep_tracepoint_attr *)attr)->id);
    return ebpf_sys(session, cmd, attr, size);
}

static void set_up(void)
{
    cr_assert_eq(ebpf_init(16u << 20), 0);
    session = ebpf_session_create();
    bpf_transport_set(&(struct bpf_backend){.command = engine});
}

static void tear_down(void)
{
    bpf_object__close(object);
    close(link_fd);
    bpf_transport_set(NULL);
    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0);
    host_port_reset();
    leakcheck();
}

TestSuite(progs, .init = set_up, .fini = tear_down);

/* Loads progs/FILE and attaches its program to an event that exists in this process only. */
static void start(const char *file, const char *name, uint32_t record_size)
{
    const char *dir = getenv("UNIT_DIR");
    struct skep_tracepoint_attr attr = {0};
    struct bpf_program *program;
    char path[512];
    int target;

    cr_assert_not_null(dir, "UNIT_DIR is not set: run through `make unit`");
    snprintf(path, sizeof(path), "%s/../progs/%s", dir, file);
    object = bpf_object__open_file(path, NULL);
    cr_assert_not_null(object, "%s", path);
    cr_assert_eq(bpf_object__load(object), 0);
    program = bpf_object__next_program(object, NULL);
    attr.id = event = host_tracepoint_add(name, record_size, 0);
    target = (int)bpf_transport_command(SKEP_TRACEPOINT_OPEN, &attr, sizeof(attr));
    cr_assert_geq(target, 0);
    link_fd = bpf_link_create(bpf_program__fd(program), target, BPF_PERF_EVENT, NULL);
    cr_assert_geq(link_fd, 0);
    close(target);
}

static int map_fd(const char *name)
{
    return bpf_map__fd(bpf_object__find_map_by_name(object, name));
}

static unsigned count_entries(int fd, void *key)
{
    unsigned count = 0;
    const void *previous = NULL;

    while (bpf_map_get_next_key(fd, previous, key) == 0) {
        previous = key;
        count++;
    }
    return count;
}

/* ---- openat.bpf.c ---------------------------------------------------------------------------- */

struct openat_record {
    uint64_t common;
    int32_t syscall_nr, pad;
    uint64_t dfd, filename, flags, mode;
};

static void open_file(const char *name)
{
    struct openat_record record = {.syscall_nr = 257, .filename = (uintptr_t)name};

    cr_assert_eq(host_tracepoint_fire(event, &record), 1);
}

static uint64_t opens_of(const char *name)
{
    char key[64] = "";
    uint64_t count = 0;

    strncpy(key, name, sizeof(key) - 1);
    bpf_map_lookup_elem(map_fd("opens"), key, &count);
    return count;
}

Test(progs, openat_counts_names)
{
    char longest[200], key[64];

    memset(longest, 'x', sizeof(longest));
    longest[199] = '\0';
    start("openat.bpf.o", "syscalls:sys_enter_openat", sizeof(struct openat_record));
    open_file("/etc/motd");
    open_file("/etc/passwd");
    open_file("/etc/motd");
    open_file("");
    open_file(longest);
    cr_assert_eq(opens_of("/etc/motd"), 2);
    cr_assert_eq(opens_of("/etc/passwd"), 1);
    cr_assert_eq(opens_of("/etc"), 0);
    cr_assert_eq(opens_of(""), 1);
    cr_assert_eq(opens_of(longest), 1, "cut at the key's size");
    cr_assert_eq(count_entries(map_fd("opens"), key), 4);
    cr_assert_not_null(strstr(host_trace_take(), "openat /etc/passwd\n"));
}

Test(progs, openat_ignores_a_bad_address)
{
    char key[64];

    start("openat.bpf.o", "syscalls:sys_enter_openat", sizeof(struct openat_record));
    open_file(NULL);
    open_file((const char *)(uintptr_t)0xffff800000000000u);
    cr_assert_eq(count_entries(map_fd("opens"), key), 0);
}

/* ---- packets.bpf.c --------------------------------------------------------------------------- */

struct sender {
    uint8_t address[16];
    uint16_t port;
    uint8_t family, protocol;
};

struct traffic {
    uint64_t packets, bytes;
};

static uint8_t frame[256];

static void receive(uint32_t length)
{
    struct {
        uint64_t common, packet_ptr;
        uint32_t packet_len;
    } record = {.packet_ptr = (uintptr_t)frame, .packet_len = length};

    cr_assert_eq(host_tracepoint_fire(event, &record), 1);
}

/* Ethernet, IPv4 with so many 4-byte words of header, ports. The frame's length. */
static uint32_t ipv4(const char *source, uint8_t protocol, uint16_t port, unsigned words)
{
    memset(frame, 0, sizeof(frame));
    frame[12] = 0x08;
    frame[14] = (uint8_t)(0x40 | words);
    frame[23] = protocol;
    inet_pton(AF_INET, source, frame + 26);
    frame[14 + words * 4] = (uint8_t)(port >> 8);
    frame[14 + words * 4 + 1] = (uint8_t)port;
    return 14 + words * 4 + 20;
}

static uint32_t ipv6(const char *source, uint8_t protocol, uint16_t port)
{
    memset(frame, 0, sizeof(frame));
    frame[12] = 0x86;
    frame[13] = 0xdd;
    frame[14] = 0x60;
    frame[20] = protocol;
    inet_pton(AF_INET6, source, frame + 22);
    frame[54] = (uint8_t)(port >> 8);
    frame[55] = (uint8_t)port;
    return 14 + 40 + 20;
}

static struct traffic from(int family, const char *address, uint8_t protocol, uint16_t port)
{
    struct sender key = {.port = port, .family = family == AF_INET ? 4 : 6, .protocol = protocol};
    struct traffic traffic = {0};

    inet_pton(family, address, key.address);
    bpf_map_lookup_elem(map_fd("packets"), &key, &traffic);
    return traffic;
}

static void start_packets(void)
{
    start("packets.bpf.o", "virtio_net:receive_packet", 20);
}

Test(progs, packets_counts_ipv4_and_ipv6_udp_and_tcp)
{
    struct sender key;

    start_packets();
    receive(ipv4("10.0.2.2", IPPROTO_UDP, 4000, 5));
    receive(ipv4("10.0.2.2", IPPROTO_UDP, 4000, 5));
    receive(ipv4("10.0.2.2", IPPROTO_TCP, 4000, 5));
    receive(ipv4("10.0.2.2", IPPROTO_UDP, 40000, 5));
    receive(ipv4("10.0.2.3", IPPROTO_UDP, 4000, 15)); /* the longest header */
    receive(ipv6("2001:db8::1", IPPROTO_UDP, 4000));
    receive(ipv6("2001:db8::1", IPPROTO_TCP, 80));
    cr_assert_eq(from(AF_INET, "10.0.2.2", IPPROTO_UDP, 4000).packets, 2);
    cr_assert_eq(from(AF_INET, "10.0.2.2", IPPROTO_UDP, 4000).bytes, 2 * 54);
    cr_assert_eq(from(AF_INET, "10.0.2.2", IPPROTO_TCP, 4000).packets, 1);
    cr_assert_eq(from(AF_INET, "10.0.2.2", IPPROTO_UDP, 40000).packets, 1);
    cr_assert_eq(from(AF_INET, "10.0.2.3", IPPROTO_UDP, 4000).bytes, 94);
    cr_assert_eq(from(AF_INET6, "2001:db8::1", IPPROTO_UDP, 4000).packets, 1);
    cr_assert_eq(from(AF_INET6, "2001:db8::1", IPPROTO_TCP, 80).packets, 1);
    cr_assert_eq(count_entries(map_fd("packets"), &key), 6);
}

Test(progs, packets_ignores_what_is_no_udp_or_tcp_packet)
{
    struct sender key;
    uint32_t length;

    start_packets();
    memset(frame, 0, sizeof(frame));
    frame[12] = 0x08, frame[13] = 0x06; /* ARP */
    receive(60);
    receive(ipv4("10.0.2.2", IPPROTO_ICMP, 0, 5));
    receive(ipv6("2001:db8::1", IPPROTO_ICMPV6, 0));
    receive(ipv4("10.0.2.2", IPPROTO_UDP, 4000, 4)); /* no header is so short */
    length = ipv4("10.0.2.2", IPPROTO_UDP, 4000, 5);
    frame[21] = 10; /* a later fragment: no ports in it */
    receive(length);
    cr_assert_eq(count_entries(map_fd("packets"), &key), 0);
}

Test(progs, packets_never_reads_past_the_frame)
{
    struct sender key;

    start_packets();
    ipv4("10.0.2.2", IPPROTO_UDP, 4000, 5);
    for (uint32_t length = 0; length < 14 + 20 + 4; length++)
        receive(length);
    ipv6("2001:db8::1", IPPROTO_UDP, 4000);
    for (uint32_t length = 0; length < 14 + 40 + 4; length++)
        receive(length);
    cr_assert_eq(count_entries(map_fd("packets"), &key), 0);
    ipv4("10.0.2.2", IPPROTO_UDP, 4000, 5);
    receive(14 + 20 + 4);
    cr_assert_eq(count_entries(map_fd("packets"), &key), 1);
}
