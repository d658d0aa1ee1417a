/*
 * The MAP_* commands. Order of checks and errors: Linux, kernel/bpf/syscall.c; batches:
 * generic_map_*_batch there and __htab_map_lookup_and_delete_batch in hashtab.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/sys.h"

static int check_btf_attr(const union bpf_attr *attr)
{
    if (attr->btf_vmlinux_value_type_id != 0)
        return -EINVAL; /* struct_ops only, which Skep does not have */
    return attr->btf_key_type_id != 0 && attr->btf_value_type_id == 0 ? -EINVAL : 0;
}

long ebpf_cmd_MAP_CREATE(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map, *inner = NULL;
    struct ebpf_btf *btf = NULL;
    unsigned access = EBPF_MAY_BOTH;
    int err = check_btf_attr(a);

    if (err == 0)
        err = ebpf_access_from_flags(a->map_flags, &access);
    if (err == 0 && (a->btf_key_type_id != 0 || a->btf_value_type_id != 0))
        err = ebpf_get_btf(session, a->btf_fd, &btf);
    if (err == 0 &&
        (a->map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS || a->map_type == BPF_MAP_TYPE_HASH_OF_MAPS))
        err = ebpf_get_map(session, a->inner_map_fd, &inner);
    if (err == 0)
        err = ebpf_map_create_outer(a, btf, inner, &map);
    return err != 0 ? err : ebpf_handle_new(session, &map->object, access);
}

/* The map behind a handle that the client may use so. -EPERM: it may not, or the map is frozen. */
static int get_map_for(struct ebpf_session *session, uint32_t handle, unsigned access,
                       struct ebpf_map **map)
{
    unsigned may;
    int err = ebpf_get_map(session, handle, map);

    if (err != 0)
        return err;
    may = ebpf_handle_access(session, handle);
    if ((*map)->frozen)
        may &= ~(unsigned)EBPF_MAY_WRITE;
    return (may & access) == access ? 0 : -EPERM;
}

/* The key's address: maps without keys must get none, others must get one. */
static int get_key(const struct ebpf_map *map, uint64_t field, const void **key)
{
    *key = ebpf_attr_pointer(field);
    if (map->key_size == 0)
        return *key != NULL ? -EINVAL : 0;
    return *key == NULL ? -EFAULT : 0;
}

/* What lookup, update, delete and take begin with. */
static int get_element(struct ebpf_session *session, const union bpf_attr *a, unsigned access,
                       struct ebpf_map **map, const void **key)
{
    int err = get_map_for(session, a->map_fd, access, map);
    return err != 0 ? err : get_key(*map, a->key, key);
}

long ebpf_cmd_MAP_LOOKUP_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, a, EBPF_MAY_READ, &map, &key);

    return err != 0 ? err : ebpf_map_read(map, key, ebpf_attr_pointer(a->value), a->flags);
}

/* A value that is the handle of a program or map. */
static int write_object(struct ebpf_session *session, struct ebpf_map *map, const void *key,
                        const void *value, uint64_t flags)
{
    struct ebpf_object *object;
    uint32_t handle;

    __builtin_memcpy(&handle, value, sizeof(handle));
    object = ebpf_handle_object(session, handle);
    if (object == NULL)
        return -EBADF;
    return object->kind == map->ops->holds ? ebpf_map_write_object(map, key, object, flags)
                                           : -EINVAL;
}

long ebpf_cmd_MAP_UPDATE_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, a, EBPF_MAY_WRITE, &map, &key);

    if (err != 0)
        return err;
    if (map->ops->update_object != NULL)
        return write_object(session, map, key, ebpf_attr_pointer(a->value), a->flags);
    return ebpf_map_write(map, key, ebpf_attr_pointer(a->value), a->flags);
}

long ebpf_cmd_MAP_DELETE_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, &attr->bpf, EBPF_MAY_WRITE, &map, &key);

    return err != 0 ? err : ebpf_map_remove(map, key);
}

long ebpf_cmd_MAP_LOOKUP_AND_DELETE_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, a, EBPF_MAY_BOTH, &map, &key);

    return err != 0 ? err : ebpf_map_take(map, key, ebpf_attr_pointer(a->value), a->flags);
}

long ebpf_cmd_MAP_GET_NEXT_KEY(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    int err = get_map_for(session, a->map_fd, EBPF_MAY_READ, &map);

    if (err != 0)
        return err;
    return ebpf_map_next_key(map, ebpf_attr_pointer(a->key), ebpf_attr_pointer(a->next_key));
}

long ebpf_cmd_MAP_FREEZE(struct ebpf_session *session, union marshal_attr *attr)
{
    struct ebpf_map *map;
    int err = ebpf_get_map(session, attr->bpf.map_fd, &map);

    if (err != 0)
        return err;
    if ((ebpf_handle_access(session, attr->bpf.map_fd) & EBPF_MAY_WRITE) == 0)
        return -EPERM;
    if (map->frozen)
        return -EBUSY;
    map->frozen = true;
    return 0;
}

/* ---- batches ----------------------------------------------------------------------------- */

struct batch {
    struct ebpf_map *map;
    uint8_t *keys, *values;
    uint32_t key_size, value_size, count;
};

static int get_batch(struct ebpf_session *session, const union bpf_attr *a, unsigned access,
                     struct batch *batch)
{
    int err = get_map_for(session, a->batch.map_fd, access, &batch->map);

    if (err != 0)
        return err;
    batch->keys = ebpf_attr_pointer(a->batch.keys);
    batch->values = ebpf_attr_pointer(a->batch.values);
    batch->key_size = batch->map->key_size;
    batch->value_size = ebpf_map_value_size(batch->map);
    batch->count = a->batch.count;
    if (batch->key_size == 0 || batch->map->ops->next_key == NULL)
        return -EBPF_ENOTSUPP;
    return (a->batch.elem_flags & ~(uint64_t)BPF_ANY) != 0 || a->batch.flags != 0 ? -EINVAL : 0;
}

/* Any map that knows the next key. The token is the last key that was returned. */
static int lookup_by_keys(struct batch *batch, const void *after, void *token, uint32_t *count)
{
    uint32_t n = 0;
    int err = 0;

    while (n < batch->count) {
        uint8_t *key = batch->keys + (size_t)n * batch->key_size;

        err = ebpf_map_next_key(batch->map, after, key);
        if (err != 0)
            break;
        err = ebpf_map_read(batch->map, key, batch->values + (size_t)n * batch->value_size, 0);
        after = key;
        if (err == -ENOENT)
            continue; /* it went away meanwhile: the slot is taken by the key after it */
        if (err != 0)
            break;
        n++;
    }
    *count = n;
    if (n != 0)
        __builtin_memcpy(token, batch->keys + (size_t)(n - 1) * batch->key_size, batch->key_size);
    return err;
}

/* Hash tables. The token is the bucket to go on with. Each bucket is read under the lock. */
static int lookup_by_buckets(struct batch *batch, const uint32_t *after, uint32_t *token,
                             uint32_t *count, bool take)
{
    uint32_t position = after != NULL ? *after : 0;
    uint64_t saved = port_lock();
    int err;

    *count = batch->count;
    err = batch->map->ops->read_buckets(batch->map, &position, batch->keys, batch->values, count,
                                        take);
    port_unlock(saved);
    *token = position;
    return err;
}

static long lookup_batch(struct ebpf_session *session, union bpf_attr *a, bool take)
{
    struct batch batch;
    void *after = ebpf_attr_pointer(a->batch.in_batch);
    void *token = ebpf_attr_pointer(a->batch.out_batch);
    int err = get_batch(session, a, take ? EBPF_MAY_BOTH : EBPF_MAY_READ, &batch);

    if (err != 0)
        return err;
    a->batch.count = 0;
    if (batch.count == 0)
        return 0;
    if (batch.map->ops->read_buckets != NULL)
        return lookup_by_buckets(&batch, after, token, &a->batch.count, take);
    return take ? -EBPF_ENOTSUPP : lookup_by_keys(&batch, after, token, &a->batch.count);
}

long ebpf_cmd_MAP_LOOKUP_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    return lookup_batch(session, &attr->bpf, false);
}

long ebpf_cmd_MAP_LOOKUP_AND_DELETE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    return lookup_batch(session, &attr->bpf, true);
}

long ebpf_cmd_MAP_UPDATE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct batch batch;
    uint32_t n = 0;
    int err = get_batch(session, a, EBPF_MAY_WRITE, &batch);

    if (err != 0)
        return err;
    for (; n < batch.count && err == 0; n += err == 0)
        err = ebpf_map_write(batch.map, batch.keys + (size_t)n * batch.key_size,
                             batch.values + (size_t)n * batch.value_size, a->batch.elem_flags);
    a->batch.count = n;
    return err;
}

long ebpf_cmd_MAP_DELETE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct batch batch;
    uint32_t n = 0;
    int err = get_batch(session, a, EBPF_MAY_WRITE, &batch);

    if (err != 0)
        return err;
    if (batch.map->type == BPF_MAP_TYPE_ARRAY || batch.map->type == BPF_MAP_TYPE_PERCPU_ARRAY)
        return -EBPF_ENOTSUPP;
    for (; n < batch.count && err == 0; n += err == 0)
        err = ebpf_map_remove(batch.map, batch.keys + (size_t)n * batch.key_size);
    a->batch.count = n;
    return err;
}
