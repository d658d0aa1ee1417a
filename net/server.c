/*
 * The command server: requests and replies, leases, exactly-once execution. A request is executed
 * when it is complete and its sequence number is new; one that was answered before gets the kept
 * reply again. Datagrams come and go through server_wire.c; hellos are server_hello.c's, sessions
 * server_session.c's, executing and encoding server_dispatch.c's.
 *
 * Memory: a request grows with what has arrived, to WIRE_MESSAGE_MAX a session and
 * SERVER_REQUEST_BYTES_MAX in all; a kept reply is at most WIRE_REPLY_MAX.
 */
#include <linux/errno.h>

#include "ebpf/port.h"
#include "kernel/heap.h"
#include "net/server_internal.h"

#define SECOND 1000000000ull

#define LEASE_NS (WIRE_LEASE_SECONDS * SECOND)
/* A client that did not acknowledge its reply so often is gone, or asks again when it is back. */
#define REPLY_TRIES_MAX 8u
/* How long powering off waits for its reply to be acknowledged. */
#define POWER_GRACE_NS (SECOND / 2)

/* struct channel_memory's resize, over the heap and within the limit. */
static void *request_resize(void *arg, void *block, size_t old_size, size_t size)
{
    struct server *server = arg;
    uint64_t bytes = server->stats.request_bytes - old_size + size;

    if (size > SERVER_REQUEST_SMALL && bytes > SERVER_REQUEST_BYTES_MAX)
        return NULL;
    void *moved = NULL;
    if (size == 0) {
        kfree(block);
    } else {
        moved = krealloc(block, size);
        if (!moved)
            return NULL;
    }
    server->stats.request_bytes = bytes;
    return moved;
}

/* ---- replies and acknowledgements ---------------------------------------------------------- */

static void send_ack(struct server *server, struct server_session *session,
                     const struct wire_header *fragment)
{
    struct wire_header ack;

    channel_make_ack(fragment, &ack);
    server_send(server, session, &ack, sizeof(ack));
}

/* Sends what is due of the session's reply. */
static void pump(struct server *server, struct server_session *session, uint64_t now_ns)
{
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    size_t len;

    while ((len = channel_tx_next(&session->tx, &session->rtt, now_ns, datagram)) > 0)
        server_send(server, session, datagram, len);
    if (channel_tx_tries(&session->tx) > REPLY_TRIES_MAX)
        session->tx.active = false;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Ends the request that the session is busy with: keeps a copy of the reply and begins to send it.
 * Without memory for the copy the status alone is kept: what was done stays done. */
void server_answer(struct server *server, struct server_session *session, int32_t status,
                   const void *reply, uint32_t reply_size, uint64_t now_ns)
{
    server_drop_request(server, session);
    session->reply = reply_size ? kmalloc(reply_size) : NULL;
    if (session->reply)
        __builtin_memcpy(session->reply, reply, reply_size);
    else if (reply_size) {
        server->stats.out_of_memory++;
        status = -ENOMEM;
        reply_size = 0;
    }

    struct wire_header header = {.kind = WIRE_REPLY,
                                 .session = session->id,
                                 .sequence = session->sequence,
                                 .command = session->command,
                                 .status = status,
                                 .total = reply_size};
    session->state = SESSION_IDLE;
    channel_tx_start(&session->tx, &header, session->reply);
    pump(server, session, now_ns);
}

static void begin_request(struct server *server, struct server_session *session,
                          const struct wire_header *header)
{
    server_drop_request(server, session);
    server_drop_reply(session);
    session->state = SESSION_RECEIVING;
    session->sequence = header->sequence;
    session->command = header->command;
    channel_rx_start(&session->request, header);
}

/* A fragment of the request that the session is busy with or has answered. */
static void receive_again(struct server *server, struct server_session *session,
                          const struct wire_header *header, uint64_t now_ns)
{
    send_ack(server, session, header);
    if (session->state == SESSION_IDLE && session->sequence > 1 && !session->tx.active) {
        server->stats.replays++;
        channel_tx_start(&session->tx, &session->tx.header, session->reply);
        pump(server, session, now_ns);
    }
}

static void receive_request(struct server *server, struct server_session *session,
                            const struct wire_header *header, const uint8_t *payload,
                            uint64_t now_ns)
{
    int32_t ahead = (int32_t)(header->sequence - session->sequence);

    if (ahead < 0)
        return;
    if (ahead == 0 && session->state != SESSION_RECEIVING) {
        receive_again(server, session, header, now_ns);
        return;
    }
    if (ahead > 0)
        begin_request(server, session, header);

    int result = header->command == session->command
                     ? channel_rx_add(&session->request, &server->memory, header, payload)
                     : -EINVAL;
    switch (result) {
    case -EINVAL:
        server->stats.datagrams_bad++;
        return;
    case -ERANGE:
        return;
    case -ENOMEM:
        server->stats.out_of_memory++;
        server_answer(server, session, -ENOMEM, NULL, 0, now_ns);
        return;
    }
    send_ack(server, session, header);
    if (result == 1) {
        server->stats.requests++;
        server_dispatch(server, session, now_ns);
        if (session->command == SKEP_GOODBYE)
            server_session_end(server, session);
    }
}

/* A datagram of a session, in plain. */
void server_take(struct server *server, struct server_session *session,
                 const struct wire_header *header, const uint8_t *payload, uint64_t now_ns)
{
    if (header->kind == WIRE_REPLY) {
        server->stats.datagrams_foreign++;
        return;
    }
    session->heard_ns = now_ns;
    if (header->kind == WIRE_REQUEST)
        receive_request(server, session, header, payload, now_ns);
    else if (header->sequence == session->sequence)
        channel_tx_ack(&session->tx, &session->rtt, header->fragment, now_ns);
    if (session->state != SESSION_FREE)
        pump(server, session, now_ns);
}

/* ---- the public face ----------------------------------------------------------------------- */

/* NULL when out of memory. link and machine are borrowed for the server's life. key: what the wire
 * is sealed with (CRYPTO_KEY_SIZE bytes, copied); NULL: the server speaks in plain. */
struct server *server_create(struct server_link *link, const struct server_machine *machine,
                             const uint8_t *key)
{
    struct server *server = kzalloc(sizeof(*server));

    if (!server)
        return NULL;
    server->link = link;
    server->machine = machine;
    server->memory = (struct channel_memory){request_resize, server};
    server->boot_id = port_random();
    server->sealed = key != NULL;
    if (key)
        __builtin_memcpy(server->key, key, CRYPTO_KEY_SIZE);
    server_hello_init(server);
    return server;
}

/* Ends every session. */
void server_destroy(struct server *server)
{
    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++)
        if (server->sessions[i].state != SESSION_FREE)
            server_session_end(server, &server->sessions[i]);
    crypto_wipe(server->key, sizeof(server->key));
    kfree(server);
}

/* Powers off once every reply has arrived or the grace is over. Returns when to look again. */
static uint64_t tick_power(struct server *server, uint64_t now_ns)
{
    bool sending = false;

    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++)
        sending |= server->sessions[i].tx.active;
    if (server->power_at_ns == 0)
        server->power_at_ns = now_ns + POWER_GRACE_NS;
    if (!sending || now_ns >= server->power_at_ns) {
        server->power_pending = false;
        server->power_at_ns = 0;
        server->machine->power(server->power_action);
    }
    return server->power_at_ns ? server->power_at_ns : UINT64_MAX;
}

/* What time brings: replies again, held answers, leases that run out. Returns when to call next if
 * nothing else happens before. The caller first passes on every datagram that has arrived, so that
 * a long command of one client does not cost the others their leases. */
uint64_t server_tick(struct server *server, uint64_t now_ns)
{
    uint64_t next = server->power_pending ? tick_power(server, now_ns) : UINT64_MAX;

    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state == SESSION_FREE)
            continue;
        if (now_ns >= session->heard_ns + LEASE_NS) {
            server->stats.sessions_expired++;
            server_session_end(server, session);
            continue;
        }
        if (session->state == SESSION_PARKED)
            server_dispatch(server, session, now_ns);
        pump(server, session, now_ns);

        uint64_t times[] = {
            session->heard_ns + LEASE_NS, channel_tx_deadline(&session->tx, &session->rtt),
            session->state == SESSION_PARKED ? session->park_deadline_ns : UINT64_MAX};
        for (unsigned t = 0; t < sizeof(times) / sizeof(times[0]); t++)
            if (times[t] < next)
                next = times[t];
    }
    return next;
}

/* Whether a read is held until there is something to read. Any context. */
bool server_waits(const struct server *server)
{
    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++)
        if (__atomic_load_n(&server->sessions[i].state, __ATOMIC_RELAXED) == SESSION_PARKED)
            return true;
    return false;
}

void server_get_stats(const struct server *server, struct server_stats *out)
{
    *out = server->stats;
}
