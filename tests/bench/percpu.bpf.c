/* four counters in a per-CPU array: constant index, and one from the packet */
#include "bench.h"
struct counter {
    u64 packets, bytes;
};
MAP(counters, MT_PERCPU_ARRAY, u32, struct counter, 256);
INLINE void count(u32 index, u64 bytes)
{
    struct counter *c = bpf_map_lookup_elem(MAPREF(counters), &index);
    if (!c)
        return;
    c->packets++;
    c->bytes += bytes;
}
PROG(percpu)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data);
    count(0, PKT_LEN);
    count(1, r & 0xff);
    count(r & 0xff, 1);
    count(data[23], 20);
    return 2;
}
