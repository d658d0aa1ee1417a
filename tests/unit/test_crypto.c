/*
 * Rules: the ciphers give what their specifications print as examples, and a tag that is wrong in
 * any bit opens nothing (net/crypto.c, RFC 8439, RFC 5869).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/crypto.h"
#include "tests/unit/leakcheck.h"

TestSuite(crypto, .fini = leakcheck);

/* The bytes that a text of hexadecimal digits stands for. */
static size_t from_hex(const char *text, uint8_t *out)
{
    size_t n = 0;

    for (; text[2 * n]; n++)
        cr_assert_eq(sscanf(text + 2 * n, "%2hhx", &out[n]), 1);
    return n;
}

static void fill(uint8_t *out, uint8_t first, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(first + i);
}

/* ---- RFC 8439 2.8.2 -------------------------------------------------------------------------- */

static const char advice[] = "Ladies and Gentlemen of the class of '99: If I could offer you only "
                             "one tip for the future, sunscreen would be it.";
#define ADVICE_LEN (sizeof(advice) - 1)
static const char advice_sealed[] =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
    "3ff4def08e4b7a9de576d26586cec64b6116";

struct example {
    uint8_t key[CRYPTO_KEY_SIZE], iv[CRYPTO_IV_SIZE], clear[12], tag[CRYPTO_TAG_SIZE];
    uint8_t sealed[ADVICE_LEN];
};

static struct example rfc8439(void)
{
    struct example x;

    fill(x.key, 0x80, sizeof(x.key));
    from_hex("070000004041424344454647", x.iv);
    from_hex("50515253c0c1c2c3c4c5c6c7", x.clear);
    from_hex("1ae10b594f09e26a7e902ecbd0600691", x.tag);
    cr_assert_eq(from_hex(advice_sealed, x.sealed), sizeof(x.sealed));
    return x;
}

Test(crypto, seals_as_rfc_8439_does)
{
    struct example x = rfc8439();
    uint8_t data[ADVICE_LEN], tag[CRYPTO_TAG_SIZE];

    memcpy(data, advice, sizeof(data));
    crypto_seal(x.key, x.iv, x.clear, sizeof(x.clear), data, sizeof(data), tag);
    cr_assert_arr_eq(data, x.sealed, sizeof(data));
    cr_assert_arr_eq(tag, x.tag, sizeof(tag));
    cr_assert(crypto_open(x.key, x.iv, x.clear, sizeof(x.clear), data, sizeof(data), tag));
    cr_assert_arr_eq(data, advice, sizeof(data));
}

Test(crypto, no_flipped_bit_opens)
{
    struct example x = rfc8439();
    struct {
        uint8_t *bytes;
        size_t size;
    } parts[] = {{x.key, sizeof(x.key)},
                 {x.iv, sizeof(x.iv)},
                 {x.clear, sizeof(x.clear)},
                 {x.tag, sizeof(x.tag)},
                 {x.sealed, sizeof(x.sealed)}};
    static const uint8_t zeroes[ADVICE_LEN];
    uint8_t data[ADVICE_LEN];

    for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
        for (size_t bit = 0; bit < parts[p].size * 8; bit++) {
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            memcpy(data, x.sealed, sizeof(data));
            cr_assert_not(
                crypto_open(x.key, x.iv, x.clear, sizeof(x.clear), data, sizeof(data), x.tag),
                "part %zu, bit %zu", p, bit);
            cr_assert_arr_eq(data, zeroes, sizeof(data), "nothing of it is given out");
            parts[p].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    memcpy(data, x.sealed, sizeof(data));
    cr_assert(crypto_open(x.key, x.iv, x.clear, sizeof(x.clear), data, sizeof(data), x.tag));
}

/* ---- RFC 5869, appendix A -------------------------------------------------------------------- */

static void expect_hkdf(const uint8_t *secret, size_t secret_len, const uint8_t *salt,
                        size_t salt_len, const uint8_t *info, size_t info_len, const char *hex)
{
    uint8_t expected[128], out[128];
    size_t size = from_hex(hex, expected);

    crypto_hkdf(secret, secret_len, salt, salt_len, info, info_len, out, size);
    cr_assert_arr_eq(out, expected, size);
}

Test(crypto, derives_as_rfc_5869_does)
{
    uint8_t secret[80], salt[80], info[80];

    memset(secret, 0x0b, 22);
    fill(salt, 0, 13);
    fill(info, 0xf0, 10);
    expect_hkdf(secret, 22, salt, 13, info, 10,
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                "34007208d5b887185865");
    expect_hkdf(secret, 22, NULL, 0, NULL, 0,
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                "9d201395faa4b61a96c8");
    fill(secret, 0, 80);
    fill(salt, 0x60, 80);
    fill(info, 0xb0, 80);
    expect_hkdf(secret, 80, salt, 80, info, 80,
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

/* ---- the rest ---------------------------------------------------------------------------------
 */

/* The value is Python's hmac module's. */
Test(crypto, a_mac_is_another_programs_mac)
{
    uint8_t key[CRYPTO_KEY_SIZE], mac[CRYPTO_MAC_SIZE], expected[CRYPTO_MAC_SIZE];

    fill(key, 0, sizeof(key));
    from_hex("bad97b5189d84bd65baaac2bd8e3601acd8579ca14e9c34759dff70e1b4523b8", expected);
    crypto_mac(key, "a line on the wire", 18, mac);
    cr_assert_arr_eq(mac, expected, sizeof(mac));
}

Test(crypto, equal_looks_at_every_byte)
{
    uint8_t a[CRYPTO_MAC_SIZE] = {1, 2, 3}, b[CRYPTO_MAC_SIZE] = {1, 2, 3};

    for (size_t i = 0; i < sizeof(a); i++) {
        cr_assert(crypto_equal(a, b, sizeof(a)));
        b[i] ^= 0x80;
        cr_assert_not(crypto_equal(a, b, sizeof(a)), "byte %zu", i);
        b[i] ^= 0x80;
    }
    cr_assert(crypto_equal(a, b, 0));
}

Test(crypto, wiped_is_zero)
{
    static const uint8_t zeroes[40];
    uint8_t secret[41];

    memset(secret, 0xaa, sizeof(secret));
    crypto_wipe(secret, 40);
    cr_assert_arr_eq(secret, zeroes, 40);
    cr_assert_eq(secret[40], 0xaa);
}
