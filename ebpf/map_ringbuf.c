/*
 * The ring buffer: one producer side (programs, any context) and one reader (the command server,
 * through ebpf_ringbuf_read). Records have Linux's form and order (kernel/bpf/ringbuf.c): a header
 * of length with a busy and a discard bit, then data, rounded up to 8; a reader stops at the first
 * busy record.
 *
 * Positions count bytes for ever; a record begins at position & mask. Where Linux maps its pages
 * twice so that a record may run over the end, here the block is twice as long and the record does
 * run over the end: the bytes at the block's start which it stands for belong to nobody meanwhile.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/commands.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/ringbuf.h"

#define PAGE_SIZE 4096u

_Static_assert(sizeof(struct ebpf_ringbuf) <= PAGE_SIZE, "the ring has the page before its data");

static int check(const union bpf_attr *attr)
{
    if ((attr->map_flags & ~(uint32_t)BPF_F_NUMA_NODE) != 0 || attr->key_size != 0 ||
        attr->value_size != 0 || !is_power_of_two(attr->max_entries) ||
        attr->max_entries % PAGE_SIZE != 0)
        return -EINVAL;
    return 0;
}

static size_t block_size(uint32_t max_entries)
{
    return PAGE_SIZE + 2 * (size_t)max_entries;
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    uint8_t *block = ebpf_map_alloc(map, block_size(attr->max_entries));
    struct ebpf_ringbuf *rb = (struct ebpf_ringbuf *)block;

    if (block == NULL)
        return -ENOMEM;
    rb->mask = attr->max_entries - 1;
    rb->data = block + PAGE_SIZE;
    rb->map = map;
    map->impl = rb;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    ebpf_map_free(map, map->impl, block_size(map->max_entries));
}

static uint32_t data_length(const struct ebpf_ringbuf_header *header)
{
    return header->len & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
}

static void *reserve(struct ebpf_map *map, uint64_t size)
{
    return ebpf_ringbuf_reserve(map->impl, size);
}

/* Gives back what was reserved; flags are BPF_RB_NO_WAKEUP or BPF_RB_FORCE_WAKEUP. Any context. */
void ebpf_ringbuf_commit(void *record, bool discard, uint64_t flags)
{
    struct ebpf_ringbuf_header *header = (struct ebpf_ringbuf_header *)record - 1;
    const struct ebpf_ringbuf *rb =
        (const struct ebpf_ringbuf *)((uint8_t *)header - (uint64_t)header->from * 8);
    bool reader_waits = header == ebpf_ringbuf_at(rb, rb->consumer);

    header->len = data_length(header) | (discard ? BPF_RINGBUF_DISCARD_BIT : 0);
    if ((flags & BPF_RB_FORCE_WAKEUP) != 0 || (reader_waits && (flags & BPF_RB_NO_WAKEUP) == 0))
        port_ring_notify(rb->map);
}

static void commit(struct ebpf_map *map, void *record, bool discard, uint64_t flags)
{
    (void)map;
    ebpf_ringbuf_commit(record, discard, flags);
}

static struct ebpf_ringbuf *ring(struct ebpf_map *map)
{
    return map->impl;
}

static uint64_t query(struct ebpf_map *map, uint64_t what)
{
    const struct ebpf_ringbuf *rb = map->impl;

    switch (what) {
    case BPF_RB_AVAIL_DATA:
        return rb->producer - rb->consumer;
    case BPF_RB_RING_SIZE:
        return rb->mask + 1;
    case BPF_RB_CONS_POS:
        return rb->consumer;
    case BPF_RB_PROD_POS:
        return rb->producer;
    }
    return 0;
}

/* A record that no reply could carry would be in the way for ever. */
static bool is_too_large(const struct ebpf_ringbuf_header *header)
{
    return ebpf_ringbuf_record_size(data_length(header)) > SKEP_TEXT_MAX;
}

/* As u32 length, u32 zero, data padded to 8. */
static void copy_record(const struct ebpf_ringbuf_header *header, uint8_t *buf)
{
    uint32_t head[2] = {data_length(header), 0};
    size_t end = sizeof(head) + head[0];

    __builtin_memcpy(buf, head, sizeof(head));
    __builtin_memcpy(buf + sizeof(head), header + 1, head[0]);
    __builtin_memset(buf + end, 0, ebpf_ringbuf_record_size(head[0]) - end);
}

static bool take_record(struct ebpf_map *map, uint8_t *buf, size_t room, size_t *size)
{
    struct ebpf_ringbuf *rb = map->impl;
    const struct ebpf_ringbuf_header *header = ebpf_ringbuf_at(rb, rb->consumer);

    *size = 0;
    if (rb->consumer == rb->producer || (header->len & BPF_RINGBUF_BUSY_BIT) != 0)
        return false;
    if (is_too_large(header)) {
        rb->dropped++;
    } else if ((header->len & BPF_RINGBUF_DISCARD_BIT) == 0) {
        *size = ebpf_ringbuf_record_size(data_length(header));
        if (*size > room)
            return true;
        copy_record(header, buf);
    }
    rb->consumer += ebpf_ringbuf_record_size(data_length(header));
    return true;
}

static uint64_t dropped(struct ebpf_map *map)
{
    const struct ebpf_ringbuf *rb = map->impl;
    return rb->dropped;
}

const struct ebpf_map_ops ebpf_map_ringbuf = {
    .type = BPF_MAP_TYPE_RINGBUF,
    .name = "ringbuf",
    .check = check,
    .create = create,
    .destroy = destroy,
    .reserve = reserve,
    .commit = commit,
    .query = query,
    .ring = ring,
    .take_record = take_record,
    .dropped = dropped,
};
