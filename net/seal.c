/*
 * Sealing: see net/seal.h, and docs/12-wire.md for the whole of it.
 *
 * A datagram's iv is its direction and its counter. The two directions of a session have keys of
 * their own, which HKDF makes of the shared key and both sides' nonces; a counter never repeats
 * under one of them, and the keys of one session never serve in another. After 2^31 datagrams a
 * side goes on with a key made of the one before, without a word: the counter tells the epoch.
 */
#include "net/seal.h"

#include <linux/errno.h>

#define REKEY_SHIFT 31u
/* What a plain datagram and a sealed one begin with alike. */
#define ALIKE offsetof(struct wire_header, sequence)

_Static_assert(offsetof(struct wire_seal, counter) == ALIKE, "the headers begin alike");
_Static_assert(WIRE_DATAGRAM_MAX - WIRE_SEAL_OVERHEAD >=
                   sizeof(struct wire_header) + WIRE_FRAGMENT_SIZE,
               "what channel.c makes has room for the seal");

#define INFO(text) text, sizeof(text) - 1

/* ---- one datagram --------------------------------------------------------------------------- */

/* Checks what can be checked of a sealed datagram without a key, and copies what is in clear out.
 * 0; -EPROTONOSUPPORT for another wire version; -EBADMSG for all else. */
int seal_parse(const void *datagram, size_t len, struct wire_seal *clear)
{
    if (len < sizeof(*clear) || len > WIRE_DATAGRAM_MAX)
        return -EBADMSG;
    __builtin_memcpy(clear, datagram, sizeof(*clear));
    if (clear->magic != WIRE_MAGIC)
        return -EBADMSG;
    if (clear->version != WIRE_VERSION)
        return -EPROTONOSUPPORT;
    if (clear->reserved != 0 || clear->kind < WIRE_REQUEST || clear->kind > WIRE_ACK ||
        len < sizeof(struct wire_header) + WIRE_SEAL_OVERHEAD)
        return -EBADMSG;
    return 0;
}

static void make_iv(enum seal_side from, uint64_t counter, uint8_t iv[CRYPTO_IV_SIZE])
{
    uint32_t direction = from == SEAL_CLIENT ? 1 : 2;

    __builtin_memcpy(iv, &direction, sizeof(direction));
    __builtin_memcpy(iv + sizeof(direction), &counter, sizeof(counter));
}

/* nonce: travels in clear behind the header; NULL: none. */
static size_t seal_with(const uint8_t key[CRYPTO_KEY_SIZE], enum seal_side from, uint64_t counter,
                        const uint8_t *nonce, const uint8_t *plain, size_t len, uint8_t *sealed)
{
    struct wire_seal clear;
    uint8_t iv[CRYPTO_IV_SIZE], *body = sealed + sizeof(clear);
    size_t body_len = len - ALIKE;

    __builtin_memcpy(&clear, plain, ALIKE);
    clear.version = WIRE_VERSION;
    clear.counter = counter;
    __builtin_memcpy(sealed, &clear, sizeof(clear));
    if (nonce) {
        __builtin_memcpy(body, nonce, WIRE_NONCE_SIZE);
        body += WIRE_NONCE_SIZE;
    }
    __builtin_memcpy(body, plain + ALIKE, body_len);
    make_iv(from, counter, iv);
    crypto_seal(key, iv, sealed, (size_t)(body - sealed), body, body_len, body + body_len);
    return (size_t)(body - sealed) + body_len + CRYPTO_TAG_SIZE;
}

/* The length of the plain datagram, or -EBADMSG. clear_len: bytes in clear, header and nonce. */
static int open_with(const uint8_t key[CRYPTO_KEY_SIZE], enum seal_side from, uint64_t counter,
                     size_t clear_len, const uint8_t *sealed, size_t len, uint8_t *plain)
{
    uint8_t iv[CRYPTO_IV_SIZE];
    size_t body_len = len - clear_len - CRYPTO_TAG_SIZE;

    __builtin_memcpy(plain, sealed, ALIKE);
    plain[offsetof(struct wire_header, version)] = WIRE_VERSION_PLAIN;
    __builtin_memcpy(plain + ALIKE, sealed + clear_len, body_len);
    make_iv(from, counter, iv);
    if (!crypto_open(key, iv, sealed, clear_len, plain + ALIKE, body_len,
                     sealed + clear_len + body_len))
        return -EBADMSG;
    return (int)(ALIKE + body_len);
}

/* ---- a session ----------------------------------------------------------------------------- */

/* Begins a session at one of its ends; both nonces were carried by its hello. */
void seal_start(struct seal *seal, enum seal_side side, const uint8_t key[CRYPTO_KEY_SIZE],
                const uint8_t client_nonce[WIRE_NONCE_SIZE],
                const uint8_t server_nonce[WIRE_NONCE_SIZE])
{
    uint8_t salt[2 * WIRE_NONCE_SIZE], keys[2][CRYPTO_KEY_SIZE]; /* client's, server's */

    __builtin_memcpy(salt, client_nonce, WIRE_NONCE_SIZE);
    __builtin_memcpy(salt + WIRE_NONCE_SIZE, server_nonce, WIRE_NONCE_SIZE);
    crypto_hkdf(key, CRYPTO_KEY_SIZE, salt, sizeof(salt), INFO("skep wire 2 session"), keys[0],
                sizeof(keys));
    *seal = (struct seal){.side = side, .rekey_shift = REKEY_SHIFT};
    __builtin_memcpy(seal->tx.key, keys[side], CRYPTO_KEY_SIZE);
    __builtin_memcpy(seal->rx.key, keys[side == SEAL_CLIENT ? SEAL_SERVER : SEAL_CLIENT],
                     CRYPTO_KEY_SIZE);
    crypto_wipe(keys, sizeof(keys));
}

/* The keys are gone, and nothing opens or can be sealed any more. */
void seal_end(struct seal *seal)
{
    crypto_wipe(seal, sizeof(*seal));
}

/* The key of the epoch behind that of key. next may be key. */
static void next_key(const uint8_t key[CRYPTO_KEY_SIZE], uint8_t next[CRYPTO_KEY_SIZE])
{
    crypto_hkdf(key, CRYPTO_KEY_SIZE, NULL, 0, INFO("skep wire 2 next key"), next, CRYPTO_KEY_SIZE);
}

/* Seals a plain datagram of at most WIRE_DATAGRAM_MAX - WIRE_SEAL_OVERHEAD bytes; the sealed one's
 * length. One that is sent again is sealed again. */
size_t seal_datagram(struct seal *seal, const void *plain, size_t len,
                     uint8_t sealed[WIRE_DATAGRAM_MAX])
{
    uint64_t counter = seal->tx.counter++;

    if (counter >> seal->rekey_shift != seal->tx.epoch) {
        next_key(seal->tx.key, seal->tx.key);
        seal->tx.epoch++;
    }
    return seal_with(seal->tx.key, seal->side, counter, NULL, plain, len, sealed);
}

/* Whether a counter has opened before, or is too old to tell. */
static bool is_replay(const struct seal *seal, uint64_t counter)
{
    unsigned bit = counter % SEAL_WINDOW;

    if (counter >= seal->rx.next)
        return false;
    return seal->rx.next - counter > SEAL_WINDOW || (seal->rx.opened[bit / 64] >> bit % 64 & 1);
}

/* Moves the window when the counter is the newest: what lies between has not been seen. */
static void mark_opened(struct seal *seal, uint64_t counter)
{
    unsigned bit = counter % SEAL_WINDOW;

    if (counter >= seal->rx.next) {
        uint64_t from = seal->rx.next;

        if (counter - from >= SEAL_WINDOW)
            from = counter - SEAL_WINDOW + 1;
        for (; from <= counter; from++)
            seal->rx.opened[from % SEAL_WINDOW / 64] &= ~(1ull << from % 64);
        seal->rx.next = counter + 1;
    }
    seal->rx.opened[bit / 64] |= 1ull << bit % 64;
}

/* Opens a datagram that seal_parse has passed. The plain one's length; -EALREADY for one that was
 * opened before or is too old to tell; -EBADMSG when its tag is wrong. Only what opened changes
 * anything. */
int seal_open(struct seal *seal, const void *sealed, size_t len, uint8_t plain[WIRE_DATAGRAM_MAX])
{
    enum seal_side from = seal->side == SEAL_CLIENT ? SEAL_SERVER : SEAL_CLIENT;
    uint8_t next[CRYPTO_KEY_SIZE];
    const uint8_t *key = seal->rx.key;
    struct wire_seal clear;

    __builtin_memcpy(&clear, sealed, sizeof(clear));
    if (is_replay(seal, clear.counter))
        return -EALREADY;

    uint64_t ahead = (clear.counter >> seal->rekey_shift) - seal->rx.epoch;
    if (ahead == 1) {
        next_key(key, next);
        key = next;
    } else if (ahead == UINT64_MAX) {
        key = seal->rx.previous;
    } else if (ahead != 0) {
        return -EBADMSG;
    }
    int plain_len = open_with(key, from, clear.counter, sizeof(clear), sealed, len, plain);
    if (plain_len > 0) {
        mark_opened(seal, clear.counter);
        if (ahead == 1) {
            __builtin_memcpy(seal->rx.previous, seal->rx.key, CRYPTO_KEY_SIZE);
            __builtin_memcpy(seal->rx.key, next, CRYPTO_KEY_SIZE);
            seal->rx.epoch++;
        }
    }
    if (ahead == 1)
        crypto_wipe(next, sizeof(next));
    return plain_len;
}

/* ---- hellos ---------------------------------------------------------------------------------- */

/* The keys for hellos with a client's nonce. */
void seal_hello_start(struct seal_hello *hello, const uint8_t key[CRYPTO_KEY_SIZE],
                      const uint8_t nonce[WIRE_NONCE_SIZE])
{
    uint8_t keys[2][CRYPTO_KEY_SIZE];

    crypto_hkdf(key, CRYPTO_KEY_SIZE, nonce, WIRE_NONCE_SIZE, INFO("skep wire 2 hello"), keys[0],
                sizeof(keys));
    __builtin_memcpy(hello->nonce, nonce, WIRE_NONCE_SIZE);
    __builtin_memcpy(hello->request, keys[0], CRYPTO_KEY_SIZE);
    __builtin_memcpy(hello->reply, keys[1], CRYPTO_KEY_SIZE);
    crypto_wipe(keys, sizeof(keys));
}

/* Seals a hello request (side SEAL_CLIENT, counters as they come) or its reply (SEAL_SERVER, where
 * the counter is random, for the server keeps none). The request carries the nonce. */
size_t seal_hello_datagram(const struct seal_hello *hello, enum seal_side side, uint64_t counter,
                           const void *plain, size_t len, uint8_t sealed[WIRE_DATAGRAM_MAX])
{
    if (side == SEAL_CLIENT)
        return seal_with(hello->request, side, counter, hello->nonce, plain, len, sealed);
    return seal_with(hello->reply, side, counter, NULL, plain, len, sealed);
}

/* Opens a hello request at the server or a reply at the client (side is ours); it has passed
 * seal_parse. The plain datagram's length, or -EBADMSG. That one comes twice is for the caller to
 * see: a hello makes nothing new when it is repeated. */
int seal_hello_open(const struct seal_hello *hello, enum seal_side side, const void *sealed,
                    size_t len, uint8_t plain[WIRE_DATAGRAM_MAX])
{
    struct wire_seal clear;

    __builtin_memcpy(&clear, sealed, sizeof(clear));
    if (side == SEAL_CLIENT)
        return open_with(hello->reply, SEAL_SERVER, clear.counter, sizeof(clear), sealed, len,
                         plain);
    if (!seal_hello_nonce(sealed, len))
        return -EBADMSG;
    return open_with(hello->request, SEAL_CLIENT, clear.counter, sizeof(clear) + WIRE_NONCE_SIZE,
                     sealed, len, plain);
}

/* The nonce that a hello request carries in clear; NULL when it is too short for one. */
const uint8_t *seal_hello_nonce(const void *sealed, size_t len)
{
    if (len < sizeof(struct wire_header) + WIRE_SEAL_OVERHEAD + WIRE_NONCE_SIZE)
        return NULL;
    return (const uint8_t *)sealed + sizeof(struct wire_seal);
}

/* ---- keys as people keep them ---------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads a key: 32 bytes as they are, or 64 hexadecimal digits, perhaps with an end of line. False,
 * and key is undefined, when it is neither. */
bool seal_parse_key(const void *text, size_t len, uint8_t key[CRYPTO_KEY_SIZE])
{
    const char *digits = text;

    if (len == CRYPTO_KEY_SIZE) {
        __builtin_memcpy(key, text, len);
        return true;
    }
    while (len > 0 && (digits[len - 1] == '\n' || digits[len - 1] == '\r'))
        len--;
    if (len != 2 * CRYPTO_KEY_SIZE)
        return false;
    for (size_t i = 0; i < CRYPTO_KEY_SIZE; i++) {
        int high = hex_digit(digits[2 * i]), low = hex_digit(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
