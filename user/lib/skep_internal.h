/*
 * What the files of the library share: skep.c (its face, marshalling), skep_parts.c (long answers),
 * skep_hello.c (sessions begin and end), skep_exchange.c (one request and its reply over a
 * channel), skep_wire.c (what of it is sealed).
 */
#ifndef SKEP_LIB_SKEP_INTERNAL_H
#define SKEP_LIB_SKEP_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/commands.h"
#include "ebpf/wire.h"
#include "net/channel.h"
#include "net/seal.h"
#include "user/lib/channel.h"
#include "user/lib/skep_key.h"

/* What is known of a guest's handle; asked for once. */
struct skep_known_handle {
    uint32_t handle;
    uint32_t kind; /* enum ebpf_kind */
    uint32_t map_type, key_size, value_size;
};

struct skep {
    pthread_mutex_t lock;
    struct channel *channel;
    char *target;
    unsigned timeout_ms;
    char error[384];

    uint64_t session; /* 0 while saying hello */
    uint64_t boot_id;
    uint32_t sequence;       /* of the last request */
    uint32_t hello_sequence; /* of the last hello */
    bool lost;               /* the session has ended at the other side */
    struct channel_rtt rtt;

    bool insecure; /* in plain; else: */
    struct skep_key key;
    uint8_t client_nonce[WIRE_NONCE_SIZE];
    struct seal_hello hello;
    uint64_t hello_counter; /* of the next one with these keys */
    struct seal seal;       /* of the session */
    bool heard_plain;       /* something said that it speaks in plain */

    struct skep_known_handle *known;
    size_t nr_known;
};

/* A reply as it came. */
struct skep_reply {
    int32_t status;
    struct channel_rx message; /* freed with skep_reply_free */
};

struct marshal_ops;
struct marshal_plan;

int skep_run_command(struct skep *skep, uint32_t cmd, void *attr, uint32_t attr_size,
                     const struct marshal_ops *ops, unsigned timeout_ms, long *result);
bool skep_needs_parts(const struct marshal_plan *plan);
int skep_run_parts(struct skep *skep, const struct marshal_plan *plan, void *attr,
                   const struct marshal_ops *ops, unsigned timeout_ms, long *result);

int skep_exchange(struct skep *skep, uint32_t command, const void *message, uint32_t size,
                  unsigned timeout_ms, struct skep_reply *reply);
void skep_reply_free(struct skep_reply *reply);
int skep_say_hello(struct skep *skep, unsigned timeout_ms, struct skep_hello_attr *hello);
int skep_ask(struct skep *skep);
int skep_take_answer(struct skep *skep, const struct wire_header *header, const void *payload);
int skep_send_datagram(struct skep *skep, const void *plain, size_t len);
long skep_receive_datagram(struct skep *skep, uint8_t plain[WIRE_DATAGRAM_MAX]);
int skep_fail(struct skep *skep, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
