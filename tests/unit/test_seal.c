/*
 * Rules: what one end seals the other opens, once; what was changed, cut, repeated, sent back, or
 * sealed for another session does not open and changes nothing; the key moves on with the counter,
 * and late datagrams still find theirs (net/seal.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/seal.h"
#include "tests/unit/leakcheck.h"

TestSuite(seal, .fini = leakcheck);

#define PLAIN_MAX (sizeof(struct wire_header) + WIRE_FRAGMENT_SIZE)

static const uint8_t key[CRYPTO_KEY_SIZE] = {1, 2, 3};
static const uint8_t client_nonce[WIRE_NONCE_SIZE] = {4, 5};
static const uint8_t server_nonce[WIRE_NONCE_SIZE] = {6, 7};

struct ends {
    struct seal client, server;
};

static struct ends ends(void)
{
    struct ends e;

    seal_start(&e.client, SEAL_CLIENT, key, client_nonce, server_nonce);
    seal_start(&e.server, SEAL_SERVER, key, client_nonce, server_nonce);
    return e;
}

/* A plain datagram of len bytes, all of them told by seed. */
static size_t make_plain(uint8_t plain[PLAIN_MAX], size_t len, unsigned seed)
{
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REQUEST,
                                 .session = 77,
                                 .sequence = seed,
                                 .total = (uint32_t)(len - sizeof(struct wire_header)),
                                 .fragments = 1};

    memcpy(plain, &header, sizeof(header));
    for (size_t i = sizeof(header); i < len; i++)
        plain[i] = (uint8_t)rand_r(&seed);
    return len;
}

struct datagram {
    size_t len;
    uint8_t bytes[WIRE_DATAGRAM_MAX];
};

static struct datagram sealed_by(struct seal *seal, unsigned seed)
{
    uint8_t plain[PLAIN_MAX];
    struct datagram out;

    out.len = seal_datagram(seal, plain, make_plain(plain, 50, seed), out.bytes);
    return out;
}

/* What seal_open says of a block of just this length, so that AddressSanitizer sees a read behind
 * it; as a caller does, only when seal_parse passes it. */
static int opened_at(struct seal *seal, const struct datagram *datagram, uint8_t *plain)
{
    uint8_t *exact = malloc(datagram->len ? datagram->len : 1);
    struct wire_seal clear;

    memcpy(exact, datagram->bytes, datagram->len);
    int result = seal_parse(exact, datagram->len, &clear);
    if (!result)
        result = seal_open(seal, exact, datagram->len, plain);
    free(exact);
    return result;
}

static int opens(struct seal *seal, const struct datagram *datagram)
{
    uint8_t plain[WIRE_DATAGRAM_MAX];

    return opened_at(seal, datagram, plain);
}

/* ---- form -------------------------------------------------------------------------------------
 */

Test(seal, every_length_opens_as_it_was)
{
    struct ends e = ends();
    uint8_t plain[PLAIN_MAX], back[WIRE_DATAGRAM_MAX];
    struct datagram sealed;

    for (size_t len = sizeof(struct wire_header); len <= PLAIN_MAX; len++) {
        struct seal *from = len % 2 ? &e.client : &e.server;
        make_plain(plain, len, (unsigned)len);
        sealed.len = seal_datagram(from, plain, len, sealed.bytes);
        cr_assert_eq(sealed.len, len + WIRE_SEAL_OVERHEAD);
        cr_assert_leq(sealed.len, WIRE_DATAGRAM_MAX);
        cr_assert_eq(opened_at(len % 2 ? &e.server : &e.client, &sealed, back), (int)len);
        cr_assert_arr_eq(back, plain, len);
    }
}

Test(seal, only_the_first_24_bytes_are_in_clear)
{
    struct ends e = ends();
    uint8_t plain[PLAIN_MAX], body[PLAIN_MAX];
    static const uint8_t clear[24] = {'S', 'K', 'E', 'P', 2, 1, 0, 0, 77, 0, 0, 0,
                                      0,   0,   0,   0,   3, 0, 0, 0, 0,  0, 0, 0};
    struct datagram sealed;

    make_plain(plain, PLAIN_MAX, 9);
    for (int i = 0; i < 4; i++)
        sealed.len = seal_datagram(&e.client, plain, PLAIN_MAX, sealed.bytes);
    cr_assert_eq(sealed.len, WIRE_DATAGRAM_MAX);
    cr_assert_arr_eq(sealed.bytes, clear, sizeof(clear));

    /* As random as it should be: about one byte in 256 is the same by chance. */
    memcpy(body, sealed.bytes + 24, PLAIN_MAX - 16);
    unsigned same = 0;
    for (size_t i = 16; i < PLAIN_MAX; i++)
        same += body[i - 16] == plain[i];
    cr_assert_lt(same, 30);
    cr_assert_null(memmem(sealed.bytes, sealed.len, plain + 36, 8));
}

Test(seal, the_same_datagram_is_sealed_anew_each_time)
{
    struct ends e = ends();
    struct datagram first = sealed_by(&e.client, 5), second = sealed_by(&e.client, 5);

    cr_assert_neq(memcmp(first.bytes + 24, second.bytes + 24, first.len - 24), 0);
    cr_assert_gt(opens(&e.server, &first), 0);
    cr_assert_gt(opens(&e.server, &second), 0);
}

/* ---- what does not open ------------------------------------------------------------------------
 */

Test(seal, no_flipped_bit_opens)
{
    struct ends e = ends();
    struct datagram sealed = sealed_by(&e.client, 1);

    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_lt(opens(&e.server, &sealed), 0, "bit %zu", bit);
        sealed.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_gt(opens(&e.server, &sealed), 0, "what did not open has changed nothing");
}

Test(seal, no_other_length_opens)
{
    struct ends e = ends();
    struct datagram sealed = sealed_by(&e.client, 1);
    size_t len = sealed.len;

    memset(sealed.bytes + len, 0, sizeof(sealed.bytes) - len);
    for (sealed.len = 0; sealed.len <= WIRE_DATAGRAM_MAX; sealed.len++)
        if (sealed.len != len)
            cr_assert_eq(opens(&e.server, &sealed), -EBADMSG, "%zu bytes", sealed.len);
    sealed.len = len;
    cr_assert_gt(opens(&e.server, &sealed), 0);
}

Test(seal, what_is_sent_back_does_not_open)
{
    struct ends e = ends();
    struct datagram from_client = sealed_by(&e.client, 1), from_server = sealed_by(&e.server, 1);

    cr_assert_eq(opens(&e.client, &from_client), -EBADMSG);
    cr_assert_eq(opens(&e.server, &from_server), -EBADMSG);
}

Test(seal, another_session_does_not_open)
{
    struct ends e = ends();
    struct datagram sealed = sealed_by(&e.client, 1);
    uint8_t other[32] = {0};
    struct seal seal;

    seal_start(&seal, SEAL_SERVER, other, client_nonce, server_nonce);
    cr_assert_eq(opens(&seal, &sealed), -EBADMSG, "another key");
    seal_start(&seal, SEAL_SERVER, key, other, server_nonce);
    cr_assert_eq(opens(&seal, &sealed), -EBADMSG, "another client nonce");
    seal_start(&seal, SEAL_SERVER, key, client_nonce, other);
    cr_assert_eq(opens(&seal, &sealed), -EBADMSG, "another server nonce");
}

Test(seal, an_ended_session_has_no_keys)
{
    struct ends e = ends();
    struct datagram sealed = sealed_by(&e.client, 1);
    static const struct seal zeroes;

    seal_end(&e.server);
    cr_assert_eq(memcmp(&e.server, &zeroes, sizeof(zeroes)), 0);
    cr_assert_eq(opens(&e.server, &sealed), -EBADMSG);
}

Test(seal, another_version_is_told_apart)
{
    struct ends e = ends();
    struct datagram sealed = sealed_by(&e.client, 1);

    sealed.bytes[4] = WIRE_VERSION_PLAIN;
    cr_assert_eq(opens(&e.server, &sealed), -EPROTONOSUPPORT);
    sealed.bytes[4] = WIRE_VERSION + 1;
    cr_assert_eq(opens(&e.server, &sealed), -EPROTONOSUPPORT);
}

/* ---- the replay window -------------------------------------------------------------------------
 */

#define MANY 3000u

/* Datagrams with the counters 0 to MANY - 1. */
static struct datagram *many(struct seal *seal)
{
    struct datagram *all = malloc(MANY * sizeof(*all));

    for (unsigned i = 0; i < MANY; i++)
        all[i] = sealed_by(seal, i);
    return all;
}

Test(seal, each_opens_once_in_any_order)
{
    struct ends e = ends();
    struct datagram *all = many(&e.client);
    unsigned order[MANY], seed = 3;

    /* Shuffled within stretches of 900: no one comes later than the window reaches. */
    for (unsigned i = 0; i < MANY; i++)
        order[i] = i;
    for (unsigned i = 0; i < MANY; i++) {
        unsigned begin = i / 900 * 900, end = begin + 900 < MANY ? begin + 900 : MANY;
        unsigned k = begin + (unsigned)rand_r(&seed) % (end - begin), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
    for (unsigned i = 0; i < MANY; i++) {
        cr_assert_gt(opens(&e.server, &all[order[i]]), 0, "counter %u", order[i]);
        cr_assert_eq(opens(&e.server, &all[order[i]]), -EALREADY, "counter %u", order[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        cr_assert_eq(opens(&e.server, &all[i]), -EALREADY);
    free(all);
}

Test(seal, the_window_reaches_1024_back)
{
    struct ends e = ends();
    struct datagram *all = many(&e.client);

    cr_assert_gt(opens(&e.server, &all[2000]), 0);
    cr_assert_eq(opens(&e.server, &all[2000 - SEAL_WINDOW]), -EALREADY, "too old to tell");
    cr_assert_gt(opens(&e.server, &all[2000 - SEAL_WINDOW + 1]), 0, "the oldest that can be told");
    cr_assert_eq(opens(&e.server, &all[2000 - SEAL_WINDOW + 1]), -EALREADY);
    cr_assert_gt(opens(&e.server, &all[1999]), 0);
    cr_assert_gt(opens(&e.server, &all[2001]), 0);
    cr_assert_eq(opens(&e.server, &all[2000 - SEAL_WINDOW + 1]), -EALREADY);
    free(all);
}

/* A jump of just the window's width, and of more, leaves no mark of what was seen before. */
Test(seal, jumps_clear_the_window)
{
    for (unsigned jump = SEAL_WINDOW - 2; jump <= SEAL_WINDOW + 2; jump++) {
        struct ends e = ends();
        struct datagram *all = many(&e.client);

        for (unsigned i = 0; i < 600; i++)
            cr_assert_gt(opens(&e.server, &all[i]), 0);
        cr_assert_gt(opens(&e.server, &all[599 + jump]), 0);
        for (unsigned i = 600 + jump - SEAL_WINDOW; i < 599 + jump; i++)
            cr_assert_eq(opens(&e.server, &all[i]) > 0, i >= 600, "jump %u, counter %u", jump, i);
        free(all);
    }
}

Test(seal, a_counter_is_marked_only_once_it_opened)
{
    struct ends e = ends();
    struct datagram good = sealed_by(&e.client, 1), forged = good;
    uint64_t far = 1u << 30;

    forged.bytes[forged.len - 1] ^= 1;
    cr_assert_eq(opens(&e.server, &forged), -EBADMSG);
    memcpy(forged.bytes + offsetof(struct wire_seal, counter), &far, sizeof(far));
    cr_assert_eq(opens(&e.server, &forged), -EBADMSG);
    cr_assert_gt(opens(&e.server, &good), 0);
}

/* ---- rekeying -----------------------------------------------------------------------------------
 */

#define SHIFT 4u /* 16 datagrams with one key */

static struct ends rekeying_ends(void)
{
    struct ends e = ends();

    e.client.rekey_shift = e.server.rekey_shift = SHIFT;
    return e;
}

Test(seal, the_key_changes_with_the_epoch)
{
    struct ends e = rekeying_ends();
    uint8_t keys[10][CRYPTO_KEY_SIZE];

    for (unsigned i = 0; i < 10u << SHIFT; i++) {
        struct datagram sealed = sealed_by(&e.client, i);
        cr_assert_gt(opens(&e.server, &sealed), 0, "counter %u", i);
        cr_assert_eq(e.client.tx.epoch, i >> SHIFT);
        cr_assert_eq(e.server.rx.epoch, i >> SHIFT);
        cr_assert_arr_eq(e.client.tx.key, e.server.rx.key, CRYPTO_KEY_SIZE);
        if (i % (1u << SHIFT) == 0) {
            memcpy(keys[i >> SHIFT], e.client.tx.key, CRYPTO_KEY_SIZE);
            for (unsigned k = 0; k < i >> SHIFT; k++)
                cr_assert_neq(memcmp(keys[k], keys[i >> SHIFT], CRYPTO_KEY_SIZE), 0);
        }
    }
    cr_assert_eq(e.client.rx.epoch, 0, "the other way goes its own pace");
}

Test(seal, a_late_datagram_opens_with_the_key_before)
{
    struct ends e = rekeying_ends();
    struct datagram *all = many(&e.client);

    cr_assert_gt(opens(&e.server, &all[14]), 0);
    cr_assert_gt(opens(&e.server, &all[16]), 0, "the next epoch");
    cr_assert_gt(opens(&e.server, &all[13]), 0, "late");
    cr_assert_gt(opens(&e.server, &all[15]), 0, "late, never seen before");
    cr_assert_eq(opens(&e.server, &all[13]), -EALREADY);
    cr_assert_gt(opens(&e.server, &all[40]), 0, "one epoch is skipped: 17 to 31 were lost");
    cr_assert_gt(opens(&e.server, &all[31]), 0);
    cr_assert_eq(opens(&e.server, &all[12]), -EBADMSG, "that key is gone");
    free(all);
}

Test(seal, an_epoch_too_far_ahead_does_not_open)
{
    struct ends e = rekeying_ends();
    struct datagram *all = many(&e.client);

    cr_assert_gt(opens(&e.server, &all[0]), 0);
    cr_assert_eq(opens(&e.server, &all[32]), -EBADMSG);
    cr_assert_gt(opens(&e.server, &all[31]), 0);
    cr_assert_gt(opens(&e.server, &all[32]), 0);
    free(all);
}

/* One that claims the next epoch but does not open must not move the key on. */
Test(seal, a_forged_epoch_changes_nothing)
{
    struct ends e = rekeying_ends();
    struct datagram good = sealed_by(&e.client, 1), forged = good;
    uint64_t counter = 1u << SHIFT;

    memcpy(forged.bytes + offsetof(struct wire_seal, counter), &counter, sizeof(counter));
    cr_assert_eq(opens(&e.server, &forged), -EBADMSG);
    cr_assert_eq(e.server.rx.epoch, 0);
    cr_assert_gt(opens(&e.server, &good), 0);
}

/* Not the test's small shift: no key seals 2^32 datagrams. */
Test(seal, a_key_serves_for_2_to_the_31_datagrams)
{
    struct ends e = ends();
    uint64_t last = (1ull << 31) - 1;
    uint8_t before[CRYPTO_KEY_SIZE];

    e.client.tx.counter = e.server.rx.next = last;
    struct datagram sealed = sealed_by(&e.client, 1);
    cr_assert_gt(opens(&e.server, &sealed), 0);
    memcpy(before, e.client.tx.key, sizeof(before));
    sealed = sealed_by(&e.client, 2);
    cr_assert_neq(memcmp(before, e.client.tx.key, sizeof(before)), 0);
    cr_assert_gt(opens(&e.server, &sealed), 0);
    cr_assert_eq(e.server.rx.epoch, 1);
}

/* ---- hellos
 * --------------------------------------------------------------------------------------- */

static int hello_opens(const struct seal_hello *hello, enum seal_side side,
                       const struct datagram *datagram, uint8_t *plain)
{
    uint8_t *exact = malloc(datagram->len ? datagram->len : 1);
    struct wire_seal clear;

    memcpy(exact, datagram->bytes, datagram->len);
    int result = seal_parse(exact, datagram->len, &clear);
    if (!result)
        result = seal_hello_open(hello, side, exact, datagram->len, plain);
    free(exact);
    return result;
}

Test(seal, hellos_open_at_the_other_end_only)
{
    uint8_t plain[PLAIN_MAX], back[WIRE_DATAGRAM_MAX];
    struct seal_hello client, server;
    struct datagram request, reply;
    size_t len = make_plain(plain, 180, 1);

    seal_hello_start(&client, key, client_nonce);
    request.len = seal_hello_datagram(&client, SEAL_CLIENT, 3, plain, len, request.bytes);
    cr_assert_eq(request.len, len + WIRE_SEAL_OVERHEAD + WIRE_NONCE_SIZE);
    cr_assert_arr_eq(seal_hello_nonce(request.bytes, request.len), client_nonce, WIRE_NONCE_SIZE);
    seal_hello_start(&server, key, seal_hello_nonce(request.bytes, request.len));
    cr_assert_eq(hello_opens(&server, SEAL_SERVER, &request, back), (int)len);
    cr_assert_arr_eq(back, plain, len);
    cr_assert_eq(hello_opens(&client, SEAL_CLIENT, &request, back), -EBADMSG);

    reply.len = seal_hello_datagram(&server, SEAL_SERVER, 99, plain, len, reply.bytes);
    cr_assert_lt(reply.len, request.len, "no answer is longer than what it answers");
    cr_assert_eq(hello_opens(&client, SEAL_CLIENT, &reply, back), (int)len);
    cr_assert_arr_eq(back, plain, len);
    cr_assert_eq(hello_opens(&server, SEAL_SERVER, &reply, back), -EBADMSG);
}

Test(seal, no_changed_hello_opens)
{
    uint8_t plain[PLAIN_MAX], back[WIRE_DATAGRAM_MAX];
    struct seal_hello hello, other;
    struct datagram request;
    size_t len = make_plain(plain, 60, 1);
    static const uint8_t wrong[CRYPTO_KEY_SIZE] = {9};

    seal_hello_start(&hello, key, client_nonce);
    request.len = seal_hello_datagram(&hello, SEAL_CLIENT, 0, plain, len, request.bytes);
    for (size_t bit = 0; bit < request.len * 8; bit++) {
        request.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_lt(hello_opens(&hello, SEAL_SERVER, &request, back), 0, "bit %zu", bit);
        request.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    size_t whole = request.len;
    for (request.len = 0; request.len < whole; request.len++)
        cr_assert_lt(hello_opens(&hello, SEAL_SERVER, &request, back), 0);
    seal_hello_start(&other, wrong, client_nonce);
    cr_assert_eq(hello_opens(&other, SEAL_SERVER, &request, back), -EBADMSG);
    cr_assert_eq(hello_opens(&hello, SEAL_SERVER, &request, back), (int)len);
}

/* ---- keys as text
 * --------------------------------------------------------------------------------- */

Test(seal, keys_are_32_bytes_or_64_digits)
{
    static const char digits[] = "00112233445566778899aAbBcCdDeEfF"
                                 "fedcba98765432100123456789abcdef\r\n";
    static const uint8_t expected[CRYPTO_KEY_SIZE] = {
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
        0xbb, 0xcc, 0xdd, 0xee, 0xff, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54,
        0x32, 0x10, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    uint8_t out[CRYPTO_KEY_SIZE];
    char bad[80];

    cr_assert(seal_parse_key(digits, 64, out));
    cr_assert_arr_eq(out, expected, sizeof(out));
    memset(out, 0, sizeof(out));
    cr_assert(seal_parse_key(digits, 66, out), "an end of line is no part of it");
    cr_assert_arr_eq(out, expected, sizeof(out));
    memset(out, 0, sizeof(out));
    cr_assert(seal_parse_key(expected, 32, out));
    cr_assert_arr_eq(out, expected, sizeof(out));

    for (size_t len = 0; len < 66; len++)
        cr_assert_eq(seal_parse_key(digits, len, out), len == 32 || len >= 64, "%zu bytes", len);
    for (size_t i = 0; i < 64; i++) {
        memcpy(bad, digits, 64);
        bad[i] = 'g';
        cr_assert_not(seal_parse_key(bad, 64, out));
        bad[i] = ' ';
        cr_assert_not(seal_parse_key(bad, 64, out));
    }
}
