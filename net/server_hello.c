/*
 * How a session begins: a hello is answered with a cookie, and only a hello that shows the cookie
 * makes a session. So one whose source address is forged costs no memory, and its answer goes to an
 * address that has nothing to say with it, and is no longer than what it answers. A hello that asks
 * about a session is answered without any state.
 *
 * What a stranger can cause is deriving the keys of a hello and testing its tag; the limit on
 * hellos is for those that opened, who have the key, or repeat what others sent.
 */
#include <linux/errno.h>

#include "ebpf/port.h"
#include "kernel/printk.h"
#include "kernel/random.h"
#include "net/server_internal.h"

#define SECOND 1000000000ull

/* A cookie is good in the slot of time it was made in and in the next one. */
#define COOKIE_SLOT_NS (8 * SECOND)
/* 2,000 hellos a second, and 1,024 at once: 64 clients say 128 when they begin together. */
#define HELLO_INTERVAL_NS (SECOND / 2000)
#define HELLO_BURST       1024u

void server_hello_init(struct server *server)
{
    random_bytes(server->cookie_key, sizeof(server->cookie_key));
}

/* A token bucket, by the time at which it will be full again. False when it is empty. */
static bool take_token(struct server *server, uint64_t now_ns)
{
    uint64_t due = server->hellos_due_ns > now_ns ? server->hellos_due_ns : now_ns;

    if (due - now_ns > (HELLO_BURST - 1) * HELLO_INTERVAL_NS) {
        server->stats.hellos_limited++;
        return false;
    }
    server->hellos_due_ns = due + HELLO_INTERVAL_NS;
    return true;
}

/* ---- cookies --------------------------------------------------------------------------------- */

/* Binds a client's nonce to its address and the time, so that nothing need be kept of it. */
static void make_cookie(const struct server *server, const struct net_endpoint *from,
                        const uint8_t client_nonce[WIRE_NONCE_SIZE], uint64_t slot,
                        uint8_t cookie[CRYPTO_MAC_SIZE])
{
    struct {
        uint8_t nonce[WIRE_NONCE_SIZE];
        uint64_t slot;
        struct net_endpoint from;
        uint32_t pad;
    } bound = {.slot = slot, .from = *from};

    __builtin_memcpy(bound.nonce, client_nonce, WIRE_NONCE_SIZE);
    crypto_mac(server->cookie_key, &bound, sizeof(bound), cookie);
}

static bool is_good_cookie(const struct server *server, const struct net_endpoint *from,
                           const struct skep_hello_attr *attr, uint64_t slot)
{
    uint8_t cookie[CRYPTO_MAC_SIZE];

    for (unsigned ago = 0; ago < 2; ago++) {
        make_cookie(server, from, attr->client_nonce, slot - ago, cookie);
        if (crypto_equal(cookie, attr->cookie, sizeof(attr->cookie)))
            return true;
    }
    return false;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

/* Fills in what the reply says; its status. */
static int answer(struct server *server, const struct net_endpoint *from,
                  struct skep_hello_attr *attr, uint64_t now_ns)
{
    uint32_t version = server->sealed ? WIRE_VERSION : WIRE_VERSION_PLAIN;
    uint64_t slot = now_ns / COOKIE_SLOT_NS;
    uint8_t cookie[CRYPTO_MAC_SIZE];
    struct server_session *session;
    bool same_version = attr->wire_version == version;

    attr->wire_version = version;
    attr->lease_seconds = WIRE_LEASE_SECONDS;
    attr->boot_id = server->boot_id;
    format_text(attr->build, sizeof(attr->build), "%s", server->machine->build);
    if (!same_version)
        return -EPROTONOSUPPORT;
    if (attr->session) {
        if (!server_session_find(server, attr->session, from))
            attr->session = 0;
        return 0;
    }
    if (!is_good_cookie(server, from, attr, slot)) {
        make_cookie(server, from, attr->client_nonce, slot, cookie);
        __builtin_memcpy(attr->cookie, cookie, sizeof(attr->cookie));
        return -EAGAIN;
    }
    int err = server_session_open(server, from, attr->client_nonce, now_ns, &session);
    if (err) {
        server->stats.sessions_refused++;
        return err;
    }
    attr->session = session->id;
    __builtin_memcpy(attr->server_nonce, session->server_nonce, sizeof(attr->server_nonce));
    return 0;
}

/* A hello in plain, or opened with the keys of hello: its reply, made again for each repeat, fits
 * in a datagram and is not acknowledged. */
void server_receive_hello(struct server *server, const struct net_endpoint *from,
                          const struct seal_hello *hello, const struct wire_header *header,
                          const uint8_t *payload, uint64_t now_ns)
{
    uint8_t plain[WIRE_DATAGRAM_MAX], sealed[WIRE_DATAGRAM_MAX];
    struct skep_hello_attr attr;

    if (header->kind != WIRE_REQUEST || header->command != SKEP_HELLO || header->fragments != 1) {
        server->stats.datagrams_foreign++;
        return;
    }
    if (!take_token(server, now_ns))
        return;

    struct wire_header reply = *header;
    reply.kind = WIRE_REPLY;
    reply.total = 0;
    if (server_decode_hello(server, payload, header->total, &attr) != 0) {
        reply.status = -EPROTONOSUPPORT; /* as a client of another build would say it */
    } else {
        reply.status = answer(server, from, &attr, now_ns);
        reply.total = server_encode_hello(&attr, plain + sizeof(reply));
    }
    __builtin_memcpy(plain, &reply, sizeof(reply));

    size_t len = sizeof(reply) + reply.total;
    if (hello) {
        len = seal_hello_datagram(hello, SEAL_SERVER, port_random(), plain, len, sealed);
        server->link->send(server->link, from, sealed, len);
    } else {
        server->link->send(server->link, from, plain, len);
    }
}

/* A datagram of no session, which seal_parse has passed. */
void server_receive_sealed_hello(struct server *server, const struct net_endpoint *from,
                                 const void *datagram, size_t len, uint64_t now_ns)
{
    const uint8_t *nonce = seal_hello_nonce(datagram, len);
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct wire_header header;
    struct seal_hello hello;
    int opened = -EBADMSG;

    if (nonce) {
        seal_hello_start(&hello, server->key, nonce);
        opened = seal_hello_open(&hello, SEAL_SERVER, datagram, len, plain);
    }
    if (opened < 0)
        server->stats.datagrams_unopened++;
    else if (channel_parse(plain, (size_t)opened, &header))
        server->stats.datagrams_bad++;
    else {
        server->stats.datagrams_opened++;
        server_receive_hello(server, from, &hello, &header, plain + sizeof(header), now_ns);
    }
    crypto_wipe(&hello, sizeof(hello));
}
