/*
 * The datagram: the one definition of what client and server say on the wire. Little-endian,
 * packed. Version 2 is sealed (struct wire_seal); version 1, in plain, is what lies under the seal,
 * and what a guest started with skep.insecure=1 speaks.
 *
 * A message (request or reply: attributes and buffers as ebpf/marshal.h lays them out; a reply
 * that is a status only is empty, its total is 0) travels as `fragments`
 * datagrams of WIRE_FRAGMENT_SIZE payload bytes, the last one shorter. Each fragment is
 * acknowledged by a WIRE_ACK with the same session, sequence and fragment, and resent until
 * then; a reply acknowledges the whole request. A request seen again after its reply was sent is
 * answered from the kept reply. A receiver takes fragments at most WIRE_WINDOW ahead of the
 * first one that it lacks.
 *
 * A hello has session 0 and one fragment; its reply is not acknowledged, the client repeats the
 * hello instead (skep_hello_attr.client_nonce tells a repeat from a new one). The first is answered
 * with -EAGAIN and a cookie, and only the next one, which shows that cookie, makes a session. What
 * belongs to no session gets no answer: a client that hears nothing asks by a hello whether its
 * session is still known. A server in plain answers a sealed hello with an empty reply in plain,
 * -EPROTONOSUPPORT; a server that seals answers nothing that does not open.
 */
#ifndef SKEP_EBPF_WIRE_H
#define SKEP_EBPF_WIRE_H

#include <stdint.h>

#define WIRE_MAGIC         0x50454b53u /* "SKEP" */
#define WIRE_VERSION       2           /* sealed: struct wire_seal */
#define WIRE_VERSION_PLAIN 1
#define WIRE_BUILD         "Skep 0.1" /* what both ends say they are */
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
