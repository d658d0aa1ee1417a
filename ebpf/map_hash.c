/*
 * Hash tables: plain, per CPU, least recently used, and the table under hash_of_maps. Chained
 * buckets, as many as max_entries rounded up to a power of two, so that the table never moves.
 * Linux: kernel/bpf/hashtab.c, whose errors these are.
 *
 * Elements come from a pool, all there from the start or, with BPF_F_NO_PREALLOC, growing. So an
 * address that a program got stays inside of a value of this map whatever is deleted meanwhile; as
 * with Linux's preallocated maps, a deleted element may be given to another key while a program
 * still looks at it.
 *
 * LRU maps evict by the clock algorithm: a hand goes round the pool, takes the mark off
 * elements that programs have used since it came by, and takes the first without one, or the
 * EVICT_STEPS-th: this happens with interrupts held off.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/hash.h"
#include "ebpf/map.h"
#include "ebpf/pool.h"
#include "ebpf/port.h"

#define EVICT_STEPS 256u
#define SCAN_STEPS  1024u      /* buckets that are looked at in one go */
#define ELEMENT_MAX (4u << 20) /* Linux: KMALLOC_MAX_SIZE */
#define ENTRIES_MAX (1u << 27) /* Linux: 2^32 bytes of buckets are too many */

enum state { FREE, LIVE, USED }; /* USED: live, and looked up by a program since the hand passed */

struct element {
    struct element *next; /* in the bucket; in the pool's list when free */
    uint32_t hash;
    uint32_t state;
    uint8_t key[]; /* padded to 8; the value follows */
};

struct hash {
    struct element **buckets;
    uint64_t seed[2];
    uint32_t nr_buckets;     /* a power of two */
    uint32_t count;          /* live elements */
    uint32_t value_offset;   /* in an element */
    uint32_t value_size;     /* of one CPU */
    uint32_t stride, values; /* bytes from CPU to CPU; how many */
    uint32_t hand;           /* LRU: index in the pool */
    uint32_t unlinks;        /* elements that have left their buckets, ever */
    uint32_t scan;           /* bucket that next_key_on goes on with */
    struct ebpf_pool pool;
};

static bool is_lru(uint32_t type)
{
    return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static bool is_per_cpu(uint32_t type)
{
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* ---- life ------------------------------------------------------------------------------- */

static int check(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE |
                           BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG |
                           BPF_F_ZERO_SEED;
    bool lru = is_lru(attr->map_type), split_lru = (attr->map_flags & BPF_F_NO_COMMON_LRU) != 0;

    if ((attr->map_flags & ~flags) != 0 || (!lru && split_lru))
        return -EINVAL;
    if (lru && (attr->map_flags & BPF_F_NO_PREALLOC) != 0)
        return -EBPF_ENOTSUPP;
    if ((attr->map_flags & BPF_F_NUMA_NODE) != 0 && (is_per_cpu(attr->map_type) || split_lru))
        return -EINVAL; /* memory of each CPU is on its own node */
    if (attr->max_entries == 0 || attr->key_size == 0 || attr->value_size == 0)
        return -EINVAL;
    if ((uint64_t)attr->key_size + attr->value_size >= ELEMENT_MAX - sizeof(struct element))
        return -E2BIG;
    if (is_per_cpu(attr->map_type) && attr->value_size > EBPF_PERCPU_VALUE_MAX)
        return -E2BIG;
    return attr->max_entries > ENTRIES_MAX ? -E2BIG : 0;
}

static void destroy(struct ebpf_map *map)
{
    struct hash *hash = map->impl;

    ebpf_pool_destroy(&hash->pool);
    ebpf_map_free(map, hash->buckets, (size_t)hash->nr_buckets * sizeof(hash->buckets[0]));
    ebpf_map_free(map, hash, sizeof(*hash));
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct hash *hash = ebpf_map_alloc(map, sizeof(*hash));
    int err = -ENOMEM;

    if (hash == NULL)
        return err;
    map->impl = hash;
    hash->nr_buckets = power_of_two_from(map->max_entries);
    hash->values = is_per_cpu(map->type) ? PORT_NR_CPUS : 1;
    hash->value_size = map->type == BPF_MAP_TYPE_HASH_OF_MAPS ? sizeof(void *) : map->value_size;
    hash->stride = (uint32_t)round_up_to(hash->value_size, 8);
    hash->value_offset = (uint32_t)(sizeof(struct element) + round_up_to(map->key_size, 8));
    if ((attr->map_flags & BPF_F_ZERO_SEED) == 0) {
        hash->seed[0] = port_random();
        hash->seed[1] = port_random();
    }
    hash->buckets = ebpf_map_alloc(map, (size_t)hash->nr_buckets * sizeof(hash->buckets[0]));
    if (hash->buckets != NULL)
        err = ebpf_pool_init(&hash->pool, map, hash->value_offset + hash->stride * hash->values,
                             map->max_entries, (attr->map_flags & BPF_F_NO_PREALLOC) == 0);
    if (err != 0)
        destroy(map);
    return err;
}

/* ---- elements --------------------------------------------------------------------------- */

static uint32_t hash_key(const struct ebpf_map *map, const void *key)
{
    const struct hash *hash = map->impl;
    return (uint32_t)hash_bytes(key, map->key_size, hash->seed);
}

static struct element **bucket_of(const struct hash *hash, uint32_t key_hash)
{
    return &hash->buckets[key_hash & (hash->nr_buckets - 1)];
}

static struct element *find(const struct ebpf_map *map, const void *key, uint32_t key_hash)
{
    struct element *e = *bucket_of(map->impl, key_hash);

    while (e != NULL && (e->hash != key_hash || __builtin_memcmp(e->key, key, map->key_size) != 0))
        e = e->next;
    return e;
}

static void *value_of(const struct hash *hash, struct element *e)
{
    return (uint8_t *)e + hash->value_offset;
}

static void unlink_element(struct ebpf_map *map, struct element *e)
{
    struct hash *hash = map->impl;
    struct element **link = bucket_of(hash, e->hash);

    while (*link != e)
        link = &(*link)->next;
    *link = e->next;
    hash->unlinks++;
    e->state = FREE;
    if (map->value_ends != NULL)
        map->value_ends(map, value_of(hash, e));
    ebpf_pool_give(&hash->pool, e);
    hash->count--;
}

/* The map is full, so every element of the pool is live. */
static void evict(struct ebpf_map *map)
{
    struct hash *hash = map->impl;

    for (uint32_t step = 1;; step++) {
        struct element *e = ebpf_pool_block(&hash->pool, hash->hand);

        hash->hand = (hash->hand + 1) % map->max_entries;
        if (e->state == LIVE || step == EVICT_STEPS) {
            unlink_element(map, e);
            return;
        }
        e->state = LIVE;
    }
}

/* An element that is in no bucket. */
static int take_free(struct ebpf_map *map, struct element **out)
{
    struct hash *hash = map->impl;

    if (hash->count == map->max_entries) {
        if (!is_lru(map->type))
            return -E2BIG;
        evict(map);
    }
    *out = ebpf_pool_take(&hash->pool);
    return *out != NULL ? 0 : -ENOMEM;
}

/* The element of a key, made when there is none; its value is zero then. */
static int find_or_add(struct ebpf_map *map, const void *key, uint64_t flags, struct element **out)
{
    struct hash *hash = map->impl;
    uint32_t key_hash = hash_key(map, key);
    struct element **bucket = bucket_of(hash, key_hash);
    uint64_t how;
    int err;

    if (ebpf_map_update_flags(map, flags, &how) != 0)
        return -EINVAL;
    *out = find(map, key, key_hash);
    if (*out != NULL)
        return how == BPF_NOEXIST ? -EEXIST : 0;
    if (how == BPF_EXIST)
        return -ENOENT;
    err = take_free(map, out);
    if (err != 0)
        return err;
    __builtin_memset(*out, 0, hash->pool.block_size);
    __builtin_memcpy((*out)->key, key, map->key_size);
    (*out)->hash = key_hash;
    (*out)->state = LIVE;
    (*out)->next = *bucket;
    *bucket = *out;
    hash->count++;
    return 0;
}

/* ---- operations ------------------------------------------------------------------------- */

static void *lookup_all(struct ebpf_map *map, const void *key)
{
    struct element *e = find(map, key, hash_key(map, key));
    return e != NULL ? value_of(map->impl, e) : NULL;
}

static void *lookup(struct ebpf_map *map, const void *key)
{
    struct hash *hash = map->impl;
    struct element *e = find(map, key, hash_key(map, key));

    if (e == NULL)
        return NULL;
    e->state = USED;
    return (uint8_t *)value_of(hash, e) + (hash->values > 1 ? port_cpu_id() * hash->stride : 0);
}

/* A lookup by a program that does not take the lock: an interrupt may change the table under it,
 * from beginning to end, at any point. An element that is unlinked meanwhile leads on into the
 * pool's list or another bucket, so a search that found nothing is made again if any was. */
static inline void *lookup_unlocked(struct ebpf_map *map, const void *key, uint32_t key_size)
{
    struct hash *hash = map->impl;
    uint32_t key_hash = (uint32_t)hash_bytes(key, key_size, hash->seed), unlinks;
    struct element *e;

    do {
        unlinks = __atomic_load_n(&hash->unlinks, __ATOMIC_ACQUIRE);
        e = __atomic_load_n(bucket_of(hash, key_hash), __ATOMIC_RELAXED);
        while (e != NULL && (e->hash != key_hash || __builtin_memcmp(e->key, key, key_size) != 0))
            e = __atomic_load_n(&e->next, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (e == NULL && unlinks != __atomic_load_n(&hash->unlinks, __ATOMIC_RELAXED));
    if (e == NULL)
        return NULL;
    if (e->state == LIVE && is_lru(map->type))
        e->state = USED;
    return (uint8_t *)e + sizeof(*e) + round_up_to(key_size, 8);
}

#define UNLOCKED(name, key_size)                                                                   \
    static uint64_t lookup_##name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5) \
    {                                                                                              \
        struct ebpf_map *map = (struct ebpf_map *)r1;                                              \
                                                                                                   \
        (void)r3, (void)r4, (void)r5;                                                              \
        return (uintptr_t)lookup_unlocked(map, (const void *)r2, key_size);                        \
    }

UNLOCKED(4, 4)
UNLOCKED(8, 8)
UNLOCKED(16, 16)
UNLOCKED(any, map->key_size)

/* With more CPUs than one, another may write while this one reads. */
_Static_assert(PORT_NR_CPUS == 1, "lookup_unlocked is for one CPU");

static ebpf_map_lookup_fn direct_lookup(const struct ebpf_map *map)
{
    switch (map->key_size) {
    case 4:
        return lookup_4;
    case 8:
        return lookup_8;
    case 16:
        return lookup_16;
    }
    return lookup_any;
}

static int update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    struct hash *hash = map->impl;
    struct element *e;
    int err = find_or_add(map, key, flags, &e);

    if (err == 0)
        ebpf_map_put_value(map,
                           (uint8_t *)value_of(hash, e) +
                               (hash->values > 1 ? port_cpu_id() * hash->stride : 0),
                           value, hash->value_size);
    return err;
}

static int update_all(struct ebpf_map *map, const void *key, const void *values, uint64_t flags)
{
    struct hash *hash = map->impl;
    struct element *e;
    int err = find_or_add(map, key, flags, &e);

    if (err == 0)
        __builtin_memcpy(value_of(hash, e), values, (size_t)hash->stride * hash->values);
    return err;
}

static int remove_element(struct ebpf_map *map, const void *key)
{
    struct element *e = find(map, key, hash_key(map, key));

    if (e == NULL)
        return -ENOENT;
    unlink_element(map, e);
    return 0;
}

/* The first key from a bucket on. */
static int next_key_on(struct ebpf_map *map, void *next)
{
    struct hash *hash = map->impl;
    uint32_t end =
        hash->nr_buckets - hash->scan > SCAN_STEPS ? hash->scan + SCAN_STEPS : hash->nr_buckets;

    for (; hash->scan < end; hash->scan++) {
        const struct element *e = hash->buckets[hash->scan];

        if (e == NULL)
            continue;
        __builtin_memcpy(next, e->key, map->key_size);
        return 0;
    }
    return end == hash->nr_buckets ? -ENOENT : -EAGAIN;
}

static int next_key(struct ebpf_map *map, const void *key, void *next)
{
    struct hash *hash = map->impl;
    uint32_t key_hash = key != NULL ? hash_key(map, key) : 0;
    const struct element *e = key != NULL ? find(map, key, key_hash) : NULL;

    if (e != NULL && e->next != NULL) {
        __builtin_memcpy(next, e->next->key, map->key_size);
        return 0;
    }
    hash->scan = e != NULL ? (key_hash & (hash->nr_buckets - 1)) + 1 : 0;
    return next_key_on(map, next);
}

static uint32_t chain_length(const struct element *e)
{
    uint32_t n = 0;
    for (; e != NULL; e = e->next)
        n++;
    return n;
}

/* One element's value as clients read it: of a map of maps the id. */
static void show_value(struct ebpf_map *map, struct element *e, void *to)
{
    const struct ebpf_object *object;

    if (map->type != BPF_MAP_TYPE_HASH_OF_MAPS) {
        ebpf_map_show_value(map, to, value_of(map->impl, e));
        return;
    }
    __builtin_memcpy(&object, value_of(map->impl, e), sizeof(object));
    __builtin_memcpy(to, &object->id, sizeof(object->id));
}

static int read_buckets(struct ebpf_map *map, uint32_t *position, void *keys, void *values,
                        uint32_t *count, bool take)
{
    struct hash *hash = map->impl;
    size_t value_size = ebpf_map_value_size(map);
    uint32_t room = *count, n = 0;

    *count = 0;
    for (uint32_t steps = 0; *position < hash->nr_buckets; ++*position) {
        uint32_t length = chain_length(hash->buckets[*position]);

        if (length > room - n || steps > SCAN_STEPS)
            break;
        steps += 1 + 16 * length;
        for (struct element *e = hash->buckets[*position], *next; e != NULL; e = next) {
            next = e->next;
            __builtin_memcpy((uint8_t *)keys + (size_t)n * map->key_size, e->key, map->key_size);
            show_value(map, e, (uint8_t *)values + n * value_size);
            if (take)
                unlink_element(map, e);
            n++;
        }
    }
    *count = n;
    if (*position >= hash->nr_buckets)
        return -ENOENT;
    return chain_length(hash->buckets[*position]) > room - n ? 0 : -EAGAIN;
}

static bool owns(struct ebpf_map *map, uintptr_t addr, size_t len)
{
    const struct hash *hash = map->impl;
    uint64_t offset;

    return ebpf_pool_offset(&hash->pool, addr, &offset) && offset >= hash->value_offset &&
           len <= map->value_size &&
           (offset - hash->value_offset) % hash->stride <= map->value_size - len;
}

/* The value of the element at an index of the pool; NULL when there is none. */
static void *value_at(struct ebpf_map *map, uint32_t index)
{
    struct hash *hash = map->impl;
    struct element *e = ebpf_pool_block(&hash->pool, index);

    return e != NULL && e->state != FREE ? value_of(hash, e) : NULL;
}

static void fill_element(struct hash *hash, struct element *e, struct ebpf_element *out)
{
    out->key = e->key;
    out->value =
        (uint8_t *)value_of(hash, e) + (hash->values > 1 ? port_cpu_id() * hash->stride : 0);
}

static bool element_at(struct ebpf_map *map, uint32_t place, struct ebpf_element *out)
{
    struct hash *hash = map->impl;
    struct element *e = ebpf_pool_block(&hash->pool, place);

    if (e == NULL || e->state == FREE)
        return false;
    fill_element(hash, e, out);
    return true;
}

static bool element_of(struct ebpf_map *map, uintptr_t addr, struct ebpf_element *out)
{
    struct hash *hash = map->impl;
    uint64_t offset;
    struct element *e;

    if (!ebpf_pool_offset(&hash->pool, addr, &offset) || offset < hash->value_offset)
        return false;
    e = (struct element *)(addr - offset);
    fill_element(hash, e, out);
    return e->state != FREE;
}

#define HASH_OPS(map_type, map_name, ...)                                                          \
    const struct ebpf_map_ops ebpf_map_##map_name = {.type = map_type,                             \
                                                     .name = #map_name,                            \
                                                     .takes = true,                                \
                                                     .batches = MAP_BATCH_ALL,                     \
                                                     .check = check,                               \
                                                     .create = create,                             \
                                                     .destroy = destroy,                           \
                                                     .lookup = lookup,                             \
                                                     .direct_lookup = direct_lookup,               \
                                                     .lookup_all = lookup_all,                     \
                                                     .update = update,                             \
                                                     .remove = remove_element,                     \
                                                     .next_key = next_key,                         \
                                                     .next_key_on = next_key_on,                   \
                                                     .read_buckets = read_buckets,                 \
                                                     .owns = owns,                                 \
                                                     .value_at = value_at,                         \
                                                     .element_at = element_at,                     \
                                                     .element_of = element_of,                     \
                                                     __VA_ARGS__}

HASH_OPS(BPF_MAP_TYPE_HASH, hash);
HASH_OPS(BPF_MAP_TYPE_LRU_HASH, lru_hash);
HASH_OPS(BPF_MAP_TYPE_PERCPU_HASH, percpu_hash, .update_all = update_all);
HASH_OPS(BPF_MAP_TYPE_LRU_PERCPU_HASH, lru_percpu_hash, .update_all = update_all);
