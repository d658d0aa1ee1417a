/*
 * Maps against a simple model under random operations, and the corners where Linux's rules are
 * particular. Allocation is made to fail at each point.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/hash.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

#define LIMIT (64u << 20)

static void set_up(void)
{
    cr_assert_eq(ebpf_init(LIMIT), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left");
    cr_assert_eq(ebpf_map_bytes(NULL), 0, "map memory is left");
    cr_assert_eq(host_port_blocks(), 0, "blocks are left");
    leakcheck();
}

TestSuite(map, .init = set_up, .fini = tear_down);

static int make(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags,
                struct ebpf_map **out)
{
    union bpf_attr attr = {.map_type = type,
                           .key_size = key,
                           .value_size = value,
                           .max_entries = entries,
                           .map_flags = flags,
                           .map_name = "test"};
    return ebpf_map_create(&attr, NULL, out);
}

static struct ebpf_map *must_make(uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
                                  uint32_t flags)
{
    struct ebpf_map *map;
    cr_assert_eq(make(type, key, value, entries, flags, &map), 0);
    return map;
}

/* ---- hash tables against a model --------------------------------------------------------- */

#define KEYS    64
#define ENTRIES 40

struct model {
    bool there[KEYS];
    uint64_t value[KEYS][2];
    unsigned count;
};

static int model_update(struct model *m, unsigned key, const uint64_t value[2], uint64_t flags)
{
    if (flags > BPF_EXIST)
        return -EINVAL;
    if (m->there[key] && flags == BPF_NOEXIST)
        return -EEXIST;
    if (!m->there[key] && flags == BPF_EXIST)
        return -ENOENT;
    if (!m->there[key] && m->count == ENTRIES)
        return -E2BIG;
    m->count += !m->there[key];
    m->there[key] = true;
    memcpy(m->value[key], value, sizeof(m->value[key]));
    return 0;
}

static int model_remove(struct model *m, unsigned key)
{
    if (!m->there[key])
        return -ENOENT;
    m->there[key] = false;
    m->count--;
    return 0;
}

/* A walk by get_next_key sees each element once. */
static void compare_by_walking(struct ebpf_map *map, const struct model *m)
{
    bool seen[KEYS] = {false};
    uint32_t key, next;
    unsigned count = 0;
    int err = ebpf_map_next_key(map, NULL, &next);

    for (; err == 0; err = ebpf_map_next_key(map, &key, &next)) {
        key = next;
        cr_assert_lt(key, KEYS);
        cr_assert(m->there[key] && !seen[key]);
        seen[key] = true;
        count++;
    }
    cr_assert_eq(err, -ENOENT);
    cr_assert_eq(count, m->count);
}

static void compare(struct ebpf_map *map, const struct model *m)
{
    uint64_t value[2];

    for (uint32_t key = 0; key < KEYS; key++) {
        int err = ebpf_map_read(map, &key, value, 0);
        cr_assert_eq(err, m->there[key] ? 0 : -ENOENT);
        if (err == 0)
            cr_assert_arr_eq(value, m->value[key], sizeof(value));
    }
    compare_by_walking(map, m);
}

static void random_operations(uint32_t flags)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 16, ENTRIES, flags);
    struct model m = {0};

    srand(flags + 1);
    for (int i = 0; i < 30000; i++) {
        uint32_t key = (uint32_t)rand() % KEYS;
        uint64_t value[2] = {(uint64_t)rand(), (uint64_t)rand()}, out[2];
        uint64_t how = (uint64_t)rand() % 4;

        switch (rand() % 8) {
        case 0:
        case 1:
        case 2:
            cr_assert_eq(ebpf_map_write(map, &key, value, how), model_update(&m, key, value, how));
            break;
        case 3:
        case 4:
            cr_assert_eq(ebpf_map_remove(map, &key), model_remove(&m, key));
            break;
        case 5:
            cr_assert_eq(ebpf_map_take(map, &key, out, 0), m.there[key] ? 0 : -ENOENT);
            if (m.there[key])
                cr_assert_arr_eq(out, m.value[key], sizeof(out));
            model_remove(&m, key);
            break;
        default:
            cr_assert_eq(ebpf_map_read(map, &key, out, 0), m.there[key] ? 0 : -ENOENT);
        }
        if (i % 500 == 0)
            compare(map, &m);
    }
    compare(map, &m);
    ebpf_map_put(map);
}

Test(map, hash_behaves_as_the_model)
{
    random_operations(0);
}

Test(map, hash_without_preallocation_behaves_as_the_model)
{
    random_operations(BPF_F_NO_PREALLOC);
}

Test(map, odd_key_sizes)
{
    for (uint32_t size = 1; size <= 33; size++) {
        struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, size, size, 300, BPF_F_NO_PREALLOC);
        uint8_t key[33], value[40];

        for (unsigned i = 0; i < 200; i++) {
            memset(key, 7, sizeof(key));
            key[size - 1] = (uint8_t)i;
            cr_assert_eq(ebpf_map_write(map, key, key, BPF_NOEXIST), 0);
        }
        for (unsigned i = 0; i < 200; i++) {
            memset(key, 7, sizeof(key));
            memset(value, 0xee, sizeof(value));
            key[size - 1] = (uint8_t)i;
            cr_assert_eq(ebpf_map_read(map, key, value, 0), 0);
            cr_assert_arr_eq(value, key, size);
            cr_assert_eq(value[size], 0xee, "not a byte more than the value");
        }
        ebpf_map_put(map);
    }
}

Test(map, iteration_starts_again_when_the_key_is_gone)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 4, 8, 0);
    uint32_t first, next, key;

    for (key = 0; key < 8; key++)
        cr_assert_eq(ebpf_map_write(map, &key, &key, 0), 0);
    cr_assert_eq(ebpf_map_next_key(map, NULL, &first), 0);
    key = 1000;
    cr_assert_eq(ebpf_map_next_key(map, &key, &next), 0);
    cr_assert_eq(next, first);
    /* Deleting while walking by "next of nothing" empties the map. */
    for (unsigned n = 0; n < 8; n++) {
        cr_assert_eq(ebpf_map_next_key(map, NULL, &key), 0);
        cr_assert_eq(ebpf_map_remove(map, &key), 0);
    }
    cr_assert_eq(ebpf_map_next_key(map, NULL, &key), -ENOENT);
    ebpf_map_put(map);
}

Test(map, a_full_map_still_takes_existing_keys)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 4, 2, 0);
    uint32_t key;

    for (key = 0; key < 2; key++)
        cr_assert_eq(ebpf_map_write(map, &key, &key, 0), 0);
    cr_assert_eq(ebpf_map_write(map, &key, &key, 0), -E2BIG);
    key = 1;
    cr_assert_eq(ebpf_map_write(map, &key, &(uint32_t){9}, BPF_EXIST), 0);
    ebpf_map_put(map);
}

Test(map, an_address_from_lookup_stays_within_the_map)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 12, 200, BPF_F_NO_PREALLOC);
    uint32_t key = 5, value[3] = {1, 2, 3};

    cr_assert_eq(ebpf_map_write(map, &key, value, 0), 0);
    uint8_t *at = map->ops->lookup(map, &key);
    cr_assert(map->ops->owns(map, (uintptr_t)at, 12));
    cr_assert(map->ops->owns(map, (uintptr_t)at + 4, 8));
    cr_assert_not(map->ops->owns(map, (uintptr_t)at + 4, 9));
    cr_assert_not(map->ops->owns(map, (uintptr_t)at - 1, 1), "the key is no value");
    cr_assert_eq(ebpf_map_remove(map, &key), 0);
    for (uint32_t k = 100; k < 299; k++)
        cr_assert_eq(ebpf_map_write(map, &k, value, 0), 0);
    cr_assert(map->ops->owns(map, (uintptr_t)at, 12), "also after the map grew");
    ebpf_map_put(map);
}

Test(map, lru_keeps_what_programs_use)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_LRU_HASH, 4, 4, 100, 0);
    uint32_t hot = 1;

    cr_assert_eq(ebpf_map_write(map, &hot, &hot, 0), 0);
    for (uint32_t key = 1000; key < 3000; key++) {
        cr_assert_not_null(map->ops->lookup(map, &hot), "key %u threw the hot one out", key);
        cr_assert_eq(ebpf_map_write(map, &key, &key, 0), 0);
    }
    uint32_t last = 2999, old = 1000, value;
    cr_assert_eq(ebpf_map_read(map, &last, &value, 0), 0);
    cr_assert_eq(ebpf_map_read(map, &old, &value, 0), -ENOENT);
    ebpf_map_put(map);
}

Test(map, bad_hash_definitions)
{
    struct ebpf_map *map;

    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 0, 4, 1, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 0, 1, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, 0, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_MMAPABLE, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 8u << 20, 1, 0, &map), -E2BIG);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, UINT32_MAX, 0, &map), -E2BIG);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, (1u << 27) + 1, 0, &map), -E2BIG);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, 1u << 27, 0, &map), -ENOMEM);
    cr_assert_eq(make(BPF_MAP_TYPE_LRU_HASH, 4, 4, 8, BPF_F_NO_PREALLOC, &map), -EBPF_ENOTSUPP);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, 8, BPF_F_NO_COMMON_LRU, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_HASH, 4, 4, 8, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, &map),
                 -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_SK_STORAGE, 4, 4, 8, 0, &map), -EINVAL);
    cr_assert_eq(make(0, 4, 4, 8, 0, &map), -EINVAL);
    cr_assert_eq(make(4000000000u, 4, 4, 8, 0, &map), -EINVAL);
}

/* ---- arrays ------------------------------------------------------------------------------ */

Test(map, array_rules)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_ARRAY, 4, 5, 10, BPF_F_MMAPABLE);
    uint32_t key = 9, next;
    uint8_t value[6] = {1, 2, 3, 4, 5, 0xee};

    cr_assert_eq(ebpf_map_write(map, &key, value, BPF_NOEXIST), -EEXIST);
    cr_assert_eq(ebpf_map_write(map, &key, value, 3), -EINVAL);
    cr_assert_eq(ebpf_map_write(map, &key, value, BPF_EXIST), 0);
    memset(value, 0, 5);
    cr_assert_eq(ebpf_map_read(map, &key, value, 0), 0);
    cr_assert_arr_eq(value, ((uint8_t[]){1, 2, 3, 4, 5, 0xee}), 6);
    cr_assert_eq(ebpf_map_remove(map, &key), -EINVAL);
    cr_assert_eq(ebpf_map_next_key(map, &key, &next), -ENOENT);
    key = 10;
    cr_assert_eq(ebpf_map_write(map, &key, value, 0), -E2BIG);
    cr_assert_eq(ebpf_map_read(map, &key, value, 0), -ENOENT);
    cr_assert_eq(ebpf_map_next_key(map, &key, &next), 0);
    cr_assert_eq(next, 0, "after a key that is none comes the first");
    cr_assert_eq(ebpf_map_take(map, &next, value, 0), -EBPF_ENOTSUPP);

    key = 3;
    uint8_t *at = map->ops->lookup(map, &key);
    cr_assert(map->ops->owns(map, (uintptr_t)at, 5));
    cr_assert_not(map->ops->owns(map, (uintptr_t)at, 6), "values do not run into each other");
    cr_assert_not(map->ops->owns(map, (uintptr_t)at + 5, 1));
    cr_assert_not(map->ops->owns(map, UINTPTR_MAX, 1));
    ebpf_map_put(map);
}

Test(map, direct_values_are_for_arrays_of_one)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_ARRAY, 4, 32, 1, 0);
    void *at;

    cr_assert_eq(map->ops->direct_value(map, 16, &at), 0);
    cr_assert_eq((uint8_t *)at - (uint8_t *)map->ops->lookup(map, &(uint32_t){0}), 16);
    cr_assert_eq(map->ops->direct_value(map, 32, &at), -EINVAL);
    ebpf_map_put(map);
    map = must_make(BPF_MAP_TYPE_ARRAY, 4, 32, 2, 0);
    cr_assert_eq(map->ops->direct_value(map, 0, &at), -EBPF_ENOTSUPP);
    ebpf_map_put(map);
}

Test(map, per_cpu_values_travel_for_all_cpus)
{
    const uint32_t types[] = {BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH};

    for (int i = 0; i < 2; i++) {
        struct ebpf_map *map = must_make(types[i], 4, 5, 10, 0);
        uint64_t all[PORT_NR_CPUS], back[PORT_NR_CPUS];
        uint32_t key = 3;

        cr_assert_eq(ebpf_map_value_size(map), 8 * PORT_NR_CPUS);
        memset(all, 0x11, sizeof(all));
        cr_assert_eq(ebpf_map_write(map, &key, all, 0), 0);
        cr_assert_eq(map->ops->update(map, &key, "abcde", 0), 0);
        cr_assert_arr_eq(map->ops->lookup(map, &key), "abcde", 5);
        cr_assert_eq(ebpf_map_read(map, &key, back, 0), 0);
        cr_assert_arr_eq(&back[port_cpu_id()], "abcde", 5);
        ebpf_map_put(map);
    }
}

/* ---- ring buffer ------------------------------------------------------------------------- */

Test(map, bad_ring_definitions)
{
    struct ebpf_map *map;

    cr_assert_eq(make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4095, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_RINGBUF, 0, 0, 2048, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_RINGBUF, 0, 0, 12288, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_RINGBUF, 4, 0, 4096, 0, &map), -EINVAL);
    cr_assert_eq(make(BPF_MAP_TYPE_RINGBUF, 0, 0, 0, 0, &map), -EINVAL);
}

/* Records of random length go in and come out whole, in order; those without room are counted. */
Test(map, ring_keeps_order_and_bytes)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
    uint32_t put = 0, got = 0, failed = 0;
    uint64_t dropped = 0;
    uint8_t buf[2048];

    srand(7);
    for (int round = 0; round < 20000; round++) {
        uint32_t size = 4 + (uint32_t)rand() % 600;

        if (rand() % 3 != 0) {
            uint8_t *record = map->ops->reserve(map, size);
            if (record == NULL) {
                failed++;
                continue;
            }
            bool discard = rand() % 5 == 0;
            memset(record, (int)(put & 0xff), size);
            memcpy(record, &put, 4);
            map->ops->commit(map, record, discard, 0);
            put += !discard;
            continue;
        }
        long n = ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped);
        cr_assert_geq(n, 0);
        for (long at = 0; at < n;) {
            uint32_t len, number;
            memcpy(&len, buf + at, 4);
            memcpy(&number, buf + at + 8, 4);
            cr_assert_eq(number, got);
            for (uint32_t i = 4; i < len; i++)
                cr_assert_eq(buf[at + 8 + i], got & 0xff);
            got++;
            at += 8 + (len + 7) / 8 * 8;
        }
    }
    while (ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped) > 0)
        continue;
    cr_assert_eq(dropped, failed);
    cr_assert_gt(failed, 100);
    cr_assert_eq(ebpf_ringbuf_pending(map), 0);
    ebpf_map_put(map);
}

Test(map, a_reader_stops_at_a_busy_record)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
    uint8_t buf[256];
    uint64_t dropped;

    uint8_t *first = map->ops->reserve(map, 8);
    uint8_t *second = map->ops->reserve(map, 8);
    map->ops->commit(map, second, false, 0);
    cr_assert_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 0);
    map->ops->commit(map, first, true, 0);
    cr_assert_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 16);
    ebpf_map_put(map);
}

Test(map, ring_sizes_at_the_edge)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
    uint8_t buf[4096];
    uint64_t dropped;

    cr_assert_null(map->ops->reserve(map, 4096));
    cr_assert_null(map->ops->reserve(map, 4088), "all of the ring is one byte too much");
    cr_assert_null(map->ops->reserve(map, UINT64_MAX));
    for (int i = 0; i < 10; i++) { /* at every offset, over the end too */
        uint8_t *record = map->ops->reserve(map, 4080 - 8 * (uint64_t)i);
        cr_assert_not_null(record);
        memset(record, 0x5a, 4080 - 8 * (size_t)i);
        map->ops->commit(map, record, false, 0);
        cr_assert_eq(ebpf_ringbuf_read(map, buf, 100, &dropped), -EMSGSIZE);
        cr_assert_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 4088 - 8 * i);
    }
    cr_assert_eq(dropped, 3);
    cr_assert_eq(map->ops->query(map, BPF_RB_RING_SIZE), 4096);
    cr_assert_eq(map->ops->query(map, BPF_RB_AVAIL_DATA), 0);
    cr_assert_eq(map->ops->query(map, BPF_RB_CONS_POS), map->ops->query(map, BPF_RB_PROD_POS));
    ebpf_map_put(map);
}

Test(map, a_record_that_no_reply_carries_is_dropped_and_counted)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 20, 0);
    uint8_t buf[64];
    uint64_t dropped;

    map->ops->commit(map, map->ops->reserve(map, 100000), false, 0);
    map->ops->commit(map, map->ops->reserve(map, 8), false, 0);
    cr_assert_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 16);
    cr_assert_eq(dropped, 1);
    ebpf_map_put(map);
}

Test(map, ring_has_no_elements)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
    uint32_t word = 0;

    cr_assert_eq(ebpf_map_read(map, NULL, &word, 0), -EBPF_ENOTSUPP);
    cr_assert_eq(ebpf_map_write(map, NULL, &word, 0), -EBPF_ENOTSUPP);
    cr_assert_eq(ebpf_map_remove(map, NULL), -EBPF_ENOTSUPP);
    cr_assert_eq(ebpf_map_next_key(map, NULL, &word), -EBPF_ENOTSUPP);
    ebpf_map_put(map);
}

/* ---- memory ------------------------------------------------------------------------------ */

Test(map, the_limit_holds_over_all_maps)
{
    struct ebpf_map *maps[10], *more;
    int n = 0;

    while (n < 10 && make(BPF_MAP_TYPE_ARRAY, 4, 8 << 20, 1, 0, &maps[n]) == 0)
        n++;
    cr_assert_eq(n, 7, "64 MiB hold seven times 8 MiB and their heads");
    cr_assert_eq(make(BPF_MAP_TYPE_ARRAY, 4, 8 << 20, 1, 0, &more), -ENOMEM);
    cr_assert_leq(ebpf_map_bytes(NULL), LIMIT);
    cr_assert_geq(maps[0]->bytes, 8u << 20);
    while (n > 0)
        ebpf_map_put(maps[--n]);
    cr_assert_eq(ebpf_map_bytes(NULL), 0);
}

Test(map, growth_above_the_limit_is_enomem_and_the_map_goes_on)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 1 << 20, 1000, BPF_F_NO_PREALLOC);
    uint8_t *value = calloc(1, 1 << 20);
    uint32_t key = 0;

    while (key < 100 && ebpf_map_write(map, &key, value, 0) == 0)
        key++;
    cr_assert(key > 20 && key < 64, "%u values of 1 MiB in 64 MiB", key);
    cr_assert_eq(ebpf_map_write(map, &key, value, 0), -ENOMEM);
    cr_assert_eq(ebpf_map_read(map, &key, value, 0), -ENOENT);
    key = 0;
    cr_assert_eq(ebpf_map_write(map, &key, value, BPF_EXIST), 0);
    free(value);
    ebpf_map_put(map);
}

Test(map, every_failing_allocation_is_enomem)
{
    const uint32_t types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_RINGBUF};

    for (int t = 0; t < 3; t++) {
        bool ring = types[t] == BPF_MAP_TYPE_RINGBUF;
        struct ebpf_map *map;
        int err = -ENOMEM;

        for (size_t n = 1; err != 0; n++) {
            host_port_fail_after(n);
            err = make(types[t], ring ? 0 : 4, ring ? 0 : 8, 4096, 0, &map);
            host_port_fail_after(0);
            cr_assert(err == 0 || err == -ENOMEM);
            cr_assert(err == 0 || host_port_blocks() == 0);
            cr_assert_lt(n, 10);
        }
        ebpf_map_put(map);
    }
}

static void a_million(uint32_t flags)
{
    struct ebpf_map *map = must_make(BPF_MAP_TYPE_HASH, 4, 8, 1000000, flags);
    uint64_t value;

    for (uint32_t key = 0; key < 1000000; key++) {
        value = key * 3ull;
        cr_assert(ebpf_map_write(map, &key, &value, BPF_NOEXIST) == 0);
    }
    for (uint32_t key = 0; key < 1000000; key += 997) {
        cr_assert_eq(ebpf_map_read(map, &key, &value, 0), 0);
        cr_assert_eq(value, key * 3ull);
    }
    ebpf_map_put(map);
}

Test(map, a_million_entries)
{
    a_million(0);
}

Test(map, a_million_entries_one_by_one)
{
    a_million(BPF_F_NO_PREALLOC);
}

/* The values are CPython 3.11's hash(b"...") with PYTHONHASHSEED=0, which is SipHash-1-3. */
Test(map, keys_are_hashed_by_siphash13)
{
    const uint64_t zero[2] = {0, 0}, other[2] = {0, 1};

    cr_assert_eq(siphash13("a", 1, zero), 4644417185603328019u);
    cr_assert_eq(siphash13("12345678", 8, zero), 3785724242978802311u);
    cr_assert_eq(siphash13("hello, world 123", 16, zero), 4634693342238727900u);
    cr_assert_neq(siphash13("a", 1, other), siphash13("a", 1, zero));
}
