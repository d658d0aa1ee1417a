/*
 * One request and its reply over a channel: fragments, acknowledgements and timers are
 * net/channel.c's; here is the loop around it, and what is said when it does not come to an end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/lib/skep_internal.h"

#define MS 1000000ull
/* An acknowledged request is sent again when nothing of its reply came for so long: the other side
 * may have given the reply up. It also keeps the lease. */
#define PROBE_NS (1000 * MS)
/* The verifier may look at a million instructions, on a machine that is emulated. */
#define LOAD_TIMEOUT_MS 60000u
/* When nothing at all came for so long, the other side is asked whether it still knows our session:
 * to a restarted one, a request is no more than noise. */
#define ASK_FIRST_NS (1000 * MS)
#define ASK_LATER_NS (2000 * MS) /* behind what came before: once the request was sent again */
/* How long an answer that opens is waited for when one that does not said "in plain". */
#define PLAIN_NS (1000 * MS)

/* One exchange while it lasts. */
struct exchange {
    struct skep *skep;
    struct channel_tx tx;
    struct skep_reply *reply;
    uint32_t sequence;
    bool answered; /* the first fragment of the reply is there */
    bool complete;
    uint64_t deadline_ns, probe_ns, ask_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *reply_resize(void *arg, void *block, size_t old_size, size_t size)
{
    (void)arg;
    (void)old_size;
    if (size == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

static const struct channel_memory reply_memory = {reply_resize, NULL};

void skep_reply_free(struct skep_reply *reply)
{
    channel_rx_free(&reply->message, &reply_memory);
}

/* Keeps the sentence of a failure; returns error. */
int skep_fail(struct skep *skep, int error, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(skep->error, sizeof(skep->error), fmt, args);
    va_end(args);
    return error;
}

static int fail_refused(struct skep *skep)
{
    if (skep->session == 0)
        return skep_fail(skep, -ECONNREFUSED,
                         "nothing listens on UDP %s: start a guest with `make run`, or name "
                         "another with --target or SKEP_TARGET",
                         skep->target);
    skep->lost = true;
    return skep_fail(skep, -ECONNRESET,
                     "nothing listens on UDP %s any more: the machine has stopped", skep->target);
}

static int fail_hello_timeout(struct skep *skep, double seconds)
{
    if (skep->heard_plain)
        return skep_fail(skep, -EPROTONOSUPPORT,
                         "the guest at %s speaks in plain (it was started with skep.insecure=1): "
                         "give --insecure if that is meant",
                         skep->target);
    if (skep->insecure)
        return skep_fail(skep, -ETIMEDOUT,
                         "no answer from UDP %s within %g s: the guest may still be booting, no "
                         "Skep listens there, or it is sealed and wants a key and no --insecure",
                         skep->target, seconds);
    return skep_fail(skep, -ETIMEDOUT,
                     "no answer from UDP %s within %g s: the guest may still be booting, no Skep "
                     "listens there, or the key (%s) is not the guest's",
                     skep->target, seconds, skep->key.from);
}

static int fail_timeout(struct skep *skep, unsigned timeout_ms)
{
    double seconds = timeout_ms / 1000.0;

    if (skep->session == 0)
        return fail_hello_timeout(skep, seconds);
    return skep_fail(skep, -ETIMEDOUT,
                     "no answer from %s within %g s: the guest is busy, has stopped, or cannot be "
                     "reached",
                     skep->target, seconds);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

static void acknowledge(struct exchange *x, const struct wire_header *fragment)
{
    struct wire_header ack;

    /* A hello's reply is repeated on demand only, and behind a goodbye there is no session. */
    if (fragment->session == 0 || fragment->command == SKEP_GOODBYE)
        return;
    channel_make_ack(fragment, &ack);
    skep_send_datagram(x->skep, &ack, sizeof(ack));
}

static int take_reply(struct exchange *x, const struct wire_header *header, const void *payload)
{
    if (header->total > WIRE_REPLY_MAX)
        return 0;
    if (!x->answered) {
        x->answered = true;
        x->tx.active = false; /* a reply acknowledges the whole request */
        x->reply->status = header->status;
        channel_rx_start(&x->reply->message, header);
    }
    int result = channel_rx_add(&x->reply->message, &reply_memory, header, payload);
    if (result == -ENOMEM)
        return skep_fail(x->skep, -ENOMEM, "out of memory for the reply of %s", x->skep->target);
    if (result < 0) /* contradicts what came before, or too far ahead: not ours to acknowledge */
        return 0;
    acknowledge(x, header);
    x->probe_ns = now_ns() + PROBE_NS;
    x->complete |= result == 1;
    return 0;
}

/* Another wire version, in plain: with a seal, nothing of the kind ever opens. */
static int fail_version(struct skep *skep, const struct wire_header *header)
{
    return skep_fail(skep, -EPROTONOSUPPORT,
                     "%s speaks wire version %u in plain, this client version %u: use the skepctl "
                     "that was built with the guest",
                     skep->target, header->version, WIRE_VERSION_PLAIN);
}

/* 0 for everything that is taken or ignored. */
static int take_datagram(struct exchange *x, const uint8_t *datagram, size_t len)
{
    struct skep *skep = x->skep;
    const uint8_t *payload = datagram + sizeof(struct wire_header);
    struct wire_header header;
    int err = channel_parse(datagram, len, &header);

    if (err == -EPROTONOSUPPORT && header.kind == WIRE_REPLY && header.sequence == x->sequence)
        return fail_version(skep, &header);
    if (err)
        return 0;
    if (header.session != skep->session) {
        if (header.session == 0 && header.kind == WIRE_REPLY &&
            header.sequence == skep->hello_sequence)
            return skep_take_answer(skep, &header, payload);
        return 0;
    }
    x->ask_ns = now_ns() + ASK_LATER_NS;
    if (header.sequence != x->sequence) {
        if (header.kind == WIRE_REPLY) /* of a command before: its acknowledgement was lost */
            acknowledge(x, &header);
        return 0;
    }
    if (header.kind == WIRE_REPLY)
        return take_reply(x, &header, payload);
    if (header.kind == WIRE_ACK) {
        channel_tx_ack(&x->tx, &skep->rtt, header.fragment, now_ns());
        /* That a goodbye has come is all that its reply would say. */
        x->complete |= header.command == SKEP_GOODBYE && !x->tx.active;
    }
    return 0;
}

/* Takes everything that has arrived. */
static int receive_all(struct exchange *x)
{
    struct skep *skep = x->skep;
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    bool heard_plain = skep->heard_plain;
    int err = 0;

    while (!err && !x->complete) {
        long len = skep_receive_datagram(skep, datagram);
        if (len == -EAGAIN)
            break;
        if (len == -EINTR)
            continue;
        if (len < 0)
            return (int)len;
        if (len > 0)
            err = take_datagram(x, datagram, (size_t)len);
    }
    if (skep->heard_plain != heard_plain && now_ns() + PLAIN_NS < x->deadline_ns)
        x->deadline_ns = now_ns() + PLAIN_NS;
    return err;
}

/* Whether an error of sending means that nothing can be sent. A full socket buffer is a lost
 * datagram: the timer sends it again. */
static bool is_fatal(int err)
{
    return err && err != -EAGAIN && err != -ENOBUFS && err != -EINTR;
}

/* Sends what is due. */
static int send_due(struct exchange *x, uint64_t now)
{
    uint8_t datagram[WIRE_DATAGRAM_MAX];
    size_t len;
    int err = 0;

    while (!is_fatal(err) && (len = channel_tx_next(&x->tx, &x->skep->rtt, now, datagram)) > 0) {
        err = skep_send_datagram(x->skep, datagram, len);
        x->probe_ns = now + PROBE_NS;
    }
    if (!is_fatal(err) && !x->tx.active && now >= x->probe_ns) {
        len = channel_tx_fragment(&x->tx, 0, datagram);
        err = skep_send_datagram(x->skep, datagram, len);
        x->probe_ns = now + PROBE_NS;
    }
    if (!is_fatal(err) && x->skep->session && now >= x->ask_ns) {
        err = skep_ask(x->skep);
        x->ask_ns = now + ASK_FIRST_NS;
    }
    return is_fatal(err) ? err : 0;
}

static int wait_ms(const struct exchange *x, uint64_t now)
{
    uint64_t until = channel_tx_deadline(&x->tx, &x->skep->rtt);

    if (!x->tx.active && x->probe_ns < until)
        until = x->probe_ns;
    if (x->skep->session && x->ask_ns < until)
        until = x->ask_ns;
    if (x->deadline_ns < until)
        until = x->deadline_ns;
    return until <= now ? 0 : (int)((until - now + MS - 1) / MS);
}

static int run_exchange(struct exchange *x, unsigned timeout_ms)
{
    while (!x->complete) {
        uint64_t now = now_ns();

        if (now >= x->deadline_ns)
            return fail_timeout(x->skep, timeout_ms);
        int err = send_due(x, now);
        if (!err) {
            int ready = x->skep->channel->ops->wait(x->skep->channel, wait_ms(x, now));
            err = ready < 0 && ready != -EINTR ? ready : receive_all(x);
        }
        switch (err) {
        case 0:
            break;
        case -ECONNREFUSED:
            return fail_refused(x->skep);
        case -ECONNRESET:
        case -EPROTONOSUPPORT:
        case -ENOMEM:
            return err;
        default:
            return skep_fail(x->skep, err, "%s cannot be reached: %s", x->skep->target,
                             strerror(-err));
        }
    }
    return 0;
}

/* Sends a request and waits for its reply. 0 and the reply, which the caller frees; or a negative
 * errno, and why in skep->error. message is borrowed. */
int skep_exchange(struct skep *skep, uint32_t command, const void *message, uint32_t size,
                  unsigned timeout_ms, struct skep_reply *reply)
{
    struct exchange x = {.skep = skep, .reply = reply};
    x.sequence = skep->session ? ++skep->sequence : ++skep->hello_sequence;
    struct wire_header header = {.kind = WIRE_REQUEST,
                                 .session = skep->session,
                                 .sequence = x.sequence,
                                 .command = command,
                                 .total = size};

    *reply = (struct skep_reply){0};
    channel_tx_start(&x.tx, &header, message);
    if (command == BPF_PROG_LOAD && timeout_ms < LOAD_TIMEOUT_MS)
        timeout_ms = LOAD_TIMEOUT_MS;
    x.deadline_ns = now_ns() + timeout_ms * MS;
    x.ask_ns = now_ns() + ASK_FIRST_NS;
    int err = run_exchange(&x, timeout_ms);
    if (err)
        skep_reply_free(reply);
    return err;
}
