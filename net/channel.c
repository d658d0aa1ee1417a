/*
 * Messages over datagrams: see net/channel.h. Acknowledgements are selective (one a fragment),
 * the retransmission timer is RFC 6298's with its clock passed in, and the window halves on a
 * timeout as TCP's does. Freestanding; allocates through the caller's callback only. Sessions,
 * sequence numbers and what a message means are the caller's.
 */
#include <linux/errno.h>

#include "net/channel.h"

#define MS 1000000ull

#define RTO_INITIAL_NS (250 * MS)
#define RTO_MIN_NS     (30 * MS)
#define RTO_MAX_NS     (2000 * MS)
#define BACKOFF_MAX    6u
#define WINDOW_MIN     4u

_Static_assert(WIRE_WINDOW == 32, "the window's bit masks have 32 bits");
_Static_assert(WIRE_MESSAGE_MAX / WIRE_FRAGMENT_SIZE + 1 + WIRE_WINDOW < UINT16_MAX,
               "fragment indexes fit 16 bits");

/* How many fragments a message of total bytes travels in: at least one, maybe empty. */
uint16_t channel_fragments(uint32_t total)
{
    return total == 0 ? 1 : (uint16_t)((total + WIRE_FRAGMENT_SIZE - 1) / WIRE_FRAGMENT_SIZE);
}

static uint32_t fragment_len(uint32_t total, uint16_t fragment)
{
    uint32_t start = fragment * WIRE_FRAGMENT_SIZE;
    return total - start < WIRE_FRAGMENT_SIZE ? total - start : WIRE_FRAGMENT_SIZE;
}

/* Checks everything about a datagram that can be checked without a session and copies its header
 * out; the payload follows the header and has the length that total and fragment imply. 0;
 * -EPROTONOSUPPORT for another wire version (the header is filled in); -EBADMSG for all else. */
int channel_parse(const void *datagram, size_t len, struct wire_header *header)
{
    if (len < sizeof(*header) || len > WIRE_DATAGRAM_MAX)
        return -EBADMSG;
    __builtin_memcpy(header, datagram, sizeof(*header));
    if (header->magic != WIRE_MAGIC)
        return -EBADMSG;
    if (header->version != WIRE_VERSION_PLAIN)
        return -EPROTONOSUPPORT;
    if (header->reserved != 0 || header->total > WIRE_MESSAGE_MAX ||
        header->fragments != channel_fragments(header->total) ||
        header->fragment >= header->fragments)
        return -EBADMSG;

    size_t payload = 0;
    switch (header->kind) {
    case WIRE_REQUEST:
    case WIRE_REPLY:
        payload = fragment_len(header->total, header->fragment);
        break;
    case WIRE_ACK:
        break;
    default:
        return -EBADMSG;
    }
    return len == sizeof(*header) + payload ? 0 : -EBADMSG;
}

/* The acknowledgement of a fragment: the same header with another kind, and no payload. */
void channel_make_ack(const struct wire_header *fragment, struct wire_header *ack)
{
    *ack = *fragment;
    ack->kind = WIRE_ACK;
    ack->status = 0;
}

/* ---- round-trip time ----------------------------------------------------------------------- */

/* RFC 6298 2.2 and 2.3. */
static void rtt_measure(struct channel_rtt *rtt, uint64_t sample_ns)
{
    if (rtt->smoothed_ns == 0) {
        rtt->smoothed_ns = sample_ns ? sample_ns : 1;
        rtt->variation_ns = sample_ns / 2;
        return;
    }
    uint64_t difference =
        sample_ns > rtt->smoothed_ns ? sample_ns - rtt->smoothed_ns : rtt->smoothed_ns - sample_ns;
    rtt->variation_ns = (3 * rtt->variation_ns + difference) / 4;
    rtt->smoothed_ns = (7 * rtt->smoothed_ns + sample_ns) / 8;
    if (rtt->smoothed_ns == 0)
        rtt->smoothed_ns = 1;
}

static uint64_t timeout_ns(const struct channel_tx *tx, const struct channel_rtt *rtt)
{
    uint64_t timeout = RTO_INITIAL_NS;

    if (rtt->smoothed_ns)
        timeout = rtt->smoothed_ns + 4 * rtt->variation_ns;
    if (timeout < RTO_MIN_NS)
        timeout = RTO_MIN_NS;
    timeout <<= tx->backoff;
    return timeout < RTO_MAX_NS ? timeout : RTO_MAX_NS;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Begins to send a message. header: kind, session, sequence, command, status and total; the rest
 * is filled in here. data is borrowed until the sender is no longer active. */
void channel_tx_start(struct channel_tx *tx, const struct wire_header *header, const void *data)
{
    *tx = (struct channel_tx){.header = *header, .data = data, .window = WIRE_WINDOW};
    tx->header.magic = WIRE_MAGIC;
    tx->header.version = WIRE_VERSION_PLAIN;
    tx->header.reserved = 0;
    tx->header.fragments = channel_fragments(header->total);
    tx->active = true;
}

/* Writes one fragment as a datagram; returns its length. For repeating one outside the timer. */
size_t channel_tx_fragment(const struct channel_tx *tx, uint16_t fragment,
                           uint8_t datagram[WIRE_DATAGRAM_MAX])
{
    struct wire_header header = tx->header;
    uint32_t len = fragment_len(header.total, fragment);

    header.fragment = fragment;
    __builtin_memcpy(datagram, &header, sizeof(header));
    if (len)
        __builtin_memcpy(datagram + sizeof(header), tx->data + fragment * WIRE_FRAGMENT_SIZE, len);
    return sizeof(header) + len;
}

/* A fragment on its way whose time is up, or -1. */
static int find_late(const struct channel_tx *tx, uint64_t timeout, uint64_t now_ns)
{
    for (uint16_t i = tx->base; i < tx->next; i++) {
        bool acked = tx->acked >> (i - tx->base) & 1;
        if (!acked && now_ns >= tx->slots[i % WIRE_WINDOW].sent_ns + timeout)
            return i;
    }
    return -1;
}

/* The next datagram that is to go out now: a late fragment again, or a new one that the window
 * has room for. Its length, or 0 when there is none before channel_tx_deadline. */
size_t channel_tx_next(struct channel_tx *tx, const struct channel_rtt *rtt, uint64_t now_ns,
                       uint8_t datagram[WIRE_DATAGRAM_MAX])
{
    if (!tx->active)
        return 0;

    uint64_t timeout = timeout_ns(tx, rtt);
    int fragment = find_late(tx, timeout, now_ns);

    if (fragment >= 0) {
        /* A window's fragments run late together: that is one loss to back off for, not many. */
        if (now_ns - tx->backed_off_ns >= timeout) {
            tx->backed_off_ns = now_ns;
            tx->backoff += tx->backoff < BACKOFF_MAX;
            tx->window = tx->window / 2 > WINDOW_MIN ? tx->window / 2 : WINDOW_MIN;
        }
    } else {
        if (tx->next == tx->header.fragments || (unsigned)(tx->next - tx->base) >= tx->window)
            return 0;
        fragment = tx->next++;
        tx->slots[fragment % WIRE_WINDOW].tries = 0;
    }
    tx->slots[fragment % WIRE_WINDOW].sent_ns = now_ns;
    tx->slots[fragment % WIRE_WINDOW].tries++;
    return channel_tx_fragment(tx, (uint16_t)fragment, datagram);
}

/* A fragment was acknowledged. Measures the round trip when it was sent only once (Karn's rule,
 * RFC 6298 3). One that is not on its way is ignored. */
void channel_tx_ack(struct channel_tx *tx, struct channel_rtt *rtt, uint16_t fragment,
                    uint64_t now_ns)
{
    if (!tx->active || fragment < tx->base || fragment >= tx->next)
        return;

    uint32_t bit = 1u << (fragment - tx->base);
    if (tx->acked & bit)
        return;
    tx->acked |= bit;
    tx->backoff = 0; /* what arrives shows that the way is open: as Linux's TCP, not RFC 6298 5.7 */
    if (tx->slots[fragment % WIRE_WINDOW].tries == 1)
        rtt_measure(rtt, now_ns - tx->slots[fragment % WIRE_WINDOW].sent_ns);
    while (tx->acked & 1) {
        tx->acked >>= 1;
        tx->base++;
        if (tx->base % WIRE_WINDOW == 0 && tx->window < WIRE_WINDOW)
            tx->window++;
    }
    if (tx->base == tx->header.fragments)
        tx->active = false;
}

/* When channel_tx_next has something again if nothing is acknowledged: in the past when it has
 * now, UINT64_MAX when never. */
uint64_t channel_tx_deadline(const struct channel_tx *tx, const struct channel_rtt *rtt)
{
    if (!tx->active)
        return UINT64_MAX;
    if (tx->next < tx->header.fragments && (unsigned)(tx->next - tx->base) < tx->window)
        return 0;

    uint64_t first = UINT64_MAX;
    for (uint16_t i = tx->base; i < tx->next; i++) {
        bool acked = tx->acked >> (i - tx->base) & 1;
        if (!acked && tx->slots[i % WIRE_WINDOW].sent_ns < first)
            first = tx->slots[i % WIRE_WINDOW].sent_ns;
    }
    return first == UINT64_MAX ? first : first + timeout_ns(tx, rtt);
}

/* How often the fragment that was tried most has been sent; for giving up. */
unsigned channel_tx_tries(const struct channel_tx *tx)
{
    unsigned most = 0;

    for (uint16_t i = tx->base; i < tx->next; i++)
        if (tx->slots[i % WIRE_WINDOW].tries > most)
            most = tx->slots[i % WIRE_WINDOW].tries;
    return most;
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Begins a message whose fragment `first` has passed channel_parse. Allocates nothing. */
void channel_rx_start(struct channel_rx *rx, const struct wire_header *first)
{
    *rx = (struct channel_rx){.total = first->total, .fragments = first->fragments};
}

/* Memory grows with what has arrived, not with what total promises: a sender must deliver what
 * it wants room for. */
static int grow(struct channel_rx *rx, const struct channel_memory *memory, uint32_t need)
{
    if (need <= rx->capacity)
        return 0;

    uint32_t capacity = rx->capacity > rx->total / 2 ? rx->total : rx->capacity * 2;
    if (capacity < need)
        capacity = need;
    uint8_t *data = memory->resize(memory->arg, rx->data, rx->capacity, capacity);
    if (!data)
        return -ENOMEM;
    rx->data = data;
    rx->capacity = capacity;
    return 0;
}

/* Takes a fragment that has passed channel_parse. 1 when the message is complete with it, 0 when
 * not yet (a repeated fragment too: the first copy counts); the fragment is then to be
 * acknowledged. -EINVAL when it contradicts the first one, -ERANGE beyond the window, -ENOMEM:
 * nothing was taken. */
int channel_rx_add(struct channel_rx *rx, const struct channel_memory *memory,
                   const struct wire_header *header, const void *payload)
{
    if (header->total != rx->total || header->fragments != rx->fragments)
        return -EINVAL;
    if (header->fragment < rx->base)
        return 0;
    if (header->fragment - rx->base >= (int)WIRE_WINDOW)
        return -ERANGE;

    uint32_t bit = 1u << (header->fragment - rx->base);
    if (rx->received & bit)
        return 0;

    uint32_t start = header->fragment * WIRE_FRAGMENT_SIZE;
    uint32_t len = fragment_len(rx->total, header->fragment);
    int err = grow(rx, memory, start + len);
    if (err)
        return err;
    if (len)
        __builtin_memcpy(rx->data + start, payload, len);
    rx->received |= bit;
    while (rx->received & 1) {
        rx->received >>= 1;
        rx->base++;
    }
    return rx->base == rx->fragments;
}

/* Gives the message's memory back. */
void channel_rx_free(struct channel_rx *rx, const struct channel_memory *memory)
{
    if (rx->data)
        memory->resize(memory->arg, rx->data, rx->capacity, 0);
    *rx = (struct channel_rx){0};
}
