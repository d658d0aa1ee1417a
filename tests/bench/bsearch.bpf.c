/* 16 binary searches in 32 sorted numbers on the stack */
#include "bench.h"
PROG(bsearch)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), found = 0;
    u32 table[32], at = r & 0xff;
    for (u32 i = 0; i < 32; i++) {
        at += 1 + (data[i] & 0x1f);
        table[i] = at;
    }
    for (u32 n = 0; n < 16; n++) {
        u32 key = (u32)(r >> n) & 0x3ff, lo = 0, hi = 32;
        for (u32 step = 0; step < 6 && lo < hi; step++) {
            u32 mid = (lo + hi) / 2;
            if (table[mid & 31] < key)
                lo = mid + 1;
            else
                hi = mid;
        }
        found += lo;
    }
    *(u64 *)(data + STATE_OFF - 8) = found;
    return 2;
}
