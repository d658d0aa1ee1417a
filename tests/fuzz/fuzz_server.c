/*
 * Fuzz target: any datagrams to the command server, over the real engine. The input is a list of
 * records: commands of one session, marshalled with any attributes and buffers; headers of any
 * content; bytes that are no datagram; and time. Afterwards nothing may be left over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ebpf/base.h"
#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "ebpf/marshal.h"
#include "kernel/page.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "net/channel.h"
#include "net/server.h"

#define MEMORY_SIZE (256u << 20)
#define MAP_LIMIT   (8u << 20)
#define MS          1000000ull

/* What is left of the input. */
struct input {
    const uint8_t *data;
    size_t size;
};

static struct server *server;
static uint64_t now, session;
static uint8_t cookie[16];
static uint32_t sequence;
static const struct net_endpoint client = {.family = NET_IPV4, .port = 4000, .addr = {10, 0, 2, 2}};

static const uint32_t commands[] = {
#define COMMAND(number, ...)        number,
#define SERVER_COMMAND(number, ...) number,
#include "ebpf/commands.def"
};

/* Each input is one machine's life: cookie and session are taken from the replies to its hellos. */
static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    struct wire_header header;

    (void)link;
    (void)to;
    if (channel_parse(data, len, &header))
        abort(); /* the server sends what it would refuse */
    if (header.kind != WIRE_REPLY || header.command != SKEP_HELLO || header.total == 0)
        return;
    struct skep_hello_attr attr;
    memcpy(&attr, (const uint8_t *)data + sizeof(header) + sizeof(struct marshal_head),
           sizeof(attr));
    if (header.status == -EAGAIN)
        memcpy(cookie, attr.cookie, sizeof(cookie));
    else if (header.status == 0 && attr.session)
        session = attr.session;
}

static void machine_info(struct skep_sys_info_attr *info)
{
    strcpy(info->hostname, "fuzz");
}

static void machine_power(uint32_t action)
{
    (void)action;
}

static const char *machine_symbol_at(size_t index, uintptr_t *addr, size_t *size)
{
    *addr = 0x1000 + index * 16;
    *size = 16;
    return index < 3 ? "symbol" : NULL;
}

static struct server_link fuzz_link = {link_send};
static const struct server_machine machine = {"fuzz", machine_info, machine_power,
                                              machine_symbol_at};

static size_t take(struct input *in, void *out, size_t size)
{
    size_t n = size < in->size ? size : in->size;

    memset(out, 0, size);
    memcpy(out, in->data, n);
    in->data += n;
    in->size -= n;
    return n;
}

/* A block of the exact size, so that AddressSanitizer sees a read behind it. */
static void send_datagram(const void *header, size_t header_size, const void *payload, size_t size)
{
    uint8_t *datagram = malloc(header_size + size + 1);

    memcpy(datagram, header, header_size);
    memcpy(datagram + header_size, payload, size);
    server_receive(server, &client, datagram, header_size + size, now);
    free(datagram);
}

static void send_message(uint32_t command, const uint8_t *message, uint32_t size)
{
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .session = command == SKEP_HELLO ? 0 : session,
                                 .sequence = command == SKEP_HELLO ? 1 : ++sequence,
                                 .command = command,
                                 .total = size,
                                 .fragments = channel_fragments(size)};

    for (; header.fragment < header.fragments; header.fragment++) {
        uint32_t start = header.fragment * WIRE_FRAGMENT_SIZE;
        uint32_t len = size - start < WIRE_FRAGMENT_SIZE ? size - start : WIRE_FRAGMENT_SIZE;

        send_datagram(&header, sizeof(header), message + start, len);
    }
}

static void send_command(struct input *in)
{
    struct {
        uint8_t command, attr_size, buffers, pad;
        uint16_t rest, pad2;
    } record;
    uint8_t message[8192] = {0};
    struct marshal_head head;
    uint32_t at = sizeof(head);

    take(in, &record, sizeof(record));
    head = (struct marshal_head){.attr_size = record.attr_size, .buffers = record.buffers % 8};
    memcpy(message, &head, sizeof(head));
    take(in, message + at, record.attr_size);
    at += (record.attr_size + 7u) & ~7u;
    take(in, message + at, record.rest % 4096u);
    at += record.rest % 4096u;
    send_message(commands[record.command % ARRAY_LEN(commands)], message, at);
}

static void send_header(struct input *in)
{
    struct wire_header header;
    uint8_t payload[64];
    size_t size;

    take(in, &header, sizeof(header));
    header.magic = WIRE_MAGIC;
    if (header.reserved & 1)
        header.version = WIRE_VERSION_PLAIN;
    header.reserved = 0;
    if (header.session & 1)
        header.session = session;
    size = take(in, payload, sizeof(payload));
    send_datagram(&header, sizeof(header), payload, size);
}

static void hello(void)
{
    struct skep_hello_attr attr = {.wire_version = WIRE_VERSION_PLAIN, .client_nonce = {1}};
    struct marshal_head head = {.attr_size = sizeof(attr)};
    uint8_t message[sizeof(head) + sizeof(attr)];

    memcpy(attr.cookie, cookie, sizeof(cookie));
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), &attr, sizeof(attr));
    sequence = 1;
    send_message(SKEP_HELLO, message, sizeof(message));
}

static void receive(struct input *in)
{
    uint8_t kind, bytes[64];
    size_t size;

    take(in, &kind, 1);
    switch (kind % 8) {
    case 0:
        size = take(in, bytes, sizeof(bytes));
        send_datagram(bytes, 0, bytes, size);
        break;
    case 1:
        send_header(in);
        break;
    case 2:
        now += kind / 8 * 200 * MS;
        server_tick(server, now);
        break;
    case 3:
        hello();
        break;
    default:
        send_command(in);
        break;
    }
}

static void start_machine(void)
{
    static bool started;
    void *memory;

    if (started)
        return;
    memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    page_add_region((uintptr_t)memory, (uintptr_t)memory + MEMORY_SIZE);
    tracepoint_init();
    if (trace_pipe_init())
        abort();
    started = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};

    start_machine();
    if (ebpf_init(MAP_LIMIT))
        abort();
    now = 1000 * MS;
    server = server_create(&fuzz_link, &machine, NULL); /* sealed: fuzz_seal.c */
    if (!server)
        abort();
    session = 0;
    hello();
    hello();
    if (!session)
        abort();
    while (in.size)
        receive(&in);
    server_destroy(server);
    if (ebpf_shutdown())
        abort(); /* objects are left over */
    return 0;
}
