/*
 * The UDP channel: a connected socket, so that the kernel filters foreign senders and reports an
 * ICMP "port unreachable" as ECONNREFUSED.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ebpf/wire.h"
#include "user/lib/channel.h"

#define HOST_MAX 256

struct channel_udp {
    struct channel channel;
    int fd;
};

static int udp_fd(struct channel *channel)
{
    return ((struct channel_udp *)channel)->fd;
}

static int udp_send(struct channel *channel, const void *data, size_t len)
{
    return send(udp_fd(channel), data, len, 0) < 0 ? -errno : 0;
}

static long udp_receive(struct channel *channel, void *buf, size_t size)
{
    ssize_t len = recv(udp_fd(channel), buf, size, MSG_DONTWAIT);
    return len < 0 ? -errno : len;
}

static int udp_wait(struct channel *channel, int timeout_ms)
{
    struct pollfd pollfd = {.fd = udp_fd(channel), .events = POLLIN};
    int ready = poll(&pollfd, 1, timeout_ms);
    return ready < 0 ? -errno : ready;
}

static void udp_close(struct channel *channel)
{
    close(udp_fd(channel));
    free(channel);
}

static const struct channel_ops udp_ops = {udp_send, udp_receive, udp_wait, udp_close};

/* Splits target into host and port; false when it has not one of the forms of channel.h. */
static bool split_target(const char *target, char host[HOST_MAX], char port[8])
{
    const char *end = target + strlen(target), *colon = strrchr(target, ':');
    size_t host_len;

    if (*target == '[') {
        const char *bracket = strchr(target, ']');
        if (!bracket || (bracket[1] != ':' && bracket[1] != '\0'))
            return false;
        colon = bracket[1] ? bracket + 1 : NULL;
        target++;
        host_len = (size_t)(bracket - target);
    } else {
        if (colon && strchr(target, ':') != colon) /* IPv6 needs its brackets */
            return false;
        host_len = (size_t)((colon ? colon : end) - target);
    }
    if (host_len >= HOST_MAX)
        return false;
    memcpy(host, target, host_len);
    host[host_len] = '\0';
    if (host_len == 0) {
        if (!colon)
            return false;
        strcpy(host, "127.0.0.1");
    }

    char *rest;
    unsigned long number = WIRE_PORT;
    if (colon) {
        if (colon[1] < '0' || colon[1] > '9')
            return false;
        number = strtoul(colon + 1, &rest, 10);
        if (*rest || number == 0 || number > 65535)
            return false;
    }
    snprintf(port, 8, "%lu", number);
    return true;
}

/* A socket connected to address, or a negative errno. */
static int connect_to(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/* See user/lib/channel.h. */
struct channel *channel_udp_open(const char *target, unsigned *next, char *err, size_t err_size)
{
    char host[HOST_MAX], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *addresses, *address;

    if (!split_target(target, host, port)) {
        snprintf(err, err_size,
                 "'%s' is no target: write HOST:PORT, [IPV6]:PORT, HOST or :PORT, port 1 to 65535",
                 target);
        errno = EINVAL;
        return NULL;
    }
    int failure = getaddrinfo(host, port, &hints, &addresses);
    if (failure) {
        snprintf(err, err_size, "the name '%s' does not resolve: %s", host, gai_strerror(failure));
        errno = EHOSTUNREACH;
        return NULL;
    }
    address = addresses;
    for (unsigned i = 0; i < *next && address->ai_next; i++)
        address = address->ai_next;
    *next = address->ai_next ? *next + 1 : 0;

    int fd = connect_to(address);
    freeaddrinfo(addresses);
    if (fd < 0) {
        snprintf(err, err_size, "%s is not reachable from here: %s", target, strerror(-fd));
        errno = -fd;
        return NULL;
    }
    struct channel_udp *udp = malloc(sizeof(*udp));
    if (!udp) {
        snprintf(err, err_size, "out of memory");
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    *udp = (struct channel_udp){{&udp_ops}, fd};
    return &udp->channel;
}
