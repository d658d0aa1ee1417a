/*
 * Datagrams between the exchange, which sees them in plain, and the channel, which sees them
 * sealed unless the connection is an insecure one. What does not open is dropped here.
 */
#include <errno.h>
#include <string.h>

#include "user/lib/skep_internal.h"

/* Sends a plain datagram; a hello, of session 0, with the keys for hellos. 0 or negative errno. */
int skep_send_datagram(struct skep *skep, const void *plain, size_t len)
{
    uint8_t sealed[WIRE_DATAGRAM_MAX];
    struct wire_header header;

    if (skep->insecure)
        return skep->channel->ops->send(skep->channel, plain, len);
    memcpy(&header, plain, sizeof(header));
    if (header.session)
        len = seal_datagram(&skep->seal, plain, len, sealed);
    else
        len = seal_hello_datagram(&skep->hello, SEAL_CLIENT, skep->hello_counter++, plain, len,
                                  sealed);
    return skep->channel->ops->send(skep->channel, sealed, len);
}

/* Something that did not open: is it what a guest in plain says to a client that seals? Anybody
 * may have sent it, so it only serves to say why no answer came. */
static bool is_plain_refusal(const void *datagram, size_t len)
{
    struct wire_header header;

    return channel_parse(datagram, len, &header) == 0 && header.kind == WIRE_REPLY &&
           header.status == -EPROTONOSUPPORT;
}

static long open_datagram(struct skep *skep, const uint8_t *datagram, size_t len, uint8_t *plain)
{
    struct wire_seal clear;

    if (seal_parse(datagram, len, &clear)) {
        skep->heard_plain |= is_plain_refusal(datagram, len);
        return 0;
    }
    int opened = -EBADMSG;
    if (clear.session == 0)
        opened = seal_hello_open(&skep->hello, SEAL_CLIENT, datagram, len, plain);
    else if (clear.session == skep->session)
        opened = seal_open(&skep->seal, datagram, len, plain);
    return opened > 0 ? opened : 0;
}

/* Takes one datagram without waiting. The plain one's length, 0 for one that is dropped, or the
 * channel's negative errno (-EAGAIN: there is none). */
long skep_receive_datagram(struct skep *skep, uint8_t plain[WIRE_DATAGRAM_MAX])
{
    uint8_t datagram[WIRE_DATAGRAM_MAX + 1]; /* one more: a longer datagram is seen as such */
    long len = skep->channel->ops->receive(skep->channel, datagram, sizeof(datagram));

    if (len <= 0 || len > (long)WIRE_DATAGRAM_MAX)
        return len < 0 ? len : 0;
    if (!skep->insecure)
        return open_datagram(skep, datagram, (size_t)len, plain);
    memcpy(plain, datagram, (size_t)len);
    return len;
}
