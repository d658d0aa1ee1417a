/*
 * Fuzz target: any datagrams to a sealing server, from a stranger and from a client with the key.
 * The input is a list of records: bytes that nobody sealed; hellos and requests of any content,
 * sealed; one of these again, or with a byte changed; and time. What nobody sealed must get no
 * answer, what comes again must not be executed again, and nothing may be left over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "ebpf/marshal.h"
#include "kernel/page.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "net/channel.h"
#include "net/seal.h"
#include "net/server.h"

#define MEMORY_SIZE (256u << 20)
#define MAP_LIMIT   (8u << 20)
#define MS          1000000ull
#define KEPT        16u

struct input {
    const uint8_t *data;
    size_t size;
};

struct datagram {
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

static struct server *server;
static uint64_t now;
static unsigned answers;

/* The client with the key. */
static const uint8_t key[CRYPTO_KEY_SIZE] = {1, 2, 3}, nonce[WIRE_NONCE_SIZE] = {4, 5};
static const struct net_endpoint address = {
    .family = NET_IPV4, .port = 4000, .addr = {10, 0, 2, 2}};
static struct seal_hello hellos;
static uint64_t hello_counter, session;
static uint32_t sequence;
static uint8_t cookie[16];
static struct seal seal;
static struct datagram kept[KEPT]; /* what it sent last */
static unsigned nr_kept;

static void take_hello(const uint8_t *plain, const struct wire_header *header)
{
    struct skep_hello_attr attr;

    if (header->total == 0)
        return;
    memcpy(&attr, plain + sizeof(*header) + sizeof(struct marshal_head), sizeof(attr));
    if (header->status == -EAGAIN)
        memcpy(cookie, attr.cookie, sizeof(cookie));
    if (header->status == 0 && attr.session && attr.session != session) {
        session = attr.session;
        sequence = 1;
        seal_start(&seal, SEAL_CLIENT, key, nonce, attr.server_nonce);
    }
}

/* Everything that the server sends opens at the client, and is a good datagram there. */
static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct wire_header header;
    struct wire_seal clear;

    (void)link;
    answers++;
    if (memcmp(to, &address, sizeof(address)) != 0 || seal_parse(data, len, &clear))
        abort();
    int opened = clear.session == 0 ? seal_hello_open(&hellos, SEAL_CLIENT, data, len, plain)
                                    : seal_open(&seal, data, len, plain);
    if (opened < 0)
        return; /* of a session that the client has given up */
    if (channel_parse(plain, (size_t)opened, &header))
        abort();
    if (header.session == 0)
        take_hello(plain, &header);
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
    (void)index;
    *addr = 0;
    *size = 0;
    return NULL;
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
static void receive(const struct datagram *datagram)
{
    uint8_t *exact = malloc(datagram->len + 1);

    memcpy(exact, datagram->bytes, datagram->len);
    server_receive(server, &address, exact, datagram->len, now);
    free(exact);
}

static void must_stay_unheard(const struct datagram *datagram)
{
    unsigned before = answers;

    receive(datagram);
    if (answers != before)
        abort();
}

static void keep_and_send(const struct datagram *datagram)
{
    kept[nr_kept++ % KEPT] = *datagram;
    receive(datagram);
}

/* ---- records ------------------------------------------------------------------------------------
 */

/* Bytes of a stranger, who may well know the form and the session. */
static void send_noise(struct input *in)
{
    struct wire_seal clear = {
        .magic = WIRE_MAGIC, .version = WIRE_VERSION, .kind = WIRE_REQUEST, .session = session};
    struct datagram datagram;
    uint8_t form;

    take(in, &form, 1);
    datagram.len = take(in, datagram.bytes, 128);
    if (form & 2)
        clear.session = 0;
    if (form & 1 && datagram.len >= sizeof(clear))
        memcpy(datagram.bytes, &clear, offsetof(struct wire_seal, counter));
    must_stay_unheard(&datagram);
}

/* A plain datagram of any content behind a good head, sealed. */
static void send_sealed(struct input *in)
{
    struct wire_header header;
    uint8_t plain[sizeof(header) + 256], is_hello;
    struct datagram datagram;

    take(in, &is_hello, 1);
    take(in, &header, sizeof(header));
    header.magic = WIRE_MAGIC;
    header.session = is_hello & 1 ? 0 : session;
    if (is_hello & 2) {
        header.kind = WIRE_REQUEST;
        header.reserved = 0;
        header.sequence = ++sequence;
        header.command = is_hello & 1 ? SKEP_HELLO : header.command;
        header.fragment = 0;
        header.fragments = 1;
    }
    size_t payload = take(in, plain + sizeof(header), 256);
    if (is_hello & 2)
        header.total = (uint32_t)payload;
    memcpy(plain, &header, sizeof(header));
    if (header.session == 0)
        datagram.len = seal_hello_datagram(&hellos, SEAL_CLIENT, hello_counter++, plain,
                                           sizeof(header) + payload, datagram.bytes);
    else
        datagram.len = seal_datagram(&seal, plain, sizeof(header) + payload, datagram.bytes);
    keep_and_send(&datagram);
}

static uint64_t executed(void)
{
    struct server_stats stats;

    server_get_stats(server, &stats);
    return stats.requests;
}

static void repeat(struct input *in)
{
    struct {
        uint8_t which, changed;
        uint16_t at;
    } record;

    take(in, &record, sizeof(record));
    if (nr_kept == 0)
        return;
    struct datagram datagram = kept[record.which % (nr_kept < KEPT ? nr_kept : KEPT)];
    uint64_t before = executed();
    if (record.changed) {
        datagram.bytes[record.at % datagram.len] ^= record.changed;
        must_stay_unheard(&datagram);
    } else {
        receive(&datagram);
    }
    if (executed() != before)
        abort();
}

static void say_hello(void)
{
    struct skep_hello_attr attr = {.wire_version = WIRE_VERSION};
    struct marshal_head head = {.attr_size = sizeof(attr)};
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .sequence = 1,
                                 .command = SKEP_HELLO,
                                 .total = sizeof(head) + sizeof(attr),
                                 .fragments = 1};
    uint8_t plain[sizeof(header) + sizeof(head) + sizeof(attr)];
    struct datagram datagram;

    memcpy(attr.client_nonce, nonce, sizeof(nonce));
    memcpy(attr.cookie, cookie, sizeof(cookie));
    memcpy(plain, &header, sizeof(header));
    memcpy(plain + sizeof(header), &head, sizeof(head));
    memcpy(plain + sizeof(header) + sizeof(head), &attr, sizeof(attr));
    datagram.len = seal_hello_datagram(&hellos, SEAL_CLIENT, hello_counter++, plain, sizeof(plain),
                                       datagram.bytes);
    keep_and_send(&datagram);
}

static void run_record(struct input *in)
{
    uint8_t kind;

    take(in, &kind, 1);
    switch (kind % 8) {
    case 0:
        send_noise(in);
        break;
    case 1:
        repeat(in);
        break;
    case 2:
        now += kind / 8 * 200 * MS;
        server_tick(server, now);
        break;
    case 3:
        say_hello();
        break;
    default:
        send_sealed(in);
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
    session = hello_counter = nr_kept = 0;
    seal_hello_start(&hellos, key, nonce);
    server = server_create(&fuzz_link, &machine, key);
    if (!server)
        abort();
    say_hello();
    say_hello();
    if (!session)
        abort();
    while (in.size)
        run_record(&in);
    server_destroy(server);
    if (ebpf_shutdown())
        abort(); /* objects are left over */
    return 0;
}
