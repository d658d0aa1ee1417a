/*
 * bpf_spin_lock and bpf_timer: structs within map values, where the map's BTF says (map_btf.c).
 * Only their helpers touch them; one lock is held at a time, by a value's id, nothing is called
 * under it, and it is given back before the program ends. Linux: process_spin_lock,
 * process_timer_func, check_map_access, check_map_prog_compatibility.
 */
#include <linux/bpf.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_helper.h"

/* May programs of this type call such a helper? */
static bool type_may(uint32_t type, uint32_t helper)
{
    return ebpf_helper_get(helper)->prog_types >> type & 1;
}

/* Programs that the helpers are not for do not get at the maps either. */
bool lock_check_maps(struct verifier *v)
{
    uint32_t type = v->load->type;

    for (uint32_t i = 0; i < v->load->nr_maps; i++) {
        const struct ebpf_map *map = v->load->maps[i];

        if (map->lock_offset >= 0 && !type_may(type, BPF_FUNC_spin_lock))
            return verifier_reject(
                v, -EINVAL, RULE_LOCK_TYPE, NO_REG,
                "%s progs cannot use bpf_spin_lock yet: map %s has "
                "one in its values",
                type == BPF_PROG_TYPE_SOCKET_FILTER ? "socket filter" : "tracing", map->name);
        if (map->timer_offset >= 0 && !type_may(type, BPF_FUNC_timer_init))
            return verifier_reject(v, -EINVAL, RULE_LOCK_TYPE, NO_REG,
                                   "tracing progs cannot use bpf_timer yet: map %s has one in its "
                                   "values",
                                   map->name);
    }
    return true;
}

static bool touches(const struct reg *base, int64_t off, uint64_t size, int32_t field,
                    uint32_t field_size)
{
    int64_t at = base->off + off;

    return field >= 0 && at + base->n.smin < field + (int64_t)field_size &&
           field < (int64_t)((uint64_t)at + base->n.umax + size);
}

/* An access, known to be inside of the map value that base points into. */
bool lock_check_access(struct verifier *v, const struct reg *base, int64_t off, uint64_t size)
{
    const struct ebpf_map *map = base->map;

    if (touches(base, off, size, map->lock_offset, sizeof(struct bpf_spin_lock)))
        return verifier_reject(v, -EACCES, RULE_FIELD, NO_REG,
                               "bpf_spin_lock cannot be accessed directly by load/store: it is at "
                               "%d of the values of map %s",
                               map->lock_offset, map->name);
    if (touches(base, off, size, map->timer_offset, sizeof(struct bpf_timer)))
        return verifier_reject(v, -EACCES, RULE_FIELD, NO_REG,
                               "bpf_timer cannot be accessed directly by load/store: it is at %d "
                               "of the values of map %s",
                               map->timer_offset, map->name);
    return true;
}

/* Does the register point at the struct of this name, which is at field of the map's values? */
static bool points_at(struct verifier *v, unsigned regno, const char *name, int32_t field)
{
    const struct reg *reg = reg_now(v, regno);
    const struct ebpf_map *map = reg->map;
    int64_t at;

    if (!scalar_is_const(&reg->n))
        return verifier_reject(v, -EINVAL, RULE_FIELD_PLACE, (int)regno,
                               "R%u doesn't have constant offset. %s has to be at the constant "
                               "offset",
                               regno, name);
    if (!map->btf)
        return verifier_reject(v, -EINVAL, RULE_FIELD_PLACE, (int)regno,
                               "map '%s' has to have BTF in order to use %s", map->name, name);
    if (field < 0)
        return verifier_reject(v, -EINVAL, RULE_FIELD_PLACE, (int)regno,
                               "map '%s' doesn't have one 'struct %s'", map->name, name);
    at = reg->off + reg->n.smin;
    return at == field || verifier_reject(v, -EINVAL, RULE_FIELD_PLACE, (int)regno,
                                          "off %ld doesn't point to 'struct %s' that is at %d",
                                          (long)at, name, field);
}

/* ARG_SPIN_LOCK. */
bool lock_argument(struct verifier *v, const struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);
    struct held_lock *held = &v->now->lock;

    if (reg->type != REG_MAP_VALUE)
        return call_wrong_type(v, regno, "map_value");
    if (!points_at(v, regno, "bpf_spin_lock", reg->map->lock_offset))
        return false;
    if (c->rules->what & HELPER_LOCKS) {
        *held = (struct held_lock){reg->map, reg->id};
        return true;
    }
    if (!held->map)
        return verifier_reject(v, -EINVAL, RULE_LOCK, (int)regno,
                               "bpf_spin_unlock without taking a lock");
    if (held->map != reg->map || held->id != reg->id)
        return verifier_reject(v, -EINVAL, RULE_LOCK, (int)regno,
                               "bpf_spin_unlock of different lock: R%u does not point into the "
                               "value whose lock is held",
                               regno);
    *held = (struct held_lock){NULL, 0};
    return true;
}

/* ARG_TIMER: notes the timer's map, for those arguments that have to go with it. */
bool timer_argument(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_MAP_VALUE)
        return call_wrong_type(v, regno, "map_value");
    if (!points_at(v, regno, "bpf_timer", reg->map->timer_offset))
        return false;
    c->map = reg->map;
    c->map_uid = reg->map_uid;
    return true;
}

/* Before a call of any kind but bpf_spin_unlock. */
bool lock_check_call(struct verifier *v)
{
    return !v->now->lock.map ||
           verifier_reject(v, -EINVAL, RULE_LOCK_CALL, NO_REG,
                           "function calls are not allowed while holding a lock");
}

bool lock_check_exit(struct verifier *v)
{
    return !v->now->lock.map ||
           verifier_reject(v, -EINVAL, RULE_LOCK, NO_REG, "bpf_spin_unlock is missing");
}
