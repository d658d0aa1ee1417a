/* calls four deep with five arguments, 16 rounds of 15 calls */
#include "bench.h"
NOINLINE u64 f4(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return (a ^ b) + (c & d) * 3 + (e >> 1);
}
NOINLINE u64 f3(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return f4(b, c, d, e, a) + f4(e, d, c, b, a + 1);
}
NOINLINE u64 f2(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return f3(a + e, b, c, d, e) ^ f3(d, c + 1, b, a, e);
}
NOINLINE u64 f1(u64 a, u64 b, u64 c, u64 d, u64 e)
{
    return f2(a, b, c, d, e) + (f2(e, d, c, b, a) >> 3);
}
PROG(nested)
{
    GET_PACKET(ctx, data);
    u64 a = next_state(data), b = 1;
    for (u32 i = 0; i < 16; i++)
        b ^= f1(a, b, i, a >> 7, b + i);
    *(u64 *)(data + STATE_OFF - 8) = b;
    return 2;
}
