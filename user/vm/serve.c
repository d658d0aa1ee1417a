/*
 * `skep-vm serve`: the guest's command server, engine, tracepoints and kernel log in a
 * host process, reached over a UDP socket on 127.0.0.1. So clients and the server are tested
 * without booting. What a process has not (devices, threads, power) is left out: nothing happens
 * by itself, but programs load, run by PROG_TEST_RUN, and maps live.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arch/x86_64/arch.h"
#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "ebpf/wire.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/printk.h"
#include "kernel/random.h"
#include "kernel/timer.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "net/server.h"
#include "user/lib/skep_key.h"
#include "user/vm/serve.h"

#define MEMORY_SIZE (256u << 20) /* as a guest's by default; reserved, not touched */
#define BURST       64u          /* datagrams between two looks at the clock, as in the guest */
#define VERSION     WIRE_BUILD " (skep-vm)"

static int socket_fd;
static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

/* ---- the link ------------------------------------------------------------------------------ */

static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};

    (void)link;
    memcpy(&address.sin_addr, to->addr, sizeof(address.sin_addr));
    /* What cannot be sent is lost, and sent again when nobody acknowledges it. */
    (void)!sendto(socket_fd, data, len, 0, (struct sockaddr *)&address, sizeof(address));
}

static struct server_link udp_link = {link_send};

/* The next datagram, without waiting; false when there is none. A longer one is cut at size. */
static bool receive(struct net_endpoint *from, uint8_t *datagram, size_t size, size_t *len)
{
    struct sockaddr_in address;
    socklen_t address_len = sizeof(address);
    ssize_t received = recvfrom(socket_fd, datagram, size, MSG_DONTWAIT,
                                (struct sockaddr *)&address, &address_len);

    if (received < 0)
        return false;
    *from = (struct net_endpoint){.family = NET_IPV4, .port = ntohs(address.sin_port)};
    memcpy(from->addr, &address.sin_addr, sizeof(address.sin_addr));
    *len = (size_t)received;
    return true;
}

/* ---- the machine --------------------------------------------------------------------------- */

static void fill_in(struct skep_sys_info_attr *info)
{
    struct page_stats pages;
    struct heap_stats heap;

    page_get_stats(&pages);
    heap_get_stats(&heap);
    info->uptime_ns = arch_time_ns();
    info->wall_ns = time_wall_ns();
    info->memory_total = pages.total_pages * PAGE_SIZE;
    info->memory_free = pages.free_pages * PAGE_SIZE;
    info->heap_bytes = heap.allocated_bytes;
    info->threads = 1;
    strcpy(info->version, VERSION);
    strcpy(info->cpu, "a process of the host");
    strcpy(info->loader, "skep-vm serve");
    strcpy(info->hostname, "skep-vm");
    memcpy(info->ip4, (const uint8_t[]){127, 0, 0, 1}, sizeof(info->ip4));
}

/* Powering off and rebooting both end the process: there is nothing to start again. */
static void power(uint32_t action)
{
    (void)action;
    stopped = 1;
}

static const char *no_symbols(size_t index, uintptr_t *addr, size_t *size)
{
    (void)index;
    *addr = 0;
    *size = 0;
    return NULL;
}

static const struct server_machine machine = {VERSION, fill_in, power, no_symbols};

/* What kernel/main.c does of it in the guest. 0, or -1 after saying why not. */
static int kernel_init(void)
{
    void *memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        perror("skep-vm: serve: memory");
        return -1;
    }
    page_add_region((uintptr_t)memory, (uintptr_t)memory + MEMORY_SIZE);
    tracepoint_init();
    int err = trace_pipe_init();
    if (!err)
        err = ebpf_init(MEMORY_SIZE / 2);
    if (err) {
        fprintf(stderr, "skep-vm: serve: the engine does not start: %s\n", strerror(-err));
        return -1;
    }
    pr_info("skep-vm: serving, process %d", getpid());
    return 0;
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* Opens UDP port `port` of 127.0.0.1 (0: a free one) and prints which. 0, or -1. */
static int open_socket(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0 || bind(socket_fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(socket_fd, (struct sockaddr *)&address, &len) < 0) {
        fprintf(stderr, "skep-vm: serve: UDP port %u of 127.0.0.1: %s\n", port, strerror(errno));
        return -1;
    }
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return 0;
}

static void wait_until(uint64_t deadline_ns)
{
    struct pollfd pollfd = {.fd = socket_fd, .events = POLLIN};
    uint64_t now = arch_time_ns(), ms = 60000;

    if (deadline_ns <= now)
        ms = 0;
    else if ((deadline_ns - now) / 1000000 < ms)
        ms = (deadline_ns - now) / 1000000 + 1;
    poll(&pollfd, 1, (int)ms);
}

static void serve(struct server *server)
{
    uint8_t datagram[WIRE_DATAGRAM_MAX + 1]; /* one more: a longer datagram is seen as such */
    struct net_endpoint from;
    size_t len;

    while (!stopped) {
        for (unsigned i = 0; i < BURST && receive(&from, datagram, sizeof(datagram), &len); i++)
            server_receive(server, &from, datagram, len, arch_time_ns());
        uint64_t next = server_tick(server, arch_time_ns());
        if (!stopped)
            wait_until(next);
    }
}

struct arguments {
    uint16_t port;
    const char *key;
    bool insecure;
};

static int parse(int argc, char **argv, struct arguments *out)
{
    *out = (struct arguments){.port = WIRE_PORT};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        char *end = "?";

        if (strcmp(argv[i], "--insecure") == 0) {
            out->insecure = true;
        } else if (strcmp(argv[i], "--key") == 0 && value) {
            out->key = value;
            i++;
        } else {
            unsigned long number = 0;
            if (strcmp(argv[i], "--port") == 0 && value)
                number = strtoul(value, &end, 10);
            if (*end || number > 65535)
                return -1;
            out->port = (uint16_t)number;
            i++;
        }
    }
    return out->insecure && out->key ? -1 : 0;
}

/* The key to seal with: found where clients look for it, else made and said, as the guest does. 0,
 * or -1 after saying why not. */
static int find_key(const struct arguments *arguments, struct skep_key *key)
{
    char why[400];
    int err = skep_key_find(arguments->key, key, why, sizeof(why));

    if (err == -ENOKEY) {
        random_bytes(key->bytes, sizeof(key->bytes));
        fprintf(stderr, "skep-vm: serve: no key given, made one: ");
        for (size_t i = 0; i < sizeof(key->bytes); i++)
            fprintf(stderr, "%02x", key->bytes[i]);
        fprintf(stderr, "; give it to skepctl with --key\n");
    } else if (err) {
        fprintf(stderr, "skep-vm: serve: %s\n", why);
        return -1;
    }
    return 0;
}

/* Serves until a signal or a client's power off. argv[0] is "serve". Exit status. */
int serve_main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct arguments arguments;
    struct skep_key key;

    if (parse(argc, argv, &arguments) < 0) {
        fprintf(stderr, "usage: skep-vm serve [--port N] [--key FILE | --insecure]   (port 0: a "
                        "free one, which is printed)\n");
        return 2;
    }
    if (!arguments.insecure && find_key(&arguments, &key) < 0)
        return 1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (kernel_init() < 0)
        return 1;
    struct server *server =
        server_create(&udp_link, &machine, arguments.insecure ? NULL : key.bytes);
    crypto_wipe(&key, sizeof(key));
    if (!server) {
        fprintf(stderr, "skep-vm: serve: out of memory\n");
        return 1;
    }
    int status = open_socket(arguments.port) < 0;
    if (!status)
        serve(server);
    server_destroy(server);
    return status;
}
