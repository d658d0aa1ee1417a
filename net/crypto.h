/*
 * The ciphers that the wire is sealed with, all BearSSL's: ChaCha20-Poly1305 (RFC 8439), HKDF (RFC
 * 5869) and HMAC (RFC 2104) with SHA-256. Pure over memory, for the guest and the host alike;
 * net/seal.c says what is sealed with which key.
 */
#ifndef SKEP_NET_CRYPTO_H
#define SKEP_NET_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY_SIZE 32u
#define CRYPTO_IV_SIZE  12u
#define CRYPTO_TAG_SIZE 16u
#define CRYPTO_MAC_SIZE 32u

void crypto_seal(const uint8_t key[CRYPTO_KEY_SIZE], const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *clear, size_t clear_len, uint8_t *data, size_t len,
                 uint8_t tag[CRYPTO_TAG_SIZE]);
bool crypto_open(const uint8_t key[CRYPTO_KEY_SIZE], const uint8_t iv[CRYPTO_IV_SIZE],
                 const void *clear, size_t clear_len, uint8_t *data, size_t len,
                 const uint8_t tag[CRYPTO_TAG_SIZE]);
void crypto_hkdf(const void *secret, size_t secret_len, const void *salt, size_t salt_len,
                 const void *info, size_t info_len, uint8_t *out, size_t out_len);
void crypto_mac(const uint8_t key[CRYPTO_KEY_SIZE], const void *data, size_t len,
                uint8_t mac[CRYPTO_MAC_SIZE]);
bool crypto_equal(const void *a, const void *b, size_t len);
void crypto_wipe(void *secret, size_t len);

#endif
