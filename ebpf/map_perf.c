/*
 * Perf event arrays: what programs say through perf_event_output. Linux has the client put a perf
 * event, with a ring of its own, at each CPU's index. Here each CPU has a ring from the start, at
 * its own index; the client reads all of them through ebpf_ringbuf_read. The records' form is
 * perf's (ebpf/commands.h), and so is the rule for a full ring: samples are dropped, and the next
 * one that finds room is preceded by a record of how many. Linux: kernel/events/ring_buffer.c,
 * kernel/bpf/arraymap.c perf_event_array_*, kernel/trace/bpf_trace.c __bpf_perf_event_output.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/commands.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

#define RING_SIZE  (128u << 10) /* a power of two */
#define RECORD_MAX (SKEP_TEXT_MAX & ~7u)

_Static_assert(RECORD_MAX <= UINT16_MAX, "a record's size fits in its header");

/* Positions count bytes for ever; a byte is at position % RING_SIZE. */
struct ring {
    uint8_t *data;
    uint64_t consumer, producer;
    uint64_t lost;            /* all that found no room */
    uint64_t lost_unreported; /* since the last record of lost ones */
};

struct perf {
    struct ring rings[PORT_NR_CPUS];
};

static int check(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_PRESERVE_ELEMS;

    if (attr->max_entries == 0 || attr->key_size != 4 || attr->value_size != 4 ||
        (attr->map_flags & ~flags) != 0)
        return -EINVAL;
    return 0;
}

static uint32_t nr_rings(const struct ebpf_map *map)
{
    return map->max_entries < PORT_NR_CPUS ? map->max_entries : PORT_NR_CPUS;
}

static void destroy(struct ebpf_map *map)
{
    struct perf *perf = map->impl;

    for (uint32_t i = 0; i < nr_rings(map); i++)
        ebpf_map_free(map, perf->rings[i].data, RING_SIZE);
    ebpf_map_free(map, perf, sizeof(*perf));
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct perf *perf = ebpf_map_alloc(map, sizeof(*perf));

    (void)attr;
    if (perf == NULL)
        return -ENOMEM;
    map->impl = perf;
    for (uint32_t i = 0; i < nr_rings(map); i++) {
        perf->rings[i].data = ebpf_map_alloc(map, RING_SIZE);
        if (perf->rings[i].data == NULL) {
            destroy(map);
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- rings ------------------------------------------------------------------------------- */

static uint64_t free_bytes(const struct ring *ring)
{
    return RING_SIZE - (ring->producer - ring->consumer);
}

/* Up to the block's end, and the rest from its start. */
static uint32_t bytes_to_end(uint64_t position, uint64_t size)
{
    uint64_t left = RING_SIZE - position % RING_SIZE;
    return (uint32_t)(size < left ? size : left);
}

static void put(struct ring *ring, const void *from, uint64_t size)
{
    uint32_t first = bytes_to_end(ring->producer, size);

    if (size == 0)
        return;
    __builtin_memcpy(ring->data + ring->producer % RING_SIZE, from, first);
    __builtin_memcpy(ring->data, (const uint8_t *)from + first, size - first);
    ring->producer += size;
}

static void copy_out(const struct ring *ring, void *to, uint64_t size)
{
    uint32_t first = bytes_to_end(ring->consumer, size);

    __builtin_memcpy(to, ring->data + ring->consumer % RING_SIZE, first);
    __builtin_memcpy((uint8_t *)to + first, ring->data, size - first);
}

static void put_lost(struct ring *ring)
{
    struct skep_perf_lost lost = {
        .header = {.type = SKEP_PERF_LOST, .size = sizeof(lost)},
        .cpu = port_cpu_id(),
        .lost = ring->lost_unreported,
    };

    put(ring, &lost, sizeof(lost));
    ring->lost_unreported = 0;
}

static long put_sample(struct ring *ring, uint64_t record, const void *data, uint64_t size,
                       const void *more, uint64_t more_size)
{
    static const uint8_t zeros[8];
    uint64_t need = record + (ring->lost_unreported != 0 ? sizeof(struct skep_perf_lost) : 0);
    struct skep_perf_sample sample = {
        .header = {.type = SKEP_PERF_SAMPLE, .size = (uint16_t)record},
        .time_ns = port_time_ns(),
        .cpu = port_cpu_id(),
        .size = (uint32_t)(record - sizeof(sample)),
    };

    if (need > free_bytes(ring)) {
        ring->lost++;
        ring->lost_unreported++;
        return -ENOSPC;
    }
    if (ring->lost_unreported != 0)
        put_lost(ring);
    put(ring, &sample, sizeof(sample));
    put(ring, data, size);
    put(ring, more, more_size);
    put(ring, zeros, sample.size - size - more_size);
    return 0;
}

/* perf_event_output: one sample into the ring at index (BPF_F_CURRENT_CPU: this CPU's), of size
 * bytes at data and more_size bytes at more (a packet's beginning; else NULL and 0).
 * -E2BIG: index beyond the array, or a sample beyond what a record holds; -ENOENT: no CPU has this
 * index; -EOPNOTSUPP: another CPU's; -ENOSPC: the ring is full. */
long ebpf_perf_output(struct ebpf_map *map, uint32_t index, const void *data, uint64_t size,
                      const void *more, uint64_t more_size)
{
    struct perf *perf = map->impl;
    uint64_t head = sizeof(struct skep_perf_sample), saved;
    long err;

    if (index == (uint32_t)BPF_F_CURRENT_CPU)
        index = port_cpu_id();
    if (index >= map->max_entries)
        return -E2BIG;
    if (index >= PORT_NR_CPUS)
        return -ENOENT;
    if (index != port_cpu_id())
        return -EOPNOTSUPP;
    /* Each alone first: together they could overflow. */
    if (size > RECORD_MAX || more_size > RECORD_MAX || size + more_size > RECORD_MAX - head)
        return -E2BIG;
    saved = port_lock();
    err = put_sample(&perf->rings[index], round_up_to(head + size + more_size, 8), data, size, more,
                     more_size);
    port_unlock(saved);
    if (err == 0)
        port_ring_notify(map);
    return err;
}

static bool take_record(struct ebpf_map *map, uint8_t *buf, size_t room, size_t *size)
{
    struct perf *perf = map->impl;
    struct skep_perf_header header;

    *size = 0;
    for (uint32_t i = 0; i < nr_rings(map); i++) {
        struct ring *ring = &perf->rings[i];

        if (ring->consumer == ring->producer)
            continue;
        copy_out(ring, &header, sizeof(header));
        *size = header.size;
        if (*size > room)
            return true;
        copy_out(ring, buf, *size);
        ring->consumer += *size;
        return true;
    }
    return false;
}

static uint64_t dropped(struct ebpf_map *map)
{
    const struct perf *perf = map->impl;
    uint64_t lost = 0;

    for (uint32_t i = 0; i < nr_rings(map); i++)
        lost += perf->rings[i].lost;
    return lost;
}

/* ---- elements: the rings are not the client's to put in or take out ------------------------ */

static uint32_t index_of(const void *key)
{
    uint32_t index;
    __builtin_memcpy(&index, key, sizeof(index));
    return index;
}

/* No handle is one of a perf event. */
static int update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    (void)value;
    if (flags != BPF_ANY)
        return -EINVAL;
    return index_of(key) >= map->max_entries ? -E2BIG : -EBADF;
}

static int remove_element(struct ebpf_map *map, const void *key)
{
    return index_of(key) >= map->max_entries ? -E2BIG : -ENOENT;
}

const struct ebpf_map_ops ebpf_map_perf_event_array = {
    .type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    .name = "perf_event_array",
    .check = check,
    .create = create,
    .destroy = destroy,
    .update = update,
    .remove = remove_element,
    .next_key = ebpf_map_next_index,
    .take_record = take_record,
    .dropped = dropped,
};
