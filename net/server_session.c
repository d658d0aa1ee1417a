/*
 * The table of sessions: one a client, bound to its address, with its engine handles. Called by
 * server.c, which says when a session begins and when its lease is over.
 */
#include <linux/errno.h>

#include "ebpf/port.h"
#include "kernel/heap.h"
#include "kernel/random.h"
#include "net/server_internal.h"

/* Gives back what a request took, whole or not. */
void server_drop_request(struct server *server, struct server_session *session)
{
    channel_rx_free(&session->request, &server->memory);
}

/* Forgets the kept reply: nobody asks for it again. */
void server_drop_reply(struct server_session *session)
{
    session->tx.active = false;
    kfree(session->reply);
    session->reply = NULL;
}

/* Ends a session: its handles, and with them what only it held, are gone, and so are its keys. */
void server_session_end(struct server *server, struct server_session *session)
{
    server_drop_request(server, session);
    server_drop_reply(session);
    ebpf_session_destroy(session->handles);
    seal_end(&session->seal);
    *session = (struct server_session){.state = SESSION_FREE};
    server->stats.sessions--;
}

static bool is_same_endpoint(const struct net_endpoint *a, const struct net_endpoint *b)
{
    return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

/* The session of a client at this address; NULL when there is none. */
struct server_session *server_session_find(struct server *server, uint64_t id,
                                           const struct net_endpoint *from)
{
    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state != SESSION_FREE && session->id == id)
            return is_same_endpoint(&session->from, from) ? session : NULL;
    }
    return NULL;
}

/* Makes the session of a hello, or finds the one that the same hello made before. 0, -EUSERS when
 * all are taken, -ENOMEM. */
int server_session_open(struct server *server, const struct net_endpoint *from,
                        const uint8_t client_nonce[WIRE_NONCE_SIZE], uint64_t now_ns,
                        struct server_session **out)
{
    struct server_session *unused = NULL;

    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state == SESSION_FREE) {
            if (!unused)
                unused = session;
        } else if (__builtin_memcmp(session->client_nonce, client_nonce, WIRE_NONCE_SIZE) == 0 &&
                   is_same_endpoint(&session->from, from)) {
            session->heard_ns = now_ns;
            *out = session;
            return 0;
        }
    }
    if (!unused)
        return -EUSERS;

    struct ebpf_session *handles = ebpf_session_create();
    if (!handles)
        return -ENOMEM;
    *unused = (struct server_session){.state = SESSION_IDLE,
                                      .from = *from,
                                      .heard_ns = now_ns,
                                      .handles = handles,
                                      .sequence = 1};
    do
        unused->id = port_random();
    while (unused->id == 0);
    __builtin_memcpy(unused->client_nonce, client_nonce, WIRE_NONCE_SIZE);
    random_bytes(unused->server_nonce, WIRE_NONCE_SIZE);
    if (server->sealed)
        seal_start(&unused->seal, SEAL_SERVER, server->key, client_nonce, unused->server_nonce);
    server->stats.sessions++;
    *out = unused;
    return 0;
}
