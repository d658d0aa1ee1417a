/*
 * What the files of the command server share: server_wire.c (datagrams, sealed or not), server.c
 * (requests, leases), server_hello.c (how a session begins), server_session.c (the table of
 * sessions), server_dispatch.c (a request becomes a call and its result a reply), server_trace.c
 * and server_sys.c (the commands beyond bpf(2)).
 */
#ifndef SKEP_NET_SERVER_INTERNAL_H
#define SKEP_NET_SERVER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "ebpf/marshal.h"
#include "ebpf/wire.h"
#include "net/channel.h"
#include "net/seal.h"
#include "net/server.h"

enum session_state {
    SESSION_FREE,
    SESSION_IDLE,      /* the last request is answered; its reply is kept */
    SESSION_RECEIVING, /* fragments of a request are coming in */
    SESSION_PARKED,    /* a read waits for data */
};

struct server_session {
    enum session_state state;
    uint64_t id;
    uint8_t client_nonce[WIRE_NONCE_SIZE]; /* of the hello that made it */
    uint8_t server_nonce[WIRE_NONCE_SIZE]; /* of the reply */
    struct seal seal;                      /* when the server seals */
    struct net_endpoint from;              /* where its client is */
    uint64_t heard_ns;                     /* the last valid datagram */
    struct ebpf_session *handles;

    /* The request that state speaks of. */
    uint32_t sequence, command;
    struct channel_rx request; /* its message, until it is answered */
    uint8_t *reply;            /* kept until the next request; tx.data */
    struct channel_tx tx;      /* the reply on its way */
    struct channel_rtt rtt;

    /* SESSION_PARKED: until when, and where the read stands. */
    uint64_t park_deadline_ns;
    uint64_t park_cursor, park_lost;
};

struct server {
    struct server_link *link;
    const struct server_machine *machine;
    struct channel_memory memory; /* requests are put together in it */
    bool sealed;                  /* else wire version 1, in plain */
    uint8_t key[CRYPTO_KEY_SIZE], cookie_key[CRYPTO_KEY_SIZE];
    uint64_t hellos_due_ns; /* see take_token in server_hello.c */
    uint64_t boot_id;
    struct server_stats stats;
    bool power_pending; /* SKEP_POWER was answered: server_tick acts on it */
    uint32_t power_action;
    uint64_t power_at_ns; /* at the latest; 0: not set yet */
    struct server_session sessions[WIRE_SESSIONS_MAX];
    /* Of the request being executed: what it puts out, and the reply made of that. */
    uint8_t arena[MARSHAL_ARENA_SIZE] __attribute__((aligned(16)));
    uint8_t reply[WIRE_REPLY_MAX] __attribute__((aligned(16)));
};

/* A command beyond bpf(2): attr is the command's own struct of ebpf/commands.h, its pointers
 * checked and usable. The result is 0, a handle, or a negative errno. A handler that waits returns
 * SERVER_WAIT while it has nothing to say; it is called again when it may have, with the cursor and
 * the losses where it left them. */
typedef long (*server_handler)(struct server *server, struct server_session *session, void *attr);

#define SERVER_WAIT 1000000000L /* no handle is so large */

/* server_trace.c */
long server_tracepoint_next(struct server *, struct server_session *, void *attr);
long server_tracepoint_format(struct server *, struct server_session *, void *attr);
long server_tracepoint_open(struct server *, struct server_session *, void *attr);
long server_tracepoint_enable(struct server *, struct server_session *, void *attr);
long server_trace_pipe_read(struct server *, struct server_session *, void *attr);
long server_ringbuf_read(struct server *, struct server_session *, void *attr);
/* server_sys.c */
long server_klog_read(struct server *, struct server_session *, void *attr);
long server_symbols_read(struct server *, struct server_session *, void *attr);
long server_sys_info(struct server *, struct server_session *, void *attr);
long server_power(struct server *, struct server_session *, void *attr);
/* server_wire.c */
void server_send(struct server *server, struct server_session *session, const void *plain,
                 size_t len);
/* server.c */
void server_take(struct server *server, struct server_session *session,
                 const struct wire_header *header, const uint8_t *payload, uint64_t now_ns);
void server_answer(struct server *server, struct server_session *session, int32_t status,
                   const void *reply, uint32_t reply_size, uint64_t now_ns);
/* server_hello.c */
void server_hello_init(struct server *server);
void server_receive_hello(struct server *server, const struct net_endpoint *from,
                          const struct seal_hello *hello, const struct wire_header *header,
                          const uint8_t *payload, uint64_t now_ns);
void server_receive_sealed_hello(struct server *server, const struct net_endpoint *from,
                                 const void *datagram, size_t len, uint64_t now_ns);
/* server_session.c */
struct server_session *server_session_find(struct server *server, uint64_t id,
                                           const struct net_endpoint *from);
int server_session_open(struct server *server, const struct net_endpoint *from,
                        const uint8_t client_nonce[WIRE_NONCE_SIZE], uint64_t now_ns,
                        struct server_session **out);
void server_session_end(struct server *server, struct server_session *session);
void server_drop_request(struct server *server, struct server_session *session);
void server_drop_reply(struct server_session *session);
/* server_dispatch.c */
void server_dispatch(struct server *server, struct server_session *session, uint64_t now_ns);
int server_decode_hello(struct server *server, const void *message, size_t size,
                        struct skep_hello_attr *attr);
uint32_t server_encode_hello(const struct skep_hello_attr *attr, uint8_t reply[WIRE_FRAGMENT_SIZE]);

#endif
