/* compare the eight paths in the packet with four names, byte by byte; find the last slash */
#include "bench.h"
static const char names[4][16] = {"/etc/passwd", "/etc/shadow", "/proc/self/maps", "/tmp/nothing"};
PROG(strmatch)
{
    GET_PACKET(ctx, data);
    u64 r = next_state(data), acc = r & 1;
    for (u32 p = 0; p < 8; p++) {
        u8 *path = data + 64 + 32 * p;
        u32 slash = 0;
        for (u32 n = 0; n < 4; n++) {
            u32 i;
            for (i = 0; i < 16; i++)
                if (path[i] != (u8)names[n][i] || !path[i])
                    break;
            acc += i * (n + 1);
        }
        for (u32 i = 0; i < 32 && path[i]; i++)
            if (path[i] == '/')
                slash = i;
        acc = acc * 7 + slash;
    }
    *(u64 *)(data + STATE_OFF - 8) = acc;
    return 2;
}
