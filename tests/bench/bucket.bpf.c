/* eight token buckets in global memory: 64-bit division and modulo by what is in memory */
#include "bench.h"
struct bucket {
    u64 last, tokens, rate, burst;
};
static struct bucket buckets[8];
PROG(bucket)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), now = r >> 20, acc = 0;
    for (u32 i = 0; i < 8; i++) {
        struct bucket *b = &buckets[(r >> i) & 7];
        u64 cost = 64 + (r >> (4 * i) & 1023);
        if (!b->rate) {
            b->rate = 1000 + i;
            b->burst = 100000;
        }
        b->tokens += (now - b->last) / b->rate;
        if (b->tokens > b->burst)
            b->tokens = b->burst - (b->tokens % (b->rate + 1));
        b->last = now;
        if (b->tokens >= cost) {
            b->tokens -= cost;
            acc += cost;
        }
    }
    *(u64 *)(data + STATE_OFF - 8) = acc + r % 1000;
    return 2;
}
