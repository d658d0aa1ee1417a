/*
 * Stack traces: bpf_get_stackid and bpf_get_stack. Linux: kernel/bpf/stackmap.c. A trace begins
 * with the function that caused the event and leads outwards; what lies between it and the program,
 * the engine, is left out. The map that keeps traces is map_stack_trace.c.
 *
 * Frames are found by their frame pointers, as the psABI lays them out: at the pointer the
 * caller's, above it the return address. The machine is built with them, and machine code made of
 * programs leaves its caller's in place.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

#define FRAMES_MAX 127u /* Linux: PERF_MAX_STACK_DEPTH */

/* Return addresses, innermost first, beginning with that of the function whose frame this is. */
static uint32_t walk(const void *frame, uint64_t ips[FRAMES_MAX])
{
    uint64_t link[2], at = (uintptr_t)frame;
    uint32_t n = 0;

    while (n < FRAMES_MAX && at && at % 8 == 0 &&
           port_read_safe(link, (const void *)at, sizeof(link)) == 0 && link[1]) {
        ips[n++] = link[1];
        if (link[0] <= at)
            break;
        at = link[0];
    }
    return n;
}

/* get_stackid(ctx, map, flags). Everything runs in the kernel: of user stacks there are none. */
uint64_t helper_get_stackid(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r2;
    uint64_t ips[FRAMES_MAX];
    uint32_t n = r3 & BPF_F_USER_STACK ? 0 : walk(ebpf_run_current()->frame, ips);

    (void)r1, (void)r4, (void)r5;
    if (map->type != BPF_MAP_TYPE_STACK_TRACE)
        return helper_error(-EINVAL);
    return helper_error(ebpf_stack_id(map, ips, n, r3));
}

/* get_stack(ctx, to, size, flags): bytes written, a multiple of 8; -EINVAL; -EFAULT: nothing is
 * left behind the frames that flags skip. On failure the memory is cleared. */
uint64_t helper_get_stack(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const uint64_t known = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID;
    uint32_t skip = (uint32_t)(r4 & BPF_F_SKIP_FIELD_MASK), size = (uint32_t)r3, used = 0;
    uint64_t ips[FRAMES_MAX];
    long err = -EFAULT;

    (void)r1, (void)r5;
    if (r4 & ~known || r4 & BPF_F_USER_BUILD_ID || size % sizeof(ips[0])) {
        err = -EINVAL;
    } else if (!(r4 & BPF_F_USER_STACK)) {
        uint32_t n = walk(ebpf_run_current()->frame, ips);

        if (n > skip) {
            used = (n - skip) * (uint32_t)sizeof(ips[0]);
            used = used < size ? used : size;
            err = used;
            __builtin_memcpy((void *)r2, ips + skip, used);
        }
    }
    if (size)
        __builtin_memset((uint8_t *)r2 + used, 0, size - used);
    return helper_error(err);
}
