/* bits set, and the place of the highest, of 64 words */
#include "bench.h"
INLINE u64 popcount(u64 x)
{
    x -= (x >> 1) & 0x5555555555555555ULL;
    x = (x & 0x3333333333333333ULL) + ((x >> 2) & 0x3333333333333333ULL);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (x * 0x0101010101010101ULL) >> 56;
}
INLINE u32 log2_of(u32 v)
{
    u32 r, shift;
    r = (v > 0xffff) << 4;
    v >>= r;
    shift = (v > 0xff) << 3;
    v >>= shift;
    r |= shift;
    shift = (v > 0xf) << 2;
    v >>= shift;
    r |= shift;
    shift = (v > 0x3) << 1;
    v >>= shift;
    r |= shift;
    return r | (v >> 1);
}
PROG(bits)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), acc = 0;
    for (u32 i = 0; i < 64; i++) {
        u64 x = *(u64 *)(data + 8 * i) ^ r;
        acc += popcount(x) + ((u64)log2_of((u32)x >> (i & 15)) << 32);
    }
    *(u64 *)(data + STATE_OFF - 8) = acc;
    return 2;
}
