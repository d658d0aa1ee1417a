/* sixteen latencies into a log2 histogram in an array, with an atomic addition each */
#include "bench.h"
MAP(slots, MT_ARRAY, u32, u64, 64);
INLINE u32 log2_of(u64 v)
{
    u32 r = 0;
    if (v >> 32) {
        v >>= 32;
        r += 32;
    }
    if (v >> 16) {
        v >>= 16;
        r += 16;
    }
    if (v >> 8) {
        v >>= 8;
        r += 8;
    }
    if (v >> 4) {
        v >>= 4;
        r += 4;
    }
    if (v >> 2) {
        v >>= 2;
        r += 2;
    }
    return r + (u32)(v >> 1);
}
PROG(histogram)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data);
    for (u32 i = 0; i < 16; i++) {
        u32 slot = log2_of(r >> (i * 3));
        u64 *count = bpf_map_lookup_elem(MAPREF(slots), &slot);
        if (count)
            __sync_fetch_and_add(count, 1);
    }
    return 2;
}
