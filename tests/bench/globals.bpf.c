/* counters and settings in .bss, .data and .rodata, a branch on each of 64 bytes */
#include "bench.h"
static u64 seen[4], total;
static u32 limits[4] = {60, 120, 180, 250};
static const volatile u32 weight = 3, enabled = 1;
PROG(globals)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data);
    if (!enabled)
        return 1;
    for (u32 i = 0; i < 64; i++) {
        u32 b = data[i] ^ (r >> (i & 31) & 0xff);
        if (b < limits[0])
            seen[0]++;
        else if (b < limits[1])
            seen[1] += weight;
        else if (b < limits[2])
            seen[2] += b;
        else
            seen[3] ^= b;
        total += b;
    }
    *(u64 *)(data + STATE_OFF - 8) = seen[0] + seen[1] + seen[2] + seen[3] + total;
    return 2;
}
