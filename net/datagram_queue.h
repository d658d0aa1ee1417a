/*
 * A bounded queue of copied datagrams between two threads: one puts, one takes. Pure memory, no
 * waiting: net/udp_port.c adds the wake-ups. Tested on the host.
 */
#ifndef SKEP_NET_DATAGRAM_QUEUE_H
#define SKEP_NET_DATAGRAM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/udp_port.h"

struct datagram {
    struct net_endpoint peer;
    uint16_t length;
    uint8_t data[NET_PORT_MAX];
};

struct datagram_queue {
    struct datagram *slots;
    uint32_t depth; /* power of two */
    uint32_t head;  /* slots filled since the start; only the putting side writes it */
    uint32_t tail;  /* slots emptied since the start; only the taking side writes it */
};

int datagram_queue_init(struct datagram_queue *queue, unsigned depth);
void datagram_queue_destroy(struct datagram_queue *queue);
struct datagram *datagram_queue_reserve(struct datagram_queue *queue);
void datagram_queue_commit(struct datagram_queue *queue);
const struct datagram *datagram_queue_peek(const struct datagram_queue *queue);
void datagram_queue_pop(struct datagram_queue *queue);

#endif
