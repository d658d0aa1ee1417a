/*
 * Arrays, plain and per CPU: all elements exist from the start, in one block. Linux:
 * kernel/bpf/arraymap.c, whose errors these are.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

struct array {
    uint8_t *data;
    uint64_t size;   /* of data */
    uint64_t stride; /* from one value to the next: value_size rounded up to 8 */
    uint32_t values; /* per element: 1, or one for each CPU */
};

static int check(const union bpf_attr *attr)
{
    const uint32_t access = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
    uint32_t flags = access;

    if (attr->map_type == BPF_MAP_TYPE_ARRAY)
        flags |= BPF_F_MMAPABLE | BPF_F_INNER_MAP | BPF_F_NUMA_NODE;
    if (attr->max_entries == 0 || attr->key_size != 4 || attr->value_size == 0 ||
        (attr->map_flags & ~flags) != 0)
        return -EINVAL;
    if (attr->map_type == BPF_MAP_TYPE_PERCPU_ARRAY && attr->value_size > EBPF_PERCPU_VALUE_MAX)
        return -E2BIG;
    return attr->value_size > INT32_MAX ? -E2BIG : 0;
}

static int create(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct array *array = ebpf_map_alloc(map, sizeof(*array));

    if (array == NULL)
        return -ENOMEM;
    array->values = attr->map_type == BPF_MAP_TYPE_PERCPU_ARRAY ? PORT_NR_CPUS : 1;
    array->stride = round_up_to(map->value_size, 8);
    if (!__builtin_mul_overflow(array->stride * array->values, (uint64_t)map->max_entries,
                                &array->size))
        array->data = ebpf_map_alloc(map, array->size);
    if (array->data == NULL) {
        ebpf_map_free(map, array, sizeof(*array));
        return -ENOMEM;
    }
    map->impl = array;
    return 0;
}

static void destroy(struct ebpf_map *map)
{
    struct array *array = map->impl;

    ebpf_map_free(map, array->data, array->size);
    ebpf_map_free(map, array, sizeof(*array));
}

static uint32_t index_of(const void *key)
{
    uint32_t index;
    __builtin_memcpy(&index, key, sizeof(index));
    return index;
}

static void *element(struct ebpf_map *map, const void *key)
{
    struct array *array = map->impl;
    uint32_t index = index_of(key);

    return index < map->max_entries ? array->data + index * array->stride * array->values : NULL;
}

static void *lookup_this_cpu(struct ebpf_map *map, const void *key)
{
    struct array *array = map->impl;
    uint8_t *first = element(map, key);

    return first != NULL ? first + port_cpu_id() * array->stride : NULL;
}

static int check_update(const struct ebpf_map *map, const void *key, uint64_t flags)
{
    uint64_t how;

    if (ebpf_map_update_flags(map, flags, &how) != 0)
        return -EINVAL;
    if (index_of(key) >= map->max_entries)
        return -E2BIG;
    return how == BPF_NOEXIST ? -EEXIST : 0;
}

static int update(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    int err = check_update(map, key, flags);

    if (err == 0)
        ebpf_map_put_value(map, element(map, key), value, map->value_size);
    return err;
}

static int update_this_cpu(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    int err = check_update(map, key, flags);

    if (err == 0)
        __builtin_memcpy(lookup_this_cpu(map, key), value, map->value_size);
    return err;
}

static int update_all_cpus(struct ebpf_map *map, const void *key, const void *values,
                           uint64_t flags)
{
    struct array *array = map->impl;
    int err = check_update(map, key, flags);

    if (err == 0)
        __builtin_memcpy(element(map, key), values, array->stride * array->values);
    return err;
}

static int remove_element(struct ebpf_map *map, const void *key)
{
    (void)map;
    (void)key;
    return -EINVAL;
}

int ebpf_map_next_index(struct ebpf_map *map, const void *key, void *next)
{
    uint32_t index = key != NULL ? index_of(key) : UINT32_MAX;

    if (index == map->max_entries - 1)
        return -ENOENT;
    index = index >= map->max_entries ? 0 : index + 1;
    __builtin_memcpy(next, &index, sizeof(index));
    return 0;
}

_Static_assert(PORT_NR_CPUS == 1, "an element per CPU has one value");

static void elements(struct ebpf_map *map, uint8_t **data, uint32_t *stride)
{
    const struct array *array = map->impl;

    *data = array->data;
    *stride = (uint32_t)array->stride; /* value_size is at most INT32_MAX, see check */
}

static int direct_value(struct ebpf_map *map, uint32_t offset, void **addr)
{
    struct array *array = map->impl;

    if (map->max_entries != 1)
        return -EBPF_ENOTSUPP;
    if (offset >= map->value_size)
        return -EINVAL;
    *addr = array->data + offset;
    return 0;
}

static void *value_at(struct ebpf_map *map, uint32_t place)
{
    return element(map, &place);
}

static bool owns(struct ebpf_map *map, uintptr_t addr, size_t len)
{
    const struct array *array = map->impl;
    uint64_t offset = addr - (uintptr_t)array->data; /* far beyond size when addr is below */

    return offset < array->size && len <= map->value_size &&
           offset % array->stride <= map->value_size - len;
}

static bool element_at(struct ebpf_map *map, uint32_t place, struct ebpf_element *out)
{
    out->index = place;
    out->key = &out->index;
    out->value = map->ops->lookup(map, &place);
    return out->value != NULL;
}

static bool element_of(struct ebpf_map *map, uintptr_t addr, struct ebpf_element *out)
{
    const struct array *array = map->impl;
    uint64_t offset = addr - (uintptr_t)array->data;

    return offset < array->size &&
           element_at(map, (uint32_t)(offset / (array->stride * array->values)), out);
}

const struct ebpf_map_ops ebpf_map_array = {
    .type = BPF_MAP_TYPE_ARRAY,
    .name = "array",
    .batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
    .check = check,
    .create = create,
    .destroy = destroy,
    .lookup = element,
    .update = update,
    .remove = remove_element,
    .next_key = ebpf_map_next_index,
    .direct_value = direct_value,
    .elements = elements,
    .owns = owns,
    .value_at = value_at,
    .element_at = element_at,
    .element_of = element_of,
};

const struct ebpf_map_ops ebpf_map_percpu_array = {
    .type = BPF_MAP_TYPE_PERCPU_ARRAY,
    .name = "percpu_array",
    .batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
    .check = check,
    .create = create,
    .destroy = destroy,
    .lookup = lookup_this_cpu,
    .lookup_all = element,
    .update = update_this_cpu,
    .update_all = update_all_cpus,
    .remove = remove_element,
    .next_key = ebpf_map_next_index,
    .elements = elements,
    .owns = owns,
    .element_at = element_at,
    .element_of = element_of,
};
