/*
 * How a session begins at the client, and how the client finds out that it has ended: hellos, with
 * the cookie that the server wants to see again, and without one to ask about a session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "ebpf/marshal.h"
#include "user/lib/skep_internal.h"

/* A cookie may have become stale on its way; that several do is no accident. */
#define COOKIES_MAX 4u

/* A hello has no buffers, so nothing is ever asked of these. */
static const struct marshal_ops no_ops;

static uint32_t wire_version(const struct skep *skep)
{
    return skep->insecure ? WIRE_VERSION_PLAIN : WIRE_VERSION;
}

/* cookie: as the server gave it, or zeroes. session: to ask about, or 0 for a new one. */
static void make_hello(const struct skep *skep, uint64_t session, const uint8_t cookie[16],
                       struct skep_hello_attr *hello)
{
    *hello = (struct skep_hello_attr){
        .wire_version = wire_version(skep), .session = session, .build = WIRE_BUILD};
    memcpy(hello->client_nonce, skep->client_nonce, sizeof(hello->client_nonce));
    memcpy(hello->cookie, cookie, sizeof(hello->cookie));
}

/* ---- a new session --------------------------------------------------------------------------- */

/* Fresh keys for hellos; the keys of a session before this one are gone. */
static int begin(struct skep *skep)
{
    skep->session = 0;
    skep->hello_counter = 0;
    seal_end(&skep->seal);
    if (getrandom(skep->client_nonce, sizeof(skep->client_nonce), 0) != sizeof(skep->client_nonce))
        return skep_fail(skep, -errno, "no random numbers: %s", strerror(errno));
    if (!skep->insecure)
        seal_hello_start(&skep->hello, skep->key.bytes, skep->client_nonce);
    return 0;
}

static int fail_refused(struct skep *skep, int status, const struct skep_hello_attr *hello)
{
    if (status == -EUSERS)
        return skep_fail(skep, status,
                         "%s serves %u clients already: end one, or wait %u s for a lease to run "
                         "out",
                         skep->target, WIRE_SESSIONS_MAX, WIRE_LEASE_SECONDS);
    if (status == -EPROTONOSUPPORT)
        return skep_fail(skep, status,
                         "%s is %.32s and speaks wire version %u, this client is " WIRE_BUILD
                         " and speaks version %u: use the skepctl that was built with the guest",
                         skep->target, hello->build, hello->wire_version, wire_version(skep));
    return skep_fail(skep, status, "%s refuses a session: %s", skep->target, strerror(-status));
}

/* Makes a session: 0 and what the other side said of itself, or a negative errno and a sentence. */
int skep_say_hello(struct skep *skep, unsigned timeout_ms, struct skep_hello_attr *hello)
{
    uint8_t cookie[sizeof(hello->cookie)] = {0};
    long result = -EAGAIN;
    int err = begin(skep);

    for (unsigned i = 0; !err && result == -EAGAIN && i < COOKIES_MAX; i++) {
        make_hello(skep, 0, cookie, hello);
        err =
            skep_run_command(skep, SKEP_HELLO, hello, sizeof(*hello), &no_ops, timeout_ms, &result);
        memcpy(cookie, hello->cookie, sizeof(cookie));
    }
    if (err)
        return err;
    if (result < 0)
        return fail_refused(skep, (int)result, hello);
    if (!skep->insecure)
        seal_start(&skep->seal, SEAL_CLIENT, skep->key.bytes, skep->client_nonce,
                   hello->server_nonce);
    skep->session = hello->session;
    skep->sequence = 1; /* as the server counts: its requests are numbered from 2 */
    return 0;
}

/* ---- is it still there? ------------------------------------------------------------------------
 */

/* Asks whether our session is known. 0, or the channel's negative errno. */
int skep_ask(struct skep *skep)
{
    static const uint8_t no_cookie[16];
    uint8_t message[256] __attribute__((aligned(8))), datagram[WIRE_DATAGRAM_MAX];
    struct wire_header header = {
        .kind = WIRE_REQUEST, .sequence = ++skep->hello_sequence, .command = SKEP_HELLO};
    struct skep_hello_attr hello;
    struct marshal_plan plan;
    struct channel_tx tx;

    make_hello(skep, skep->session, no_cookie, &hello);
    int err = marshal_plan(SKEP_HELLO, &hello, sizeof(hello), &no_ops, &plan);
    if (err)
        return err;
    long size = marshal_encode_request(&plan, message, sizeof(message));
    if (size < 0)
        return (int)size;
    header.total = (uint32_t)size;
    channel_tx_start(&tx, &header, message);
    return skep_send_datagram(skep, datagram, channel_tx_fragment(&tx, 0, datagram));
}

/* Takes the answer to skep_ask. 0 when the session is known; else -ECONNRESET and why: the other
 * side restarted, or had not heard of us for a lease's time. */
int skep_take_answer(struct skep *skep, const struct wire_header *header, const void *payload)
{
    uint8_t message[WIRE_FRAGMENT_SIZE] __attribute__((aligned(8)));
    struct skep_hello_attr hello = {0};
    struct marshal_plan plan = {.cmd = SKEP_HELLO, .attr_size = sizeof(hello), .kind = -1};

    if (header->fragments != 1 || header->total == 0 || header->status < 0)
        return 0;
    memcpy(message, payload, header->total);
    if (marshal_decode_reply(&plan, message, header->total, &hello))
        return 0;
    if (hello.boot_id == skep->boot_id && hello.session == skep->session)
        return 0;
    skep->lost = true;
    if (hello.boot_id == skep->boot_id)
        return skep_fail(skep, -ECONNRESET,
                         "the session with %s has ended because the guest heard nothing for %u s: "
                         "what it held is released, run the command again",
                         skep->target, hello.lease_seconds);
    return skep_fail(skep, -ECONNRESET,
                     "the guest at %s has restarted: what was loaded there is gone, run the "
                     "command again",
                     skep->target);
}
