/*
 * lwIP as it is configured here, with our interface, ports and services around it, over a wire
 * made for the test: each protocol once, the bounds of each service, and damaged frames in bulk.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/timeouts.h"

#include <linux/bpf.h>

#include "ebpf/ebpf.h"
#include "kernel/netdev.h"
#include "net/udp_port.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/wire.h"

#define STATIC                                                                                     \
    "skep.ip=192.0.2.2 skep.netmask=255.255.255.0 skep.gateway=192.0.2.1 skep.ip6=2001:db8::2"
#define ECHO 7
#define HTTP 80
#define TFTP 69

static const char hello[] = "Hello from the file system.\n";

static void set_up(void)
{
    wire_add_file("/hello.txt", hello, strlen(hello));
    wire_start(STATIC);
    wire_sleep(3000); /* duplicate address detection of the IPv6 addresses */
    while (wire_take() != NULL)
        ;
}

static void tear_down(void)
{
    wire_stop();
    leakcheck();
}

/* The last line of a test: nothing stayed behind. (A failure in fini would not count.) */
static void expect_at_rest(void)
{
    cr_expect_eq(wire_open_files(), 0, "every file was closed");
    cr_expect_eq(wire_buffers_held(), 0, "every frame's buffer was freed");
}

TestSuite(netstack, .init = set_up, .fini = tear_down);

/* ---- protocols ---------------------------------------------------------------------------- */

Test(netstack, ping)
{
    uint8_t frame[WIRE_MAX_FRAME],
        echo[] = {8, 0, 0x13, 0x9d, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'};
    const struct wire_frame *answer;
    unsigned total = 0, i;

    echo[2] = echo[3] = 0;
    for (i = 0; i < sizeof(echo); i += 2)
        total += (unsigned)echo[i] << 8 | echo[i + 1];
    total = ~((total & 0xffff) + (total >> 16));
    echo[2] = (uint8_t)(total >> 8);
    echo[3] = (uint8_t)total;
    wire_send(frame, wire_make_ip4(frame, 1, echo, sizeof(echo)));
    answer = wire_take();
    cr_assert_not_null(answer);
    cr_expect_eq(answer->bytes[34], 0, "echo reply");
    cr_expect_eq(memcmp(answer->bytes + 38, echo + 4, sizeof(echo) - 4), 0);
    expect_at_rest();
}

Test(netstack, udp_echo_over_both_families)
{
    static const size_t sizes[] = {0, 1, 2, 63, 64, 512, 1452};
    uint8_t data[2048], back[2048];
    unsigned family;
    size_t i;

    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rand();
    for (family = 4; family <= 6; family += 2) {
        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            wire_send_udp(family, 4000, ECHO, data, sizes[i]);
            cr_expect_eq(wire_take_udp(ECHO, 4000, back, sizeof(back)), (int)sizes[i]);
            cr_expect_eq(memcmp(data, back, sizes[i]), 0);
        }
    }
    expect_at_rest();
}

Test(netstack, echo_never_answers_an_echo_port)
{
    uint8_t back[16];

    wire_send_udp(4, ECHO, ECHO, "loop", 4);
    cr_expect_eq(wire_take_udp(ECHO, ECHO, back, sizeof(back)), -1);
    expect_at_rest();
}

Test(netstack, wrong_checksum_is_dropped)
{
    uint8_t frame[WIRE_MAX_FRAME], segment[12] = {0x10, 0, 0, ECHO, 0, 12, 0xde, 0xad, 1, 2, 3, 4};

    wire_send(frame, wire_make_ip4(frame, 17, segment, sizeof(segment)));
    cr_expect_null(wire_take());
    expect_at_rest();
}

/* ---- ports for other threads -------------------------------------------------------------- */

Test(netstack, port_carries_datagrams_both_ways)
{
    static const uint8_t host4[16] = {192, 0, 2, 1};
    struct net_port *port = net_port_open(9970, 4);
    struct net_endpoint from;
    char buf[64], text[64];
    unsigned family;

    cr_assert_not_null(port);
    wire_run();
    for (family = 4; family <= 6; family += 2) {
        wire_send_udp(family, 5000, 9970, "question", 8);
        wire_run();
        cr_assert_eq(net_port_receive(port, &from, buf, sizeof(buf), 0), 8);
        cr_expect_eq(memcmp(buf, "question", 8), 0);
        cr_expect_eq(from.family, family);
        cr_expect_eq(from.port, 5000);
        cr_expect_eq(memcmp(from.addr, family == 4 ? host4 : wire_host6, 16), 0);
        net_endpoint_format(&from, text, sizeof(text));
        cr_expect_str_eq(text, family == 4 ? "192.0.2.1:5000" : "[2001:db8::1]:5000");
        cr_assert_eq(net_port_send(port, &from, "answer", 6), 0);
        cr_expect_eq(wire_take_udp(9970, 5000, buf, sizeof(buf)), 6);
        cr_expect_eq(memcmp(buf, "answer", 6), 0);
    }
    cr_expect_eq(net_port_receive(port, &from, buf, sizeof(buf), 0), -ETIMEDOUT);
    expect_at_rest();
}

Test(netstack, port_queues_are_bounded)
{
    struct net_port *port = net_port_open(9970, 4);
    struct net_endpoint from = {.family = NET_IPV4, .port = 1, .addr = {192, 0, 2, 1}};
    struct net_port_stats stats;
    uint8_t buf[NET_PORT_MAX + 1] = {0};
    int i;

    wire_run();
    for (i = 0; i < 6; i++)
        wire_send_udp(4, 5000, 9970, &i, sizeof(i));
    wire_run();
    for (i = 0; i < 4; i++)
        cr_expect_eq(net_port_receive(port, &from, buf, 2, 0), 2);
    cr_expect_eq(net_port_receive(port, &from, buf, 2, 0), -ETIMEDOUT);
    net_port_get_stats(port, &stats);
    cr_expect_eq(stats.received, 4);
    cr_expect_eq(stats.rx_dropped, 2);
    cr_expect_eq(stats.truncated, 4);

    cr_expect_eq(net_port_send(port, &from, buf, NET_PORT_MAX + 1), -EMSGSIZE);
    for (i = 0; i < 4; i++)
        cr_expect_eq(net_port_send(port, &from, buf, NET_PORT_MAX), 0);
    cr_expect_eq(net_port_send(port, &from, buf, 1), -ENOBUFS);
    wire_run();
    cr_expect_eq(net_port_send(port, &from, buf, 1), 0, "the network thread made room");
    expect_at_rest();
}

Test(netstack, port_numbers_are_taken_once)
{
    cr_assert_not_null(net_port_open(9970, 1));
    cr_expect_null(net_port_open(9970, 1));
    cr_expect_null(net_port_open(9971, 0));
    expect_at_rest();
}

/* ---- HTTP --------------------------------------------------------------------------------- */

static char answer[1 << 18];

/* Sends a request and splits the answer; the status, or -1. */
static int http(uint16_t sport, const char *request, const char **body, size_t *body_len)
{
    int len = wire_tcp_request(sport, HTTP, request, answer, sizeof(answer) - 1);
    char *end;

    if (len < 0)
        return -1;
    answer[len] = '\0';
    end = strstr(answer, "\r\n\r\n");
    cr_assert_not_null(end);
    *body = end + 4;
    *body_len = (size_t)(answer + len - *body);
    cr_assert_eq(strncmp(answer, "HTTP/1.0 ", 9), 0);
    return atoi(answer + 9);
}

Test(netstack, http_serves_a_file)
{
    const char *body;
    size_t len;

    cr_assert_eq(http(6000, "GET /hello.txt HTTP/1.0\r\n\r\n", &body, &len), 200);
    cr_expect_eq(len, strlen(hello));
    cr_expect_eq(memcmp(body, hello, len), 0);
    cr_expect_not_null(strstr(answer, "Content-Length: 28\r\n"));
    cr_expect_not_null(strstr(answer, "Content-Type: text/plain"));
    cr_expect_eq(wire_openat_calls(), 1, "one request, one openat");
    expect_at_rest();
}

Test(netstack, http_serves_a_large_file_whole)
{
    size_t size = 100000, len, i;
    uint8_t *data = malloc(size);
    const char *body;

    for (i = 0; i < size; i++)
        data[i] = (uint8_t)rand();
    wire_add_file("/large.bin", data, size);
    cr_assert_eq(http(6001, "GET /large.bin HTTP/1.0\r\n\r\n", &body, &len), 200);
    cr_expect_eq(len, size);
    cr_expect_eq(memcmp(body, data, size), 0);
    cr_expect_not_null(strstr(answer, "application/octet-stream"));
    free(data);
    expect_at_rest();
}

Test(netstack, http_errors)
{
    const char *body;
    size_t len;

    cr_expect_eq(http(6002, "GET /missing HTTP/1.0\r\n\r\n", &body, &len), 404);
    wire_add_file("/folder/", "", 0);
    cr_expect_eq(http(6003, "GET /folder/ HTTP/1.0\r\n\r\n", &body, &len), 404);
    cr_expect_eq(http(6004, "DELETE /hello.txt HTTP/1.0\r\n\r\n", &body, &len), 501);
    cr_expect_eq(http(6005, "nonsense\r\n\r\n", &body, &len), 501);
    expect_at_rest();
}

Test(netstack, http_status_is_not_guessed_from_the_name)
{
    const char *body;
    size_t len;

    wire_add_file("/item404.txt", "x", 1);
    cr_expect_eq(http(6006, "GET /item404.txt HTTP/1.0\r\n\r\n", &body, &len), 200);
    expect_at_rest();
}

/* ---- TFTP --------------------------------------------------------------------------------- */

static int tftp_request(uint16_t sport, uint8_t opcode, const char *name, uint8_t *reply,
                        size_t size)
{
    uint8_t request[512] = {0, opcode};
    size_t len = strlen(name) + 1;

    memcpy(request + 2, name, len);
    memcpy(request + 2 + len, "octet", 6);
    wire_send_udp(4, sport, TFTP, request, 2 + len + 6);
    return wire_take_udp(TFTP, sport, reply, size);
}

Test(netstack, tftp_reads_a_file)
{
    uint8_t block[600], content[1100];
    int len, i;
    size_t got = 0;

    for (i = 0; i < (int)sizeof(content); i++)
        content[i] = (uint8_t)rand();
    wire_add_file("/three.bin", content, sizeof(content));
    len = tftp_request(7000, 1, "three.bin", block, sizeof(block));
    for (i = 1; len >= 4; i++) {
        cr_assert_eq(block[1], 3);
        cr_assert_eq(block[3], i);
        cr_assert_leq(got + (size_t)len - 4, sizeof(content));
        cr_assert_eq(memcmp(content + got, block + 4, (size_t)len - 4), 0);
        got += (size_t)len - 4;
        block[1] = 4;
        wire_send_udp(4, 7000, TFTP, block, 4);
        len = wire_take_udp(TFTP, 7000, block, sizeof(block));
    }
    cr_expect_eq(got, sizeof(content));
    expect_at_rest();
}

Test(netstack, tftp_writes_new_files_only)
{
    uint8_t reply[600], data[] = {0, 3, 0, 1, 'n', 'e', 'w'};
    const uint8_t *file;
    size_t len;

    cr_expect_geq(tftp_request(7001, 2, "hello.txt", reply, sizeof(reply)), 4);
    cr_expect_eq(reply[1], 5, "there is one already");
    cr_assert_eq(tftp_request(7001, 2, "new.txt", reply, sizeof(reply)), 4);
    cr_assert_eq(reply[1], 4);
    wire_send_udp(4, 7001, TFTP, data, sizeof(data));
    cr_assert_eq(wire_take_udp(TFTP, 7001, reply, sizeof(reply)), 4);
    file = wire_file("/new.txt", &len);
    cr_assert_not_null(file);
    cr_expect_eq(len, 3);
    cr_expect_eq(memcmp(file, "new", 3), 0);
    expect_at_rest();
}

Test(netstack, tftp_transfer_left_alone_ends)
{
    uint8_t block[600];
    char big[2000];

    memset(big, 'b', sizeof(big));
    wire_add_file("/big", big, sizeof(big));
    cr_assert_eq(tftp_request(7002, 1, "big", block, sizeof(block)), 516);
    cr_expect_eq(wire_open_files(), 1);
    wire_sleep(8000);
    cr_expect_eq(wire_open_files(), 0);
    expect_at_rest();
}

Test(netstack, tftp_drops_what_is_too_short_or_too_often)
{
    uint8_t reply[600];
    unsigned i, answered = 0;

    for (i = 0; i < 4; i++) {
        wire_send_udp(4, 7003, TFTP, "\0\1\0\0", i);
        cr_expect_eq(wire_take_udp(TFTP, 7003, reply, sizeof(reply)), -1, "%u bytes", i);
    }
    for (i = 0; i < 100; i++)
        answered += tftp_request(7004, 1, "missing", reply, sizeof(reply)) > 0;
    cr_expect_eq(answered, 8);
    wire_sleep(1000);
    cr_expect_gt(tftp_request(7004, 1, "missing", reply, sizeof(reply)), 0, "a second later");
    expect_at_rest();
}

/* ---- damage ------------------------------------------------------------------------------- */

/* Frames of every kind that the guest handles; the seeds of the damage. */
static size_t make_seed(uint8_t *frame, unsigned kind)
{
    uint8_t payload[256];
    size_t i;

    for (i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)rand();
    switch (kind % 6) {
    case 0:
        payload[2] = 0;
        payload[3] = rand() & 1 ? TFTP : ECHO;
        payload[6] = payload[7] = 0; /* no checksum */
        return wire_make_ip4(frame, 17, payload, 64);
    case 1:
        return wire_make_ip4(frame, 6, payload, 60);
    case 2:
        payload[0] = (uint8_t)(128 + rand() % 16);
        return wire_make_ip6(frame, 58, payload, 64);
    case 3:
        payload[1] = (uint8_t)(rand() % 8);
        return wire_make_ip6(frame, (uint8_t[]){0, 43, 44, 60}[rand() % 4], payload, 128);
    case 4:
        frame[12] = 8;
        frame[13] = 6;
        memcpy(frame + 14, "\0\1\x08\0\6\4\0\1", 8);
        memcpy(frame + 22, payload, 20);
        return 42;
    default:
        i = wire_make_ip4(frame, 17, payload, 200);
        frame[20] = (uint8_t)(rand() & 0x3f); /* a fragment */
        frame[21] = (uint8_t)rand();
        return i;
    }
}

Test(netstack, damaged_frames_are_survived, .timeout = 120)
{
    uint8_t frame[WIRE_MAX_FRAME], back[16];
    unsigned round, i;
    size_t len;

    srand(7);
    for (round = 0; round < 40000; round++) {
        memset(frame, 0, sizeof(frame));
        len = make_seed(frame, round);
        for (i = 0; i < (unsigned)rand() % 5; i++)
            frame[12 + (size_t)rand() % (len - 12)] = (uint8_t)rand();
        if (rand() % 4 == 0)
            len = 1 + (size_t)rand() % len;
        wire_send(frame, len);
        while (wire_take() != NULL)
            ;
        if (round % 500 == 0)
            wire_sleep(100);
    }
    wire_sleep(70000); /* what was kept for reassembly is given up */
    while (wire_take() != NULL)
        ;
    wire_send_udp(4, 4000, ECHO, "alive", 5);
    cr_expect_eq(wire_take_udp(ECHO, 4000, back, sizeof(back)), 5);
    expect_at_rest();
}

Test(netstack, damaged_connections_end, .timeout = 120)
{
    const char *body;
    uint8_t block[600];
    size_t len;
    int i;

    srand(8);
    for (i = 0; i < 400; i++) {
        wire_damage(3, i & 1);
        wire_tcp_request((uint16_t)(8000 + i), HTTP, "GET /hello.txt HTTP/1.0\r\n\r\n", answer,
                         sizeof(answer) - 1);
        tftp_request((uint16_t)(8000 + i), 1, "hello.txt", block, sizeof(block));
        wire_sleep(250);
    }
    wire_damage(0, false);
    wire_sleep(400000); /* retransmissions and TIME_WAIT run out */
    while (wire_take() != NULL)
        ;
    cr_expect_eq(http(9000, "GET /hello.txt HTTP/1.0\r\n\r\n", &body, &len), 200);
    expect_at_rest();
}

/* ---- timers ------------------------------------------------------------------------------- */

/* How often the network thread would wake within ms, to do nothing but look at its timers. */
static unsigned wakes_within(unsigned ms)
{
    unsigned wakes = 0, slept = 0;

    while (slept < ms) {
        unsigned sleep = (sys_timeouts_sleeptime() + 49) / 50 * 50;

        wire_sleep(sleep ? sleep : 50);
        slept += sleep ? sleep : 50;
        wakes++;
    }
    return wakes;
}

/* A multicast listener query to all nodes, for every group (RFC 2710, 3), to be answered within
 * delay_ms. */
static void send_query(uint16_t delay_ms)
{
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    uint8_t frame[WIRE_MAX_FRAME],
        query[24] = {130, [4] = (uint8_t)(delay_ms >> 8), (uint8_t)delay_ms};
    unsigned total = 58 + sizeof(query) + (130 << 8) + delay_ms;
    size_t len;

    for (unsigned i = 0; i < 16; i += 2) {
        total += (unsigned)wire_host6[i] << 8 | wire_host6[i + 1];
        total += (unsigned)all_nodes[i] << 8 | all_nodes[i + 1];
    }
    total = ~((total & 0xffff) + (total >> 16));
    query[2] = (uint8_t)(total >> 8);
    query[3] = (uint8_t)total;
    len = wire_make_ip6(frame, 58, query, sizeof(query));
    memcpy(frame, "\x33\x33\0\0\0\1", 6);
    memcpy(frame + 38, all_nodes, sizeof(all_nodes));
    wire_send(frame, len);
}

Test(netstack, idle_stack_wakes_once_a_second)
{
    wire_sleep(20000);
    cr_expect_leq(wakes_within(10000), 11);
}

Test(netstack, idle_stack_still_answers_listener_queries)
{
    unsigned reports;

    wire_sleep(20000);
    for (unsigned round = 0; round < 3; round++) {
        reports = wire_listener_reports();
        wire_sleep(5000);
        cr_expect_eq(wire_listener_reports(), reports);
        send_query(2000);
        wire_sleep(2200);
        cr_expect_gt(wire_listener_reports(), reports);
        cr_expect_leq(wakes_within(10000), 11);
    }
    expect_at_rest();
}

/* ---- XDP ---------------------------------------------------------------------------------- */

static uint32_t verdict;

static uint32_t decide(struct ebpf_xdp *xdp)
{
    cr_expect_eq(xdp->data_meta, xdp->data);
    cr_expect_eq(xdp->data_hard_start, xdp->data - NETDEV_HEADROOM);
    cr_expect_eq(xdp->data_hard_end, xdp->data_end + NETDEV_HEADROOM);
    cr_expect_eq(xdp->ingress_ifindex, 1);
    memset(xdp->data_hard_start, 0xa5, NETDEV_HEADROOM);
    memset(xdp->data_end, 0xa5, NETDEV_HEADROOM);
    return verdict;
}

/* True when the guest echoes what we send. */
static bool echoes(void)
{
    uint8_t back[16];

    wire_send_udp(4, 4000, ECHO, "frame", 5);
    return wire_take_udp(ECHO, 4000, back, sizeof(back)) == 5 && memcmp(back, "frame", 5) == 0;
}

Test(netstack, xdp_verdicts)
{
    static const struct {
        uint32_t verdict;
        bool passes;
        unsigned dropped, aborted;
    } cases[] = {
        {XDP_PASS, true, 0, 0},      {XDP_DROP, false, 1, 0},         {XDP_ABORTED, false, 1, 1},
        {XDP_REDIRECT, false, 1, 2}, {XDP_REDIRECT + 1, false, 1, 3}, {UINT32_MAX, false, 1, 4},
        {XDP_PASS, true, 1, 4},
    };
    const struct netdev_stats *stats = wire_xdp(decide);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        verdict = cases[i].verdict;
        cr_expect_eq(echoes(), cases[i].passes, "verdict %u", verdict);
        cr_expect_eq(stats->xdp_dropped, cases[i].dropped, "verdict %u", verdict);
        cr_expect_eq(stats->xdp_aborted, cases[i].aborted, "verdict %u", verdict);
        cr_expect_eq(stats->xdp_tx, 0);
    }
    wire_xdp(NULL);
    verdict = XDP_DROP;
    cr_expect(echoes(), "taken away, the program decides nothing any more");
    expect_at_rest();
}

Test(netstack, xdp_tx_sends_the_frame_back)
{
    uint8_t frame[WIRE_MAX_FRAME];
    const struct wire_frame *sent;
    size_t len = wire_make_ip4(frame, 253, "payload", 7);

    verdict = XDP_TX;
    cr_expect_eq(wire_xdp(decide)->xdp_tx, 0);
    wire_send(frame, len);
    sent = wire_take();
    cr_assert_not_null(sent);
    cr_expect_eq(sent->len, len);
    cr_expect_eq(memcmp(sent->bytes, frame, len), 0);
    cr_expect_null(wire_take());
    cr_expect_eq(wire_xdp(NULL)->xdp_tx, 1);
    expect_at_rest();
}

/* What a program can do by bpf_xdp_adjust_head and _tail: off with a frame's VLAN tag, and with 3
 * bytes behind. */
static uint32_t unwrap(struct ebpf_xdp *xdp)
{
    if (xdp->data[12] != 0x81)
        return XDP_PASS;
    memmove(xdp->data + 4, xdp->data, 12);
    xdp->data += 4;
    xdp->data_end -= 3;
    return XDP_PASS;
}

Test(netstack, xdp_moves_the_ends_of_a_frame)
{
    uint8_t frame[WIRE_MAX_FRAME], echo[12] = {8, 0, 0x19, 0x2f, 0, 0, 0, 0, 'p', 'i', 'n', 'g'};
    uint8_t tagged[WIRE_MAX_FRAME];
    const struct wire_frame *answer;
    size_t len;

    len = wire_make_ip4(frame, 1, echo, sizeof(echo));
    memcpy(tagged, frame, 12);
    memcpy(tagged + 12, "\x81\0\0\5", 4);
    memcpy(tagged + 16, frame + 12, len - 12);
    memcpy(tagged + 4 + len, "end", 3);
    wire_xdp(unwrap);
    wire_send(tagged, len + 7);
    answer = wire_take();
    wire_xdp(NULL);
    cr_assert_not_null(answer);
    cr_expect_eq(answer->len, len);
    cr_expect_eq(answer->bytes[34], 0, "echo reply");
    expect_at_rest();
}

/* ---- configuration ------------------------------------------------------------------------ */

TestSuite(netstack_address, .fini = tear_down);

static bool answers_arp_for(const char *address)
{
    uint8_t frame[42] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8,  6, 0, 1,
                         8,   0,   6,   4,   0,   1,   2, 0, 0, 0, 0, 1, 10, 0, 2, 2};
    const struct wire_frame *sent;

    inet_pton(AF_INET, address, frame + 38);
    wire_send(frame, sizeof(frame));
    while ((sent = wire_take_any()) != NULL) {
        if (sent->bytes[12] == 8 && sent->bytes[13] == 6 && sent->bytes[21] == 2 &&
            memcmp(sent->bytes + 28, frame + 38, 4) == 0)
            return true;
    }
    return false;
}

Test(netstack_address, falls_back_when_dhcp_is_silent)
{
    wire_start("skep.dhcp_timeout=3");
    wire_sleep(2000);
    cr_expect(!answers_arp_for("10.0.2.15"));
    wire_sleep(2000);
    cr_expect(answers_arp_for("10.0.2.15"));
}

Test(netstack_address, malformed_setting_is_ignored)
{
    wire_start("skep.ip=300.1.2.3 skep.ip6=xyz skep.dhcp_timeout=1");
    wire_sleep(2000);
    cr_expect(answers_arp_for("10.0.2.15"));
}

Test(netstack_address, static_address)
{
    wire_start("skep.ip=198.51.100.9");
    cr_expect(answers_arp_for("198.51.100.9"));
    wire_sleep(12000);
    cr_expect(!answers_arp_for("10.0.2.15"));
}
