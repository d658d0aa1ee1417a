/*
 * Linux's rules for maps that hold across types: which flags a type takes, which batches, what its
 * BTF must say, locks and timers in values, inner maps, the owner of a program array. Each test is
 * named after its rule; the sources are kernel/bpf/{syscall,arraymap,hashtab,map_in_map}.c.
 */
#include <errno.h>
#include <string.h>

#include <linux/btf.h>

#include "ebpf/ebpf.h"
#include "ebpf/hash.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

static struct ebpf_session *session;

static void set_up(void)
{
    cr_assert_eq(ebpf_init(64u << 20), 0);
    session = ebpf_session_create();
}

static void tear_down(void)
{
    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left");
    cr_assert_eq(ebpf_map_bytes(NULL), 0, "map memory is left");
    cr_assert_eq(host_port_blocks(), 0, "blocks are left");
    leakcheck();
}

TestSuite(map_rules, .init = set_up, .fini = tear_down);

static uint64_t ptr(const void *p)
{
    return (uintptr_t)p;
}

#define CALL(cmd, ...)                                                                             \
    ({                                                                                             \
        union bpf_attr attr_ = {__VA_ARGS__};                                                      \
        ebpf_sys(session, cmd, &attr_, sizeof(attr_));                                             \
    })

/* ---- a definition of each type that is right --------------------------------------------- */

struct definition {
    uint32_t type, key, value, entries, flags;
    uint32_t takes; /* flags that it may have besides */
    unsigned batches;
};

#define CLIENT  (BPF_F_RDONLY | BPF_F_WRONLY)
#define PROGRAM (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)

static const struct definition definitions[] = {
    {BPF_MAP_TYPE_HASH, 4, 8, 8, 0,
     BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | CLIENT | PROGRAM, MAP_BATCH_ALL},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 8, 0,
     BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_INNER_MAP | CLIENT | PROGRAM,
     MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE},
    {BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 8, 0, BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED | CLIENT | PROGRAM,
     MAP_BATCH_ALL},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 8, 0, CLIENT | PROGRAM, MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE},
    {BPF_MAP_TYPE_LRU_HASH, 4, 8, 8, 0,
     BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | CLIENT | PROGRAM, MAP_BATCH_ALL},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 8, 0,
     BPF_F_NO_COMMON_LRU | BPF_F_ZERO_SEED | CLIENT | PROGRAM, MAP_BATCH_ALL},
    {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8, 0, BPF_F_NUMA_NODE | CLIENT, 0},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 8, 0, BPF_F_NUMA_NODE | BPF_F_PRESERVE_ELEMS | CLIENT, 0},
    {BPF_MAP_TYPE_STACK_TRACE, 4, 64, 8, 0, BPF_F_NUMA_NODE | CLIENT, 0},
    {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 8, BPF_F_NO_PREALLOC, BPF_F_NUMA_NODE | CLIENT | PROGRAM,
     MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE | MAP_BATCH_DELETE},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 8, 0, BPF_F_NUMA_NODE | CLIENT,
     MAP_BATCH_LOOKUP | MAP_BATCH_UPDATE},
    {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 8, 0,
     BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | CLIENT | PROGRAM, MAP_BATCH_ALL},
    {BPF_MAP_TYPE_QUEUE, 0, 8, 8, 0, BPF_F_NUMA_NODE | CLIENT | PROGRAM, 0},
    {BPF_MAP_TYPE_STACK, 0, 8, 8, 0, BPF_F_NUMA_NODE | CLIENT | PROGRAM, 0},
    {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, BPF_F_NUMA_NODE, 0},
    {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 8, 0, BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | CLIENT | PROGRAM,
     0},
};

#define NR_DEFINITIONS (sizeof(definitions) / sizeof(definitions[0]))

static int make(const struct definition *d, uint32_t flags, int inner)
{
    bool outer = d->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || d->type == BPF_MAP_TYPE_HASH_OF_MAPS;

    return (int)CALL(BPF_MAP_CREATE, .map_type = d->type, .key_size = d->key,
                     .value_size = d->value, .max_entries = d->entries,
                     .map_flags = d->flags | flags, .inner_map_fd = outer ? (uint32_t)inner : 0);
}

static int create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
    struct definition d = {.type = type, .key = key, .value = value, .entries = entries};
    return make(&d, flags, 0);
}

static long update(int map, const void *key, const void *value, uint64_t flags)
{
    return CALL(BPF_MAP_UPDATE_ELEM, .map_fd = (uint32_t)map, .key = ptr(key), .value = ptr(value),
                .flags = flags);
}

static long lookup(int map, const void *key, void *value, uint64_t flags)
{
    return CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .key = ptr(key), .value = ptr(value),
                .flags = flags);
}

static long take(int map, const void *key, void *value)
{
    return CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(key),
                .value = ptr(value));
}

/* ---- flags ------------------------------------------------------------------------------- */

Test(map_rules, every_type_is_in_the_table)
{
    unsigned known = 0;

    for (uint32_t type = 0; type < 64; type++)
        known += ebpf_map_ops_for(type) != NULL;
    cr_assert_eq(known, NR_DEFINITIONS);
}

Test(map_rules, a_type_takes_its_flags_and_no_others)
{
    int inner = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);

    for (unsigned i = 0; i < NR_DEFINITIONS; i++) {
        const struct definition *d = &definitions[i];

        for (unsigned bit = 0; bit < 32; bit++) {
            uint32_t flag = 1u << bit;
            int map = make(d, flag, inner);
            bool fine = ((d->takes | d->flags) & flag) != 0;

            if (fine)
                cr_expect_gt(map, 0, "type %u, flag %#x", d->type, flag);
            else
                cr_expect(map == -EINVAL || map == -EBPF_ENOTSUPP, "type %u, flag %#x: %d", d->type,
                          flag, map);
        }
    }
}

Test(map_rules, an_LRU_map_is_always_preallocated)
{
    cr_expect_eq(create(BPF_MAP_TYPE_LRU_HASH, 4, 4, 8, BPF_F_NO_PREALLOC), -EBPF_ENOTSUPP);
    cr_expect_eq(create(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 4, 8, BPF_F_NO_PREALLOC), -EBPF_ENOTSUPP);
}

Test(map_rules, a_prefix_trie_is_never_preallocated)
{
    cr_expect_eq(create(BPF_MAP_TYPE_LPM_TRIE, 8, 4, 8, 0), -EINVAL);
}

Test(map_rules, a_split_LRU_list_has_no_node)
{
    cr_expect_eq(create(BPF_MAP_TYPE_LRU_HASH, 4, 4, 8, BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE),
                 -EINVAL);
}

Test(map_rules, read_only_and_write_only_exclude_each_other)
{
    cr_expect_eq(create(BPF_MAP_TYPE_HASH, 4, 4, 8, CLIENT), -EINVAL);
    cr_expect_eq(create(BPF_MAP_TYPE_HASH, 4, 4, 8, PROGRAM), -EINVAL);
}

Test(map_rules, a_handle_may_do_what_the_flags_at_creation_say)
{
    int reader = create(BPF_MAP_TYPE_HASH, 4, 4, 8, BPF_F_RDONLY);
    int writer = create(BPF_MAP_TYPE_HASH, 4, 4, 8, BPF_F_WRONLY);
    uint32_t key = 1, value = 2;

    cr_expect_eq(update(reader, &key, &value, 0), -EPERM);
    cr_expect_eq(lookup(reader, &key, &value, 0), -ENOENT);
    cr_expect_eq(update(writer, &key, &value, 0), 0);
    cr_expect_eq(lookup(writer, &key, &value, 0), -EPERM);
    cr_expect_eq(take(reader, &key, &value), -EPERM);
    cr_expect_eq(take(writer, &key, &value), -EPERM);
    cr_expect_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)reader), -EPERM);
}

Test(map_rules, ZERO_SEED_gives_the_same_order_every_time)
{
    uint32_t order[2][32];

    for (int round = 0; round < 2; round++) {
        int map = create(BPF_MAP_TYPE_HASH, 4, 4, 32, BPF_F_ZERO_SEED);

        for (uint32_t key = 0; key < 32; key++)
            cr_assert_eq(update(map, &key, &key, 0), 0);
        for (uint32_t i = 0; i < 32; i++)
            cr_assert_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map,
                              .key = i == 0 ? 0 : ptr(&order[round][i - 1]),
                              .next_key = ptr(&order[round][i])),
                         0);
    }
    cr_expect_arr_eq(order[0], order[1], sizeof(order[0]));
}

/* ---- elements ---------------------------------------------------------------------------- */

static bool is(uint32_t type, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return type == a || type == b || type == c || type == d;
}

Test(map_rules, lookup_and_delete_is_for_hash_tables_queues_and_stacks)
{
    int inner = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    uint8_t key[8] = {0}, value[64];

    for (unsigned i = 0; i < NR_DEFINITIONS; i++) {
        uint32_t type = definitions[i].type;
        int map = make(&definitions[i], 0, inner);
        bool served = is(type, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_PERCPU_HASH,
                         BPF_MAP_TYPE_LRU_PERCPU_HASH) ||
                      is(type, BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK, 0, 0);

        cr_expect_eq(take(map, definitions[i].key != 0 ? key : NULL, value),
                     served ? -ENOENT : -EBPF_ENOTSUPP, "type %u", type);
    }
}

Test(map_rules, a_map_without_keys_gets_none)
{
    int queue = create(BPF_MAP_TYPE_QUEUE, 0, 4, 2, 0),
        hash = create(BPF_MAP_TYPE_HASH, 4, 4, 2, 0);
    uint32_t key = 0, value = 0;

    cr_expect_eq(update(queue, &key, &value, 0), -EINVAL);
    cr_expect_eq(lookup(queue, &key, &value, 0), -EINVAL);
    cr_expect_eq(update(hash, NULL, &value, 0), -EFAULT);
}

Test(map_rules, an_update_says_what_was_there)
{
    int hash = create(BPF_MAP_TYPE_HASH, 4, 4, 2, 0),
        array = create(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0);
    uint32_t key = 1, value = 7, full = 2, out = 9;

    cr_expect_eq(update(hash, &key, &value, BPF_EXIST), -ENOENT);
    cr_expect_eq(update(hash, &key, &value, BPF_NOEXIST), 0);
    cr_expect_eq(update(hash, &key, &value, BPF_NOEXIST), -EEXIST);
    cr_expect_eq(update(hash, &key, &value, 3), -EINVAL, "both");
    cr_expect_eq(update(hash, &key, &value, 8), -EINVAL, "unknown");
    cr_expect_eq(update(hash, &full, &value, 0), 0);
    cr_expect_eq(update(hash, &out, &value, 0), -E2BIG, "full");
    cr_expect_eq(update(array, &key, &value, BPF_NOEXIST), -EEXIST, "all elements exist");
    cr_expect_eq(update(array, &key, &value, BPF_EXIST), 0);
    cr_expect_eq(update(array, &out, &value, 0), -E2BIG);
    cr_expect_eq(update(array, &out, &value, 3), -EINVAL, "flags before the index");
    cr_expect_eq(CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)array, .key = ptr(&key)), -EINVAL);
}

/* ---- batches ----------------------------------------------------------------------------- */

static long batch(uint32_t cmd, int map, uint32_t *count, void *keys, void *values, uint64_t flags)
{
    static uint8_t token[64];
    union bpf_attr attr = {.batch = {.map_fd = (uint32_t)map,
                                     .count = *count,
                                     .keys = ptr(keys),
                                     .values = ptr(values),
                                     .out_batch = ptr(token),
                                     .elem_flags = flags}};
    long err = ebpf_sys(session, cmd, &attr, sizeof(attr));

    *count = attr.batch.count;
    return err;
}

Test(map_rules, a_type_serves_its_batches_and_no_others)
{
    static const struct {
        uint32_t cmd;
        unsigned kind;
    } commands[] = {{BPF_MAP_LOOKUP_BATCH, MAP_BATCH_LOOKUP},
                    {BPF_MAP_UPDATE_BATCH, MAP_BATCH_UPDATE},
                    {BPF_MAP_DELETE_BATCH, MAP_BATCH_DELETE},
                    {BPF_MAP_LOOKUP_AND_DELETE_BATCH, MAP_BATCH_TAKE}};
    int inner = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    uint8_t keys[64] = {0}, values[64] = {0};

    for (unsigned i = 0; i < NR_DEFINITIONS; i++) {
        int map = make(&definitions[i], 0, inner);

        for (unsigned c = 0; c < 4; c++) {
            uint32_t count = 0;
            long err = batch(commands[c].cmd, map, &count, keys, values, 0);

            cr_expect_eq(err, (definitions[i].batches & commands[c].kind) != 0 ? 0 : -EBPF_ENOTSUPP,
                         "type %u, command %u: %ld", definitions[i].type, commands[c].cmd, err);
        }
    }
}

Test(map_rules, batch_element_flags_are_BPF_F_LOCK_or_none)
{
    int map = create(BPF_MAP_TYPE_HASH, 4, 4, 8, 0);
    uint32_t key = 1, value = 1, count = 1;

    cr_expect_eq(batch(BPF_MAP_UPDATE_BATCH, map, &count, &key, &value, BPF_NOEXIST), -EINVAL);
    cr_expect_eq(batch(BPF_MAP_UPDATE_BATCH, map, &count, &key, &value, BPF_F_LOCK), -EINVAL,
                 "no lock in the values");
    cr_expect_eq(batch(BPF_MAP_UPDATE_BATCH, map, &count, &key, &value, 0), 0);
    cr_expect_eq(count, 1);
}

Test(map_rules, a_batch_of_an_empty_hash_table_of_many_buckets_comes_to_its_end)
{
    int map = create(BPF_MAP_TYPE_HASH, 4, 4, 100000, BPF_F_NO_PREALLOC);
    uint32_t key = 77, value = 5, count = 10, keys[10], values[10];

    cr_expect_eq(batch(BPF_MAP_LOOKUP_BATCH, map, &count, keys, values, 0), -ENOENT);
    cr_expect_eq(count, 0);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(keys)),
                 -ENOENT);
    cr_assert_eq(update(map, &key, &value, 0), 0);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(keys)), 0);
    cr_expect_eq(keys[0], key);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .next_key = ptr(keys)),
                 -ENOENT);
    count = 10;
    cr_expect_eq(batch(BPF_MAP_LOOKUP_AND_DELETE_BATCH, map, &count, keys, values, 0), -ENOENT);
    cr_expect_eq(count, 1);
    cr_expect(keys[0] == key && values[0] == value);
}

/* ---- maps of maps ------------------------------------------------------------------------ */

static uint32_t map_id(int map)
{
    struct bpf_map_info info = {0};

    cr_assert_eq(
        CALL(BPF_OBJ_GET_INFO_BY_FD,
             .info = {.bpf_fd = (uint32_t)map, .info_len = sizeof(info), .info = ptr(&info)}),
        0);
    return info.id;
}

static void batches_of_maps(uint32_t type)
{
    int inner[3], outer;
    uint32_t keys[] = {0, 1, 2}, fds[3], ids[3] = {0}, out[3], count = 3;

    for (int i = 0; i < 3; i++) {
        inner[i] = create(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
        fds[i] = (uint32_t)inner[i];
    }
    outer = make(&(struct definition){type, 4, 4, 3, 0, 0, 0}, 0, inner[0]);
    cr_assert_eq(batch(BPF_MAP_UPDATE_BATCH, outer, &count, keys, fds, 0), 0);
    cr_assert_eq(count, 3);
    count = 3;
    long err = batch(BPF_MAP_LOOKUP_BATCH, outer, &count, out, ids, 0);
    cr_assert(err == 0 || err == -ENOENT);
    cr_assert_eq(count, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_eq(ids[i], map_id(inner[out[i]]), "clients read ids");
    if (type != BPF_MAP_TYPE_HASH_OF_MAPS)
        return;
    cr_assert_eq(batch(BPF_MAP_LOOKUP_AND_DELETE_BATCH, outer, &count, out, ids, 0), -ENOENT);
    cr_assert_eq(count, 3);
    count = 3;
    cr_assert_eq(batch(BPF_MAP_LOOKUP_BATCH, outer, &count, out, ids, 0), -ENOENT);
    cr_assert_eq(count, 0);
}

Test(map_rules, batches_of_an_array_of_maps_take_handles_and_give_ids)
{
    batches_of_maps(BPF_MAP_TYPE_ARRAY_OF_MAPS);
}

Test(map_rules, batches_of_a_hash_of_maps_take_handles_and_give_ids)
{
    batches_of_maps(BPF_MAP_TYPE_HASH_OF_MAPS);
}

static long puts_inner(int outer, int inner)
{
    uint32_t key = 0;
    return update(outer, &key, &inner, 0);
}

Test(map_rules, an_inner_map_is_like_the_one_that_the_outer_map_was_made_with)
{
    const struct definition outer = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0};
    int model = create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0), map = make(&outer, 0, model);
    int percpu = create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0);
    int any = create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_INNER_MAP);
    int hash = create(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
    uint32_t key = 0;

    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0)), 0);
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_ARRAY, 4, 8, 5, 0)), -EINVAL, "its length");
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_ARRAY, 4, 4, 4, 0)), -EINVAL, "its values");
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_RDONLY_PROG)), -EINVAL);
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_HASH, 4, 8, 4, 0)), -EINVAL, "its type");
    map = make(&outer, 0, any);
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_ARRAY, 4, 8, 99, BPF_F_INNER_MAP)), 0);
    map = make(&outer, 0, percpu);
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 99, 0)), 0);
    map = make(&outer, 0, hash);
    cr_expect_eq(puts_inner(map, create(BPF_MAP_TYPE_HASH, 4, 8, 99, 0)), 0);
    cr_expect_eq(update(map, &key, &(int){999}, 0), -EBADF);
    cr_expect_eq(update(map, &key, &model, BPF_NOEXIST), -EINVAL, "arrays of maps: BPF_ANY only");
}

Test(map_rules, some_maps_are_never_inner_maps)
{
    const struct definition outer = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0};
    int inner = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);

    cr_expect_eq(make(&outer, 0, make(&outer, 0, inner)), -EINVAL, "one level only");
    cr_expect_eq(make(&outer, 0, create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0)), -EBPF_ENOTSUPP);
    cr_expect_eq(make(&outer, 0, 999), -EBADF);
}

/* ---- BTF, locks and timers --------------------------------------------------------------- */

enum { T_VOID, T_U32, T_LOCK, T_TIMER, T_LOCKED, T_TIMED, T_PLAIN, T_KEY, T_U64, T_TWO_LOCKS };

#define NAMES "\0bpf_spin_lock\0bpf_timer\0value\0"

/* One type after the other; the numbers above are their ids. */
static const struct {
    struct btf_header header;
    struct {
        struct btf_type type;
        uint32_t data;
    } u32;
    struct {
        struct btf_type type;
        struct btf_member member[1];
    } lock;
    struct {
        struct btf_type type;
        struct btf_member member[2];
    } timer, locked, timed;
    struct {
        struct btf_type type;
        struct btf_member member[1];
    } plain, key;
    struct {
        struct btf_type type;
        uint32_t data;
    } u64;
    struct {
        struct btf_type type;
        struct btf_member member[2];
    } two_locks;
    char names[sizeof(NAMES)];
} btf = {
#define STRUCT(name, members, bytes)                                                               \
    {                                                                                              \
        name, BTF_KIND_STRUCT << 24 | (members),                                                   \
        {                                                                                          \
            bytes                                                                                  \
        }                                                                                          \
    }
    .header = {.magic = BTF_MAGIC,
               .version = BTF_VERSION,
               .hdr_len = sizeof(struct btf_header),
               .type_len = offsetof(__typeof__(btf), names) - sizeof(struct btf_header),
               .str_off = offsetof(__typeof__(btf), names) - sizeof(struct btf_header),
               .str_len = sizeof(NAMES)},
    .u32 = {{0, BTF_KIND_INT << 24, {4}}, 32},
    .lock = {STRUCT(1, 1, 4), {{0, T_U32, 0}}},
    .timer = {STRUCT(15, 2, 16), {{0, T_U64, 0}, {0, T_U64, 64}}},
    .locked = {STRUCT(25, 2, 16), {{0, T_U32, 0}, {0, T_LOCK, 32}}},
    .timed = {STRUCT(25, 2, 24), {{0, T_TIMER, 0}, {0, T_U64, 128}}},
    .plain = {STRUCT(25, 1, 16), {{0, T_U64, 0}}},
    .key = {STRUCT(25, 1, 8), {{0, T_U64, 0}}},
    .u64 = {{0, BTF_KIND_INT << 24, {8}}, 64},
    .two_locks = {STRUCT(25, 2, 16), {{0, T_LOCK, 0}, {0, T_LOCK, 32}}},
    .names = NAMES,
};

static int with_btf(const struct definition *d, uint32_t key_type, uint32_t value_type)
{
    long handle = CALL(BPF_BTF_LOAD, .btf = ptr(&btf), .btf_size = sizeof(btf));

    cr_assert_gt(handle, 0);
    return (int)CALL(BPF_MAP_CREATE, .map_type = d->type, .key_size = d->key,
                     .value_size = d->value, .max_entries = d->entries, .map_flags = d->flags,
                     .btf_fd = (uint32_t)handle, .btf_key_type_id = key_type,
                     .btf_value_type_id = value_type);
}

#define DEFINE(type, key, value, flags)                                                            \
    (&(struct definition){BPF_MAP_TYPE_##type, key, value, 4, flags, 0, 0})

Test(map_rules, an_arrays_key_is_a_u32_by_BTF)
{
    cr_expect_gt(with_btf(DEFINE(ARRAY, 4, 16, 0), T_U32, T_PLAIN), 0);
    cr_expect_eq(with_btf(DEFINE(ARRAY, 4, 16, 0), T_LOCK, T_PLAIN), -EINVAL, "a struct");
    cr_expect_eq(with_btf(DEFINE(ARRAY, 4, 16, 0), 0, T_PLAIN), -EINVAL, "void: a section only");
    cr_expect_eq(with_btf(DEFINE(HASH, 4, 16, 0), 0, T_PLAIN), -EINVAL);
    cr_expect_eq(with_btf(DEFINE(HASH, 8, 16, 0), T_U32, T_PLAIN), -EINVAL, "its size");
    cr_expect_eq(with_btf(DEFINE(HASH, 4, 8, 0), T_U32, T_PLAIN), -EINVAL, "the value's size");
}

Test(map_rules, a_prefix_tries_key_is_a_struct_by_BTF)
{
    cr_expect_gt(with_btf(DEFINE(LPM_TRIE, 8, 16, BPF_F_NO_PREALLOC), T_KEY, T_PLAIN), 0);
    cr_expect_eq(with_btf(DEFINE(LPM_TRIE, 8, 16, BPF_F_NO_PREALLOC), T_U64, T_PLAIN), -EINVAL);
}

Test(map_rules, maps_of_kernel_objects_have_no_BTF)
{
    cr_expect_eq(with_btf(DEFINE(PROG_ARRAY, 4, 4, 0), T_U32, T_U32), -EBPF_ENOTSUPP);
    cr_expect_eq(with_btf(DEFINE(PERF_EVENT_ARRAY, 4, 4, 0), T_U32, T_U32), -EBPF_ENOTSUPP);
    cr_expect_eq(with_btf(DEFINE(STACK_TRACE, 4, 8, 0), T_U32, T_U64), -EBPF_ENOTSUPP);
}

Test(map_rules, a_bloom_filters_BTF_has_no_key)
{
    cr_expect_gt(with_btf(DEFINE(BLOOM_FILTER, 0, 8, 0), 0, T_U64), 0);
}

Test(map_rules, a_lock_is_found_by_BTF_and_only_in_arrays_and_hash_tables)
{
    int map = with_btf(DEFINE(HASH, 4, 16, 0), T_U32, T_LOCKED);

    cr_assert_gt(map, 0);
    cr_expect_eq(ebpf_session_map(session, map)->lock_offset, 4);
    cr_expect_eq(ebpf_session_map(session, map)->timer_offset, -1);
    map = with_btf(DEFINE(ARRAY, 4, 16, 0), T_U32, T_TWO_LOCKS);
    cr_assert_gt(map, 0);
    cr_expect_eq(ebpf_session_map(session, map)->lock_offset, -1, "one of two is none");
    cr_expect_eq(with_btf(DEFINE(LRU_HASH, 4, 16, 0), T_U32, T_LOCKED), -EBPF_ENOTSUPP);
    cr_expect_eq(with_btf(DEFINE(PERCPU_HASH, 4, 16, 0), T_U32, T_LOCKED), -EBPF_ENOTSUPP);
    cr_expect_eq(with_btf(DEFINE(HASH, 4, 16, BPF_F_RDONLY_PROG), T_U32, T_LOCKED), -EACCES);
}

Test(map_rules, a_timer_is_found_by_BTF_and_only_where_values_stay)
{
    int map = with_btf(DEFINE(LRU_HASH, 4, 24, 0), T_U32, T_TIMED);

    cr_assert_gt(map, 0);
    cr_expect_eq(ebpf_session_map(session, map)->timer_offset, 0);
    cr_expect_eq(with_btf(DEFINE(PERCPU_ARRAY, 4, 24, 0), T_U32, T_TIMED), -EOPNOTSUPP);
    cr_expect_eq(with_btf(DEFINE(ARRAY, 4, 24, BPF_F_RDONLY_PROG), T_U32, T_TIMED), -EACCES);
    cr_expect_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)map), -EBPF_ENOTSUPP);
}

static void locked_values(const struct definition *d)
{
    int map = with_btf(d, T_U32, T_LOCKED);
    struct ebpf_map *impl = ebpf_session_map(session, map);
    uint32_t key = 1, in[4] = {1, 0xbad, 3, 4}, out[4], *live;

    cr_assert_gt(map, 0);
    cr_assert_eq(update(map, &key, in, BPF_F_LOCK), 0);
    live = impl->ops->lookup(impl, &key);
    cr_expect(live[0] == 1 && live[1] == 0 && live[3] == 4, "no client writes the lock");
    live[1] = 1;
    in[0] = 5;
    cr_assert_eq(update(map, &key, in, 0), 0);
    cr_assert_eq(lookup(map, &key, out, BPF_F_LOCK), 0);
    cr_expect(out[0] == 5 && out[1] == 0 && out[3] == 4, "no client reads the lock");
    live = impl->ops->lookup(impl, &key);
    cr_expect_eq(live[1], 1, "an update leaves it as it is");
    uint64_t saved = port_lock();
    cr_expect_eq(impl->ops->update(impl, &key, in, BPF_F_LOCK | BPF_EXIST), 0);
    cr_expect_eq(impl->ops->update(impl, &key, in, BPF_F_LOCK | BPF_NOEXIST), -EEXIST);
    port_unlock(saved);
    cr_expect_eq(lookup(map, &key, out, BPF_EXIST), -EINVAL);
}

Test(map_rules, a_lock_in_an_array_is_the_programs_own)
{
    locked_values(DEFINE(ARRAY, 4, 16, 0));
}

Test(map_rules, a_lock_in_a_hash_table_is_the_programs_own)
{
    locked_values(DEFINE(HASH, 4, 16, 0));
}

Test(map_rules, BPF_F_LOCK_needs_a_lock)
{
    int map = create(BPF_MAP_TYPE_HASH, 4, 4, 8, 0), queue = create(BPF_MAP_TYPE_QUEUE, 0, 4, 8, 0);
    uint32_t key = 1, value = 2;

    cr_expect_eq(update(map, &key, &value, BPF_F_LOCK), -EINVAL);
    cr_expect_eq(lookup(map, &key, &value, BPF_F_LOCK), -EINVAL);
    cr_expect_eq(update(queue, NULL, &value, BPF_F_LOCK), -EINVAL);
}

Test(map_rules, a_map_with_a_lock_is_never_an_inner_map)
{
    const struct definition outer = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0};

    cr_expect_eq(make(&outer, 0, with_btf(DEFINE(ARRAY, 4, 16, 0), T_U32, T_LOCKED)),
                 -EBPF_ENOTSUPP);
}

Test(map_rules, inner_maps_have_their_timers_at_one_place)
{
    const struct definition outer = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0, 0};
    int timed = with_btf(DEFINE(ARRAY, 4, 24, 0), T_U32, T_TIMED);
    int plain = create(BPF_MAP_TYPE_ARRAY, 4, 24, 4, 0), map = make(&outer, 0, timed);
    uint32_t key = 0;

    cr_expect_eq(update(map, &key, &timed, 0), 0);
    cr_expect_eq(update(map, &key, &plain, 0), -EINVAL);
}

/* ---- timers end with their values ---------------------------------------------------------- */

static unsigned ended;

static void count_end(struct ebpf_map *map, void *value)
{
    ended++;
    memset((uint8_t *)value + map->timer_offset, 0, sizeof(struct bpf_timer));
}

static void timed_values(const struct definition *d)
{
    int map = with_btf(d, T_U32, T_TIMED);
    struct ebpf_map *impl = ebpf_session_map(session, map);
    uint32_t key;
    uint64_t value[3] = {9, 9, 9};
    bool array = d->type == BPF_MAP_TYPE_ARRAY;

    ended = 0;
    for (key = 0; key < 4; key++)
        cr_assert_eq(update(map, &key, value, 0), 0);
    impl->value_ends = count_end;
    key = 2;
    cr_assert_eq(update(map, &key, value, 0), 0);
    cr_expect_eq(ended, 1, "an update ends the timer");
    cr_expect_eq(CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key)),
                 array ? -EINVAL : 0);
    cr_expect_eq(ended, array ? 1 : 2, "so does a removal");
    ended = 0;
    ebpf_map_get(impl);
    ebpf_close(session, map);
    cr_expect_eq(ended, array ? 4 : 3, "and the last handle");
    ebpf_map_put(impl);
}

Test(map_rules, timers_in_an_array_end_with_their_values)
{
    timed_values(DEFINE(ARRAY, 4, 24, 0));
}

Test(map_rules, timers_in_a_hash_table_end_with_their_values)
{
    timed_values(DEFINE(HASH, 4, 24, 0));
}

/* ---- program arrays ---------------------------------------------------------------------- */

/* ldimm64 r2, map; r0 = 0; exit: a program that uses the array. */
static long load(uint32_t type, int map)
{
    struct bpf_insn insns[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K},
        {.code = BPF_JMP | BPF_EXIT}};

    return CALL(BPF_PROG_LOAD, .prog_type = type, .insn_cnt = map > 0 ? 4 : 2,
                .insns = ptr(map > 0 ? insns : insns + 2), .license = ptr("GPL"));
}

static struct skep_handle_attr describe(int map)
{
    struct skep_handle_attr info = {.handle = (uint32_t)map};

    cr_assert_eq(ebpf_sys(session, SKEP_HANDLE_INFO, (union bpf_attr *)&info, sizeof(info)), 0);
    return info;
}

Test(map_rules, a_program_array_is_of_the_type_of_the_first_program_that_uses_it)
{
    int map = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, 0);
    uint32_t key = 0;

    cr_expect_eq(describe(map).owner, SKEP_OWNER_NONE);
    cr_assert_gt(load(BPF_PROG_TYPE_XDP, map), 0);
    cr_expect_neq(describe(map).owner, SKEP_OWNER_NONE);
    cr_expect_eq(describe(map).owner_type, BPF_PROG_TYPE_XDP);
    cr_expect_eq(load(BPF_PROG_TYPE_SOCKET_FILTER, map), -EINVAL);
    int other = (int)load(BPF_PROG_TYPE_SOCKET_FILTER, 0), same = (int)load(BPF_PROG_TYPE_XDP, 0);
    cr_assert(other > 0 && same > 0);
    cr_expect_eq(update(map, &key, &other, 0), -EINVAL);
    cr_expect_eq(update(map, &key, &same, 0), 0);
}

Test(map_rules, a_program_array_is_of_the_type_of_the_first_program_in_it)
{
    int map = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, 0);
    int xdp = (int)load(BPF_PROG_TYPE_XDP, 0);
    uint32_t key = 1;

    cr_assert_eq(update(map, &key, &xdp, 0), 0);
    cr_expect_eq(load(BPF_PROG_TYPE_SOCKET_FILTER, map), -EINVAL);
    cr_expect_gt(load(BPF_PROG_TYPE_XDP, map), 0);
}

/* ---- what is told of a map --------------------------------------------------------------- */

Test(map_rules, a_map_is_accounted_for_and_says_that_it_is_frozen)
{
    int map = create(BPF_MAP_TYPE_ARRAY, 4, 8, 1024, 0);
    uint32_t key = 0;
    uint64_t value = 0;

    cr_expect_geq(describe(map).memory, 8192);
    cr_expect_leq(describe(map).memory, 8192 + 256);
    cr_expect_eq(describe(map).frozen, 0);
    cr_expect_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)map), 0);
    cr_expect_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)map), -EBUSY);
    cr_expect_eq(describe(map).frozen, 1);
    cr_expect_eq(update(map, &key, &value, 0), -EPERM);
    cr_expect_eq(lookup(map, &key, &value, 0), 0);
}

/* ---- hashes ------------------------------------------------------------------------------ */

/* The longest chain of 512 keys in 512 buckets, keys that differ in few bits only. A random
 * function has chains of 10 in one of some thousand. */
static unsigned longest_chain(size_t len, unsigned shift, const uint64_t seed[2])
{
    unsigned chains[512] = {0}, longest = 0;

    for (uint64_t i = 0; i < 512; i++) {
        uint64_t key[2] = {i << shift, 0};
        unsigned bucket = hash_bytes(key, len, seed) % 512;

        chains[bucket]++;
        longest = chains[bucket] > longest ? chains[bucket] : longest;
    }
    return longest;
}

Test(map_rules, keys_that_differ_in_few_bits_spread_under_every_seed)
{
    for (unsigned round = 0; round < 500; round++) {
        uint64_t seed[2] = {port_random(), round == 0 ? 0 : port_random()};

        for (unsigned shift = 0; shift <= 48; shift += 8) {
            cr_assert_lt(longest_chain(8, shift, seed), 14, "8 bytes, shift %u", shift);
            cr_assert_lt(longest_chain(16, shift, seed), 14, "16 bytes, shift %u", shift);
        }
        cr_assert_lt(longest_chain(4, 0, seed), 14);
        cr_assert_lt(longest_chain(4, 16, seed), 14);
    }
}
