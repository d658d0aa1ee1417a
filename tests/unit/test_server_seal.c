/*
 * The sealing server's rules about who is heard: nothing that does not open gets an answer or makes
 * any state; a hello's answer is no longer than the hello; a datagram is obeyed once; the keys of a
 * session end with it (net/server_wire.c, net/server_hello.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/server_test.h"

/* What the server sends here is sealed, so the link is another than server_test.c's. */
static struct server *sealed;
static const uint8_t key[CRYPTO_KEY_SIZE] = {1, 2, 3}, wrong_key[CRYPTO_KEY_SIZE] = {1, 2, 4};

struct datagram {
    struct net_endpoint to;
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

static struct datagram out[64];
static unsigned nr_out;

static void link_send(struct server_link *link, const struct net_endpoint *to, const void *data,
                      size_t len)
{
    (void)link;
    cr_assert_lt(nr_out, 64);
    cr_assert_leq(len, WIRE_DATAGRAM_MAX);
    out[nr_out].to = *to;
    out[nr_out].len = len;
    memcpy(out[nr_out++].bytes, data, len);
}

static void machine_info(struct skep_sys_info_attr *info)
{
    (void)info;
}

static void machine_power(uint32_t action)
{
    powered = (int)action;
}

static const char *machine_symbol_at(size_t index, uintptr_t *addr, size_t *size)
{
    (void)index;
    *addr = 0;
    *size = 0;
    return NULL;
}

static void set_up(void)
{
    static struct server_link seal_link = {link_send};
    static const struct server_machine machine = {"test build", machine_info, machine_power,
                                                  machine_symbol_at};

    server_test_init();
    sealed = server_create(&seal_link, &machine, key);
    cr_assert_not_null(sealed);
}

static void tear_down(void)
{
    server_destroy(sealed);
    server_test_fini();
}

TestSuite(server_seal, .init = set_up, .fini = tear_down);

static struct server_stats stats(void)
{
    struct server_stats now_stats;

    server_get_stats(sealed, &now_stats);
    return now_stats;
}

/* ---- a client that seals --------------------------------------------------------------------- */

struct sealing {
    struct client plain; /* its address, session and sequence */
    uint8_t nonce[WIRE_NONCE_SIZE];
    struct seal_hello hello;
    uint64_t hello_counter;
    struct seal seal;
};

static struct sealing sealing_at(uint16_t port, const uint8_t with[CRYPTO_KEY_SIZE])
{
    struct sealing client = {.plain = client_at(port), .nonce = {(uint8_t)port, 7}};

    seal_hello_start(&client.hello, with, client.nonce);
    return client;
}

static void receive(const struct sealing *client, const struct datagram *datagram)
{
    uint8_t *exact = malloc(datagram->len ? datagram->len : 1);

    memcpy(exact, datagram->bytes, datagram->len);
    server_receive(sealed, &client->plain.from, exact, datagram->len, now);
    free(exact);
}

/* A request of one fragment, sealed. */
static struct datagram make_request(struct sealing *client, uint32_t cmd, void *attr,
                                    uint32_t attr_size)
{
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .session = cmd == SKEP_HELLO ? 0 : client->plain.session,
                                 .command = cmd,
                                 .fragments = 1};
    struct marshal_plan plan;
    struct datagram datagram;
    uint32_t size;
    uint8_t *message = client_encode(&client->plain, cmd, attr, attr_size, &plan, &size);

    header.total = size;

    header.sequence = client->plain.sequence;
    memcpy(plain, &header, sizeof(header));
    memcpy(plain + sizeof(header), message, header.total);
    free(message);
    size_t len = sizeof(header) + header.total;
    if (cmd == SKEP_HELLO)
        datagram.len = seal_hello_datagram(&client->hello, SEAL_CLIENT, client->hello_counter++,
                                           plain, len, datagram.bytes);
    else
        datagram.len = seal_datagram(&client->seal, plain, len, datagram.bytes);
    return datagram;
}

static struct datagram make_hello(struct sealing *client, const uint8_t cookie[16],
                                  uint64_t session)
{
    struct skep_hello_attr attr = {.wire_version = WIRE_VERSION, .session = session};

    memcpy(attr.client_nonce, client->nonce, sizeof(attr.client_nonce));
    if (cookie)
        memcpy(attr.cookie, cookie, sizeof(attr.cookie));
    return make_request(client, SKEP_HELLO, &attr, sizeof(attr));
}

/* Opens the only answer that was sent, a hello's. Its status. */
static int take_hello(struct sealing *client, struct skep_hello_attr *attr)
{
    struct marshal_plan plan = {.cmd = SKEP_HELLO, .attr_size = sizeof(*attr), .kind = -1};
    uint8_t plain[WIRE_DATAGRAM_MAX] __attribute__((aligned(8)));
    struct wire_header header;

    cr_assert_eq(nr_out, 1);
    nr_out = 0;
    int len = seal_hello_open(&client->hello, SEAL_CLIENT, out[0].bytes, out[0].len, plain);
    cr_assert_gt(len, 0);
    cr_assert_eq(channel_parse(plain, (size_t)len, &header), 0);
    cr_assert_eq(header.kind, WIRE_REPLY);
    cr_assert_eq(header.sequence, client->plain.sequence);
    memmove(plain, plain + sizeof(header), header.total);
    cr_assert_eq(marshal_decode_reply(&plan, plain, header.total, attr), 0);
    return header.status;
}

static int say_hello(struct sealing *client, const uint8_t cookie[16], struct skep_hello_attr *attr)
{
    struct datagram hello = make_hello(client, cookie, 0);

    receive(client, &hello);
    cr_assert_eq(nr_out, 1);
    cr_assert_leq(out[0].len, hello.len, "no answer is longer than what it answers");
    return take_hello(client, attr);
}

static struct sealing sealing_open(uint16_t port)
{
    struct sealing client = sealing_at(port, key);
    struct skep_hello_attr attr;
    uint8_t cookie[16];

    cr_assert_eq(say_hello(&client, NULL, &attr), -EAGAIN);
    memcpy(cookie, attr.cookie, sizeof(cookie));
    cr_assert_eq(say_hello(&client, cookie, &attr), 0);
    client.plain.session = attr.session;
    client.plain.boot_id = attr.boot_id;
    client.plain.sequence = 1;
    seal_start(&client.seal, SEAL_CLIENT, key, client.nonce, attr.server_nonce);
    return client;
}

static struct datagram make_power_off(struct sealing *client)
{
    struct skep_power_attr attr = {0};

    return make_request(client, SKEP_POWER, &attr, sizeof(attr));
}

/* Opens what was sent to the client; how many of these are replies. */
static unsigned take_replies(struct sealing *client)
{
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct wire_header header;
    unsigned replies = 0;

    for (unsigned i = 0; i < nr_out; i++) {
        int len = seal_open(&client->seal, out[i].bytes, out[i].len, plain);
        cr_assert_gt(len, 0);
        cr_assert_eq(channel_parse(plain, (size_t)len, &header), 0);
        replies += header.kind == WIRE_REPLY;
    }
    nr_out = 0;
    return replies;
}

/* ---- hellos ------------------------------------------------------------------------------------
 */

Test(server_seal, a_hello_and_its_cookie_make_a_session)
{
    struct sealing client = sealing_open(1);
    struct datagram request = make_power_off(&client);

    cr_assert_eq(stats().sessions, 1);
    receive(&client, &request);
    cr_assert_eq(take_replies(&client), 1);
    cr_assert_eq(stats().requests, 1);
    cr_assert_eq(stats().datagrams_opened, 3);
}

Test(server_seal, every_session_has_keys_of_its_own)
{
    struct sealing a = sealing_open(1), b = sealing_open(2);
    struct datagram request = make_power_off(&a);

    cr_assert_neq(memcmp(a.seal.tx.key, b.seal.tx.key, CRYPTO_KEY_SIZE), 0);
    cr_assert_neq(memcmp(a.seal.tx.key, a.seal.rx.key, CRYPTO_KEY_SIZE), 0);
    memcpy(request.bytes + offsetof(struct wire_seal, session), &b.plain.session, 8);
    receive(&b, &request);
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().datagrams_unopened, 1);
}

Test(server_seal, a_repeated_hello_finds_its_session)
{
    struct sealing client = sealing_at(1, key);
    struct skep_hello_attr first, again;
    uint8_t cookie[16];

    cr_assert_eq(say_hello(&client, NULL, &first), -EAGAIN);
    memcpy(cookie, first.cookie, sizeof(cookie));
    cr_assert_eq(say_hello(&client, cookie, &first), 0);
    cr_assert_eq(say_hello(&client, cookie, &again), 0);
    cr_assert_eq(first.session, again.session);
    cr_assert_arr_eq(first.server_nonce, again.server_nonce, WIRE_NONCE_SIZE);
    cr_assert_eq(stats().sessions, 1);
}

Test(server_seal, a_wrong_key_gets_no_answer)
{
    struct sealing client = sealing_at(1, wrong_key);
    struct datagram hello = make_hello(&client, NULL, 0);

    receive(&client, &hello);
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().datagrams_unopened, 1);
    cr_assert_eq(stats().sessions, 0);
}

Test(server_seal, plain_datagrams_get_no_answer)
{
    struct sealing client = sealing_open(1);
    struct datagram datagram = {.len = 36};
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .sequence = 1,
                                 .command = SKEP_HELLO,
                                 .fragments = 1};

    for (unsigned i = 0; i < 2; i++) {
        memcpy(datagram.bytes, &header, sizeof(header));
        receive(&client, &datagram);
        header.session = client.plain.session;
        header.command = SKEP_POWER;
    }
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().requests, 0);
    cr_assert_eq(stats().datagrams_bad, 2);
}

/* A recorded hello that is sent from elsewhere gets a cookie there, and that is all. */
Test(server_seal, a_recorded_hello_makes_nothing_elsewhere)
{
    struct sealing client = sealing_at(1, key), other;
    struct skep_hello_attr attr;
    uint8_t cookie[16];

    cr_assert_eq(say_hello(&client, NULL, &attr), -EAGAIN);
    memcpy(cookie, attr.cookie, sizeof(cookie));
    struct datagram recorded = make_hello(&client, cookie, 0);
    for (uint16_t port = 2; port < 60; port++) {
        other = client;
        other.plain.from.port = port;
        receive(&other, &recorded);
        cr_assert_eq(take_hello(&other, &attr), -EAGAIN);
    }
    cr_assert_eq(stats().sessions, 0);
}

Test(server_seal, no_changed_hello_is_answered)
{
    struct sealing client = sealing_at(1, key);
    struct datagram hello = make_hello(&client, NULL, 0);

    for (size_t bit = 0; bit < hello.len * 8; bit++) {
        hello.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        receive(&client, &hello);
        cr_assert_eq(nr_out, 0, "bit %zu", bit);
        hello.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    size_t len = hello.len;
    for (hello.len = 0; hello.len < len; hello.len++) {
        receive(&client, &hello);
        cr_assert_eq(nr_out, 0, "%zu bytes", hello.len);
    }
    receive(&client, &hello);
    cr_assert_eq(nr_out, 1);
}

Test(server_seal, garbage_takes_no_tokens)
{
    struct sealing client = sealing_at(1, key), stranger = sealing_at(2, wrong_key);
    struct datagram garbage = make_hello(&stranger, NULL, 0);
    struct skep_hello_attr attr;

    for (unsigned i = 0; i < 5000; i++)
        receive(&stranger, &garbage);
    cr_assert_eq(stats().hellos_limited, 0);
    cr_assert_eq(say_hello(&client, NULL, &attr), -EAGAIN);
}

Test(server_seal, who_asks_is_told_whether_the_session_is_known)
{
    struct sealing client = sealing_open(1);
    struct skep_hello_attr attr;

    for (unsigned known = 2; known-- > 0;) {
        struct datagram question = make_hello(&client, NULL, client.plain.session);
        receive(&client, &question);
        cr_assert_eq(take_hello(&client, &attr), 0);
        cr_assert_eq(attr.session, known ? client.plain.session : 0);
        cr_assert_eq(attr.boot_id, client.plain.boot_id);
        now += WIRE_LEASE_SECONDS * SECOND;
        server_tick(sealed, now);
    }
}

/* ---- datagrams of a session ------------------------------------------------------------------ */

Test(server_seal, a_recorded_datagram_is_obeyed_once)
{
    struct sealing client = sealing_open(1);
    struct datagram request = make_power_off(&client);

    receive(&client, &request);
    cr_assert_eq(take_replies(&client), 1);
    for (unsigned i = 0; i < 100; i++)
        receive(&client, &request);
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().datagrams_replayed, 100);
    cr_assert_eq(stats().requests, 1);
    cr_assert_eq(stats().replays, 0, "the kept reply is for who can seal");

    /* And not in the client's next session either. */
    struct sealing again = sealing_open(2);
    again.plain.from = client.plain.from;
    memcpy(request.bytes + offsetof(struct wire_seal, session), &again.plain.session, 8);
    receive(&again, &request);
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().requests, 1);
}

Test(server_seal, no_changed_datagram_is_obeyed)
{
    struct sealing client = sealing_open(1);
    struct datagram request = make_power_off(&client);

    for (size_t bit = 0; bit < request.len * 8; bit++) {
        request.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        receive(&client, &request);
        cr_assert_eq(nr_out, 0, "bit %zu", bit);
        request.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(stats().requests, 0);
    receive(&client, &request);
    cr_assert_eq(take_replies(&client), 1);
}

Test(server_seal, an_unopened_datagram_does_not_renew_the_lease)
{
    struct sealing client = sealing_open(1);
    struct datagram request = make_power_off(&client);

    request.bytes[request.len - 1] ^= 1;
    now += 10 * SECOND;
    receive(&client, &request);
    now += 5 * SECOND;
    server_tick(sealed, now);
    cr_assert_eq(stats().sessions, 0);
    cr_assert_eq(stats().sessions_expired, 1);
}

Test(server_seal, another_address_is_not_heard)
{
    struct sealing client = sealing_open(1), thief = client;
    struct datagram request = make_power_off(&client);

    thief.plain.from.port = 2;
    receive(&thief, &request);
    cr_assert_eq(nr_out, 0);
    cr_assert_eq(stats().datagrams_foreign, 1);
    receive(&client, &request);
    cr_assert_eq(take_replies(&client), 1);
}

Test(server_seal, the_counts_are_shown)
{
    struct sealing client = sealing_open(1), stranger = sealing_at(2, wrong_key);
    struct datagram garbage = make_hello(&stranger, NULL, 0), request = make_power_off(&client);

    receive(&stranger, &garbage);
    receive(&client, &request);
    receive(&client, &request);
    struct server_stats s = stats();
    cr_assert_eq(s.datagrams_opened, 3);
    cr_assert_eq(s.datagrams_unopened, 1);
    cr_assert_eq(s.datagrams_replayed, 1);
}
