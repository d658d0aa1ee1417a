/*
 * Rule: a datagram is taken only when everything in its header agrees with everything else
 * (ebpf/wire.h, channel_parse).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/channel.h"
#include "tests/unit/leakcheck.h"

TestSuite(wire, .fini = leakcheck);

struct datagram {
    struct wire_header header;
    uint8_t payload[WIRE_DATAGRAM_MAX];
} __attribute__((packed));

/* A request of 3,000 bytes' fragment 1. */
static struct datagram good(void)
{
    struct datagram d = {.header = {.magic = WIRE_MAGIC,
                                    .version = WIRE_VERSION_PLAIN,
                                    .kind = WIRE_REQUEST,
                                    .session = 7,
                                    .sequence = 2,
                                    .command = 5,
                                    .total = 3000,
                                    .fragment = 1,
                                    .fragments = 3}};
    return d;
}

static int parse(const struct datagram *d, size_t payload)
{
    struct wire_header header;
    return channel_parse(d, sizeof(d->header) + payload, &header);
}

Test(wire, header_is_little_endian_at_fixed_offsets)
{
    struct datagram d = good();
    static const uint8_t expected[36] = {
        'S', 'K', 'E', 'P', 1, 1, 0, 0, 7, 0, 0,    0,    0, 0, 0, 0, 2, 0,
        0,   0,   5,   0,   0, 0, 0, 0, 0, 0, 0xb8, 0x0b, 0, 0, 1, 0, 3, 0,
    };

    cr_assert_arr_eq(&d.header, expected, sizeof(expected));
}

Test(wire, good_datagrams_pass)
{
    struct datagram d = good();
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), 0);
    d.header.fragment = 2;
    cr_assert_eq(parse(&d, 3000 - 2 * WIRE_FRAGMENT_SIZE), 0);
    d.header.total = 0;
    d.header.fragment = 0;
    d.header.fragments = 1;
    cr_assert_eq(parse(&d, 0), 0);
}

Test(wire, every_truncation_is_refused)
{
    struct datagram d = good();
    struct wire_header header;

    for (size_t len = 0; len < sizeof(d.header) + WIRE_FRAGMENT_SIZE; len++) {
        /* A block of exactly len bytes: AddressSanitizer sees a read behind it. */
        void *exact = malloc(len ? len : 1);
        memcpy(exact, &d, len);
        int err = channel_parse(exact, len, &header);
        free(exact);
        cr_assert_eq(err, -EBADMSG, "length %zu", len);
    }
}

Test(wire, contradictions_are_refused)
{
    struct datagram d = good();
    d.header.fragments = 4; /* more than total needs */
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.fragments = 0;
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.fragment = 3; /* beyond the last */
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.total = WIRE_MESSAGE_MAX + 1;
    d.header.fragments = WIRE_MESSAGE_MAX / WIRE_FRAGMENT_SIZE + 1;
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.reserved = 1;
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.kind = 4;
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
    d = good();
    d.header.magic++;
    cr_assert_eq(parse(&d, WIRE_FRAGMENT_SIZE), -EBADMSG);
}

Test(wire, other_version_is_told_apart)
{
    struct datagram d = good();
    struct wire_header header;

    d.header.version = WIRE_VERSION_PLAIN + 1;
    cr_assert_eq(channel_parse(&d, sizeof(d.header), &header), -EPROTONOSUPPORT);
    cr_assert_eq(header.version, WIRE_VERSION_PLAIN + 1);
}

Test(wire, ack_has_no_payload)
{
    struct datagram d = good();
    struct wire_header ack;

    channel_make_ack(&d.header, &ack);
    memcpy(&d.header, &ack, sizeof(ack));
    cr_assert_eq(parse(&d, 0), 0);
    cr_assert_eq(parse(&d, 1), -EBADMSG);
}

Test(wire, fragment_counts)
{
    cr_assert_eq(channel_fragments(0), 1);
    cr_assert_eq(channel_fragments(1), 1);
    cr_assert_eq(channel_fragments(WIRE_FRAGMENT_SIZE), 1);
    cr_assert_eq(channel_fragments(WIRE_FRAGMENT_SIZE + 1), 2);
    cr_assert_eq(channel_fragments(WIRE_MESSAGE_MAX),
                 (WIRE_MESSAGE_MAX + WIRE_FRAGMENT_SIZE - 1) / WIRE_FRAGMENT_SIZE);
}
