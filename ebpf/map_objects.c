/*
 * Maps whose elements are objects: program arrays, arrays of maps and hash tables of maps. Clients
 * write handles and read ids (sys_map.c turns one into the other); programs tail-call into the
 * first and look inner maps up in the others. Linux: kernel/bpf/arraymap.c (fd_array_map_*),
 * hashtab.c (*_of_map_*) and map_in_map.c.
 *
 * A program array whose programs use it would hold itself for ever, so it is emptied when the last
 * handle and pin are gone, as on Linux.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

extern const struct ebpf_map_ops ebpf_map_hash;

struct objects {
    struct ebpf_object **slots; /* each holds a reference; NULL: empty */
    /* Of the first program that was put in or that uses the array: enum skep_owner, and its type.
     */
    uint32_t owner, prog_type;
};

/* ---- arrays ------------------------------------------------------------------------------ */

static int check_array(const union bpf_attr *attr)
{
    const uint32_t flags = BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY;

    if (attr->max_entries == 0 || attr->key_size != 4 || attr->value_size != 4 ||
        (attr->map_flags & ~flags) != 0)
        return -EINVAL;
    return 0;
}

static size_t slots_size(const struct ebpf_map *map)
{
    return (size_t)map->max_entries * sizeof(struct ebpf_object *);
}

static int create_array(struct ebpf_map *map, const union bpf_attr *attr)
{
    struct objects *objects = ebpf_map_alloc(map, sizeof(*objects));

    (void)attr;
    if (objects == NULL)
        return -ENOMEM;
    objects->slots = ebpf_map_alloc(map, slots_size(map));
    if (objects->slots == NULL) {
        ebpf_map_free(map, objects, sizeof(*objects));
        return -ENOMEM;
    }
    map->impl = objects;
    return 0;
}

/* Empties each slot. Not under the lock: an object's end may take long. */
static void empty_array(struct ebpf_map *map)
{
    struct objects *objects = map->impl;

    for (uint32_t i = 0; i < map->max_entries; i++)
        ebpf_object_put(__atomic_exchange_n(&objects->slots[i], NULL, __ATOMIC_ACQ_REL));
}

static void destroy_array(struct ebpf_map *map)
{
    struct objects *objects = map->impl;

    empty_array(map);
    ebpf_map_free(map, objects->slots, slots_size(map));
    ebpf_map_free(map, objects, sizeof(*objects));
}

static struct ebpf_object *slot(struct ebpf_map *map, uint32_t index)
{
    struct objects *objects = map->impl;
    return index < map->max_entries ? objects->slots[index] : NULL;
}

static uint32_t index_of(const void *key)
{
    uint32_t index;
    __builtin_memcpy(&index, key, sizeof(index));
    return index;
}

static struct ebpf_object *array_object_at(struct ebpf_map *map, const void *key)
{
    return slot(map, index_of(key));
}

/* What a tail call goes to runs as its caller does: all programs that use an array, and all in it,
 * are of one type and for one engine. Linux: bpf_prog_map_compatible. */
static bool program_fits(struct ebpf_map *map, const struct ebpf_prog *prog)
{
    struct objects *objects = map->impl;
    uint32_t owner = prog->engine == EBPF_JIT ? SKEP_OWNER_JITED : SKEP_OWNER_INTERPRETED;

    if (objects->owner == SKEP_OWNER_NONE) {
        objects->owner = owner;
        objects->prog_type = prog->type;
    }
    return objects->owner == owner && objects->prog_type == prog->type;
}

/* A program that is being loaded uses these maps: its arrays of programs become of its type.
 * -EINVAL: one of them is of another. */
int ebpf_prog_arrays_use(struct ebpf_map *const *maps, uint32_t count, const struct ebpf_prog *prog)
{
    int err = 0;

    for (uint32_t i = 0; i < count && err == 0; i++) {
        uint64_t saved = port_lock();

        if (maps[i]->type == BPF_MAP_TYPE_PROG_ARRAY && !program_fits(maps[i], prog))
            err = -EINVAL;
        port_unlock(saved);
    }
    return err;
}

/* enum skep_owner of a program array; *type: its programs' type. */
uint32_t ebpf_prog_array_owner(const struct ebpf_map *map, uint32_t *type)
{
    const struct objects *objects = map->impl;

    *type = objects->prog_type;
    return objects->owner;
}

static int array_update_object(struct ebpf_map *map, const void *key, struct ebpf_object *object,
                               uint64_t flags, struct ebpf_object **old)
{
    struct objects *objects = map->impl;
    uint32_t index = index_of(key);

    if (flags != BPF_ANY)
        return -EINVAL;
    if (index >= map->max_entries)
        return -E2BIG;
    if (map->type == BPF_MAP_TYPE_PROG_ARRAY &&
        !program_fits(map, CONTAINER_OF(object, struct ebpf_prog, object)))
        return -EINVAL;
    ebpf_object_get(object);
    *old = objects->slots[index];
    objects->slots[index] = object;
    return 0;
}

static int array_remove_object(struct ebpf_map *map, const void *key, struct ebpf_object **old)
{
    struct objects *objects = map->impl;
    uint32_t index = index_of(key);

    if (index >= map->max_entries)
        return -E2BIG;
    *old = objects->slots[index];
    objects->slots[index] = NULL;
    return *old != NULL ? 0 : -ENOENT;
}

static struct ebpf_prog *prog_at(struct ebpf_map *map, uint32_t index)
{
    struct ebpf_object *object = slot(map, index);
    return object != NULL ? CONTAINER_OF(object, struct ebpf_prog, object) : NULL;
}

static struct ebpf_map *map_of(struct ebpf_object *object)
{
    return object != NULL ? CONTAINER_OF(object, struct ebpf_map, object) : NULL;
}

static struct ebpf_map *array_inner_at(struct ebpf_map *map, uint32_t place)
{
    return map_of(slot(map, place));
}

static void *array_lookup_inner(struct ebpf_map *map, const void *key)
{
    return map_of(slot(map, index_of(key)));
}

const struct ebpf_map_ops ebpf_map_prog_array = {
    .type = BPF_MAP_TYPE_PROG_ARRAY,
    .name = "prog_array",
    .check = check_array,
    .create = create_array,
    .destroy = destroy_array,
    .next_key = ebpf_map_next_index,
    .holds = EBPF_PROG,
    .object_at = array_object_at,
    .update_object = array_update_object,
    .remove_object = array_remove_object,
    .unused = empty_array,
    .prog_at = prog_at,
};

const struct ebpf_map_ops ebpf_map_array_of_maps = {
    .type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
    .name = "array_of_maps",
    .batches = MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE,
    .check = check_array,
    .create = create_array,
    .destroy = destroy_array,
    .lookup = array_lookup_inner,
    .next_key = ebpf_map_next_index,
    .holds = EBPF_MAP,
    .object_at = array_object_at,
    .update_object = array_update_object,
    .remove_object = array_remove_object,
    .inner_at = array_inner_at,
};

/* ---- hash tables of maps: a hash table whose values are pointers to objects --------------- */

static int check_hash(const union bpf_attr *attr)
{
    if (attr->value_size != 4)
        return -EINVAL;
    return ebpf_map_hash.check(attr);
}

static int create_hash(struct ebpf_map *map, const union bpf_attr *attr)
{
    return ebpf_map_hash.create(map, attr);
}

static struct ebpf_object *load_pointer(const void *value)
{
    struct ebpf_object *object = NULL;

    if (value != NULL)
        __builtin_memcpy(&object, value, sizeof(object));
    return object;
}

static struct ebpf_map *hash_inner_at(struct ebpf_map *map, uint32_t place)
{
    return map_of(load_pointer(ebpf_map_hash.value_at(map, place)));
}

static void destroy_hash(struct ebpf_map *map)
{
    for (uint32_t i = 0; i < map->max_entries; i++)
        ebpf_map_put(hash_inner_at(map, i));
    ebpf_map_hash.destroy(map);
}

static struct ebpf_object *hash_object_at(struct ebpf_map *map, const void *key)
{
    return load_pointer(ebpf_map_hash.lookup_all(map, key));
}

static void *hash_lookup_inner(struct ebpf_map *map, const void *key)
{
    return map_of(hash_object_at(map, key));
}

static int hash_update_object(struct ebpf_map *map, const void *key, struct ebpf_object *object,
                              uint64_t flags, struct ebpf_object **old)
{
    struct ebpf_object *before = hash_object_at(map, key);
    int err = ebpf_map_hash.update(map, key, &object, flags);

    if (err != 0)
        return err;
    ebpf_object_get(object);
    *old = before;
    return 0;
}

static int hash_remove_object(struct ebpf_map *map, const void *key, struct ebpf_object **old)
{
    *old = hash_object_at(map, key);
    return ebpf_map_hash.remove(map, key);
}

static int hash_next_key(struct ebpf_map *map, const void *key, void *next)
{
    return ebpf_map_hash.next_key(map, key, next);
}

static int hash_next_key_on(struct ebpf_map *map, void *next)
{
    return ebpf_map_hash.next_key_on(map, next);
}

static int hash_read_buckets(struct ebpf_map *map, uint32_t *position, void *keys, void *values,
                             uint32_t *count, bool take)
{
    return ebpf_map_hash.read_buckets(map, position, keys, values, count, take);
}

const struct ebpf_map_ops ebpf_map_hash_of_maps = {
    .type = BPF_MAP_TYPE_HASH_OF_MAPS,
    .name = "hash_of_maps",
    .batches = MAP_BATCH_ALL,
    .check = check_hash,
    .create = create_hash,
    .destroy = destroy_hash,
    .lookup = hash_lookup_inner,
    .next_key = hash_next_key,
    .next_key_on = hash_next_key_on,
    .read_buckets = hash_read_buckets,
    .holds = EBPF_MAP,
    .object_at = hash_object_at,
    .update_object = hash_update_object,
    .remove_object = hash_remove_object,
    .inner_at = hash_inner_at,
};
