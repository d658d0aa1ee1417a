/*
 * Between the command server and its link: datagrams are opened on their way in and sealed on their
 * way out, unless the server speaks in plain. What does not open gets no answer, and no code behind
 * this file sees it.
 */
#include <linux/errno.h>

#include "net/server_internal.h"

/* Sends a plain datagram to the session's client, sealed unless the server speaks in plain. */
void server_send(struct server *server, struct server_session *session, const void *plain,
                 size_t len)
{
    uint8_t sealed[WIRE_DATAGRAM_MAX];

    if (server->sealed) {
        len = seal_datagram(&session->seal, plain, len, sealed);
        plain = sealed;
    }
    server->link->send(server->link, &session->from, plain, len);
}

/* What a server in plain says to a client that seals: an answer that is a status only. */
static void send_refusal(struct server *server, const struct net_endpoint *to)
{
    struct wire_header reply = {.magic = WIRE_MAGIC,
                                .version = WIRE_VERSION_PLAIN,
                                .kind = WIRE_REPLY,
                                .command = SKEP_HELLO,
                                .status = -EPROTONOSUPPORT,
                                .fragments = 1};

    server->link->send(server->link, to, &reply, sizeof(reply));
}

static void receive_plain(struct server *server, const struct net_endpoint *from,
                          const void *datagram, size_t len, uint64_t now_ns)
{
    const uint8_t *payload = (const uint8_t *)datagram + sizeof(struct wire_header);
    struct wire_header header;
    int err = channel_parse(datagram, len, &header);

    if (err) {
        server->stats.datagrams_bad++;
        if (err == -EPROTONOSUPPORT && header.kind == WIRE_REQUEST && header.session == 0)
            send_refusal(server, from);
        return;
    }
    if (header.session == 0) {
        server_receive_hello(server, from, NULL, &header, payload, now_ns);
        return;
    }
    struct server_session *session = server_session_find(server, header.session, from);
    if (session)
        server_take(server, session, &header, payload, now_ns);
    else
        server->stats.datagrams_foreign++;
}

/* Behind the opening, everything is as in plain. What does not open gets no answer, and no code
 * that knows of sessions' contents sees it. */
static void receive_sealed(struct server *server, const struct net_endpoint *from,
                           const void *datagram, size_t len, uint64_t now_ns)
{
    uint8_t plain[WIRE_DATAGRAM_MAX];
    struct wire_header header;
    struct wire_seal clear;

    if (seal_parse(datagram, len, &clear)) {
        server->stats.datagrams_bad++;
        return;
    }
    if (clear.session == 0) {
        server_receive_sealed_hello(server, from, datagram, len, now_ns);
        return;
    }
    struct server_session *session = server_session_find(server, clear.session, from);
    if (!session) {
        server->stats.datagrams_foreign++;
        return;
    }
    int opened = seal_open(&session->seal, datagram, len, plain);
    if (opened == -EALREADY)
        server->stats.datagrams_replayed++;
    else if (opened < 0)
        server->stats.datagrams_unopened++;
    else if (channel_parse(plain, (size_t)opened, &header))
        server->stats.datagrams_bad++;
    else {
        server->stats.datagrams_opened++;
        server_take(server, session, &header, plain + sizeof(header), now_ns);
    }
}

/* One datagram from the network, of any length and content. Executes the request that it
 * completes. */
void server_receive(struct server *server, const struct net_endpoint *from, const void *datagram,
                    size_t len, uint64_t now_ns)
{
    if (server->sealed)
        receive_sealed(server, from, datagram, len, now_ns);
    else
        receive_plain(server, from, datagram, len, now_ns);
}
