/* XXH64 over 1472 bytes: four lanes of 64-bit multiplications and rotates */
#include "bench.h"
#define P1         0x9e3779b185ebca87ULL
#define P2         0xc2b2ae3d27d4eb4fULL
#define P3         0x165667b19e3779f9ULL
#define P4         0x85ebca77c2b2ae63ULL
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
INLINE u64 round64(u64 acc, u64 in)
{
    acc += in * P2;
    return ROTL(acc, 31) * P1;
}
INLINE u64 merge(u64 h, u64 v)
{
    return (h ^ round64(0, v)) * P1 + P4;
}
PROG(xxhash)
{
    GET_PACKET(ctx, data);
    u64 seed = next_state(data);
    u64 a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1, h;
    for (u32 i = 0; i < 1472; i += 32) {
        a = round64(a, *(u64 *)(data + i));
        b = round64(b, *(u64 *)(data + i + 8));
        c = round64(c, *(u64 *)(data + i + 16));
        d = round64(d, *(u64 *)(data + i + 24));
    }
    h = ROTL(a, 1) + ROTL(b, 7) + ROTL(c, 12) + ROTL(d, 18);
    h = merge(merge(merge(merge(h, a), b), c), d) + 1472;
    h ^= h >> 33;
    h *= P2;
    h ^= h >> 29;
    h *= P3;
    h ^= h >> 32;
    *(u64 *)(data + STATE_OFF - 8) = h;
    return 2;
}
