/*
 * Helpers that call functions of the program back: bpf_loop and bpf_for_each_map_elem. Linux:
 * kernel/bpf/bpf_iter.c, hashtab.c and arraymap.c. How a function is called is the engine's:
 * struct ebpf_run's call.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

#define LOOPS_MAX (8u << 20) /* Linux: BPF_MAX_LOOPS */

bool ebpf_call_back(uint64_t function, const uint64_t args[5], uint64_t *r0)
{
    struct ebpf_run *run = ebpf_run_current();
    struct ebpf_prog *prog = run->prog;
    bool went_on = true;

    if (run->call)
        went_on = run->call(run, function, args, r0);
    else
        *r0 = ((ebpf_helper_fn)(uintptr_t)function)(args[0], args[1], args[2], args[3], args[4]);
    if (went_on)          /* a fault is told where it was */
        run->prog = prog; /* the function may have gone to another by a tail call */
    return went_on;
}

/* loop(times, function(index, ctx), ctx, flags): how often it was called; it ends the loop by
 * returning 1. */
uint64_t helper_loop(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    uint32_t times = (uint32_t)r1;
    uint64_t stop = 0;

    (void)r5;
    if (r4)
        return helper_error(-EINVAL);
    if (times > LOOPS_MAX)
        return helper_error(-E2BIG);
    for (uint32_t i = 0; i < times; i++) {
        if (!ebpf_call_back(r2, (const uint64_t[5]){i, r3}, &stop))
            return 0;
        if (stop)
            return i + 1;
    }
    return times;
}

/* One element's call; the key is the program's to read meanwhile. */
static bool call_with(struct ebpf_map *map, const struct ebpf_element *e, uint64_t function,
                      uint64_t ctx, uint64_t *stop)
{
    struct ebpf_run *run = ebpf_run_current();
    struct ebpf_lent key = {e->key, map->key_size, run->lent};
    bool went_on;

    run->lent = &key;
    went_on = ebpf_call_back(
        function, (const uint64_t[5]){(uintptr_t)map, (uintptr_t)e->key, (uintptr_t)e->value, ctx},
        stop);
    run->lent = key.outer;
    return went_on;
}

/* for_each_map_elem(map, function(map, key, value, ctx), ctx, flags): how many elements it was
 * called with; it ends the walk by returning 1. What the function deletes it does not meet any
 * more; what it adds it may meet. */
uint64_t helper_for_each_map_elem(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r1;
    uint64_t stop = 0, calls = 0;

    (void)r5;
    if (r4 || !map->ops->element_at)
        return helper_error(-EINVAL);
    for (uint32_t place = 0; place < map->max_entries && !stop; place++) {
        struct ebpf_element e;
        uint64_t saved = port_lock();
        bool there = map->ops->element_at(map, place, &e);

        port_unlock(saved);
        if (!there)
            continue;
        if (!call_with(map, &e, r2, r3, &stop))
            return 0;
        calls++;
    }
    return calls;
}
