/* four lookups of 8-byte keys in an LRU table of 8192, what is not there is added */
#include "bench.h"
MAP(flows, MT_LRU_HASH, u64, u64, 8192);
PROG(lru)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), sum = 0;
    for (u32 i = 0; i < 4; i++) {
        u64 key = (r >> (i * 12)) & 0xfff;
        u64 *v = bpf_map_lookup_elem(MAPREF(flows), &key);
        if (v) {
            sum += ++*v;
        } else {
            u64 one = 1;
            bpf_map_update_elem(MAPREF(flows), &key, &one, 0);
        }
    }
    *(u64 *)(data + STATE_OFF - 8) = sum;
    return 2;
}
