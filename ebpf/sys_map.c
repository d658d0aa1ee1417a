/*
 * The MAP_* commands on a map and on one element (batches are sys_map_batch.c's). Order of checks
 * and errors: Linux, kernel/bpf/syscall.c.
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
int ebpf_get_map_for(struct ebpf_session *session, uint32_t handle, unsigned access,
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

/* What lookup, update and take begin with; delete without the value. */
static int get_element(struct ebpf_session *session, const union bpf_attr *a, unsigned access,
                       struct ebpf_map **map, const void **key)
{
    int err = ebpf_get_map_for(session, a->map_fd, access, map);

    if (err == 0)
        err = get_key(*map, a->key, key);
    return err == 0 && a->value == 0 ? -EFAULT : err;
}

long ebpf_cmd_MAP_LOOKUP_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, a, EBPF_MAY_READ, &map, &key);

    return err != 0 ? err : ebpf_map_read(map, key, ebpf_attr_pointer(a->value), a->flags);
}

long ebpf_cmd_MAP_READ(struct ebpf_session *session, union marshal_attr *attr)
{
    struct skep_map_read_attr *a = &attr->map_read;
    struct ebpf_map *map;
    uint32_t value_size;
    const void *key;
    int err = ebpf_get_map_for(session, a->handle, EBPF_MAY_READ, &map);

    if (err == 0)
        err = get_key(map, a->key, &key);
    if (err == 0 && a->buf == 0)
        err = -EFAULT;
    if (err != 0)
        return err;
    value_size = ebpf_map_value_size(map);
    if (map->type == BPF_MAP_TYPE_BLOOM_FILTER) /* a value is asked about there, none is read */
        return -EBPF_ENOTSUPP;
    if (a->offset >= value_size)
        return -EINVAL;
    a->size = a->size < value_size - a->offset ? a->size : value_size - a->offset;
    return ebpf_map_read_part(map, key, a->flags, a->offset, ebpf_attr_pointer(a->buf), a->size);
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

/* Writes one element, whose value is a handle where the map holds objects. */
int ebpf_write_element(struct ebpf_session *session, struct ebpf_map *map, const void *key,
                       const void *value, uint64_t flags)
{
    if ((flags & BPF_F_LOCK) != 0 && map->lock_offset < 0)
        return -EINVAL;
    return map->ops->update_object != NULL ? write_object(session, map, key, value, flags)
                                           : ebpf_map_write(map, key, value, flags);
}

long ebpf_cmd_MAP_UPDATE_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_map *map;
    const void *key;
    int err = get_element(session, a, EBPF_MAY_WRITE, &map, &key);

    if (err != 0)
        return err;
    return ebpf_write_element(session, map, key, ebpf_attr_pointer(a->value), a->flags);
}

long ebpf_cmd_MAP_DELETE_ELEM(struct ebpf_session *session, union marshal_attr *attr)
{
    struct ebpf_map *map;
    const void *key;
    int err = ebpf_get_map_for(session, attr->bpf.map_fd, EBPF_MAY_WRITE, &map);

    if (err == 0)
        err = get_key(map, attr->bpf.key, &key);
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
    int err = ebpf_get_map_for(session, a->map_fd, EBPF_MAY_READ, &map);

    if (err != 0)
        return err;
    if (a->next_key == 0)
        return -EFAULT;
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
    if (map->timer_offset >= 0)
        return -EBPF_ENOTSUPP;
    if (map->frozen)
        return -EBUSY;
    map->frozen = true;
    return 0;
}
