/*
 * BearSSL, as far as the wire needs it: see net/crypto.h. Its implementations are the constant-time
 * ones over general registers, since the guest's kernel code has no others.
 */
#include "net/crypto.h"

#include <bearssl.h>

/* Encrypts data in place and makes the tag over clear and data (RFC 8439 2.8). No iv may serve
 * twice with a key. */
void crypto_seal(const uint8_t key[CRYPTO_KEY_SIZE], const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *clear, size_t clear_len, uint8_t *data, size_t len,
                 uint8_t tag[CRYPTO_TAG_SIZE])
{
    br_poly1305_ctmulq_run(key, iv, data, len, clear, clear_len, tag, br_chacha20_ct_run, 1);
}

/* Decrypts data in place. False, and data is zeroes, when the tag is not that of key, iv, clear and
 * data. */
bool crypto_open(const uint8_t key[CRYPTO_KEY_SIZE], const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *clear, size_t clear_len, uint8_t *data, size_t len,
                 const uint8_t tag[CRYPTO_TAG_SIZE])
{
    uint8_t expected[CRYPTO_TAG_SIZE];

    br_poly1305_ctmulq_run(key, iv, data, len, clear, clear_len, expected, br_chacha20_ct_run, 0);
    if (crypto_equal(expected, tag, sizeof(expected)))
        return true;
    crypto_wipe(data, len);
    return false;
}

/* HKDF with SHA-256 (RFC 5869 2): out_len bytes, at most 255 * 32, from a secret. salt may be NULL.
 */
void crypto_hkdf(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
                 const void *info, size_t info_len, uint8_t *out, size_t out_len)
{
    br_hkdf_context context;

    br_hkdf_init(&context, &br_sha256_vtable, salt ? salt : BR_HKDF_NO_SALT, salt_len);
    br_hkdf_inject(&context, secret, secret_len);
    br_hkdf_flip(&context);
    br_hkdf_produce(&context, info, info_len, out, out_len);
    crypto_wipe(&context, sizeof(context));
}

/* HMAC with SHA-256 (RFC 2104). */
void crypto_mac(const uint8_t key[CRYPTO_KEY_SIZE], const void *data, size_t len,
                uint8_t mac[CRYPTO_MAC_SIZE])
{
    br_hmac_key_context key_context;
    br_hmac_context context;

    br_hmac_key_init(&key_context, &br_sha256_vtable, key, CRYPTO_KEY_SIZE);
    br_hmac_init(&context, &key_context, 0);
    br_hmac_update(&context, data, len);
    br_hmac_out(&context, mac);
    crypto_wipe(&key_context, sizeof(key_context));
    crypto_wipe(&context, sizeof(context));
}

/* Whether both are the same, in a time that depends on len alone. */
bool crypto_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *left = a, *right = b;
    unsigned difference = 0;

    for (size_t i = 0; i < len; i++)
        difference |= left[i] ^ right[i];
    return difference == 0;
}

/* Zeroes that the compiler may not leave out. */
void crypto_wipe(void *secret, size_t len)
{
    volatile uint8_t *bytes = secret;

    for (size_t i = 0; i < len; i++)
        bytes[i] = 0;
}
