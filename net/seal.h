/*
 * Sealing: between net/channel.c, whose datagrams are in plain (header and payload, ebpf/wire.h),
 * and the wire, on which all from the sequence number on is encrypted and everything has a tag.
 * Used by both ends; pure over memory. Counters, the replay window and keys live here; which
 * session a datagram belongs to and what its content means is the caller's.
 */
#ifndef SKEP_NET_SEAL_H
#define SKEP_NET_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/wire.h"
#include "net/crypto.h"

#define SEAL_WINDOW 1024u /* how far behind the newest datagram one may come */

enum seal_side { SEAL_CLIENT, SEAL_SERVER };

int seal_parse(const void *datagram, size_t len, struct wire_seal *clear);
bool seal_parse_key(const void *text, size_t len, uint8_t key[CRYPTO_KEY_SIZE]);

/* ---- a session ----------------------------------------------------------------------------- */

struct seal {
    enum seal_side side;
    unsigned rekey_shift; /* epoch = counter >> rekey_shift; every epoch has a key of its own */
    struct {
        uint8_t key[CRYPTO_KEY_SIZE]; /* of epoch */
        uint64_t epoch;
        uint64_t counter; /* of the next datagram */
    } tx;
    struct {
        uint8_t key[CRYPTO_KEY_SIZE], previous[CRYPTO_KEY_SIZE]; /* of epoch and the one before */
        uint64_t epoch;
        uint64_t next;                     /* the newest counter that opened, and one */
        uint64_t opened[SEAL_WINDOW / 64]; /* bit counter % SEAL_WINDOW */
    } rx;
};

void seal_start(struct seal *seal, enum seal_side side, const uint8_t key[CRYPTO_KEY_SIZE],
                const uint8_t client_nonce[WIRE_NONCE_SIZE],
                const uint8_t server_nonce[WIRE_NONCE_SIZE]);
size_t seal_datagram(struct seal *seal, const void *plain, size_t len,
                     uint8_t sealed[WIRE_DATAGRAM_MAX]);
int seal_open(struct seal *seal, const void *sealed, size_t len, uint8_t plain[WIRE_DATAGRAM_MAX]);
void seal_end(struct seal *seal);

/* ---- hellos, before there is a session ------------------------------------------------------ */

/* The keys of the hellos that carry one client nonce. */
struct seal_hello {
    uint8_t nonce[WIRE_NONCE_SIZE];
    uint8_t request[CRYPTO_KEY_SIZE], reply[CRYPTO_KEY_SIZE];
};

void seal_hello_start(struct seal_hello *hello, const uint8_t key[CRYPTO_KEY_SIZE],
                      const uint8_t nonce[WIRE_NONCE_SIZE]);
size_t seal_hello_datagram(const struct seal_hello *hello, enum seal_side side, uint64_t counter,
                           const void *plain, size_t len, uint8_t sealed[WIRE_DATAGRAM_MAX]);
int seal_hello_open(const struct seal_hello *hello, enum seal_side side, const void *sealed,
                    size_t len, uint8_t plain[WIRE_DATAGRAM_MAX]);
const uint8_t *seal_hello_nonce(const void *sealed, size_t len);

#endif
