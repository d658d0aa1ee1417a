/* 256 bytes as hexadecimal digits by a table, and 192 as base64 */
#include "bench.h"
static const char digits[80] = "0123456789abcdef"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
#define B64(n) digits[16 + ((n)&63)]
PROG(hex)
{
    GET_PACKET(ctx, data);
    data[0] = (u8)next_state(data);
    for (u32 i = 0; i < 256; i++) {
        data[600 + 2 * i] = digits[data[i] >> 4];
        data[601 + 2 * i] = digits[data[i] & 15];
    }
    for (u32 i = 0; i < 64; i++) {
        u32 v = data[3 * i] << 16 | data[3 * i + 1] << 8 | data[3 * i + 2];
        data[1120 + 4 * i] = B64(v >> 18);
        data[1121 + 4 * i] = B64(v >> 12);
        data[1122 + 4 * i] = B64(v >> 6);
        data[1123 + 4 * i] = B64(v);
    }
    return 2;
}
