/*
 * Maps: making and ending them, memory accounting, and what a client does with an element whatever
 * the type (the types themselves are map_TYPE.c). Called by sys_map.c and by programs' ends.
 * Errors are Linux's, from kernel/bpf/syscall.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/marshal.h"
#include "ebpf/port.h"

#define PAGE_SIZE 4096u

#define MAP(type, name) extern const struct ebpf_map_ops ebpf_map_##name;
#include "ebpf/maps.def"
#undef MAP

static const struct ebpf_map_ops *const types[] = {
#define MAP(type, name) [type] = &ebpf_map_##name,
#include "ebpf/maps.def"
#undef MAP
};

/* Guarded by port_lock. */
static uint64_t bytes_used, bytes_limit;

/* ---- memory ------------------------------------------------------------------------------ */

/* Bytes that all maps together may use. At start-up. */
void ebpf_map_set_limit(uint64_t bytes)
{
    bytes_limit = bytes;
}

/* Bytes that all maps together use; *limit (may be NULL): and may use. */
uint64_t ebpf_map_bytes(uint64_t *limit)
{
    if (limit != NULL)
        *limit = bytes_limit;
    return bytes_used;
}

static size_t accounted_size(size_t size)
{
    return round_up_to(size, size >= PAGE_SIZE ? PAGE_SIZE : 16);
}

/* Zeroed memory that counts for the map and against the limit. NULL above it or when out of
 * memory. Any context. */
void *ebpf_map_alloc(struct ebpf_map *map, size_t size)
{
    size_t bytes = accounted_size(size);
    uint64_t saved = port_lock();
    bool allowed = bytes >= size && bytes <= bytes_limit - bytes_used;
    void *block = NULL;

    if (allowed)
        bytes_used += bytes;
    port_unlock(saved);
    if (!allowed)
        return NULL;
    block = bytes >= PAGE_SIZE ? port_alloc_pages(bytes) : port_alloc(bytes);
    saved = port_lock();
    if (block != NULL)
        map->bytes += bytes;
    else
        bytes_used -= bytes;
    port_unlock(saved);
    return block;
}

/* Gives back what ebpf_map_alloc gave for the same size; NULL is fine. */
void ebpf_map_free(struct ebpf_map *map, void *block, size_t size)
{
    size_t bytes = accounted_size(size);
    uint64_t saved;

    if (block == NULL)
        return;
    saved = port_lock();
    map->bytes -= bytes;
    bytes_used -= bytes;
    port_unlock(saved);
    if (bytes >= PAGE_SIZE)
        port_free_pages(block, bytes);
    else
        port_free(block);
}

/* ---- life ------------------------------------------------------------------------------- */

/* The operations of a type; NULL for one that Skep does not have. */
const struct ebpf_map_ops *ebpf_map_ops_for(uint32_t type)
{
    return type < ARRAY_LEN(types) ? types[type] : NULL;
}

static void destroy_map(struct ebpf_object *object)
{
    struct ebpf_map *map = CONTAINER_OF(object, struct ebpf_map, object);

    map->ops->destroy(map);
    if (map->bytes != 0)
        port_fatal("ebpf: map %u (%s) leaves %llu bytes behind", object->id, map->ops->name,
                   (unsigned long long)map->bytes);
    ebpf_btf_put(map->btf);
    port_free(map);
}

/* Do the key's and the value's BTF types have the map's sizes? */
static int check_btf(const union bpf_attr *attr, const struct ebpf_btf *btf)
{
    uint32_t size;

    if (btf == NULL)
        return 0;
    if (attr->btf_key_type_id != 0) {
        if (ebpf_btf_type_size(btf, attr->btf_key_type_id, &size) != 0 || size != attr->key_size)
            return -EINVAL;
    } else if (attr->map_type != BPF_MAP_TYPE_ARRAY) {
        return -EINVAL;
    }
    if (ebpf_btf_type_size(btf, attr->btf_value_type_id, &size) != 0 || size != attr->value_size)
        return -EINVAL;
    return 0;
}

static bool is_outer(uint32_t type)
{
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static struct ebpf_map_shape shape_of(const struct ebpf_map *map)
{
    return (struct ebpf_map_shape){map->type, map->key_size, map->value_size, map->max_entries,
                                   map->flags};
}

/* May maps be held whose elements are like this one's? Linux: bpf_map_meta_alloc. */
static int check_inner(uint32_t type, const struct ebpf_map *inner)
{
    if (!is_outer(type))
        return 0;
    if (inner == NULL)
        return -EBADF;
    if (is_outer(inner->type))
        return -EINVAL;
    return inner->type == BPF_MAP_TYPE_PROG_ARRAY ? -EBPF_ENOTSUPP : 0;
}

static int check_definition(const union bpf_attr *attr, const struct ebpf_map_ops *ops,
                            const struct ebpf_btf *btf)
{
    const uint32_t client = BPF_F_RDONLY | BPF_F_WRONLY;
    const uint32_t program = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

    if (ops == NULL || attr->map_ifindex != 0 || !ebpf_name_is_valid(attr->map_name))
        return -EINVAL;
    if (attr->map_extra != 0 && attr->map_type != BPF_MAP_TYPE_BLOOM_FILTER)
        return -EINVAL;
    if ((attr->map_flags & client) == client || (attr->map_flags & program) == program)
        return -EINVAL;
    int err = ops->check(attr);
    return err != 0 ? err : check_btf(attr, btf);
}

static void unused_map(struct ebpf_object *object)
{
    struct ebpf_map *map = CONTAINER_OF(object, struct ebpf_map, object);

    if (map->ops->unused != NULL)
        map->ops->unused(map);
}

/* Makes a map by a MAP_CREATE's attributes. btf is the object behind btf_fd (borrowed; NULL:
 * none). *out has one reference, the caller's. Thread context.
 * -EINVAL, -E2BIG: the definition; -ENOMEM: no memory, or above the limit. */
int ebpf_map_create(const union bpf_attr *attr, struct ebpf_btf *btf, struct ebpf_map **out)
{
    return ebpf_map_create_outer(attr, btf, NULL, out);
}

/* Likewise, for maps of maps too: inner (borrowed) is what the maps in it must be like. -EBADF
 * without one. */
int ebpf_map_create_outer(const union bpf_attr *attr, struct ebpf_btf *btf,
                          const struct ebpf_map *inner, struct ebpf_map **out)
{
    const struct ebpf_map_ops *ops = ebpf_map_ops_for(attr->map_type);
    struct ebpf_map *map;
    int err = check_definition(attr, ops, btf);

    if (err == 0)
        err = check_inner(attr->map_type, inner);
    if (err != 0)
        return err;
    map = port_alloc(sizeof(*map));
    if (map == NULL)
        return -ENOMEM;
    map->ops = ops;
    map->type = attr->map_type;
    map->key_size = attr->key_size;
    map->value_size = attr->value_size;
    map->max_entries = attr->max_entries;
    /* How a handle may be used belongs to the handle. */
    map->flags = attr->map_flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY);
    map->extra = attr->map_extra;
    copy_text(map->name, attr->map_name, sizeof(map->name));
    map->object.unused = unused_map;
    if (is_outer(map->type))
        map->inner = shape_of(inner);
    err = ops->create(map, attr);
    if (err == 0) {
        err = ebpf_object_init(&map->object, EBPF_MAP, destroy_map);
        if (err != 0)
            ops->destroy(map);
    }
    if (err != 0) {
        port_free(map);
        return err;
    }
    if (btf != NULL) {
        ebpf_btf_get(btf);
        map->btf = btf;
        map->btf_key_type_id = attr->btf_key_type_id;
        map->btf_value_type_id = attr->btf_value_type_id;
    }
    *out = map;
    return 0;
}

void ebpf_map_get(struct ebpf_map *map)
{
    ebpf_object_get(&map->object);
}

/* NULL is fine. */
void ebpf_map_put(struct ebpf_map *map)
{
    if (map != NULL)
        ebpf_object_put(&map->object);
}

uint32_t ebpf_map_type(const struct ebpf_map *map)
{
    return map->type;
}

uint32_t ebpf_map_key_size(const struct ebpf_map *map)
{
    return map->key_size;
}

/* As commands carry it: per-CPU values of all CPUs. */
uint32_t ebpf_map_value_size(const struct ebpf_map *map)
{
    return marshal_value_size(map->type, map->value_size);
}

/* ---- elements, for clients --------------------------------------------------------------- */

static void *lookup_all(struct ebpf_map *map, const void *key)
{
    return map->ops->lookup_all != NULL ? map->ops->lookup_all(map, key)
                                        : map->ops->lookup(map, key);
}

/* MAP_LOOKUP_ELEM. value: ebpf_map_value_size bytes, in for a bloom filter, else out. flags: none
 * are served. -ENOENT, -EINVAL, -EBPF_ENOTSUPP. */
int ebpf_map_read(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint64_t saved;
    int err = -EBPF_ENOTSUPP;

    if (flags != 0)
        return -EINVAL;
    saved = port_lock();
    if (map->ops->object_at != NULL) {
        const struct ebpf_object *object = map->ops->object_at(map, key);
        err = object != NULL ? 0 : -ENOENT;
        if (object != NULL)
            __builtin_memcpy(value, &object->id, sizeof(object->id));
    } else if (map->ops->peek != NULL) {
        err = map->ops->peek(map, value);
    } else if (map->ops->read != NULL) {
        err = map->ops->read(map, key, value);
    } else if (map->ops->lookup != NULL) {
        const void *found = lookup_all(map, key);
        err = found != NULL ? 0 : -ENOENT;
        if (found != NULL)
            __builtin_memcpy(value, found, ebpf_map_value_size(map));
    }
    port_unlock(saved);
    return err;
}

/* MAP_UPDATE_ELEM. What the type says: -EINVAL, -EEXIST, -ENOENT, -E2BIG, -ENOMEM. */
int ebpf_map_write(struct ebpf_map *map, const void *key, const void *value, uint64_t flags)
{
    uint64_t saved = port_lock();
    int err = -EBPF_ENOTSUPP;

    if (map->ops->push != NULL)
        err = map->ops->push(map, value, flags);
    else if (map->ops->update_all != NULL)
        err = map->ops->update_all(map, key, value, flags);
    else if (map->ops->update != NULL)
        err = map->ops->update(map, key, value, flags);
    port_unlock(saved);
    return err;
}

/* Is an inner map like the one that the outer map was made with? Linux: bpf_map_meta_equal. */
static bool shape_fits(const struct ebpf_map *outer, const struct ebpf_map *inner)
{
    const struct ebpf_map_shape *shape = &outer->inner;
    bool any_length = inner->type != BPF_MAP_TYPE_ARRAY && inner->type != BPF_MAP_TYPE_PERCPU_ARRAY;

    return inner->type == shape->type && inner->key_size == shape->key_size &&
           inner->value_size == shape->value_size && inner->flags == shape->flags &&
           (any_length || (shape->flags & BPF_F_INNER_MAP) != 0 ||
            inner->max_entries == shape->max_entries);
}

/* MAP_UPDATE_ELEM of a map whose elements are objects: object (borrowed) is of the kind that it
 * holds. -EINVAL: one that it may not hold; else what the type says. */
int ebpf_map_write_object(struct ebpf_map *map, const void *key, struct ebpf_object *object,
                          uint64_t flags)
{
    struct ebpf_object *old = NULL;
    uint64_t saved;
    int err;

    if (map->ops->holds == EBPF_MAP &&
        !shape_fits(map, CONTAINER_OF(object, struct ebpf_map, object)))
        return -EINVAL;
    saved = port_lock();
    err = map->ops->update_object(map, key, object, flags, &old);
    port_unlock(saved);
    ebpf_object_put(old);
    return err;
}

/* MAP_DELETE_ELEM. */
int ebpf_map_remove(struct ebpf_map *map, const void *key)
{
    struct ebpf_object *old = NULL;
    uint64_t saved = port_lock();
    int err = -EBPF_ENOTSUPP;

    if (map->ops->remove_object != NULL)
        err = map->ops->remove_object(map, key, &old);
    else if (map->ops->remove != NULL)
        err = map->ops->remove(map, key);
    port_unlock(saved);
    ebpf_object_put(old);
    return err;
}

/* MAP_GET_NEXT_KEY. key NULL or gone: the first one. -ENOENT after the last. */
int ebpf_map_next_key(struct ebpf_map *map, const void *key, void *next)
{
    uint64_t saved = port_lock();
    int err = map->ops->next_key != NULL ? map->ops->next_key(map, key, next) : -EBPF_ENOTSUPP;

    port_unlock(saved);
    return err;
}

/* MAP_LOOKUP_AND_DELETE_ELEM: no other use of the element comes between. */
int ebpf_map_take(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint64_t saved;
    int err = -EBPF_ENOTSUPP;

    if (flags != 0)
        return -EINVAL;
    saved = port_lock();
    if (map->ops->pop != NULL) {
        err = map->ops->pop(map, value);
    } else if (map->ops->takes) {
        const void *found = lookup_all(map, key);
        err = -ENOENT;
        if (found != NULL) {
            __builtin_memcpy(value, found, ebpf_map_value_size(map));
            err = map->ops->remove(map, key);
        }
    }
    port_unlock(saved);
    return err;
}

/* ---- records, for clients ---------------------------------------------------------------- */

/* Takes records out of a ring buffer or a perf buffer. @return bytes put into buf, whole records
 * only, in the form that ebpf.h gives; -EINVAL another type of map; -EMSGSIZE the next record is
 * larger than buf. *dropped: the map's total so far. Thread context. */
long ebpf_ringbuf_read(struct ebpf_map *map, void *buf, size_t size, uint64_t *dropped)
{
    size_t used = 0, record = 0;
    bool more = true;

    if (map->ops->take_record == NULL)
        return -EINVAL;
    /* The lock is let go after each record, so that a full ring does not hold interrupts off. */
    while (more && record <= size - used) {
        uint64_t saved;

        used += record;
        saved = port_lock();
        more = map->ops->take_record(map, (uint8_t *)buf + used, size - used, &record);
        *dropped = map->ops->dropped(map);
        port_unlock(saved);
    }
    return used == 0 && more ? -EMSGSIZE : (long)used;
}

/* Bytes waiting in a ring buffer, records that are still busy included; 0 for other types. */
uint64_t ebpf_ringbuf_pending(struct ebpf_map *map)
{
    uint64_t saved = port_lock();
    uint64_t bytes = map->ops->query != NULL ? map->ops->query(map, BPF_RB_AVAIL_DATA) : 0;

    port_unlock(saved);
    return bytes;
}
