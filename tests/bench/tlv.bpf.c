/* walk up to 64 type-length-value records, dispatch on the type, bounds checked each time */
#include "bench.h"
PROG(tlv)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), acc = 0;
    u32 off = 320 + (r & 31);
    for (u32 n = 0; n < 64; n++) {
        if (off > 1400)
            break;
        u8 *p = data + off;
        u32 type = p[0] & 15, len = p[1] & 15;
        if (type == 0) {
            off++;
            continue;
        }
        if (type < 4 && len >= 4)
            acc += *(u32 *)(p + 2);
        else if (type < 8)
            acc ^= (u64) * (u16 *)(p + 2) << type;
        else if (type == 9)
            acc += len;
        else if (len > 12)
            acc = acc * 31 + p[2];
        off += 2 + len;
    }
    *(u64 *)(data + STATE_OFF - 8) = acc + off;
    return 2;
}
