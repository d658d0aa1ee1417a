/*
 * The MAP_*_BATCH commands. Order of checks and errors: Linux, kernel/bpf/syscall.c
 * generic_map_*_batch, and __htab_map_lookup_and_delete_batch in hashtab.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/sys.h"

struct batch {
    struct ebpf_map *map;
    uint8_t *keys, *values;
    uint32_t key_size, value_size, count;
};

/* kind: MAP_BATCH_*. */
static int get_batch(struct ebpf_session *session, const union bpf_attr *a, unsigned access,
                     unsigned kind, struct batch *batch)
{
    int err = ebpf_get_map_for(session, a->batch.map_fd, access, &batch->map);

    if (err != 0)
        return err;
    batch->keys = ebpf_attr_pointer(a->batch.keys);
    batch->values = ebpf_attr_pointer(a->batch.values);
    batch->key_size = batch->map->key_size;
    batch->value_size = ebpf_map_value_size(batch->map);
    batch->count = a->batch.count;
    if ((batch->map->ops->batches & kind) == 0)
        return -EBPF_ENOTSUPP;
    if ((a->batch.elem_flags & ~(uint64_t)BPF_F_LOCK) != 0 || a->batch.flags != 0)
        return -EINVAL;
    if (a->batch.elem_flags != 0 && batch->map->lock_offset < 0)
        return -EINVAL;
    if (batch->count != 0 &&
        (batch->keys == NULL || (batch->values == NULL && kind != MAP_BATCH_DELETE)))
        return -EFAULT;
    return 0;
}

static uint8_t *key_at(const struct batch *batch, uint32_t n)
{
    return batch->keys + (size_t)n * batch->key_size;
}

static uint8_t *value_at(const struct batch *batch, uint32_t n)
{
    return batch->values + (size_t)n * batch->value_size;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* Any map that knows the next key. The token is the last key that was returned. */
static int lookup_by_keys(const struct batch *batch, const void *after, void *token,
                          uint32_t *count)
{
    uint32_t n = 0;
    int err = 0;

    while (n < batch->count) {
        uint8_t *key = key_at(batch, n);

        err = ebpf_map_next_key(batch->map, after, key);
        if (err != 0)
            break;
        err = ebpf_map_read(batch->map, key, value_at(batch, n), 0);
        after = key;
        if (err == -ENOENT)
            continue; /* an empty slot, or gone meanwhile: the key after it takes its place */
        if (err != 0)
            break;
        n++;
    }
    *count = n;
    if (n != 0)
        __builtin_memcpy(token, key_at(batch, n - 1), batch->key_size);
    return err;
}

/* Hash tables. The token is the bucket to go on with. Some buckets at a time are read under the
 * lock. */
static int lookup_by_buckets(const struct batch *batch, const uint32_t *after, uint32_t *token,
                             uint32_t *count, bool take)
{
    uint32_t position = 0, n = 0, got;
    int err = -EAGAIN;

    if (after != NULL)
        __builtin_memcpy(&position, after, sizeof(position));
    while (err == -EAGAIN) {
        uint64_t saved = port_lock();

        got = batch->count - n;
        err = batch->map->ops->read_buckets(batch->map, &position, key_at(batch, n),
                                            value_at(batch, n), &got, take);
        port_unlock(saved);
        n += got;
    }
    *count = n;
    __builtin_memcpy(token, &position, sizeof(position));
    return err == 0 && n == 0 ? -ENOSPC : err;
}

/* Maps of maps: only clients change them, one at a time. */
static int take_objects(const struct batch *batch, uint32_t count)
{
    int err = 0;

    for (uint32_t i = 0; i < count && err == 0; i++)
        err = ebpf_map_remove(batch->map, key_at(batch, i));
    return err;
}

static long lookup_batch(struct ebpf_session *session, union bpf_attr *a, bool take)
{
    struct batch batch;
    void *after = ebpf_attr_pointer(a->batch.in_batch);
    void *token = ebpf_attr_pointer(a->batch.out_batch);
    int err = get_batch(session, a, take ? EBPF_MAY_BOTH : EBPF_MAY_READ,
                        take ? MAP_BATCH_TAKE : MAP_BATCH_LOOKUP, &batch),
        removed = 0;

    if (err != 0)
        return err;
    if (batch.count == 0)
        return 0;
    if (token == NULL)
        return -EFAULT;
    a->batch.count = 0;
    if (batch.map->ops->read_buckets == NULL)
        return lookup_by_keys(&batch, after, token, &a->batch.count);
    err = lookup_by_buckets(&batch, after, token, &a->batch.count,
                            take && batch.map->ops->remove_object == NULL);
    if (take && batch.map->ops->remove_object != NULL)
        removed = take_objects(&batch, a->batch.count);
    return removed != 0 ? removed : err;
}

long ebpf_cmd_MAP_LOOKUP_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    return lookup_batch(session, &attr->bpf, false);
}

long ebpf_cmd_MAP_LOOKUP_AND_DELETE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    return lookup_batch(session, &attr->bpf, true);
}

/* ---- writing ----------------------------------------------------------------------------- */

long ebpf_cmd_MAP_UPDATE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct batch batch;
    uint32_t n = 0;
    int err = get_batch(session, a, EBPF_MAY_WRITE, MAP_BATCH_UPDATE, &batch);

    if (err != 0)
        return err;
    for (; n < batch.count && err == 0; n += err == 0)
        err = ebpf_write_element(session, batch.map, key_at(&batch, n), value_at(&batch, n),
                                 a->batch.elem_flags);
    a->batch.count = n;
    return err;
}

long ebpf_cmd_MAP_DELETE_BATCH(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct batch batch;
    uint32_t n = 0;
    int err = get_batch(session, a, EBPF_MAY_WRITE, MAP_BATCH_DELETE, &batch);

    if (err != 0)
        return err;
    for (; n < batch.count && err == 0; n += err == 0)
        err = ebpf_map_remove(batch.map, key_at(&batch, n));
    a->batch.count = n;
    return err;
}
