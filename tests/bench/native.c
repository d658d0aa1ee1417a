/*
 * Plain native maps: an array; a chained hash table with a multiplicative hash; a ring buffer that
 * is a cursor in a block. No lock, no seed, no checks: the limit to compare with.
 */
#include "tests/bench/native.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/bpf.h>

struct entry {
    struct entry *next;
    uint8_t key[]; /* the value follows, at a multiple of 8 */
};

static struct {
    uint32_t type, key_size, value_size, entries, mask, used;
    uint32_t value_offset, entry_size;
    uint8_t *block;
    struct entry **buckets;
    uint64_t cursor;
} map;

void native_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries)
{
    free(map.block);
    free(map.buckets);
    memset(&map, 0, sizeof(map));
    map.type = type;
    map.key_size = key_size;
    map.value_size = value_size;
    map.entries = entries;
    map.value_offset = (uint32_t)sizeof(struct entry) + (key_size + 7) / 8 * 8;
    map.entry_size = map.value_offset + (value_size + 7) / 8 * 8;
    map.mask = 1;
    while (map.mask < entries)
        map.mask *= 2;
    map.mask--;
    map.block = calloc(entries + 1, type == BPF_MAP_TYPE_RINGBUF ? 1 : map.entry_size);
    map.buckets = calloc(map.mask + 1u, sizeof(map.buckets[0]));
}

void native_ring_drain(void)
{
    map.cursor = 0;
}

static uint32_t hash(const uint8_t *key)
{
    uint64_t h = 0, word;
    uint32_t n = 0;

    for (; n + 8 <= map.key_size; n += 8) {
        memcpy(&word, key + n, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    for (; n < map.key_size; n++)
        h = (h ^ key[n]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 29) & map.mask;
}

static struct entry *find(const void *key)
{
    struct entry *e = map.buckets[hash(key)];

    while (e && memcmp(e->key, key, map.key_size) != 0)
        e = e->next;
    return e;
}

void *native_map_lookup_elem(void *handle, const void *key)
{
    struct entry *e;

    (void)handle;
    if (map.type == BPF_MAP_TYPE_ARRAY || map.type == BPF_MAP_TYPE_PERCPU_ARRAY) {
        uint32_t index;

        memcpy(&index, key, sizeof(index));
        return index < map.entries ? map.block + (size_t)index * map.value_size : NULL;
    }
    e = find(key);
    return e ? (uint8_t *)e + map.value_offset : NULL;
}

long native_map_update_elem(void *handle, const void *key, const void *value,
                            unsigned long long flags)
{
    struct entry *e = find(key), **bucket = &map.buckets[hash(key)];

    (void)handle, (void)flags;
    if (!e) {
        if (map.used == map.entries)
            return -7;
        e = (struct entry *)(map.block + (size_t)map.used++ * map.entry_size);
        memcpy(e->key, key, map.key_size);
        e->next = *bucket;
        *bucket = e;
    }
    memcpy((uint8_t *)e + map.value_offset, value, map.value_size);
    return 0;
}

long native_map_delete_elem(void *handle, const void *key)
{
    (void)handle, (void)key;
    return -2;
}

unsigned long long native_ktime_get_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec;
}

unsigned int native_get_smp_processor_id(void)
{
    return 0;
}

void *native_ringbuf_reserve(void *ring, unsigned long long size, unsigned long long flags)
{
    uint8_t *record = map.block + map.cursor;

    (void)ring, (void)flags;
    if (map.cursor + size + 8 > map.entries)
        return NULL;
    map.cursor += (size + 15) & ~7ull;
    memcpy(record, &size, 8);
    return record + 8;
}

void native_ringbuf_submit(void *data, unsigned long long flags)
{
    (void)flags;
    ((uint32_t *)data)[-1] = 1;
}
