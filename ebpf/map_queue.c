/*
 * Queue and stack: values without keys, in a ring. Linux: kernel/bpf/queue_stack_maps.c, whose
 * errors these are.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"

#define VALUE_MAX (4u << 20) /* Linux: KMALLOC_MAX_SIZE */

struct queue {
    uint8_t *values;
    uint64_t size; /* of values, in bytes */
    uint32_t first, count;
};

static int check(const union bpf_attr *attr)
{
    const uint32_t flags =
        BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

    if (attr->max_entries == 0 || attr->key_size != 0 || attr->value_size == 0 ||
        (attr->map_flags & ~flags) != 0)
        return -EINVAL;
    return attr->value_size > VALUE_MAX ? -E2BIG : 0;
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct queue *queue = ebpf_map_alloc(map, sizeof(*queue));

    if (queue == NULL)
        return -ENOMEM;
    queue->size = (uint64_t)attr->max_entries * attr->value_size;
    queue->values = ebpf_map_alloc(map, queue->size);
    if (queue->values == NULL) {
        ebpf_map_free(map, queue, sizeof(*queue));
        return -ENOMEM;
    }
    map->impl = queue;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    struct queue *queue = map->impl;

    ebpf_map_free(map, queue->values, queue->size);
    ebpf_map_free(map, queue, sizeof(*queue));
}

/* The n-th value from the oldest. */
static uint8_t *value_number(struct ebpf_map *map, uint32_t n)
{
    struct queue *queue = map->impl;
    uint64_t at = ((uint64_t)queue->first + n) % map->max_entries;

    return queue->values + at * map->value_size;
}

/* BPF_EXIST: a full one drops its oldest value. */
static int push(struct ebpf_map *map, const void *value, uint64_t flags)
{
    struct queue *queue = map->impl;

    if (flags == BPF_NOEXIST || flags > BPF_EXIST)
        return -EINVAL;
    if (queue->count == map->max_entries) {
        if (flags != BPF_EXIST)
            return -E2BIG;
        queue->first = (queue->first + 1) % map->max_entries;
        queue->count--;
    }
    __builtin_memcpy(value_number(map, queue->count), value, map->value_size);
    queue->count++;
    return 0;
}

/* The value that pop would take; from an empty one zeros. */
static int peek(struct ebpf_map *map, void *value)
{
    struct queue *queue = map->impl;
    bool stack = map->type == BPF_MAP_TYPE_STACK;

    if (queue->count == 0) {
        __builtin_memset(value, 0, map->value_size);
        return -ENOENT;
    }
    __builtin_memcpy(value, value_number(map, stack ? queue->count - 1 : 0), map->value_size);
    return 0;
}

static int pop(struct ebpf_map *map, void *value)
{
    struct queue *queue = map->impl;
    int err = peek(map, value);

    if (err != 0)
        return err;
    queue->count--;
    if (map->type == BPF_MAP_TYPE_QUEUE)
        queue->first = (queue->first + 1) % map->max_entries;
    return 0;
}

static int no_keys(struct ebpf_map *map, const void *key)
{
    (void)map;
    (void)key;
    return -EINVAL;
}

static int no_next_key(struct ebpf_map *map, const void *key, void *next)
{
    (void)next;
    return no_keys(map, key);
}

#define QUEUE_OPS(map_type, map_name)                                                              \
    const struct ebpf_map_ops ebpf_map_##map_name = {.type = map_type,                             \
                                                     .name = #map_name,                            \
                                                     .check = check,                               \
                                                     .create = create,                             \
                                                     .destroy = destroy,                           \
                                                     .remove = no_keys,                            \
                                                     .next_key = no_next_key,                      \
                                                     .push = push,                                 \
                                                     .pop = pop,                                   \
                                                     .peek = peek}

QUEUE_OPS(BPF_MAP_TYPE_QUEUE, queue);
QUEUE_OPS(BPF_MAP_TYPE_STACK, stack);
