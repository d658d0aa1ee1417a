/* Internet checksum (RFC 1071) over 1480 bytes, 16 bits at a time */
#include "bench.h"
PROG(checksum)
{
    GET_PACKET(ctx, data);
    u64 sum = next_state(data) & 0xffff;
    for (u32 i = 0; i < 1480; i += 2)
        sum += *(u16 *)(data + i);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    *(u16 *)(data + STATE_OFF - 8) = (u16)~sum;
    return 2;
}
