/*
 * What a client does with a map's elements, whatever the type: the map's operations under the lock,
 * in Linux's order of checks. Also what clients and programs share in reading and writing a value.
 * Called by sys_map.c and the map types. Linux: kernel/bpf/syscall.c, bpf_map_copy_value and
 * bpf_map_update_value.
 *
 * BPF_F_LOCK asks that a value be read or written in one piece with respect to its bpf_spin_lock:
 * all of it happens under port_lock, which keeps out whoever could hold that.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

/* ---- values ------------------------------------------------------------------------------ */

static void put_around(struct ebpf_map *map, uint8_t *value, const void *from, size_t size)
{
    uint8_t lock[sizeof(struct bpf_spin_lock)] = {0}, timer[sizeof(struct bpf_timer)] = {0};

    if (map->value_ends != NULL)
        map->value_ends(map, value);
    if (map->lock_offset >= 0)
        __builtin_memcpy(lock, value + map->lock_offset, sizeof(lock));
    if (map->timer_offset >= 0)
        __builtin_memcpy(timer, value + map->timer_offset, sizeof(timer));
    __builtin_memcpy(value, from, size);
    if (map->lock_offset >= 0)
        __builtin_memcpy(value + map->lock_offset, lock, sizeof(lock));
    if (map->timer_offset >= 0)
        __builtin_memcpy(value + map->timer_offset, timer, sizeof(timer));
}

/* Writes size bytes of a value, all but what programs keep in it, a lock and a timer; a timer that
 * was set ends. Under the lock. */
void ebpf_map_put_value(struct ebpf_map *map, void *value, const void *from, size_t size)
{
    if (map->lock_offset < 0 && map->timer_offset < 0 && map->value_ends == NULL)
        __builtin_memcpy(value, from, size);
    else
        put_around(map, value, from, size);
}

/* Copies a value for a client (of all CPUs where the type has those), who reads zeros in place of
 * a lock or timer. Under the lock. */
void ebpf_map_show_value(const struct ebpf_map *map, void *to, const void *value)
{
    __builtin_memcpy(to, value, ebpf_map_value_size(map));
    if (map->lock_offset >= 0)
        __builtin_memset((uint8_t *)to + map->lock_offset, 0, sizeof(struct bpf_spin_lock));
    if (map->timer_offset >= 0)
        __builtin_memset((uint8_t *)to + map->timer_offset, 0, sizeof(struct bpf_timer));
}

/* An update's flags: BPF_ANY, BPF_NOEXIST or BPF_EXIST go to *how. -EINVAL: others, or BPF_F_LOCK
 * without a lock in the values. */
int ebpf_map_update_flags(const struct ebpf_map *map, uint64_t flags, uint64_t *how)
{
    *how = flags & ~(uint64_t)BPF_F_LOCK;
    if (*how > BPF_EXIST || (*how != flags && map->lock_offset < 0))
        return -EINVAL;
    return 0;
}

static int check_read_flags(const struct ebpf_map *map, uint64_t flags)
{
    uint64_t how;

    return (flags & ~(uint64_t)BPF_F_LOCK) != 0 ? -EINVAL : ebpf_map_update_flags(map, flags, &how);
}

/* ---- elements, for clients --------------------------------------------------------------- */

static void *lookup_all(struct ebpf_map *map, const void *key)
{
    return map->ops->lookup_all != NULL ? map->ops->lookup_all(map, key)
                                        : map->ops->lookup(map, key);
}

/* MAP_LOOKUP_ELEM. value: ebpf_map_value_size bytes, in for a bloom filter, else out. flags: none
 * but BPF_F_LOCK. -ENOENT, -EINVAL, -EBPF_ENOTSUPP. */
int ebpf_map_read(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint64_t saved;
    int err = -EBPF_ENOTSUPP;

    if (check_read_flags(map, flags) != 0)
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
            ebpf_map_show_value(map, value, found);
    }
    port_unlock(saved);
    return err;
}

/* Zeros where a part of a value, from offset on, would show a lock or a timer. */
static void hide_field(uint8_t *part, uint32_t offset, uint32_t size, int32_t field,
                       uint32_t field_size)
{
    for (uint32_t i = 0; field >= 0 && i < field_size; i++)
        if ((uint32_t)field + i >= offset && (uint32_t)field + i < offset + size)
            part[(uint32_t)field + i - offset] = 0;
}

/* A value of a type that can point at it. */
static int read_part_in_place(struct ebpf_map *map, const void *key, uint32_t offset, uint8_t *part,
                              uint32_t size)
{
    uint64_t saved = port_lock();
    const uint8_t *found = lookup_all(map, key);

    if (found != NULL) {
        __builtin_memcpy(part, found + offset, size);
        hide_field(part, offset, size, map->lock_offset, sizeof(struct bpf_spin_lock));
        hide_field(part, offset, size, map->timer_offset, sizeof(struct bpf_timer));
    }
    port_unlock(saved);
    return found != NULL ? 0 : -ENOENT;
}

/* Part of what ebpf_map_read gives: size bytes from offset on, both within the value. Its errors,
 * and -ENOMEM. */
int ebpf_map_read_part(struct ebpf_map *map, const void *key, uint64_t flags, uint32_t offset,
                       void *part, uint32_t size)
{
    const struct ebpf_map_ops *ops = map->ops;
    uint8_t *whole;
    int err;

    if (check_read_flags(map, flags) != 0)
        return -EINVAL;
    if (ops->lookup != NULL && ops->object_at == NULL && ops->peek == NULL && ops->read == NULL)
        return read_part_in_place(map, key, offset, part, size);
    whole = port_alloc(ebpf_map_value_size(map));
    if (whole == NULL)
        return -ENOMEM;
    err = ebpf_map_read(map, key, whole, flags);
    if (err == 0)
        __builtin_memcpy(part, whole + offset, size);
    port_free(whole);
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
    const struct ebpf_map *shape = outer->inner;
    bool any_length = inner->type != BPF_MAP_TYPE_ARRAY; /* whose lookups may be inlined */

    return inner->type == shape->type && inner->key_size == shape->key_size &&
           inner->value_size == shape->value_size && inner->flags == shape->flags &&
           inner->timer_offset == shape->timer_offset &&
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

/* MAP_GET_NEXT_KEY. key NULL or gone: the first one. -ENOENT after the last. Thread context, one
 * caller at a time. */
int ebpf_map_next_key(struct ebpf_map *map, const void *key, void *next)
{
    uint64_t saved = port_lock();
    int err = map->ops->next_key != NULL ? map->ops->next_key(map, key, next) : -EBPF_ENOTSUPP;

    port_unlock(saved);
    while (err == -EAGAIN) {
        saved = port_lock();
        err = map->ops->next_key_on(map, next);
        port_unlock(saved);
    }
    return err;
}

/* MAP_LOOKUP_AND_DELETE_ELEM: no other use of the element comes between. */
int ebpf_map_take(struct ebpf_map *map, const void *key, void *value, uint64_t flags)
{
    uint64_t saved;
    int err = -EBPF_ENOTSUPP;

    if (check_read_flags(map, flags) != 0)
        return -EINVAL;
    saved = port_lock();
    if (map->ops->pop != NULL) {
        err = map->ops->pop(map, value);
    } else if (map->ops->takes) {
        const void *found = lookup_all(map, key);
        err = -ENOENT;
        if (found != NULL) {
            ebpf_map_show_value(map, value, found);
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
        uint8_t *at = buf; /* NULL when size is 0 */
        uint64_t saved;

        used += record;
        if (used != 0)
            at += used;
        saved = port_lock();
        more = map->ops->take_record(map, at, size - used, &record);
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
