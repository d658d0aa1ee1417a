/*
 * Maps: what every type shares, and the table of operations each type file (map_TYPE.c) fills in.
 * Internal to ebpf/. Operations are called under port_lock unless said otherwise; programs call
 * them through helpers, clients through ebpf_sys().
 */
#ifndef SKEP_EBPF_MAP_H
#define SKEP_EBPF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "ebpf/object.h"

struct ebpf_map;
struct ebpf_btf;
struct ebpf_prog;
struct ebpf_ringbuf;

/* r0 of map_lookup_elem(r1 = map, r2 = key). */
typedef uint64_t (*ebpf_map_lookup_fn)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                       uint64_t r5);

/* Batch commands that a type serves. */
enum {
    MAP_BATCH_LOOKUP = 1,
    MAP_BATCH_UPDATE = 2,
    MAP_BATCH_DELETE = 4,
    MAP_BATCH_TAKE = 8, /* lookup and delete */
    MAP_BATCH_ALL = 15,
};

/* An element as a program that walks the map sees it. */
struct ebpf_element {
    const void *key;
    void *value;    /* this CPU's */
    uint32_t index; /* arrays: what key points at */
};

struct ebpf_map_ops {
    uint32_t type;    /* BPF_MAP_TYPE_* */
    const char *name; /* "hash" */
    bool takes;       /* MAP_LOOKUP_AND_DELETE is served, by lookup and remove */
    unsigned batches; /* MAP_BATCH_* */
    /* Refuses a definition before anything is allocated: -EINVAL, -E2BIG. */
    int (*check)(const union bpf_attr *attr);
    /* Allocates; map's common fields are filled in. 0 or -ENOMEM. Not under the lock. */
    int (*create)(struct ebpf_map *map, const union bpf_attr *attr);
    void (*destroy)(struct ebpf_map *map); /* not under the lock */
    /* Address of the value, stable while the element lives; NULL when there is none. */
    void *(*lookup)(struct ebpf_map *map, const void *key);
    /* For clients, where no value can be pointed at; NULL: as lookup says. */
    int (*read)(struct ebpf_map *map, const void *key, void *value);
    int (*update)(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
    int (*remove)(struct ebpf_map *map, const void *key);
    /* key NULL or absent: the first. -ENOENT after the last. Hash tables look at so many buckets
     * only, then -EAGAIN: next_key_on looks at the next ones. */
    int (*next_key)(struct ebpf_map *map, const void *key, void *next);
    int (*next_key_on)(struct ebpf_map *map, void *next);
    /* Hash tables, for batches: whole buckets from *position on into keys and values, as many as
     * *count has room for; take: and removes them (not of a map of maps). *position and *count are
     * then where to go on and how many there were. -EAGAIN: there is room for more; 0: the next
     * bucket has no room; -ENOENT at the end. */
    int (*read_buckets)(struct ebpf_map *map, uint32_t *position, void *keys, void *values,
                        uint32_t *count, bool take);
    int (*push)(struct ebpf_map *map, const void *value, uint64_t flags);
    int (*pop)(struct ebpf_map *map, void *value);
    int (*peek)(struct ebpf_map *map, void *value);
    /* Base of a value that a program may address directly (BPF_PSEUDO_MAP_VALUE); *size: how far.
     */
    int (*direct_value)(struct ebpf_map *map, uint32_t offset, void **addr);
    /* Per-CPU types, for clients: address of the values of all CPUs; NULL: as lookup. update_all
     * likewise takes them all. */
    void *(*lookup_all)(struct ebpf_map *map, const void *key);
    int (*update_all)(struct ebpf_map *map, const void *key, const void *values, uint64_t flags);
    /* True when [addr, addr + len) lies inside one live value of this map: the checked
     * interpreter's test for a pointer that lookup gave. */
    bool (*owns)(struct ebpf_map *map, uintptr_t addr, size_t len);
    /* Arrays and hash tables: the value at a place from 0 to max_entries - 1, in no order; NULL:
     * none there. Not for the values of all CPUs. */
    void *(*value_at)(struct ebpf_map *map, uint32_t place);
    /* Types that programs walk, and that may hold timers: the element at a place from 0 to
     * max_entries - 1, in no order; the element that an address lies in the value of. False: none.
     */
    bool (*element_at)(struct ebpf_map *map, uint32_t place, struct ebpf_element *out);
    bool (*element_of)(struct ebpf_map *map, uintptr_t addr, struct ebpf_element *out);
    /* Maps whose elements are objects. Clients write handles, of kind holds, and read ids. Whoever
     * updates or removes puts *old (NULL: none) afterwards, outside of the lock. Maps of maps:
     * lookup gives the struct ebpf_map itself; inner_at the map at a place, in no order, or NULL.
     */
    enum ebpf_kind holds;
    struct ebpf_object *(*object_at)(struct ebpf_map *map, const void *key);
    int (*update_object)(struct ebpf_map *map, const void *key, struct ebpf_object *object,
                         uint64_t flags, struct ebpf_object **old);
    int (*remove_object)(struct ebpf_map *map, const void *key, struct ebpf_object **old);
    struct ebpf_map *(*inner_at)(struct ebpf_map *map, uint32_t place);
    /* The last handle and the last pin are gone; other objects may still refer to the map. */
    void (*unused)(struct ebpf_map *map);
    /* Ring buffer only. reserve: size bytes of a record that nobody reads before commit; NULL when
     * it is full or size is too large. commit takes what reserve gave; flags are BPF_RB_NO_WAKEUP
     * or BPF_RB_FORCE_WAKEUP; it wakes readers through port_ring_notify. query:
     * BPF_RB_AVAIL_DATA... */
    void *(*reserve)(struct ebpf_map *map, uint64_t size);
    void (*commit)(struct ebpf_map *map, void *record, bool discard, uint64_t flags);
    uint64_t (*query)(struct ebpf_map *map, uint64_t what);
    struct ebpf_ringbuf *(*ring)(struct ebpf_map *map); /* for machine code */
    /* Ring and perf buffers: takes the oldest record out. False: none waits. *size is what was put
     * into buf, 0 for a record that is only to be skipped; above room: it was not taken. */
    bool (*take_record)(struct ebpf_map *map, uint8_t *buf, size_t room, size_t *size);
    uint64_t (*dropped)(struct ebpf_map *map); /* records that are lost, so far */
    /* Arrays, of one CPU's values: for machine code. Element n is at *data + n * *stride as long as
     * the map lives. */
    void (*elements)(struct ebpf_map *map, uint8_t **data, uint32_t *stride);
    /* The function that verified programs may call for a lookup, without the lock. */
    ebpf_map_lookup_fn (*direct_lookup)(const struct ebpf_map *map);
    /* Program array only: the program at index, borrowed, or NULL. */
    struct ebpf_prog *(*prog_at)(struct ebpf_map *map, uint32_t index);
};

struct ebpf_map {
    struct ebpf_object object;
    const struct ebpf_map_ops *ops;
    uint32_t type, key_size, value_size, max_entries, flags;
    uint64_t extra; /* map_extra */
    /* Maps of maps: what each of them looks like. It is owned, is no object and has no elements:
     * whoever finds is_template set must not look for any. NULL for other types. */
    struct ebpf_map *inner;
    bool is_template;
    char name[BPF_OBJ_NAME_LEN];
    bool frozen;          /* clients may no longer write */
    struct ebpf_btf *btf; /* holds a reference; NULL without */
    uint32_t btf_key_type_id, btf_value_type_id;
    /* Where a value holds a struct bpf_spin_lock or bpf_timer, as its BTF says; -1: it does not.
     * Clients read zeros there and do not write it; programs' updates do not either. */
    int32_t lock_offset, timer_offset;
    /* Set by whoever keeps timers once there is one in a value: called under the lock when a value
     * is written or removed and when the map is no longer used. It leaves zeros there. */
    void (*value_ends)(struct ebpf_map *map, void *value);
    uint64_t bytes;            /* what it is accounted for */
    struct ebpf_timer *timers; /* in its values (helpers_timer.c) */
    void *impl;                /* the type's own state */
};

const struct ebpf_map_ops *ebpf_map_ops_for(uint32_t type);
int ebpf_map_create(const union bpf_attr *attr, struct ebpf_btf *btf, struct ebpf_map **out);
int ebpf_map_create_outer(const union bpf_attr *attr, struct ebpf_btf *btf,
                          const struct ebpf_map *inner, struct ebpf_map **out);
void ebpf_map_get(struct ebpf_map *map);
void ebpf_map_put(struct ebpf_map *map);

/* What a client does, whatever the type. value: ebpf_map_value_size bytes. */
int ebpf_map_read(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
int ebpf_map_read_part(struct ebpf_map *map, const void *key, uint64_t flags, uint32_t offset,
                       void *part, uint32_t size);
int ebpf_map_write(struct ebpf_map *map, const void *key, const void *value, uint64_t flags);
int ebpf_map_remove(struct ebpf_map *map, const void *key);
int ebpf_map_next_key(struct ebpf_map *map, const void *key, void *next);
int ebpf_map_take(struct ebpf_map *map, const void *key, void *value, uint64_t flags);
int ebpf_map_write_object(struct ebpf_map *map, const void *key, struct ebpf_object *object,
                          uint64_t flags);

/* next_key of the types whose keys are indices. */
int ebpf_map_next_index(struct ebpf_map *map, const void *key, void *next);

/* Values that may hold a lock or timer, and the flags of an update; map_element.c. */
void ebpf_map_put_value(struct ebpf_map *map, void *value, const void *from, size_t size);
void ebpf_map_show_value(const struct ebpf_map *map, void *to, const void *value);
int ebpf_map_update_flags(const struct ebpf_map *map, uint64_t flags, uint64_t *how);
int ebpf_map_check_btf(const union bpf_attr *attr, const struct ebpf_btf *btf, int32_t *lock,
                       int32_t *timer);

int ebpf_prog_arrays_use(struct ebpf_map *const *maps, uint32_t count,
                         const struct ebpf_prog *prog);
uint32_t ebpf_prog_array_owner(const struct ebpf_map *map, uint32_t *type);

struct ebpf_map *ebpf_maps_owner(struct ebpf_map *const *maps, uint32_t count, uintptr_t addr,
                                 size_t len);
bool ebpf_maps_include(struct ebpf_map *const *maps, uint32_t count, uintptr_t value);

/* What perf_event_output and get_stackid do once they have their data; map is of that type. Both
 * take the lock. Any context. What they do and answer stands in map_perf.c, map_stack_trace.c. */
long ebpf_perf_output(struct ebpf_map *map, uint32_t index, const void *data, uint64_t size,
                      const void *more, uint64_t more_size);
long ebpf_stack_id(struct ebpf_map *map, const uint64_t *ips, uint32_t count, uint64_t flags);

void *ebpf_map_alloc(struct ebpf_map *map, size_t size);
void ebpf_map_free(struct ebpf_map *map, void *block, size_t size);
void ebpf_map_set_limit(uint64_t bytes);
uint64_t ebpf_map_bytes(uint64_t *limit);

#define EBPF_PERCPU_VALUE_MAX 32768u /* Linux: PCPU_MIN_UNIT_SIZE; more is -E2BIG */
#define EBPF_ENOTSUPP         524    /* what Linux answers for an operation that a map type lacks */

#endif
