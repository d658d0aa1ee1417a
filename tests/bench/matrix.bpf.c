/* 8x8 product of 32-bit numbers, one factor copied to the stack */
#include "bench.h"
PROG(matrix)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data);
    int a[64], trace = 0;
    for (u32 i = 0; i < 64; i++)
        a[i] = *(int *)(data + 4 * i) ^ (int)r;
    for (u32 i = 0; i < 8; i++) {
        for (u32 j = 0; j < 8; j++) {
            int sum = 0;
            for (u32 k = 0; k < 8; k++)
                sum += a[8 * i + k] * *(int *)(data + 512 + 4 * (8 * k + j));
            trace = trace * 17 + sum;
        }
    }
    *(u64 *)(data + STATE_OFF - 8) = (u32)trace;
    return 2;
}
