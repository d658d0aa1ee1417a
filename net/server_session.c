/*
 * The table of sessions: one a client, bound to its address, with its engine handles. Called by
 * server.c, which says when a session begins and when its lease is over.
 */
#include <linux/errno.h>

#include "ebpf/port.h"
#include "kernel/heap.h"
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

/* Ends a session: its handles, and with them what only it held, are gone. */
void server_session_end(struct server *server, struct server_session *session)
{
    server_drop_request(server, session);
    server_drop_reply(session);
    ebpf_session_destroy(session->handles);
    *session = (struct server_session){.state = SESSION_FREE};
    server->stats.sessions--;
}

/* NULL when there is none. */
struct server_session *server_session_find(struct server *server, uint64_t id)
{
    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++)
        if (server->sessions[i].state != SESSION_FREE && server->sessions[i].id == id)
            return &server->sessions[i];
    return NULL;
}

bool server_same_endpoint(const struct net_endpoint *a, const struct net_endpoint *b)
{
    return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

/* Makes the session of a hello, or finds the one that the same hello made before. 0, -EUSERS when
 * all are taken, -ENOMEM. */
int server_session_open(struct server *server, const struct net_endpoint *from, uint64_t nonce,
                        uint64_t now_ns, struct server_session **out)
{
    struct server_session *unused = NULL;

    for (unsigned i = 0; i < WIRE_SESSIONS_MAX; i++) {
        struct server_session *session = &server->sessions[i];
        if (session->state == SESSION_FREE) {
            if (!unused)
                unused = session;
        } else if (session->nonce == nonce && server_same_endpoint(&session->from, from)) {
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
                                      .nonce = nonce,
                                      .from = *from,
                                      .heard_ns = now_ns,
                                      .handles = handles,
                                      .sequence = 1};
    do
        unused->id = port_random();
    while (unused->id == 0);
    server->stats.sessions++;
    *out = unused;
    return 0;
}
