/*
 * SHA-1 (FIPS 180-4 6.1). A program's tag is the beginning of the digest of its instructions.
 */
#include "ebpf/sha1.h"

#include "ebpf/base.h"

#define BLOCK 64u

static uint32_t rotate(uint32_t value, unsigned n)
{
    return value << n | value >> (32 - n);
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

/* f and K of 4.1.1 and 4.2.1 for round t. */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) ^ (~b & d)) + 0x5a827999;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60)
        return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (unsigned t = 0; t < 16; t++)
        w[t] = load_be32(block + 4 * t);
    for (unsigned t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* The digest of len bytes. Pure. */
void sha1(const void *data, size_t len, uint8_t digest[SHA1_SIZE])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *p = data;
    uint8_t tail[2 * BLOCK] = {0};
    size_t rest = len % BLOCK, tail_size = rest + 9 > BLOCK ? 2 * BLOCK : BLOCK;
    uint64_t bits = (uint64_t)len * 8;

    for (size_t at = 0; at + BLOCK <= len; at += BLOCK)
        add_block(h, p + at);
    __builtin_memcpy(tail, p + len - rest, rest);
    tail[rest] = 0x80;
    store_be32(tail + tail_size - 8, (uint32_t)(bits >> 32));
    store_be32(tail + tail_size - 4, (uint32_t)bits);
    for (size_t at = 0; at < tail_size; at += BLOCK)
        add_block(h, tail + at);
    for (unsigned i = 0; i < 5; i++)
        store_be32(digest + 4 * i, h[i]);
}
