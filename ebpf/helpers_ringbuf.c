/*
 * Helpers on ring buffers. A record that a run reserved is kept in the run, so that the checked
 * interpreter knows it may be written and what is neither submitted nor discarded goes back at the
 * end.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/ringbuf.h"

#define WAKEUP_FLAGS (BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)

static void commit(struct ebpf_map *map, void *record, bool discard, uint64_t flags)
{
    uint64_t saved = port_lock();

    map->ops->commit(map, record, discard, flags);
    port_unlock(saved);
}

/* NULL also when the run holds as many records as it has room for. */
uint64_t helper_ringbuf_reserve(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    struct ebpf_run *run = ebpf_run_current();
    uint64_t saved;
    void *record;

    (void)r4, (void)r5;
    if (!map->ops->reserve || r3 || run->nr_records == ARRAY_LEN(run->records))
        return 0;
    saved = port_lock();
    record = map->ops->reserve(map, r2);
    port_unlock(saved);
    if (!record)
        return 0;
    run->records[run->nr_records].data = record;
    run->records[run->nr_records].size = (uint32_t)r2;
    run->records[run->nr_records++].map = map;
    return (uintptr_t)record;
}

static uint64_t finish(uint64_t record, bool discard, uint64_t flags)
{
    struct ebpf_run *run = ebpf_run_current();

    for (uint32_t i = 0; i < run->nr_records; i++) {
        if ((uintptr_t)run->records[i].data != record)
            continue;
        commit(run->records[i].map, run->records[i].data, discard, flags);
        run->records[i] = run->records[--run->nr_records];
        break;
    }
    return 0;
}

uint64_t helper_ringbuf_submit(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r3, (void)r4, (void)r5;
    return finish(r1, false, r2);
}

uint64_t helper_ringbuf_discard(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r3, (void)r4, (void)r5;
    return finish(r1, true, r2);
}

/* ringbuf_output(map, data, size, flags): 0, -EINVAL for unknown flags, -EAGAIN when it is full. */
uint64_t helper_ringbuf_output(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved;
    void *record;

    (void)r5;
    if (!map->ops->reserve || (r4 & ~(uint64_t)WAKEUP_FLAGS))
        return (uint64_t)(int64_t)-EINVAL;
    saved = port_lock();
    record = map->ops->reserve(map, r3);
    port_unlock(saved);
    if (!record)
        return (uint64_t)(int64_t)-EAGAIN;
    __builtin_memcpy(record, (const void *)r2, r3);
    commit(map, record, false, r4);
    return 0;
}

uint64_t helper_ringbuf_query(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved, value;

    (void)r3, (void)r4, (void)r5;
    if (!map->ops->query)
        return 0;
    saved = port_lock();
    value = map->ops->query(map, r2);
    port_unlock(saved);
    return value;
}

void ebpf_ringbuf_discard_all(struct ebpf_run *run)
{
    while (run->nr_records) {
        uint32_t last = --run->nr_records;

        commit(run->records[last].map, run->records[last].data, true, BPF_RB_NO_WAKEUP);
    }
}

uint64_t ebpf_ringbuf_reserve_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;

    (void)r4, (void)r5;
    return map->ops->ring && !r3 ? (uintptr_t)ebpf_ringbuf_reserve(map->ops->ring(map), r2) : 0;
}

uint64_t ebpf_ringbuf_submit_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r3, (void)r4, (void)r5;
    ebpf_ringbuf_commit((void *)r1, false, r2);
    return 0;
}

uint64_t ebpf_ringbuf_discard_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5)
{
    (void)r3, (void)r4, (void)r5;
    ebpf_ringbuf_commit((void *)r1, true, r2);
    return 0;
}
