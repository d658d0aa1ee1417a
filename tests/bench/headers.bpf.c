/* Ethernet, up to two VLAN tags, IPv4 with options, TCP with options */
#include "bench.h"
#define HTONS(x) ((u16)((x) << 8 | (x) >> 8))
PROG(headers)
{
    GET_PACKET(ctx, data);
    u8 *end = DATA_END(ctx), *p = data + 14;
    u64 r = next_state(data), acc = 0;
    u16 proto = *(u16 *)(data + 12);
    p[0] = 0x45 + (r & 3);
    p[9] = r & 4 ? 6 : 17;
    for (u32 i = 0; i < 2; i++) {
        if (proto != HTONS(0x8100) && proto != HTONS(0x88a8))
            break;
        if (p + 4 > end)
            return 1;
        acc += *(u16 *)p & HTONS(0x0fff);
        proto = *(u16 *)(p + 2);
        p += 4;
    }
    if (proto != HTONS(0x0800) || p + 20 > end || p[0] >> 4 != 4)
        return 1;
    u32 ihl = (p[0] & 15) * 4;
    if (ihl < 20 || p + ihl > end)
        return 1;
    acc += *(u32 *)(p + 12) ^ *(u32 *)(p + 16);
    acc += __builtin_bswap16(*(u16 *)(p + 2));
    u8 l4 = p[9];
    p += ihl;
    if (l4 == 6) {
        if (p + 20 > end)
            return 1;
        u32 doff = (p[12] >> 4) * 4, at = 20;
        acc += (u64)__builtin_bswap32(*(u32 *)(p + 4)) << 16 | __builtin_bswap16(*(u16 *)(p + 14));
        for (u32 i = 0; i < 10 && at + 2 <= doff && at < 60; i++) {
            u8 *o = p + at;
            if (o + 4 > end)
                return 1;
            if (o[0] == 0)
                break;
            if (o[0] == 2 && o[1] == 4)
                acc += __builtin_bswap16(*(u16 *)(o + 2));
            at += o[0] == 1 || o[1] < 2 ? 1 : o[1];
        }
        acc += at;
    } else {
        if (p + 8 > end)
            return 1;
        acc += (u64)__builtin_bswap16(*(u16 *)p) << 16 | __builtin_bswap16(*(u16 *)(p + 2));
    }
    *(u64 *)(data + STATE_OFF - 8) = acc;
    return 2;
}
