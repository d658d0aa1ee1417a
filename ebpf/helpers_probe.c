/*
 * Helpers that read memory which may not be there. User and kernel memory are one address space
 * in Skep, so the three families (probe_read, _user, _kernel) do the same.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/port.h"

#define CHUNK 64u /* a string is read in pieces that end at multiples of this, so within a page */

/* On failure the destination is cleared, as Linux does. */
static uint64_t read_bytes(void *dst, uint32_t size, const void *src)
{
    int err = size ? port_read_safe(dst, src, size) : 0;

    if (err)
        __builtin_memset(dst, 0, size);
    return (uint64_t)(int64_t)err;
}

/* Bytes up to and with the first NUL; n when there is none. */
static uint32_t string_bytes(const char *text, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (text[i] == 0)
            return i + 1;
    return n;
}

/* Copies a string of at most size - 1 characters and its NUL from memory that may not be mapped;
 * a longer one is cut. What stands in dst behind the NUL stays as it is, so that a cleared buffer
 * is a key that compares equal. Returns the bytes written, NUL included; 0 when size is 0; -EFAULT
 * with dst cleared. Any context. */
long ebpf_read_string(char *dst, uint32_t size, const char *src)
{
    char piece[CHUNK];
    uint32_t done = 0;

    while (done < size) {
        uint32_t n = CHUNK - (uint32_t)((uintptr_t)(src + done) % CHUNK);

        if (n > size - done)
            n = size - done;
        if (port_read_safe(piece, src + done, n)) {
            __builtin_memset(dst, 0, size);
            return -EFAULT;
        }
        uint32_t used = string_bytes(piece, n);
        __builtin_memcpy(dst + done, piece, used);
        done += used;
        if (piece[used - 1] == 0)
            return done;
    }
    if (size)
        dst[size - 1] = 0;
    return size;
}

uint64_t helper_probe_read(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r4, (void)r5;
    return read_bytes((void *)r1, (uint32_t)r2, (const void *)r3);
}

uint64_t helper_probe_read_user(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return helper_probe_read(r1, r2, r3, r4, r5);
}

uint64_t helper_probe_read_kernel(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return helper_probe_read(r1, r2, r3, r4, r5);
}

uint64_t helper_probe_read_str(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r4, (void)r5;
    return (uint64_t)ebpf_read_string((char *)r1, (uint32_t)r2, (const char *)r3);
}

uint64_t helper_probe_read_user_str(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return helper_probe_read_str(r1, r2, r3, r4, r5);
}

uint64_t helper_probe_read_kernel_str(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                      uint64_t r5)
{
    return helper_probe_read_str(r1, r2, r3, r4, r5);
}
