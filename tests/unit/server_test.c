/*
 * See server_test.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/page.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/server_test.h"

#define MEMORY_SIZE (64u << 20)

struct server *server;
uint64_t now = 1000 * SECOND;
struct sent sent[SENT_MAX];
unsigned nr_sent;
int powered = -1;

static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    (void)link;
    cr_assert_lt(nr_sent, SENT_MAX);
    struct sent *s = &sent[nr_sent++];
    s->to = *to;
    s->len = len;
    cr_assert_eq(channel_parse(data, len, &s->header), 0, "the server sends what it would refuse");
    memcpy(s->payload, (const uint8_t *)data + sizeof(s->header), len - sizeof(s->header));
}

static void machine_info(struct skep_sys_info_attr *info)
{
    strcpy(info->hostname, "test");
}

static void machine_power(uint32_t action)
{
    powered = (int)action;
}

static const char *machine_symbol_at(size_t index, uintptr_t *addr, size_t *size)
{
    static const char *const names[] = {"first", "second", "third"};

    *addr = 0x1000 + index * 16;
    *size = 16;
    return index < 3 ? names[index] : NULL;
}

static struct server_link test_link = {link_send};
static const struct server_machine test_machine = {"test build", machine_info, machine_power,
                                                   machine_symbol_at};

/* Once a test, which is a process of its own under Criterion. */
void server_test_init(void)
{
    void *memory =
        mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(memory, MAP_FAILED);
    page_add_region((uintptr_t)memory, (uintptr_t)memory + MEMORY_SIZE);
    tracepoint_init();
    cr_assert_eq(trace_pipe_init(), 0);
    cr_assert_eq(ebpf_init(16u << 20), 0);
    server = server_create(&test_link, &test_machine, NULL); /* sealed: test_server_seal.c */
    cr_assert_not_null(server);
}

/* Nothing that the clients made is left. */
void server_test_fini(void)
{
    server_destroy(server);
    cr_assert_eq(ebpf_shutdown(), 0);
    leakcheck();
}

/* ---- clients ------------------------------------------------------------------------------- */

static int map_sizes(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type)
{
    const struct client *client = arg;

    (void)handle;
    *key_size = client->key_size;
    *value_size = client->value_size;
    *type = client->map_type;
    return 0;
}

static int object_kind(void *arg, uint32_t handle)
{
    (void)arg;
    (void)handle;
    return EBPF_MAP;
}

/* A client that has not said hello. */
struct client client_at(uint16_t port)
{
    return (struct client){.from = {.family = NET_IPV4, .port = port, .addr = {10, 0, 2, 2}}};
}

uint8_t *client_encode(struct client *client, uint32_t cmd, void *attr, uint32_t attr_size,
                       struct marshal_plan *plan, uint32_t *size)
{
    const struct marshal_ops ops = {map_sizes, object_kind, client};

    cr_assert_eq(marshal_plan(cmd, attr, attr_size, &ops, plan), 0);
    *size = (uint32_t)marshal_request_size(plan);
    uint8_t *message = malloc(*size);
    cr_assert_eq(marshal_encode_request(plan, message, *size), *size);
    client->sequence++;
    return message;
}

static void send_datagram(const struct client *client, const struct wire_header *header,
                          const void *payload, size_t len)
{
    /* A block of the exact size: AddressSanitizer sees a read behind it. */
    uint8_t *datagram = malloc(sizeof(*header) + len);

    memcpy(datagram, header, sizeof(*header));
    if (len)
        memcpy(datagram + sizeof(*header), payload, len);
    server_receive(server, &client->from, datagram, sizeof(*header) + len, now);
    free(datagram);
}

void client_send(struct client *client, uint32_t cmd, const void *message, uint32_t size,
                 uint16_t index)
{
    uint32_t start = index * WIRE_FRAGMENT_SIZE;
    uint32_t len = size - start < WIRE_FRAGMENT_SIZE ? size - start : WIRE_FRAGMENT_SIZE;
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .session = client->session,
                                 .sequence = client->sequence,
                                 .command = cmd,
                                 .total = size,
                                 .fragment = index,
                                 .fragments = channel_fragments(size)};

    send_datagram(client, &header, (const uint8_t *)message + start, len);
}

static bool is_for(const struct sent *s, const struct client *client, uint8_t kind)
{
    return s->header.kind == kind && s->header.sequence == client->sequence &&
           memcmp(&s->to, &client->from, sizeof(s->to)) == 0;
}

unsigned count_sent(const struct client *client, uint8_t kind)
{
    unsigned n = 0;

    for (unsigned i = 0; i < nr_sent; i++)
        n += is_for(&sent[i], client, kind);
    return n;
}

/* The first reply datagram to the client's last request, taken off; false: none. */
static bool take_sent(const struct client *client, struct sent *out)
{
    for (unsigned i = 0; i < nr_sent; i++) {
        if (!is_for(&sent[i], client, WIRE_REPLY))
            continue;
        *out = sent[i];
        nr_sent--;
        memmove(&sent[i], &sent[i + 1], (nr_sent - i) * sizeof(sent[0]));
        return true;
    }
    return false;
}

bool client_take_reply(struct client *client, const struct marshal_plan *plan, void *attr,
                       long *status)
{
    uint8_t *message = malloc(WIRE_REPLY_MAX);
    struct sent reply;
    unsigned got = 0, fragments = 1;

    while (got < fragments && take_sent(client, &reply)) {
        struct wire_header ack;

        cr_assert_leq(reply.header.total, WIRE_REPLY_MAX);
        memcpy(message + reply.header.fragment * WIRE_FRAGMENT_SIZE, reply.payload,
               reply.len - sizeof(reply.header));
        fragments = reply.header.fragments;
        got++;
        channel_make_ack(&reply.header, &ack);
        if (ack.session)
            send_datagram(client, &ack, NULL, 0);
    }
    if (got == fragments) {
        *status = reply.header.status;
        if (reply.header.total)
            cr_assert_eq(marshal_decode_reply(plan, message, reply.header.total, attr), 0);
    }
    free(message);
    return got == fragments;
}

long client_command(struct client *client, uint32_t cmd, void *attr, uint32_t attr_size)
{
    struct marshal_plan plan;
    uint32_t size;
    long status = 0;
    uint8_t *message = client_encode(client, cmd, attr, attr_size, &plan, &size);

    for (uint16_t i = 0; i < channel_fragments(size); i++) {
        client_send(client, cmd, message, size, i);
        if (i + 1 < channel_fragments(size))
            nr_sent = 0; /* acknowledgements */
    }
    free(message);
    cr_assert(client_take_reply(client, &plan, attr, &status), "%s is not answered",
              marshal_command_name(cmd));
    nr_sent = 0;
    return status;
}

long client_hello(struct client *client, const uint8_t cookie[16], struct skep_hello_attr *hello)
{
    struct skep_hello_attr said = {.wire_version = WIRE_VERSION_PLAIN};

    memcpy(said.client_nonce, &client->from.port, sizeof(client->from.port));
    if (cookie) /* perhaps that of *hello */
        memcpy(said.cookie, cookie, sizeof(said.cookie));
    *hello = said;
    return client_command(client, SKEP_HELLO, hello, sizeof(*hello));
}

/* A client with a session. */
struct client client_open(uint16_t port)
{
    struct client client = client_at(port);
    struct skep_hello_attr hello;

    cr_assert_eq(client_hello(&client, NULL, &hello), -EAGAIN);
    cr_assert_eq(client_hello(&client, hello.cookie, &hello), 0);
    client.session = hello.session;
    client.boot_id = hello.boot_id;
    client.sequence = 1;
    return client;
}

long make_map(struct client *client, uint32_t type, uint32_t key_size, uint32_t value_size,
              uint32_t max_entries)
{
    union bpf_attr attr = {.map_type = type,
                           .key_size = key_size,
                           .value_size = value_size,
                           .max_entries = max_entries};

    client->map_type = type;
    client->key_size = key_size;
    client->value_size = value_size;
    return client_command(client, BPF_MAP_CREATE, &attr, sizeof(attr));
}
