/*
 * Messages over datagrams: fragmentation, acknowledgement, retransmission and reassembly. Pure
 * over memory: the caller passes the time in and moves the datagrams. The command server and the
 * client library both stand on it. Nanoseconds of any monotonic clock throughout.
 */
#ifndef SKEP_NET_CHANNEL_H
#define SKEP_NET_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/wire.h"

/* ---- one datagram ------------------------------------------------------------------------- */

int channel_parse(const void *datagram, size_t len, struct wire_header *header);
void channel_make_ack(const struct wire_header *fragment, struct wire_header *ack);
uint16_t channel_fragments(uint32_t total);

/* ---- round-trip time, one estimate a peer -------------------------------------------------- */

struct channel_rtt {
    uint64_t smoothed_ns; /* 0 before the first measurement */
    uint64_t variation_ns;
};

/* ---- sending one message ------------------------------------------------------------------- */

struct channel_tx {
    struct wire_header header; /* of every fragment, but for its index */
    const uint8_t *data;       /* header.total bytes, borrowed until done */
    uint16_t base;             /* the first fragment not acknowledged */
    uint16_t next;             /* the first fragment never sent */
    uint32_t acked;            /* bit i: fragment base + i is acknowledged */
    unsigned window;           /* how many may be on their way */
    unsigned backoff;          /* the timeout is doubled so many times */
    uint64_t backed_off_ns;    /* when it was doubled last */
    bool active;
    struct {
        uint64_t sent_ns;
        unsigned tries;
    } slots[WIRE_WINDOW]; /* of fragment i in slot i % WIRE_WINDOW */
};

void channel_tx_start(struct channel_tx *tx, const struct wire_header *header, const void *data);
size_t channel_tx_fragment(const struct channel_tx *tx, uint16_t fragment,
                           uint8_t datagram[WIRE_DATAGRAM_MAX]);
size_t channel_tx_next(struct channel_tx *tx, const struct channel_rtt *rtt, uint64_t now_ns,
                       uint8_t datagram[WIRE_DATAGRAM_MAX]);
void channel_tx_ack(struct channel_tx *tx, struct channel_rtt *rtt, uint16_t fragment,
                    uint64_t now_ns);
uint64_t channel_tx_deadline(const struct channel_tx *tx, const struct channel_rtt *rtt);
unsigned channel_tx_tries(const struct channel_tx *tx);

/* ---- receiving one message ----------------------------------------------------------------- */

/* The memory that messages are put together in. As realloc with sizes: size 0 frees, NULL when
 * there is no more (the old block stays). */
struct channel_memory {
    void *(*resize)(void *arg, void *block, size_t old_size, size_t size);
    void *arg;
};

struct channel_rx {
    uint8_t *data; /* the message, once complete; owned */
    uint32_t capacity;
    uint32_t total;
    uint16_t fragments;
    uint16_t base;     /* the first fragment that is missing */
    uint32_t received; /* bit i: fragment base + i is there */
};

void channel_rx_start(struct channel_rx *rx, const struct wire_header *first);
int channel_rx_add(struct channel_rx *rx, const struct channel_memory *memory,
                   const struct wire_header *header, const void *payload);
void channel_rx_free(struct channel_rx *rx, const struct channel_memory *memory);

#endif
