/*
 * Stack traces: get_stackid puts a trace where its hash says and gives back the place, so that a
 * program counts traces by a number. Linux: kernel/bpf/stackmap.c, whose errors these are; the
 * hash is another, so the numbers are.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/hash.h"
#include "ebpf/map.h"
#include "ebpf/pool.h"
#include "ebpf/port.h"

#define DEPTH_MAX   127u /* Linux: sysctl kernel.perf_event_max_stack */
#define BUCKETS_MAX (1u << 27)

struct trace {
    uint32_t hash, count;
    uint64_t ips[]; /* the innermost first; value_size bytes */
};

struct traces {
    struct trace **buckets;
    uint32_t nr_buckets; /* a power of two */
    uint64_t seed[2];
    struct ebpf_pool pool;
};

static int check(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;

    /* BPF_F_STACK_BUILD_ID is about files that user programs are mapped from: there are none. */
    if ((attr->map_flags & ~flags) != 0 || attr->max_entries == 0 || attr->key_size != 4 ||
        attr->value_size < sizeof(uint64_t) || attr->value_size % sizeof(uint64_t) != 0 ||
        attr->value_size / sizeof(uint64_t) > DEPTH_MAX)
        return -EINVAL;
    return attr->max_entries > BUCKETS_MAX ? -E2BIG : 0;
}

static size_t buckets_size(const struct traces *traces)
{
    return (size_t)traces->nr_buckets * sizeof(traces->buckets[0]);
}

static void destroy(struct ebpf_map *map)
{
    struct traces *traces = map->impl;

    ebpf_pool_destroy(&traces->pool);
    ebpf_map_free(map, traces->buckets, buckets_size(traces));
    ebpf_map_free(map, traces, sizeof(*traces));
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct traces *traces = ebpf_map_alloc(map, sizeof(*traces));
    int err = -ENOMEM;

    if (traces == NULL)
        return err;
    map->impl = traces;
    traces->nr_buckets = power_of_two_from(attr->max_entries);
    traces->seed[0] = port_random();
    traces->seed[1] = port_random();
    traces->buckets = ebpf_map_alloc(map, buckets_size(traces));
    if (traces->buckets != NULL)
        err = ebpf_pool_init(&traces->pool, map, (uint32_t)sizeof(struct trace) + map->value_size,
                             map->max_entries, true);
    if (err != 0)
        destroy(map);
    return err;
}

/* ---- programs ---------------------------------------------------------------------------- */

static bool is_same(const struct trace *trace, uint32_t hash, const uint64_t *ips, uint32_t count,
                    uint64_t flags)
{
    if (trace == NULL || trace->hash != hash)
        return false;
    if ((flags & BPF_F_FAST_STACK_CMP) != 0)
        return true;
    return trace->count == count && __builtin_memcmp(trace->ips, ips, count * sizeof(*ips)) == 0;
}

/* Under the lock. */
static long place_trace(struct traces *traces, const uint64_t *ips, uint32_t count, uint64_t flags)
{
    uint32_t hash = (uint32_t)siphash13(ips, count * sizeof(*ips), traces->seed);
    uint32_t id = hash & (traces->nr_buckets - 1);
    struct trace *trace = traces->buckets[id];

    if (is_same(trace, hash, ips, count, flags))
        return id;
    if (trace != NULL && (flags & BPF_F_REUSE_STACKID) == 0)
        return -EEXIST;
    if (trace == NULL)
        trace = ebpf_pool_take(&traces->pool);
    if (trace == NULL)
        return -ENOMEM;
    trace->hash = hash;
    trace->count = count;
    __builtin_memcpy(trace->ips, ips, count * sizeof(*ips));
    traces->buckets[id] = trace;
    return id;
}

/* get_stackid: the id of the trace in ips (count of them, the innermost first) once the frames that
 * flags say are skipped and what the map's values have no room for is cut off. flags:
 * BPF_F_SKIP_FIELD_MASK, BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID; BPF_F_USER_STACK is the
 * caller's to heed.
 * -EINVAL: flags; -EFAULT: nothing is left; -EEXIST: the id is taken by another trace; -ENOMEM: the
 * map is full. */
long ebpf_stack_id(struct ebpf_map *map, const uint64_t *ips, uint32_t count, uint64_t flags)
{
    const uint64_t known =
        BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID;
    uint32_t skip = (uint32_t)(flags & BPF_F_SKIP_FIELD_MASK);
    uint32_t depth = map->value_size / (uint32_t)sizeof(*ips);
    uint64_t saved;
    long id;

    if ((flags & ~known) != 0)
        return -EINVAL;
    if (count <= skip)
        return -EFAULT;
    count -= skip;
    saved = port_lock();
    id = place_trace(map->impl, ips + skip, count < depth ? count : depth, flags);
    port_unlock(saved);
    return id;
}

/* ---- clients ----------------------------------------------------------------------------- */

static uint32_t id_of(const void *key)
{
    uint32_t id;
    __builtin_memcpy(&id, key, sizeof(id));
    return id;
}

static struct trace *trace_at(const struct traces *traces, uint32_t id)
{
    return id < traces->nr_buckets ? traces->buckets[id] : NULL;
}

/* The addresses, then zeros. */
static int read_trace(struct ebpf_map *map, const void *key, void *value)
{
    const struct trace *trace = trace_at(map->impl, id_of(key));
    size_t size;

    if (trace == NULL)
        return -ENOENT;
    size = trace->count * sizeof(trace->ips[0]);
    __builtin_memcpy(value, trace->ips, size);
    __builtin_memset((uint8_t *)value + size, 0, map->value_size - size);
    return 0;
}

static int update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    (void)map, (void)key, (void)value, (void)flags;
    return -EINVAL;
}

static int remove_trace(struct ebpf_map *map, const void *key)
{
    struct traces *traces = map->impl;
    uint32_t id = id_of(key);
    struct trace *trace = trace_at(traces, id);

    if (id >= traces->nr_buckets)
        return -E2BIG;
    if (trace == NULL)
        return -ENOENT;
    traces->buckets[id] = NULL;
    ebpf_pool_give(&traces->pool, trace);
    return 0;
}

/* A key without a trace counts as none: the first id follows. */
static int next_key(struct ebpf_map *map, const void *key, void *next)
{
    const struct traces *traces = map->impl;
    uint32_t id = 0;

    if (key != NULL && trace_at(traces, id_of(key)) != NULL)
        id = id_of(key) + 1;
    while (id < traces->nr_buckets && traces->buckets[id] == NULL)
        id++;
    if (id >= traces->nr_buckets)
        return -ENOENT;
    __builtin_memcpy(next, &id, sizeof(id));
    return 0;
}

const struct ebpf_map_ops ebpf_map_stack_trace = {
    .type = BPF_MAP_TYPE_STACK_TRACE,
    .name = "stack_trace",
    .check = check,
    .create = create,
    .destroy = destroy,
    .read = read_trace,
    .update = update,
    .remove = remove_trace,
    .next_key = next_key,
};
