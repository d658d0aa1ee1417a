/* insertion sort of 16 numbers on the stack */
#include "bench.h"
PROG(sort)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), sum = 0;
    u32 v[16];
    for (u32 i = 0; i < 16; i++) {
        v[i] = (u32)r;
        r = r * 6364136223846793005ULL + 1442695040888963407ULL;
    }
    for (u32 i = 1; i < 16; i++) {
        u32 x = v[i], j = i;
        while (j > 0 && j < 16 && v[j - 1] > x) {
            v[j] = v[j - 1];
            j--;
        }
        v[j & 15] = x;
    }
    for (u32 i = 0; i < 16; i++)
        sum = sum * 3 + v[i];
    *(u64 *)(data + STATE_OFF - 8) = sum;
    return 2;
}
