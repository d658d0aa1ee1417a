/*
 * The datagram: the one definition of what client and server say on the wire. Little-endian,
 * packed. Wire version 1 is in plain; version 2 seals what follows `session`.
 *
 * A message (request or reply: attributes and buffers as ebpf/marshal.h lays them out; a reply
 * that is a status only is empty, its total is 0) travels as `fragments`
 * datagrams of WIRE_FRAGMENT_SIZE payload bytes, the last one shorter. Each fragment is
 * acknowledged by a WIRE_ACK with the same session, sequence and fragment, and resent until
 * then; a reply acknowledges the whole request. A request seen again after its reply was sent is
 * answered from the kept reply. A receiver takes fragments at most WIRE_WINDOW ahead of the
 * first one that it lacks.
 *
 * A hello request has session 0, sequence 1 and one fragment; its reply is not acknowledged, the
 * client repeats the hello instead (skep_hello_attr.session tells a repeat from a new one). A
 * request of a session that the server does not know gets an empty reply with -ESTALE, one of a
 * wire version that it does not speak an empty reply of its own version with -EPROTONOSUPPORT.
 */
#ifndef SKEP_EBPF_WIRE_H
#define SKEP_EBPF_WIRE_H

#include <stdint.h>

#define WIRE_MAGIC         0x50454b53u /* "SKEP" */
#define WIRE_VERSION       2           /* sealed: struct wire_seal */
#define WIRE_VERSION_PLAIN 1
#define WIRE_PORT          9970
#define WIRE_DATAGRAM_MAX  1472u /* IPv4 and UDP headers within a 1,500-byte MTU */
#define WIRE_MESSAGE_MAX   (16u << 20)
#define WIRE_REPLY_MAX     (64u << 10)
#define WIRE_SESSIONS_MAX  64u
#define WIRE_LEASE_SECONDS 15u /* a session unheard of for so long ends */
#define WIRE_WINDOW        32u /* fragments that may be on their way at once */

enum wire_kind { WIRE_REQUEST = 1, WIRE_REPLY = 2, WIRE_ACK = 3 };

struct wire_header {
    uint32_t magic;
    uint8_t version;
    uint8_t kind;       /* enum wire_kind */
    uint16_t reserved;  /* 0 */
    uint64_t session;   /* 0 in a hello request */
    uint32_t sequence;  /* counts requests of a session, from 1 */
    uint32_t command;   /* bpf(2) number, or 0x1000 and up (ebpf/commands.def) */
    int32_t status;     /* reply: result or negative errno; else 0 */
    uint32_t total;     /* bytes of the whole message */
    uint16_t fragment;  /* index of this one */
    uint16_t fragments; /* how many there are, at least 1 */
} __attribute__((packed));

_Static_assert(sizeof(struct wire_header) == 36, "the header is 36 bytes on the wire");

/* A sealed datagram begins with this in clear, in a hello request followed by the client's nonce
 * of WIRE_NONCE_SIZE bytes. Then, encrypted, what stands from `sequence` on in a plain one; then a
 * tag of WIRE_TAG_SIZE bytes over all of it (net/seal.c). */
struct wire_seal {
    uint32_t magic;
    uint8_t version;
    uint8_t kind;
    uint16_t reserved;
    uint64_t session;
    uint64_t counter; /* of the datagrams that one side sealed with these keys */
} __attribute__((packed));

_Static_assert(sizeof(struct wire_seal) == 24, "as on the wire");

#define WIRE_NONCE_SIZE    32u
#define WIRE_TAG_SIZE      16u
#define WIRE_SEAL_OVERHEAD (8u + WIRE_TAG_SIZE) /* the counter and the tag */

#define WIRE_FRAGMENT_SIZE                                                                         \
    (WIRE_DATAGRAM_MAX - WIRE_SEAL_OVERHEAD - (unsigned)sizeof(struct wire_header))

#endif
