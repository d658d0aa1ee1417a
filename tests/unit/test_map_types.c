/*
 * The map types beyond array, hash and ring buffer: each against a model or its definition, and
 * Linux's rules at the edges.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
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

TestSuite(map_types, .init = set_up, .fini = tear_down);

static uint64_t ptr(const void *p)
{
    return (uintptr_t)p;
}

#define CALL(cmd, ...)                                                                             \
    ({                                                                                             \
        union bpf_attr attr_ = {__VA_ARGS__};                                                      \
        ebpf_sys(session, cmd, &attr_, sizeof(attr_));                                             \
    })

static int create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
    return (int)CALL(BPF_MAP_CREATE, .map_type = type, .key_size = key, .value_size = value,
                     .max_entries = entries, .map_flags = flags);
}

static long update(int map, const void *key, const void *value, uint64_t flags)
{
    return CALL(BPF_MAP_UPDATE_ELEM, .map_fd = (uint32_t)map, .key = ptr(key), .value = ptr(value),
                .flags = flags);
}

static long lookup(int map, const void *key, void *value)
{
    return CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .key = ptr(key), .value = ptr(value));
}

static long take(int map, const void *key, void *value)
{
    return CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(key),
                .value = ptr(value));
}

static long remove_key(int map, const void *key)
{
    return CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(key));
}

static long next_key(int map, const void *key, void *next)
{
    return CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(key),
                .next_key = ptr(next));
}

/* ---- queue and stack --------------------------------------------------------------------- */

static void random_pushes(uint32_t type)
{
    enum { ENTRIES = 7 };
    int map = create(type, 0, 4, ENTRIES, 0);
    uint32_t model[ENTRIES], count = 0, value, out;

    srand(type);
    for (int i = 0; i < 5000; i++) {
        value = (uint32_t)rand();
        if (rand() % 2 == 0) {
            uint64_t flags = rand() % 2 != 0 ? BPF_EXIST : BPF_ANY;
            long expected = count == ENTRIES && flags == BPF_ANY ? -E2BIG : 0;

            cr_assert_eq(update(map, NULL, &value, flags), expected);
            if (expected != 0)
                continue;
            if (count == ENTRIES)
                memmove(model, model + 1, --count * sizeof(model[0]));
            model[count++] = value;
            continue;
        }
        bool peek = rand() % 3 == 0;
        uint32_t at = type == BPF_MAP_TYPE_STACK ? count - 1 : 0;

        cr_assert_eq(peek ? lookup(map, NULL, &out) : take(map, NULL, &out),
                     count == 0 ? -ENOENT : 0);
        if (count == 0)
            continue;
        cr_assert_eq(out, model[at]);
        if (!peek)
            memmove(model + at, model + at + 1, (--count - at) * sizeof(model[0]));
    }
}

Test(map_types, queue_behaves_as_the_model)
{
    random_pushes(BPF_MAP_TYPE_QUEUE);
}

Test(map_types, stack_behaves_as_the_model)
{
    random_pushes(BPF_MAP_TYPE_STACK);
}

Test(map_types, queues_have_no_keys)
{
    int map = create(BPF_MAP_TYPE_QUEUE, 0, 4, 4, 0);
    uint32_t word = 0;

    cr_assert_eq(create(BPF_MAP_TYPE_QUEUE, 4, 4, 4, 0), -EINVAL);
    cr_assert_eq(create(BPF_MAP_TYPE_STACK, 0, 0, 4, 0), -EINVAL);
    cr_assert_eq(create(BPF_MAP_TYPE_STACK, 0, 4, 4, BPF_F_NO_PREALLOC), -EINVAL);
    cr_assert_eq(update(map, &word, &word, 0), -EINVAL);
    cr_assert_eq(update(map, NULL, &word, BPF_NOEXIST), -EINVAL);
    cr_assert_eq(remove_key(map, NULL), -EINVAL);
    cr_assert_eq(next_key(map, NULL, &word), -EINVAL);
}

/* ---- bloom filter ------------------------------------------------------------------------ */

Test(map_types, bloom_never_denies_and_seldom_lies)
{
    int map = create(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000, 0);
    unsigned wrong = 0;

    for (uint64_t value = 0; value < 1000; value++)
        cr_assert_eq(update(map, NULL, &value, 0), 0);
    for (uint64_t value = 0; value < 1000; value++)
        cr_assert_eq(lookup(map, NULL, &value), 0);
    for (uint64_t value = 1000; value < 11000; value++)
        wrong += lookup(map, NULL, &value) == 0;
    cr_assert_lt(wrong, 500, "%u of 10,000 wrong: more than 5 %%", wrong);
}

Test(map_types, bloom_rules)
{
    int map = create(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 10, 0);
    uint64_t value = 1;

    cr_assert_eq(lookup(map, NULL, &value), -ENOENT);
    cr_assert_eq(update(map, NULL, &value, BPF_NOEXIST), -EINVAL);
    cr_assert_eq(remove_key(map, NULL), -EOPNOTSUPP);
    cr_assert_eq(next_key(map, NULL, &value), -EOPNOTSUPP);
    cr_assert_eq(take(map, NULL, &value), -EBPF_ENOTSUPP);
    cr_assert_eq(create(BPF_MAP_TYPE_BLOOM_FILTER, 4, 8, 10, 0), -EINVAL);
    cr_assert_geq(CALL(BPF_MAP_CREATE, .map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8,
                       .max_entries = 10, .map_extra = 15),
                  3);
    cr_assert_eq(CALL(BPF_MAP_CREATE, .map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8,
                      .max_entries = 10, .map_extra = 16),
                 -EINVAL);
}

/* ---- longest prefix match ---------------------------------------------------------------- */

#define PREFIXES 60

struct prefix {
    uint32_t bits;
    uint8_t data[2];
};

struct lpm_model {
    struct {
        struct prefix prefix;
        uint32_t value;
        bool there;
    } entries[512];
    unsigned count;
};

/* Key layout of the map: exactly 6 bytes. */
struct __attribute__((packed)) lpm_key {
    uint32_t bits;
    uint8_t data[2];
};

static bool matches(const struct prefix *prefix, const uint8_t *data, uint32_t bits)
{
    if (prefix->bits > bits)
        return false;
    for (uint32_t i = 0; i < prefix->bits; i++)
        if (((prefix->data[i / 8] ^ data[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

static int find_exact(const struct lpm_model *m, const struct lpm_key *key)
{
    for (int i = 0; i < 512; i++)
        if (m->entries[i].there && m->entries[i].prefix.bits == key->bits &&
            matches(&m->entries[i].prefix, key->data, key->bits))
            return i;
    return -1;
}

static int find_longest(const struct lpm_model *m, const struct lpm_key *key)
{
    int best = -1;

    for (int i = 0; i < 512; i++)
        if (m->entries[i].there && matches(&m->entries[i].prefix, key->data, key->bits) &&
            (best < 0 || m->entries[i].prefix.bits > m->entries[best].prefix.bits))
            best = i;
    return best;
}

static void model_add(struct lpm_model *m, const struct lpm_key *key, uint32_t value)
{
    int i = 0;

    while (m->entries[i].there)
        i++;
    m->entries[i].there = true;
    m->entries[i].prefix = (struct prefix){key->bits, {key->data[0], key->data[1]}};
    m->entries[i].value = value;
    m->count++;
}

static void check_walk(int map, const struct lpm_model *m)
{
    struct lpm_key key, next;
    unsigned seen = 0;
    long err = next_key(map, NULL, &next);

    for (; err == 0; err = next_key(map, &key, &next)) {
        key = next;
        cr_assert_geq(find_exact(m, &key), 0);
        cr_assert_leq(++seen, m->count);
    }
    cr_assert_eq(err, -ENOENT);
    cr_assert_eq(seen, m->count, "a walk sees every prefix once");
}

Test(map_types, lpm_behaves_as_the_model)
{
    static struct lpm_model m;
    int map = create(BPF_MAP_TYPE_LPM_TRIE, 6, 4, PREFIXES, BPF_F_NO_PREALLOC);

    srand(3);
    memset(&m, 0, sizeof(m));
    for (int i = 0; i < 20000; i++) {
        struct lpm_key key = {(uint32_t)rand() % 17, {(uint8_t)(rand() % 8 << 5), (uint8_t)rand()}};
        uint32_t value = (uint32_t)rand(), out;
        int exact = find_exact(&m, &key), longest = find_longest(&m, &key);
        uint64_t flags = (uint64_t)rand() % 3;
        long expected = 0;

        switch (rand() % 4) {
        case 0:
            if (exact >= 0 && flags == BPF_NOEXIST)
                expected = -EEXIST;
            else if (exact < 0 && flags == BPF_EXIST)
                expected = -ENOENT;
            else if (exact < 0 && m.count == PREFIXES)
                expected = -ENOSPC;
            cr_assert_eq(update(map, &key, &value, flags), expected);
            if (expected == 0 && exact < 0)
                model_add(&m, &key, value);
            else if (expected == 0)
                m.entries[exact].value = value;
            break;
        case 1:
            cr_assert_eq(remove_key(map, &key), exact >= 0 ? 0 : -ENOENT);
            if (exact >= 0) {
                m.entries[exact].there = false;
                m.count--;
            }
            break;
        default:
            cr_assert_eq(lookup(map, &key, &out), longest >= 0 ? 0 : -ENOENT);
            if (longest >= 0)
                cr_assert_eq(out, m.entries[longest].value);
        }
        if (i % 200 == 0)
            check_walk(map, &m);
    }
    check_walk(map, &m);
}

/* A prefix written again, or where only a fork was, is given back as it was written last. */
Test(map_types, lpm_gives_back_the_latest_key)
{
    struct lpm_key first = {8, {10, 255}}, again = {8, {10, 0}}, left = {16, {10, 1}},
                   right = {16, {11, 1}}, fork = {7, {11, 255}}, next;
    int map = create(BPF_MAP_TYPE_LPM_TRIE, 6, 4, 8, BPF_F_NO_PREALLOC);
    uint32_t value = 1;

    cr_assert_eq(update(map, &first, &value, BPF_ANY), 0);
    cr_assert_eq(update(map, &again, &value, BPF_ANY), 0);
    cr_assert_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(&next)), 0);
    cr_assert_arr_eq(&next, &again, sizeof(next));
    cr_assert_eq(CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&again)), 0);
    cr_assert_eq(update(map, &left, &value, BPF_ANY), 0);
    cr_assert_eq(update(map, &right, &value, BPF_ANY), 0);
    cr_assert_eq(update(map, &fork, &value, BPF_ANY), 0);
    cr_assert_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(&right),
                      .next_key = ptr(&next)),
                 0);
    cr_assert_arr_eq(&next, &fork, sizeof(next));
}

/* Linux: no value of a per-CPU map is larger than its allocator's unit. */
Test(map_types, per_cpu_values_are_bounded)
{
    static const uint32_t types[] = {BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH,
                                     BPF_MAP_TYPE_LRU_PERCPU_HASH};

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        cr_assert_geq(create(types[i], 4, 32768, 2, 0), 0);
        cr_assert_eq(create(types[i], 4, 32769, 2, 0), -E2BIG);
    }
    cr_assert_geq(create(BPF_MAP_TYPE_ARRAY, 4, 32769, 2, 0), 0);
}

Test(map_types, lpm_rules)
{
    struct lpm_key key = {17, {0, 0}};
    uint32_t value = 0;
    int map = create(BPF_MAP_TYPE_LPM_TRIE, 6, 4, 4, BPF_F_NO_PREALLOC);

    cr_assert_eq(create(BPF_MAP_TYPE_LPM_TRIE, 6, 4, 4, 0), -EINVAL);
    cr_assert_eq(create(BPF_MAP_TYPE_LPM_TRIE, 4, 4, 4, BPF_F_NO_PREALLOC), -EINVAL);
    cr_assert_eq(create(BPF_MAP_TYPE_LPM_TRIE, 261, 4, 4, BPF_F_NO_PREALLOC), -EINVAL);
    cr_assert_geq(create(BPF_MAP_TYPE_LPM_TRIE, 260, 4, 4, BPF_F_NO_PREALLOC), 3);
    cr_assert_eq(update(map, &key, &value, 0), -EINVAL, "longer than the key");
    cr_assert_eq(remove_key(map, &key), -EINVAL);
    cr_assert_eq(next_key(map, NULL, &key), -ENOENT);
}

/* ---- maps whose elements are objects ----------------------------------------------------- */

static int load(uint32_t type, const struct bpf_insn *insns, uint32_t count)
{
    return (int)CALL(BPF_PROG_LOAD, .prog_type = type, .insns = ptr(insns), .insn_cnt = count,
                     .license = ptr("GPL"));
}

static int load_returning(uint32_t type, int32_t value)
{
    struct bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = value},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return load(type, insns, 2);
}

static uint32_t run_xdp(int prog)
{
    uint8_t packet[64] = {0};
    union bpf_attr attr = {.test = {.prog_fd = (uint32_t)prog,
                                    .data_in = ptr(packet),
                                    .data_size_in = sizeof(packet)}};

    cr_assert_eq(ebpf_sys(session, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), 0);
    return attr.test.retval;
}

static uint32_t id_of(int handle)
{
    struct bpf_map_info info = {
        0}; /* id stands at the same place in the infos of maps and programs */
    union bpf_attr attr = {.info = {.bpf_fd = (uint32_t)handle, .info_len = 8, .info = ptr(&info)}};

    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    return info.id;
}

/* tail call of slot `index`; 99 when that fails */
static int load_tail_caller(int array, int32_t index)
{
    struct bpf_insn insns[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = 2,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = array},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = index},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 99},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return load(BPF_PROG_TYPE_XDP, insns, 6);
}

Test(map_types, program_arrays)
{
    int array = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3, 0);
    int two = load_returning(BPF_PROG_TYPE_XDP, 2);
    int filter = load_returning(BPF_PROG_TYPE_SOCKET_FILTER, 0);
    int caller = load_tail_caller(array, 1);
    uint32_t key = 1, bad = 9, id, none = 77;

    cr_assert_geq(caller, 3);
    cr_assert_eq(run_xdp(caller), 99, "an empty slot");
    cr_assert_eq(update(array, &key, &two, 0), 0);
    cr_assert_eq(run_xdp(caller), 2);
    cr_assert_eq(lookup(array, &key, &id), 0);
    cr_assert_eq(id, id_of(two));
    cr_assert_eq(update(array, &key, &filter, 0), -EINVAL, "another type of program");
    cr_assert_eq(update(array, &key, &array, 0), -EINVAL, "a map");
    cr_assert_eq(update(array, &key, &none, 0), -EBADF);
    cr_assert_eq(update(array, &key, &two, BPF_NOEXIST), -EINVAL);
    cr_assert_eq(update(array, &bad, &two, 0), -E2BIG);
    cr_assert_eq(remove_key(array, &key), 0);
    cr_assert_eq(remove_key(array, &key), -ENOENT);
    cr_assert_eq(lookup(array, &key, &id), -ENOENT);
    cr_assert_eq(run_xdp(caller), 99);
}

Test(map_types, a_program_array_does_not_keep_itself_alive)
{
    int array = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3, 0);
    int caller = load_tail_caller(array, 1);
    uint32_t key = 1;
    struct ebpf_stats stats;

    cr_assert_eq(update(array, &key, &caller, 0), 0); /* it calls itself: 33 times */
    cr_assert_eq(run_xdp(caller), 99);
    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("array"), .bpf_fd = (uint32_t)array), 0);
    cr_assert_eq(ebpf_close(session, caller), 0);
    cr_assert_eq(ebpf_close(session, array), 0);
    ebpf_get_stats(&stats);
    cr_assert_eq(stats.progs, 1, "the pin keeps the array, and it the program");
    cr_assert_eq(ebpf_shutdown(), 0);
}

static int create_outer(uint32_t type, int inner)
{
    return (int)CALL(BPF_MAP_CREATE, .map_type = type, .key_size = 4, .value_size = 4,
                     .max_entries = 5, .inner_map_fd = (uint32_t)inner);
}

/* r0 = (*inner of key 3)[0], through two lookups; 99 and 98 when they find nothing */
static int load_inner_reader(int outer)
{
    struct bpf_insn insns[] = {
        {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 3},
        {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -8, .imm = 0},
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = 1,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = outer},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
        {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 2, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 99},
        {.code = BPF_JMP | BPF_EXIT},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
        {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
        {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 2, .imm = 0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 98},
        {.code = BPF_JMP | BPF_EXIT},
        {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    return load(BPF_PROG_TYPE_XDP, insns, sizeof(insns) / sizeof(insns[0]));
}

static void maps_of_maps(uint32_t type)
{
    int first = create(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0);
    int second = create(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0);
    int longer = create(BPF_MAP_TYPE_ARRAY, 4, 4, 3, 0);
    int outer = create_outer(type, first);
    int reader = load_inner_reader(outer);
    uint32_t key = 3, zero = 0, value = 41, id;

    cr_assert_geq(outer, 3);
    cr_assert_geq(reader, 3);
    cr_assert_eq(run_xdp(reader), 99);
    cr_assert_eq(update(first, &zero, &value, 0), 0);
    value = 42;
    cr_assert_eq(update(second, &zero, &value, 0), 0);
    cr_assert_eq(update(outer, &key, &first, 0), 0);
    cr_assert_eq(run_xdp(reader), 41);
    cr_assert_eq(update(outer, &key, &second, 0), 0, "replaced");
    cr_assert_eq(run_xdp(reader), 42);
    cr_assert_eq(lookup(outer, &key, &id), 0);
    cr_assert_eq(id, id_of(second));
    cr_assert_eq(update(outer, &key, &longer, 0), -EINVAL, "not like the template");
    cr_assert_eq(update(outer, &key, &reader, 0), -EINVAL, "a program");
    cr_assert_eq(ebpf_close(session, second), 0);
    cr_assert_eq(run_xdp(reader), 42, "the outer map holds it");
    cr_assert_eq(remove_key(outer, &key), 0);
    cr_assert_eq(run_xdp(reader), 99);
    cr_assert_eq(update(outer, &key, &first, 0), 0);

    cr_assert_eq(create_outer(type, outer), -EINVAL, "no third level");
    cr_assert_eq(create_outer(type, 0), -EBADF);
    cr_assert_eq(create_outer(type, reader), -EINVAL);
    int programs = create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, 0);
    cr_assert_eq(create_outer(type, programs), -EBPF_ENOTSUPP);
}

Test(map_types, array_of_maps)
{
    maps_of_maps(BPF_MAP_TYPE_ARRAY_OF_MAPS);
}

Test(map_types, hash_of_maps)
{
    maps_of_maps(BPF_MAP_TYPE_HASH_OF_MAPS);
}

Test(map_types, failing_allocations)
{
    const struct {
        uint32_t type, key, value, flags;
    } maps[] = {{BPF_MAP_TYPE_QUEUE, 0, 8, 0},
                {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 0},
                {BPF_MAP_TYPE_LPM_TRIE, 8, 8, BPF_F_NO_PREALLOC},
                {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 0}};

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        size_t before = host_port_blocks();
        union bpf_attr attr = {.map_type = maps[i].type,
                               .key_size = maps[i].key,
                               .value_size = maps[i].value,
                               .max_entries = 100,
                               .map_flags = maps[i].flags};
        struct ebpf_map *map;
        int err = -ENOMEM;

        for (size_t n = 1; err != 0; n++) {
            host_port_fail_after(n);
            err = ebpf_map_create(&attr, NULL, &map);
            host_port_fail_after(0);
            cr_assert(err == 0 || (err == -ENOMEM && host_port_blocks() == before));
            cr_assert_lt(n, 10);
        }
        ebpf_map_put(map);
    }
}
