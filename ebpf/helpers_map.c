/*
 * Helpers on maps. Each takes the lock that a map's operations are called under; a value's address
 * stays good after it, for as long as the element lives.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

/* Errors travel in r0 sign-extended. */
static uint64_t error(long value)
{
    return (uint64_t)value;
}

static bool may_write(const struct ebpf_map *map)
{
    return !(map->flags & BPF_F_RDONLY_PROG);
}

static bool may_read(const struct ebpf_map *map)
{
    return !(map->flags & BPF_F_WRONLY_PROG);
}

uint64_t helper_map_lookup_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved;
    void *value;

    (void)r3, (void)r4, (void)r5;
    if (!map->ops->lookup)
        return 0;
    saved = port_lock();
    value = map->ops->lookup(map, (const void *)r2);
    port_unlock(saved);
    return (uintptr_t)value;
}

uint64_t helper_map_update_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved;
    int err;

    (void)r5;
    if (!map->ops->update)
        return error(-EOPNOTSUPP);
    if (!may_write(map))
        return error(-EPERM);
    saved = port_lock();
    err = map->ops->update(map, (const void *)r2, (const void *)r3, r4);
    port_unlock(saved);
    return error(err);
}

uint64_t helper_map_delete_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved;
    int err;

    (void)r3, (void)r4, (void)r5;
    if (!map->ops->remove)
        return error(-EOPNOTSUPP);
    if (!may_write(map))
        return error(-EPERM);
    saved = port_lock();
    err = map->ops->remove(map, (const void *)r2);
    port_unlock(saved);
    return error(err);
}

uint64_t helper_map_push_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t saved;
    int err;

    (void)r4, (void)r5;
    if (!map->ops->push)
        return error(-EOPNOTSUPP);
    if (!may_write(map))
        return error(-EPERM);
    saved = port_lock();
    err = map->ops->push(map, (const void *)r2, r3);
    port_unlock(saved);
    return error(err);
}

static uint64_t take(struct ebpf_map *map, void *value, int (*from)(struct ebpf_map *, void *))
{
    uint64_t saved;
    int err;

    if (!from)
        return error(-EOPNOTSUPP);
    if (!may_read(map))
        return error(-EPERM);
    saved = port_lock();
    err = from(map, value);
    port_unlock(saved);
    return error(err);
}

uint64_t helper_map_pop_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;

    (void)r3, (void)r4, (void)r5;
    return may_write(map) ? take(map, (void *)r2, map->ops->pop) : error(-EPERM);
}

uint64_t helper_map_peek_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;

    (void)r3, (void)r4, (void)r5;
    return take(map, (void *)r2, map->ops->peek);
}
