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

#define PAGE_SIZE 4096u

struct header {
    uint32_t len; /* of the data, with the bits below */
    uint32_t pad;
};

_Static_assert(sizeof(struct header) == BPF_RINGBUF_HDR_SZ, "the header is Linux's");

struct ringbuf {
    uint8_t *data; /* twice max_entries bytes */
    uint64_t mask;
    uint64_t consumer, producer; /* positions, guarded by port_lock */
    uint64_t dropped;            /* records that found no room, or no reader */
};

static int check(const union bpf_attr *attr)
{
    if ((attr->map_flags & ~(uint32_t)BPF_F_NUMA_NODE) != 0 || attr->key_size != 0 ||
        attr->value_size != 0 || !is_power_of_two(attr->max_entries) ||
        attr->max_entries % PAGE_SIZE != 0)
        return -EINVAL;
    return 0;
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct ringbuf *rb = ebpf_map_alloc(map, sizeof(*rb));

    if (rb == NULL)
        return -ENOMEM;
    rb->mask = attr->max_entries - 1;
    rb->data = ebpf_map_alloc(map, 2 * (size_t)attr->max_entries);
    if (rb->data == NULL) {
        ebpf_map_free(map, rb, sizeof(*rb));
        return -ENOMEM;
    }
    map->impl = rb;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    struct ringbuf *rb = map->impl;

    ebpf_map_free(map, rb->data, 2 * (size_t)map->max_entries);
    ebpf_map_free(map, rb, sizeof(*rb));
}

static struct header *header_at(const struct ringbuf *rb, uint64_t position)
{
    return (struct header *)(rb->data + (position & rb->mask));
}

static uint32_t data_length(const struct header *header)
{
    return header->len & ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
}

static uint64_t record_size(uint64_t data_length)
{
    return round_up_to(data_length + sizeof(struct header), 8);
}

static void *reserve(struct ebpf_map *map, uint64_t size)
{
    struct ringbuf *rb = map->impl;
    struct header *header;

    /* size first: a huge one would overflow the rounding. */
    if (size > rb->mask || rb->producer + record_size(size) - rb->consumer > rb->mask) {
        rb->dropped++;
        return NULL;
    }
    header = header_at(rb, rb->producer);
    header->len = (uint32_t)size | BPF_RINGBUF_BUSY_BIT;
    header->pad = 0;
    rb->producer += record_size(size);
    return header + 1;
}

static void commit(struct ebpf_map *map, void *record, bool discard, uint64_t flags)
{
    struct ringbuf *rb = map->impl;
    struct header *header = (struct header *)record - 1;
    bool reader_waits = header == header_at(rb, rb->consumer);

    header->len = data_length(header) | (discard ? BPF_RINGBUF_DISCARD_BIT : 0);
    if ((flags & BPF_RB_FORCE_WAKEUP) != 0 || (reader_waits && (flags & BPF_RB_NO_WAKEUP) == 0))
        port_ring_notify(map);
}

static uint64_t query(struct ebpf_map *map, uint64_t what)
{
    const struct ringbuf *rb = map->impl;

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
static bool is_too_large(const struct header *header)
{
    return record_size(data_length(header)) > SKEP_TEXT_MAX;
}

/* As u32 length, u32 zero, data padded to 8. */
static void copy_record(const struct header *header, uint8_t *buf)
{
    uint32_t head[2] = {data_length(header), 0};
    size_t end = sizeof(head) + head[0];

    __builtin_memcpy(buf, head, sizeof(head));
    __builtin_memcpy(buf + sizeof(head), header + 1, head[0]);
    __builtin_memset(buf + end, 0, record_size(head[0]) - end);
}

static bool take_record(struct ebpf_map *map, uint8_t *buf, size_t room, size_t *size)
{
    struct ringbuf *rb = map->impl;
    const struct header *header = header_at(rb, rb->consumer);

    *size = 0;
    if (rb->consumer == rb->producer || (header->len & BPF_RINGBUF_BUSY_BIT) != 0)
        return false;
    if (is_too_large(header)) {
        rb->dropped++;
    } else if ((header->len & BPF_RINGBUF_DISCARD_BIT) == 0) {
        *size = record_size(data_length(header));
        if (*size > room)
            return true;
        copy_record(header, buf);
    }
    rb->consumer += record_size(data_length(header));
    return true;
}

static uint64_t dropped(struct ebpf_map *map)
{
    const struct ringbuf *rb = map->impl;
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
    .take_record = take_record,
    .dropped = dropped,
};
