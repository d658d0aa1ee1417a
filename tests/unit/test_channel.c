/*
 * Rules: a message arrives whole and unchanged over a network that loses, repeats and reorders
 * datagrams; nothing is sent when all is acknowledged; a sender that lies about its message gets
 * no memory beyond what it delivered (net/channel.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/channel.h"
#include "tests/unit/leakcheck.h"

TestSuite(channel, .fini = leakcheck);

#define MS 1000000ull

/* ---- memory with a limit ------------------------------------------------------------------ */

struct memory_limit {
    size_t used, peak, limit;
};

static void *resize(void *arg, void *block, size_t old_size, size_t size)
{
    struct memory_limit *limit = arg;
    if (limit->used - old_size + size > limit->limit)
        return NULL;
    limit->used += size - old_size;
    if (limit->used > limit->peak)
        limit->peak = limit->used;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

/* ---- a network that loses, repeats and reorders ------------------------------------------- */

#define IN_FLIGHT_MAX 4096

struct packet {
    uint64_t at_ns;
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

struct network {
    struct packet *packets;
    unsigned count;
    unsigned loss_percent, repeat_percent;
    uint64_t delay_ns, jitter_ns;
    unsigned seed;
    unsigned sent;
};

static void network_put(struct network *net, uint64_t now, const void *bytes, size_t len)
{
    unsigned copies = 1;

    net->sent++;
    if ((unsigned)rand_r(&net->seed) % 100 < net->loss_percent)
        copies = 0;
    else if ((unsigned)rand_r(&net->seed) % 100 < net->repeat_percent)
        copies = 2;
    while (copies--) {
        cr_assert_lt(net->count, IN_FLIGHT_MAX);
        struct packet *p = &net->packets[net->count++];
        p->at_ns = now + net->delay_ns;
        if (net->jitter_ns)
            p->at_ns += (uint64_t)rand_r(&net->seed) % net->jitter_ns;
        p->len = len;
        memcpy(p->bytes, bytes, len);
    }
}

/* The packet that is due first; NULL when none is by now. */
static bool network_take(struct network *net, uint64_t now, struct packet *out)
{
    int first = -1;
    for (unsigned i = 0; i < net->count; i++)
        if (net->packets[i].at_ns <= now &&
            (first < 0 || net->packets[i].at_ns < net->packets[first].at_ns))
            first = (int)i;
    if (first < 0)
        return false;
    *out = net->packets[first];
    net->packets[first] = net->packets[--net->count];
    return true;
}

/* Sends size random bytes through net and asserts that they arrive. Returns the time it took. */
static uint64_t transfer(struct network *net, uint32_t size, unsigned seed)
{
    uint8_t *data = malloc(size ? size : 1);
    struct memory_limit limit = {.limit = 2 * WIRE_MESSAGE_MAX};
    struct channel_memory memory = {resize, &limit};
    struct channel_rtt rtt = {0};
    struct channel_tx tx;
    struct channel_rx rx;
    bool started = false, complete = false;
    uint64_t now = 0;
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    struct wire_header header = {.kind = WIRE_REQUEST, .session = 1, .sequence = 1, .total = size};

    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)rand_r(&seed);
    net->packets = malloc(IN_FLIGHT_MAX * sizeof(*net->packets));
    net->count = net->sent = 0;
    net->seed = seed;
    channel_tx_start(&tx, &header, data);

    while (tx.active) {
        size_t len;
        struct packet packet;

        while ((len = channel_tx_next(&tx, &rtt, now, datagram)) > 0)
            network_put(net, now, datagram, len);
        while (network_take(net, now, &packet)) {
            struct wire_header got, ack;
            cr_assert_eq(channel_parse(packet.bytes, packet.len, &got), 0);
            if (got.kind == WIRE_ACK) {
                channel_tx_ack(&tx, &rtt, got.fragment, now);
                continue;
            }
            if (!started)
                channel_rx_start(&rx, &got);
            started = true;
            int result = channel_rx_add(&rx, &memory, &got, packet.bytes + sizeof(got));
            if (result == -ERANGE)
                continue;
            cr_assert_geq(result, 0);
            complete |= result == 1;
            channel_make_ack(&got, &ack);
            network_put(net, now, &ack, sizeof(ack));
        }
        now += MS;
        cr_assert_lt(now, 3600000 * MS, "the transfer does not end");
    }
    cr_assert(complete);
    cr_assert_eq(rx.total, size);
    if (size)
        cr_assert_arr_eq(rx.data, data, size);
    channel_rx_free(&rx, &memory);
    cr_assert_eq(limit.used, 0);
    free(net->packets);
    free(data);
    return now;
}

Test(channel, every_length_near_a_fragment_boundary)
{
    static const uint32_t sizes[] = {0,
                                     1,
                                     WIRE_FRAGMENT_SIZE - 1,
                                     WIRE_FRAGMENT_SIZE,
                                     WIRE_FRAGMENT_SIZE + 1,
                                     40 * WIRE_FRAGMENT_SIZE};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct network net = {.delay_ns = 2 * MS};
        transfer(&net, sizes[i], i);
        /* One datagram and one acknowledgement a fragment: nothing is repeated needlessly. */
        cr_assert_eq(net.sent, 2u * channel_fragments(sizes[i]));
    }
}

Test(channel, loss_repetition_and_reordering)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct network net = {.loss_percent = 20,
                              .repeat_percent = 5,
                              .delay_ns = 3 * MS,
                              .jitter_ns = seed % 2 ? 20 * MS : 0};
        transfer(&net, (seed * 7919u) % 300000, seed);
    }
}

Test(channel, the_longest_message)
{
    struct network net = {.loss_percent = 1, .delay_ns = MS};
    transfer(&net, WIRE_MESSAGE_MAX, 3);
}

/* ---- the timer ---------------------------------------------------------------------------- */

Test(channel, timeout_follows_the_round_trip_and_backs_off)
{
    struct channel_rtt rtt = {0};
    struct channel_tx tx;
    uint8_t datagram[WIRE_DATAGRAM_MAX], data[100] = {0};
    struct wire_header header = {.kind = WIRE_REQUEST, .total = sizeof(data)};

    /* A measured round trip of 100 ms shows in the next message's deadline. */
    channel_tx_start(&tx, &header, data);
    cr_assert_eq(channel_tx_deadline(&tx, &rtt), 0);
    cr_assert_gt(channel_tx_next(&tx, &rtt, 1000 * MS, datagram), 0);
    cr_assert_eq(channel_tx_deadline(&tx, &rtt), 1250 * MS, "RFC 6298 2.1: a fixed first timeout");
    channel_tx_ack(&tx, &rtt, 0, 1100 * MS);
    cr_assert_not(tx.active);
    cr_assert_eq(channel_tx_deadline(&tx, &rtt), UINT64_MAX);

    channel_tx_start(&tx, &header, data);
    cr_assert_gt(channel_tx_next(&tx, &rtt, 2000 * MS, datagram), 0);
    cr_assert_eq(channel_tx_deadline(&tx, &rtt), 2300 * MS); /* 100 + 4 * 50 */
    cr_assert_eq(channel_tx_next(&tx, &rtt, 2299 * MS, datagram), 0);
    cr_assert_gt(channel_tx_next(&tx, &rtt, 2300 * MS, datagram), 0);
    cr_assert_eq(channel_tx_deadline(&tx, &rtt), 2900 * MS, "doubled");
    cr_assert_gt(channel_tx_next(&tx, &rtt, 2900 * MS, datagram), 0);
    cr_assert_eq(channel_tx_tries(&tx), 3);

    /* Karn's rule: an answer to a repeated fragment measures nothing. */
    struct channel_rtt before = rtt;
    channel_tx_ack(&tx, &rtt, 0, 2901 * MS);
    cr_assert_arr_eq(&rtt, &before, sizeof(rtt));
}

Test(channel, window_bounds_what_is_on_its_way)
{
    static uint8_t data[100 * WIRE_FRAGMENT_SIZE];
    struct channel_rtt rtt = {0};
    struct channel_tx tx;
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    struct wire_header header = {.kind = WIRE_REQUEST, .total = sizeof(data)};
    unsigned sent = 0;

    channel_tx_start(&tx, &header, data);
    while (channel_tx_next(&tx, &rtt, 0, datagram))
        sent++;
    cr_assert_eq(sent, WIRE_WINDOW);
    channel_tx_ack(&tx, &rtt, 5, 0); /* the first is still missing: the window stays */
    cr_assert_eq(channel_tx_next(&tx, &rtt, 0, datagram), 0);
    channel_tx_ack(&tx, &rtt, 0, 0);
    cr_assert_gt(channel_tx_next(&tx, &rtt, 0, datagram), 0);
    cr_assert_eq(channel_tx_next(&tx, &rtt, 0, datagram), 0);
    channel_tx_ack(&tx, &rtt, 99, 0); /* never sent */
    channel_tx_ack(&tx, &rtt, 0, 0);  /* again */
    cr_assert_eq(tx.base, 1);
}

/* ---- hostile senders ---------------------------------------------------------------------- */

static struct wire_header fragment_of(uint32_t total, uint16_t fragment)
{
    return (struct wire_header){
        .total = total, .fragments = channel_fragments(total), .fragment = fragment};
}

Test(channel, a_promised_length_allocates_nothing)
{
    static const uint8_t payload[WIRE_FRAGMENT_SIZE];
    struct memory_limit limit = {.limit = WIRE_MESSAGE_MAX};
    struct channel_memory memory = {resize, &limit};
    struct wire_header header = fragment_of(WIRE_MESSAGE_MAX, 0);
    struct channel_rx rx;

    channel_rx_start(&rx, &header);
    cr_assert_eq(limit.peak, 0);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), 0);
    cr_assert_leq(limit.peak, 2 * WIRE_FRAGMENT_SIZE);
    /* Far ahead of the first missing one: refused, and no memory for the gap. */
    header = fragment_of(WIRE_MESSAGE_MAX, 11000);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), -ERANGE);
    header = fragment_of(WIRE_MESSAGE_MAX, 1 + WIRE_WINDOW);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), -ERANGE);
    header = fragment_of(WIRE_MESSAGE_MAX, WIRE_WINDOW);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), 0);
    cr_assert_leq(limit.peak, (WIRE_WINDOW + 1) * WIRE_FRAGMENT_SIZE);
    channel_rx_free(&rx, &memory);
    cr_assert_eq(limit.used, 0);
}

Test(channel, fragments_that_disagree_are_refused)
{
    static const uint8_t payload[WIRE_FRAGMENT_SIZE];
    struct memory_limit limit = {.limit = WIRE_MESSAGE_MAX};
    struct channel_memory memory = {resize, &limit};
    struct wire_header header = fragment_of(5000, 0);
    struct channel_rx rx;

    channel_rx_start(&rx, &header);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), 0);
    header = fragment_of(5001, 1);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), -EINVAL);
    header = fragment_of(90000, 1);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), -EINVAL);
    channel_rx_free(&rx, &memory);
}

Test(channel, the_first_copy_of_a_fragment_counts)
{
    uint8_t first[100], second[100];
    struct memory_limit limit = {.limit = WIRE_MESSAGE_MAX};
    struct channel_memory memory = {resize, &limit};
    struct wire_header last = fragment_of(WIRE_FRAGMENT_SIZE + 100, 1);
    struct channel_rx rx;

    memset(first, 1, sizeof(first));
    memset(second, 2, sizeof(second));
    channel_rx_start(&rx, &last);
    cr_assert_eq(channel_rx_add(&rx, &memory, &last, first), 0);
    cr_assert_eq(channel_rx_add(&rx, &memory, &last, second), 0);
    cr_assert_eq(rx.data[WIRE_FRAGMENT_SIZE], 1);
    channel_rx_free(&rx, &memory);
}

Test(channel, out_of_memory_takes_nothing_and_can_be_tried_again)
{
    static const uint8_t payload[WIRE_FRAGMENT_SIZE];
    struct memory_limit limit = {.limit = WIRE_FRAGMENT_SIZE};
    struct channel_memory memory = {resize, &limit};
    struct wire_header header = fragment_of(2 * WIRE_FRAGMENT_SIZE, 0);
    struct channel_rx rx;

    channel_rx_start(&rx, &header);
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), 0);
    header.fragment = 1;
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), -ENOMEM);
    limit.limit = WIRE_MESSAGE_MAX;
    cr_assert_eq(channel_rx_add(&rx, &memory, &header, payload), 1);
    channel_rx_free(&rx, &memory);
}
