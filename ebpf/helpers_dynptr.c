/*
 * Helpers on dynptrs: memory whose size is known only when the program runs, with bounds that the
 * helpers test. Linux: kernel/bpf/helpers.c and ringbuf.c, as of 6.1: over memory of a map value,
 * or over a ring buffer's record. A program sees 16 opaque bytes on its stack.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"

#define SIZE_MAX_ ((1u << 24) - 1) /* Linux: DYNPTR_MAX_SIZE */

_Static_assert(sizeof(struct ebpf_dynptr) == sizeof(struct bpf_dynptr), "what programs have");

static bool is_inside(const struct ebpf_dynptr *ptr, uint32_t offset, uint32_t len)
{
    return len <= ptr->size && offset <= ptr->size - len;
}

static struct ebpf_dynptr *set(uint64_t to, void *data, uint32_t size)
{
    struct ebpf_dynptr *ptr = (struct ebpf_dynptr *)to;

    *ptr = (struct ebpf_dynptr){data, size, 0};
    return ptr;
}

/* dynptr_from_mem(data, size, flags, dynptr): 0, -E2BIG, -EINVAL for flags. */
uint64_t helper_dynptr_from_mem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r5;
    set(r4, NULL, 0);
    if (r2 > SIZE_MAX_)
        return helper_error(-E2BIG);
    if (r3)
        return helper_error(-EINVAL);
    set(r4, (void *)r1, (uint32_t)r2);
    return 0;
}

/* dynptr_read(to, len, dynptr, offset, flags): 0, -E2BIG beyond its end, -EINVAL. */
uint64_t helper_dynptr_read(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_dynptr *from = (const struct ebpf_dynptr *)r3;

    if (!from->data || r5)
        return helper_error(-EINVAL);
    if (!is_inside(from, (uint32_t)r4, (uint32_t)r2))
        return helper_error(-E2BIG);
    __builtin_memmove((void *)r1, from->data + (uint32_t)r4, (uint32_t)r2);
    return 0;
}

/* dynptr_write(dynptr, offset, from, len, flags): likewise. */
uint64_t helper_dynptr_write(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_dynptr *to = (const struct ebpf_dynptr *)r1;

    if (!to->data || r5)
        return helper_error(-EINVAL);
    if (!is_inside(to, (uint32_t)r2, (uint32_t)r4))
        return helper_error(-E2BIG);
    __builtin_memmove(to->data + (uint32_t)r2, (const void *)r3, (uint32_t)r4);
    return 0;
}

/* dynptr_data(dynptr, offset, len): address of that part, or 0. */
uint64_t helper_dynptr_data(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const struct ebpf_dynptr *ptr = (const struct ebpf_dynptr *)r1;

    (void)r4, (void)r5;
    if (!ptr->data || !is_inside(ptr, (uint32_t)r2, (uint32_t)r3))
        return 0;
    return (uintptr_t)(ptr->data + (uint32_t)r2);
}

/* ---- records of ring buffers ------------------------------------------------------------------
 */

/* ringbuf_reserve_dynptr(map, size, flags, dynptr): 0, or -EINVAL and a dynptr of nothing, which
 * must be submitted or discarded all the same. */
uint64_t helper_ringbuf_reserve_dynptr(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                       uint64_t r5)
{
    uint32_t size = (uint32_t)r2;
    uint64_t record;

    (void)r5;
    set(r4, NULL, 0);
    if (r3)
        return helper_error(-EINVAL);
    if (size > SIZE_MAX_)
        return helper_error(-E2BIG);
    record = helper_ringbuf_reserve(r1, size, 0, 0, 0);
    if (!record)
        return helper_error(-EINVAL);
    set(r4, (void *)record, size);
    return 0;
}

uint64_t helper_ringbuf_submit_dynptr(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                      uint64_t r5)
{
    struct ebpf_dynptr *ptr = (struct ebpf_dynptr *)r1;

    if (ptr->data)
        helper_ringbuf_submit((uintptr_t)ptr->data, r2, r3, r4, r5);
    set(r1, NULL, 0);
    return 0;
}

uint64_t helper_ringbuf_discard_dynptr(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                       uint64_t r5)
{
    struct ebpf_dynptr *ptr = (struct ebpf_dynptr *)r1;

    if (ptr->data)
        helper_ringbuf_discard((uintptr_t)ptr->data, r2, r3, r4, r5);
    set(r1, NULL, 0);
    return 0;
}
