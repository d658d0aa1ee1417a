/*
 * Bloom filter: values are put in and asked for, never taken out; "there" may be wrong, "not there"
 * is not. Linux: kernel/bpf/bloom_filter.c, whose errors and size these are.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/hash.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

#define DEFAULT_HASHES 5u
#define VALUE_MAX      (4u << 20) /* Linux: KMALLOC_MAX_SIZE */

struct bloom {
    uint64_t *bits;
    uint64_t nr_bits; /* a power of two, at least 64 */
    uint64_t seed[2];
    uint32_t hashes; /* bits for each value */
};

static int check(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | BPF_F_RDONLY | BPF_F_WRONLY |
                           BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

    if (attr->key_size != 0 || attr->value_size == 0 || attr->max_entries == 0 ||
        (attr->map_flags & ~flags) != 0 || (attr->map_extra & ~(uint64_t)0xf) != 0)
        return -EINVAL;
    return attr->value_size > VALUE_MAX ? -E2BIG : 0;
}

/* n * k / ln 2 bits make the fewest wrong answers; 7/5 stands for 1 / ln 2. */
static uint64_t bits_for(uint32_t entries, uint32_t hashes)
{
    uint64_t wanted = (uint64_t)entries * hashes / 5 * 7, bits = 64;

    while (bits < wanted && bits < 1ull << 32)
        bits <<= 1;
    return bits;
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct bloom *bloom = ebpf_map_alloc(map, sizeof(*bloom));

    if (bloom == NULL)
        return -ENOMEM;
    bloom->hashes = attr->map_extra != 0 ? (uint32_t)attr->map_extra : DEFAULT_HASHES;
    bloom->nr_bits = bits_for(attr->max_entries, bloom->hashes);
    if ((attr->map_flags & BPF_F_ZERO_SEED) == 0) {
        bloom->seed[0] = port_random();
        bloom->seed[1] = port_random();
    }
    bloom->bits = ebpf_map_alloc(map, bloom->nr_bits / 8);
    if (bloom->bits == NULL) {
        ebpf_map_free(map, bloom, sizeof(*bloom));
        return -ENOMEM;
    }
    map->impl = bloom;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    struct bloom *bloom = map->impl;

    ebpf_map_free(map, bloom->bits, bloom->nr_bits / 8);
    ebpf_map_free(map, bloom, sizeof(*bloom));
}

/* The i-th bit of a value: two halves of one hash make as many as are wanted (Kirsch and
 * Mitzenmacher 2006). */
static uint64_t bit_number(const struct bloom *bloom, uint64_t hash, uint32_t i)
{
    return ((uint32_t)hash + i * ((hash >> 32) | 1)) & (bloom->nr_bits - 1);
}

static int push(struct ebpf_map *map, const void *value, uint64_t flags)
{
    struct bloom *bloom = map->impl;
    uint64_t hash = siphash13(value, map->value_size, bloom->seed);

    if (flags != BPF_ANY)
        return -EINVAL;
    for (uint32_t i = 0; i < bloom->hashes; i++) {
        uint64_t bit = bit_number(bloom, hash, i);
        bloom->bits[bit / 64] |= 1ull << (bit % 64);
    }
    return 0;
}

/* 0: the value may be there; -ENOENT: it is not. */
static int peek(struct ebpf_map *map, void *value)
{
    struct bloom *bloom = map->impl;
    uint64_t hash = siphash13(value, map->value_size, bloom->seed);

    for (uint32_t i = 0; i < bloom->hashes; i++) {
        uint64_t bit = bit_number(bloom, hash, i);
        if ((bloom->bits[bit / 64] & 1ull << (bit % 64)) == 0)
            return -ENOENT;
    }
    return 0;
}

static int no_removal(struct ebpf_map *map, const void *key)
{
    (void)map;
    (void)key;
    return -EOPNOTSUPP;
}

static int no_next_key(struct ebpf_map *map, const void *key, void *next)
{
    (void)next;
    return no_removal(map, key);
}

const struct ebpf_map_ops ebpf_map_bloom_filter = {
    .type = BPF_MAP_TYPE_BLOOM_FILTER,
    .name = "bloom_filter",
    .check = check,
    .create = create,
    .destroy = destroy,
    .remove = no_removal,
    .next_key = no_next_key,
    .push = push,
    .peek = peek,
};
