/*
 * bpf_timer_*: functions of a program that are called at a time. Linux: kernel/bpf/helpers.c.
 *
 * A program sees 16 opaque bytes in a map value. What stands behind them is not kept there, where a
 * program that nobody verified could write, but in a list of the map, found by their address. A
 * timer ends with its element, with an update of it, or when nobody uses the map any more.
 *
 * Functions are called in interrupt context, with everything else kept out. A timer that has a
 * function holds its program.
 */
#include "ebpf/base.h"
#include "ebpf/engine.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define CLOCK_REALTIME_  0u
#define CLOCK_MONOTONIC_ 1u
#define CLOCK_BOOTTIME_  7u
#define RETRY_NS         1000000u /* when as many runs are under way as there may be */

/* Guarded by port_lock. */
struct ebpf_timer {
    struct ebpf_timer *next; /* of the map */
    struct ebpf_map *map;
    uintptr_t at; /* where the struct bpf_timer is */
    struct port_timer *port;
    struct ebpf_prog *prog; /* holds a reference; NULL: it has no function */
    uint32_t function;      /* its slot */
    bool running;           /* its function is being called */
    bool ended;             /* meanwhile */
};

static void free_timer(struct ebpf_timer *timer)
{
    if (timer->prog)
        ebpf_prog_put(timer->prog);
    port_timer_free(timer->port);
    ebpf_map_free(timer->map, timer, sizeof(*timer));
}

static void call_function(struct ebpf_timer *timer)
{
    struct ebpf_map *map = timer->map;
    struct ebpf_element e;
    struct ebpf_lent key;

    if (!map->ops->element_of(map, timer->at, &e))
        port_fatal("ebpf: a timer of map %u outlived its element", map->object.id);
    key = (struct ebpf_lent){e.key, map->key_size, NULL};
    if (ebpf_prog_call(timer->prog, timer->function,
                       (const uint64_t[5]){(uintptr_t)map, (uintptr_t)e.key, (uintptr_t)e.value},
                       &key) == -EBUSY)
        port_timer_start(timer->port, port_time_ns() + RETRY_NS);
}

/* The function may end its own timer, by deleting its element. */
static void fire(void *arg)
{
    struct ebpf_timer *timer = arg;
    struct ebpf_prog *prog = timer->prog;

    ebpf_prog_get(prog);
    timer->running = true;
    call_function(timer);
    timer->running = false;
    if (timer->ended)
        free_timer(timer);
    ebpf_prog_put(prog);
}

/* ---- the list of a map ----------------------------------------------------------------------- */

static struct ebpf_timer *find(const struct ebpf_map *map, uintptr_t at)
{
    struct ebpf_timer *timer = map->timers;

    while (timer && timer->at != at)
        timer = timer->next;
    return timer;
}

/* Among the maps in reach of the running program. */
static struct ebpf_timer *find_in_reach(uint64_t at)
{
    const struct ebpf_prog *prog = ebpf_run_current()->prog;
    const struct ebpf_map *map =
        ebpf_maps_owner(prog->maps, prog->nr_maps, at, sizeof(struct bpf_timer));

    return map ? find(map, at) : NULL;
}

/* struct ebpf_map's value_ends. */
static void end_timers(struct ebpf_map *map, void *value)
{
    struct ebpf_timer **link = &map->timers, *timer;

    while ((timer = *link) != NULL) {
        if (timer->at - (uintptr_t)value >= map->value_size) {
            link = &timer->next;
            continue;
        }
        *link = timer->next;
        port_timer_cancel(timer->port);
        timer->ended = true;
        if (!timer->running)
            free_timer(timer);
    }
}

static int add(struct ebpf_map *map, uintptr_t at)
{
    struct ebpf_timer *timer = ebpf_map_alloc(map, sizeof(*timer));

    if (!timer)
        return -ENOMEM;
    timer->port = port_timer_create(fire, timer);
    if (!timer->port) {
        ebpf_map_free(map, timer, sizeof(*timer));
        return -ENOMEM;
    }
    timer->map = map;
    timer->at = at;
    timer->next = map->timers;
    map->timers = timer;
    map->value_ends = end_timers;
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static bool may_hold_timers(uint32_t map_type)
{
    return map_type == BPF_MAP_TYPE_ARRAY || map_type == BPF_MAP_TYPE_HASH ||
           map_type == BPF_MAP_TYPE_LRU_HASH;
}

static int init(struct ebpf_map *map, uintptr_t at)
{
    struct ebpf_element e;

    if (!may_hold_timers(map->type))
        return -EOPNOTSUPP;
    if (!map->ops->element_of(map, at, &e))
        return -EINVAL;
    if (find(map, at))
        return -EBUSY;
    /* Without a handle or a pin nobody could end it. */
    return map->object.users == 0 ? -EPERM : add(map, at);
}

/* timer_init(timer, map, flags): flags is the clock, all of which are one here. -EBUSY: it is
 * already; -EINVAL: flags, or not of this map; -EPERM; -ENOMEM. */
uint64_t helper_timer_init(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t saved;
    int err;

    (void)r4, (void)r5;
    if (r3 != CLOCK_MONOTONIC_ && r3 != CLOCK_REALTIME_ && r3 != CLOCK_BOOTTIME_)
        return helper_error(-EINVAL);
    saved = port_lock();
    err = init((struct ebpf_map *)r2, r1);
    port_unlock(saved);
    return helper_error(err);
}

static int set_callback(struct ebpf_timer *timer, struct ebpf_prog *prog, uint64_t function)
{
    struct ebpf_prog *old;

    if (!timer)
        return -EINVAL;
    if (timer->map->object.users == 0)
        return -EPERM;
    old = timer->prog;
    ebpf_prog_get(prog);
    timer->prog = prog;
    timer->function = ebpf_engine_function_slot(prog, function);
    if (old)
        ebpf_prog_put(old);
    return 0;
}

/* timer_set_callback(timer, function(map, key, value)). -EINVAL: not initialised; -EPERM. */
uint64_t helper_timer_set_callback(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t saved = port_lock();
    int err = set_callback(find_in_reach(r1), ebpf_run_current()->prog, r2);

    (void)r3, (void)r4, (void)r5;
    port_unlock(saved);
    return helper_error(err);
}

/* timer_start(timer, nanoseconds from now, flags). -EINVAL: flags, or it has no function. */
uint64_t helper_timer_start(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t saved = port_lock(), deadline;
    struct ebpf_timer *timer = find_in_reach(r1);
    int err = r3 || !timer || !timer->prog ? -EINVAL : 0;

    (void)r4, (void)r5;
    if (__builtin_add_overflow(port_time_ns(), r2, &deadline))
        deadline = UINT64_MAX;
    if (!err)
        port_timer_start(timer->port, deadline);
    port_unlock(saved);
    return helper_error(err);
}

/* timer_cancel(timer): 1 when it was started, else 0; it has no function then. -EINVAL: not
 * initialised; -EDEADLK: from its own function. */
uint64_t helper_timer_cancel(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint64_t saved = port_lock();
    struct ebpf_timer *timer = find_in_reach(r1);
    int err = !timer ? -EINVAL : timer->running ? -EDEADLK : 0;

    (void)r2, (void)r3, (void)r4, (void)r5;
    if (!err) {
        err = port_timer_cancel(timer->port);
        if (timer->prog)
            ebpf_prog_put(timer->prog);
        timer->prog = NULL;
    }
    port_unlock(saved);
    return helper_error(err);
}
