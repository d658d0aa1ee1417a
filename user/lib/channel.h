/*
 * The client's way to a Skep machine: something that carries datagrams. UDP is one
 * (channel_udp.c); a serial line or a socket of another family can be another. skep.c makes
 * commands of it and does the retrying (net/channel.c), so a channel may lose what it carries.
 */
#ifndef SKEP_LIB_CHANNEL_H
#define SKEP_LIB_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

struct channel;

struct channel_ops {
    /* Sends one datagram. 0 or negative errno; -ECONNREFUSED when an earlier one was refused. */
    int (*send)(struct channel *channel, const void *data, size_t len);
    /* Takes one datagram without waiting. Its length (cut at size), -EAGAIN when there is none,
     * -ECONNREFUSED, or another negative errno. */
    long (*receive)(struct channel *channel, void *buf, size_t size);
    /* Waits until receive has something, at most timeout_ms. 1, 0 (time is up), -EINTR (a signal
     * came), or another negative errno. */
    int (*wait)(struct channel *channel, int timeout_ms);
    void (*close)(struct channel *channel); /* frees it */
};

struct channel {
    const struct channel_ops *ops;
};

/* UDP to target: "HOST:PORT", "[V6]:PORT", "HOST" (port 9970) or ":PORT" (127.0.0.1). A host may
 * have several addresses: *next, 0 at first, is advanced to the one to try after this, and set to 0
 * when there are no more. On failure NULL and a sentence in err. */
struct channel *channel_udp_open(const char *target, unsigned *next, char *err, size_t err_size);

#endif
