/*
 * bpf(2) as a client sees it: what libbpf sends while it probes and loads, Linux's errors at the
 * edges, the life of objects over handles, pins and links. Everything goes through ebpf_sys().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/btf.h>

#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/marshal.h"
#include "ebpf/port.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

static struct ebpf_session *session;
#define RECORD_SIZE 32
#define RAW_ARGS    2

static uint32_t openat; /* a tracepoint */

static void set_up(void)
{
    cr_assert_eq(ebpf_init(64u << 20), 0);
    openat = host_tracepoint_add("syscalls:sys_enter_openat", RECORD_SIZE, RAW_ARGS);
    session = ebpf_session_create();
}

static void tear_down(void)
{
    struct ebpf_stats stats;

    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left");
    ebpf_get_stats(&stats);
    cr_assert_eq(stats.map_bytes, 0);
    cr_assert_eq(host_port_blocks(), 0, "blocks are left");
    host_port_reset();
    leakcheck();
}

TestSuite(sys, .init = set_up, .fini = tear_down);

static uint64_t ptr(const void *p)
{
    return (uintptr_t)p;
}

#define CALL(cmd, ...)                                                                             \
    ({                                                                                             \
        union bpf_attr attr_ = {__VA_ARGS__};                                                      \
        ebpf_sys(session, cmd, &attr_, sizeof(attr_));                                             \
    })

static int map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
    return (int)CALL(BPF_MAP_CREATE, .map_type = type, .key_size = key, .value_size = value,
                     .max_entries = entries, .map_flags = flags);
}

/* r0 = 0; exit */
static const struct bpf_insn return_0[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT},
};

static char log_buf[4096];

static int load(uint32_t type, const struct bpf_insn *insns, uint32_t count)
{
    return (int)CALL(BPF_PROG_LOAD, .prog_type = type, .insns = ptr(insns), .insn_cnt = count,
                     .license = ptr("GPL"), .log_buf = ptr(log_buf), .log_size = sizeof(log_buf),
                     .log_level = 1);
}

static int load_trivial(uint32_t type)
{
    int handle = load(type, return_0, 2);
    cr_assert_geq(handle, 3, "%s", log_buf);
    return handle;
}

static int close_handle(int handle)
{
    return ebpf_close(session, handle);
}

static long lookup(int map, uint32_t key, void *value)
{
    return CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                .value = ptr(value));
}

static long update(int map, uint32_t key, const void *value)
{
    return CALL(BPF_MAP_UPDATE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                .value = ptr(value));
}

/* ---- attributes -------------------------------------------------------------------------- */

Test(sys, tails_of_attributes_must_be_zero)
{
    struct {
        union bpf_attr attr;
        uint8_t tail[16], beyond[512];
    } a = {0};

    a.attr.map_type = BPF_MAP_TYPE_ARRAY;
    a.attr.key_size = 4;
    a.attr.value_size = 4;
    a.attr.max_entries = 1;
    int handle = (int)ebpf_sys(session, BPF_MAP_CREATE, &a.attr, sizeof(a));
    cr_assert_eq(handle, 3);
    a.beyond[511] = 1;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &a.attr, sizeof(a)), -E2BIG);
    a.beyond[511] = 0;
    a.attr.map_extra = 0;
    ((uint8_t *)&a.attr)[sizeof(a.attr) - 1] = 1; /* known to others, not used by MAP_CREATE */
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &a.attr, sizeof(a.attr)), -EINVAL);
    cr_assert_eq(CALL(BPF_MAP_FREEZE, .map_fd = 3, .value = 1), -EINVAL);
    cr_assert_eq(CALL(4711), -EINVAL);
    cr_assert_eq(CALL(SKEP_POWER), -EINVAL, "the server's own commands are not the engine's");
}

/* ---- handles ----------------------------------------------------------------------------- */

Test(sys, handles_count_from_3_lowest_first)
{
    int a = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    int b = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);

    cr_assert_eq(a, 3);
    cr_assert_eq(b, 4);
    cr_assert_eq(close_handle(a), 0);
    cr_assert_eq(close_handle(a), -EBADF);
    cr_assert_eq(close_handle(-1), -EBADF);
    cr_assert_eq(close_handle(0), -EBADF);
    cr_assert_eq(map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0), 3);
    for (int i = 5; i < 100; i++)
        cr_assert_eq(map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0), i);
}

Test(sys, a_handle_of_another_kind_is_einval_none_is_ebadf)
{
    int prog = load_trivial(BPF_PROG_TYPE_SOCKET_FILTER);
    uint32_t value;

    cr_assert_eq(lookup(prog, 0, &value), -EINVAL);
    cr_assert_eq(lookup(99, 0, &value), -EBADF);
    cr_assert_eq(CALL(BPF_LINK_DETACH, .link_detach.link_fd = (uint32_t)prog), -EINVAL);
}

Test(sys, sessions_do_not_see_each_others_handles)
{
    struct ebpf_session *other = ebpf_session_create();
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    union bpf_attr attr = {.map_fd = (uint32_t)map};

    cr_assert_eq(ebpf_sys(other, BPF_MAP_FREEZE, &attr, 4), -EBADF);
    ebpf_session_destroy(other);
}

/* ---- maps -------------------------------------------------------------------------------- */

Test(sys, access_of_a_handle_and_freeze)
{
    uint32_t value = 5;
    int reader = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_RDONLY);
    int writer = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_WRONLY);
    int both = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);

    cr_assert_eq(update(reader, 0, &value), -EPERM);
    cr_assert_eq(lookup(reader, 0, &value), 0);
    cr_assert_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)reader), -EPERM);
    cr_assert_eq(update(writer, 0, &value), 0);
    cr_assert_eq(lookup(writer, 0, &value), -EPERM);
    cr_assert_eq(map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_RDONLY | BPF_F_WRONLY), -EINVAL);

    cr_assert_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)both), 0);
    cr_assert_eq(CALL(BPF_MAP_FREEZE, .map_fd = (uint32_t)both), -EBUSY);
    cr_assert_eq(update(both, 0, &value), -EPERM);
    cr_assert_eq(lookup(both, 0, &value), 0);

    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("m"), .bpf_fd = (uint32_t)writer), 0);
    int again = (int)CALL(BPF_OBJ_GET, .pathname = ptr("m"), .file_flags = BPF_F_RDONLY);
    cr_assert_eq(update(again, 0, &value), -EPERM);
    cr_assert_eq(lookup(again, 0, &value), 0);
}

Test(sys, element_commands_say_what_linux_says)
{
    int map = map_create(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
    uint64_t value = 77;
    uint32_t key = 1, next;

    cr_assert_eq(lookup(map, 1, &value), -ENOENT);
    cr_assert_eq(update(map, 1, &value), 0);
    cr_assert_eq(CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .value = ptr(&value), .flags = BPF_F_LOCK),
                 -EINVAL);
    cr_assert_eq(CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .value = ptr(&value)), -EFAULT);
    cr_assert_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(&next)), 0);
    cr_assert_eq(next, 1);
    value = 0;
    cr_assert_eq(CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .value = ptr(&value)),
                 0);
    cr_assert_eq(value, 77);
    cr_assert_eq(CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key)), -ENOENT);
}

Test(sys, bad_names_and_leftovers_of_map_create)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    memcpy(attr.map_name, "a b", 4);
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
    memset(attr.map_name, 'a', sizeof(attr.map_name));
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
    memcpy(attr.map_name, ".rodata.str_1", 14);
    cr_assert_geq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), 3);
    attr.map_extra = 1;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
    attr.map_extra = 0;
    attr.btf_value_type_id = 1;
    attr.btf_fd = 99;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), -EBADF);
    attr.btf_key_type_id = 1;
    attr.btf_value_type_id = 0;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
}

static void batches(uint32_t type)
{
    enum { N = 500 };
    int map = map_create(type, 4, 8, N, 0);
    uint32_t keys[N], token = 0, seen = 0;
    uint64_t values[N], sum = 0;
    union bpf_attr attr;
    long err = 0;

    for (uint32_t i = 0; i < N; i++) {
        keys[i] = i;
        values[i] = i * 10;
    }
    attr = (union bpf_attr){
        .batch = {.map_fd = (uint32_t)map, .count = N, .keys = ptr(keys), .values = ptr(values)}};
    cr_assert_eq(ebpf_sys(session, BPF_MAP_UPDATE_BATCH, &attr, sizeof(attr)), 0);
    cr_assert_eq(attr.batch.count, N);

    for (bool first = true; err == 0; first = false) {
        memset(keys, 0xff, sizeof(keys));
        attr = (union bpf_attr){.batch = {.map_fd = (uint32_t)map,
                                          .count = 64,
                                          .keys = ptr(keys),
                                          .values = ptr(values),
                                          .in_batch = first ? 0 : ptr(&token),
                                          .out_batch = ptr(&token)}};
        err = ebpf_sys(session, BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr));
        cr_assert(err == 0 || err == -ENOENT);
        for (uint32_t i = 0; i < attr.batch.count; i++) {
            cr_assert_eq(values[i], keys[i] * 10);
            sum += keys[i];
            seen++;
        }
        if (attr.batch.count < 64)
            cr_assert_eq(keys[attr.batch.count], UINT32_MAX, "not a key more than counted");
    }
    cr_assert_eq(seen, N);
    cr_assert_eq(sum, N * (N - 1) / 2);
}

static long map_read(int map, uint32_t key, uint32_t offset, uint32_t *size, void *buf)
{
    struct skep_map_read_attr attr = {.key = ptr(&key),
                                      .buf = ptr(buf),
                                      .handle = (uint32_t)map,
                                      .offset = offset,
                                      .size = *size};
    long err = ebpf_sys(session, SKEP_MAP_READ, (union bpf_attr *)&attr, sizeof(attr));

    *size = attr.size;
    return err;
}

Test(sys, a_value_is_read_by_parts)
{
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 10, 2, 0);
    char part[16] = "";
    uint32_t size = sizeof(part), key = 1;

    cr_assert_eq(CALL(BPF_MAP_UPDATE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .value = ptr("0123456789")),
                 0);
    cr_expect_eq(map_read(map, 1, 7, &size, part), 0);
    cr_expect(size == 3 && memcmp(part, "789", 4) == 0);
    size = 2;
    cr_expect_eq(map_read(map, 1, 1, &size, part), 0);
    cr_expect(size == 2 && memcmp(part, "129", 3) == 0, "what follows stays");
    cr_expect_eq(map_read(map, 1, 10, &size, part), -EINVAL, "beyond the value");
    cr_expect_eq(map_read(map, 2, 0, &size, part), -ENOENT, "no such element");
    cr_expect_eq(map_read(99, 1, 0, &size, part), -EBADF);
    map = map_create(BPF_MAP_TYPE_ARRAY, 4, 10, 2, BPF_F_WRONLY);
    cr_expect_eq(map_read(map, 1, 0, &size, part), -EPERM);
}

Test(sys, an_array_of_an_info_struct_is_read_by_parts)
{
    const struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
                                     {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2},
                                     {.code = BPF_JMP | BPF_EXIT}};
    int prog = (int)CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 3,
                         .insns = ptr(insns), .license = ptr("GPL"));
    struct bpf_insn back[3] = {0};
    struct skep_info_read_attr attr = {.buf = ptr(back),
                                       .handle = (uint32_t)prog,
                                       .field = offsetof(struct bpf_prog_info, xlated_prog_insns),
                                       .offset = 8,
                                       .size = 9};
    union bpf_attr *any = (union bpf_attr *)&attr;

    cr_assert_gt(prog, 0);
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), 0);
    cr_expect(attr.total == 24 && attr.size == 9, "code counts in bytes");
    cr_expect_eq(back[0].imm, 2);
    attr.offset = 24;
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), 0);
    cr_expect_eq(attr.size, 0, "at the end");
    attr.offset = 25;
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), -EINVAL);
    attr.offset = 0;
    attr.field = offsetof(struct bpf_prog_info, tag);
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), -EINVAL, "no pointer");
    attr.field = offsetof(struct bpf_prog_info, prog_tags);
    attr.size = sizeof(back);
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), 0);
    cr_expect(attr.size == BPF_TAG_SIZE && attr.total == BPF_TAG_SIZE);
    attr.handle = (uint32_t)map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), -EINVAL, "maps have none");
    attr.handle = 99;
    cr_expect_eq(ebpf_sys(session, SKEP_INFO_READ, any, sizeof(attr)), -EBADF);
}

Test(sys, batches_of_an_array)
{
    batches(BPF_MAP_TYPE_ARRAY);
}

Test(sys, batches_of_a_hash)
{
    batches(BPF_MAP_TYPE_HASH);
}

Test(sys, batches_that_delete)
{
    int map = map_create(BPF_MAP_TYPE_HASH, 4, 4, 16, 0);
    uint32_t keys[16], values[16], token, next;

    for (uint32_t i = 0; i < 16; i++)
        cr_assert_eq(update(map, i, &i), 0);
    union bpf_attr attr = {.batch = {.map_fd = (uint32_t)map,
                                     .count = 16,
                                     .keys = ptr(keys),
                                     .values = ptr(values),
                                     .out_batch = ptr(&token)}};
    cr_assert_eq(ebpf_sys(session, BPF_MAP_LOOKUP_AND_DELETE_BATCH, &attr, sizeof(attr)), -ENOENT);
    cr_assert_eq(attr.batch.count, 16);
    cr_assert_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(&next)),
                 -ENOENT);

    keys[0] = 5;
    keys[1] = 6;
    cr_assert_eq(update(map, 5, &values[0]), 0);
    attr.batch.count = 2;
    attr.batch.values = attr.batch.out_batch = 0;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_DELETE_BATCH, &attr, sizeof(attr)), -ENOENT);
    cr_assert_eq(attr.batch.count, 1, "one was deleted before the one that is not there");

    int array = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 16, 0);
    attr.batch.map_fd = (uint32_t)array;
    attr.batch.count = 1;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_DELETE_BATCH, &attr, sizeof(attr)), -EBPF_ENOTSUPP);
    attr.batch.flags = 1;
    cr_assert_eq(ebpf_sys(session, BPF_MAP_UPDATE_BATCH, &attr, sizeof(attr)), -EINVAL);
}

/* ---- pins and ids ------------------------------------------------------------------------ */

Test(sys, pins_hold_objects)
{
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    uint32_t value = 42;

    cr_assert_eq(update(map, 0, &value), 0);
    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("/sys/fs/bpf/dir/map"), .bpf_fd = (uint32_t)map),
                 0);
    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("dir/map"), .bpf_fd = (uint32_t)map), -EEXIST);
    cr_assert_eq(close_handle(map), 0);
    map = (int)CALL(BPF_OBJ_GET, .pathname = ptr("dir/map"));
    cr_assert_eq(lookup(map, 0, &value), 0);
    cr_assert_eq(value, 42);

    union marshal_attr pin = {.pin = {.name = "/sys/fs/bpf/dir/map"}};
    cr_assert_eq(ebpf_sys(session, SKEP_UNPIN, &pin.bpf, sizeof(pin)), 0);
    cr_assert_eq(ebpf_sys(session, SKEP_UNPIN, &pin.bpf, sizeof(pin)), -ENOENT);
    cr_assert_eq(CALL(BPF_OBJ_GET, .pathname = ptr("dir/map")), -ENOENT);
    cr_assert_eq(lookup(map, 0, &value), 0, "the handle still holds it");
}

Test(sys, bad_pin_names)
{
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    char longest[300];
    const struct {
        const char *path;
        long err;
    } cases[] = {
        {"", -EINVAL},
        {"/sys/fs/bpf/", -EINVAL},
        {"a//b", -EINVAL},
        {"a/", -EINVAL},
        {"../a", -EINVAL},
        {"/sys/fs/bpf/a/../b", -EINVAL},
        {"./a", -EINVAL},
        {"/tmp/map", -EPERM},
        {"/sys/fs/bpf", -EPERM},
        {longest, -ENAMETOOLONG},
        {"...", 0},
        {"a.b/..c", 0},
    };

    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr(cases[i].path), .bpf_fd = (uint32_t)map),
                     cases[i].err, "%s", cases[i].path);
    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("x"), .bpf_fd = 99), -EBADF);
}

Test(sys, pins_are_listed_in_order)
{
    const char *names[] = {"b", "a/z", "c", "a"};
    const char *sorted[] = {"a", "a/z", "b", "c"};
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    union marshal_attr attr = {0};

    for (int i = 0; i < 4; i++)
        cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr(names[i]), .bpf_fd = (uint32_t)map), 0);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(ebpf_sys(session, SKEP_PIN_NEXT, &attr.bpf, sizeof(attr)), 0);
        cr_assert_str_eq(attr.pin.name, sorted[i]);
        cr_assert_eq(attr.pin.kind, EBPF_MAP);
        cr_assert_neq(attr.pin.id, 0);
    }
    cr_assert_eq(ebpf_sys(session, SKEP_PIN_NEXT, &attr.bpf, sizeof(attr)), -ENOENT);
}

Test(sys, ids_are_walked_and_opened)
{
    int handles[3];
    uint32_t ids[3], n = 0;
    union bpf_attr attr = {0};

    for (int i = 0; i < 3; i++)
        handles[i] = map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, 0);
    while (ebpf_sys(session, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)) == 0) {
        cr_assert_lt(n, 3);
        ids[n++] = attr.next_id;
        attr = (union bpf_attr){.start_id = attr.next_id};
    }
    cr_assert_eq(n, 3);
    cr_assert(ids[0] < ids[1] && ids[1] < ids[2]);
    int again = (int)CALL(BPF_MAP_GET_FD_BY_ID, .map_id = ids[1]);
    cr_assert_geq(again, 3);
    cr_assert_eq(close_handle(again), 0);
    cr_assert_eq(close_handle(handles[1]), 0);
    cr_assert_eq(CALL(BPF_MAP_GET_FD_BY_ID, .map_id = ids[1]), -ENOENT);
    cr_assert_eq(CALL(BPF_PROG_GET_FD_BY_ID, .prog_id = 1000), -ENOENT);
    cr_assert_eq(CALL(BPF_PROG_GET_NEXT_ID, .start_id = UINT32_MAX), -EINVAL);
    cr_assert_eq(CALL(BPF_LINK_GET_NEXT_ID, .start_id = 0), -ENOENT);
}

/* ---- programs ---------------------------------------------------------------------------- */

Test(sys, what_libbpf_probes_by_loading)
{
    /* probe_kern_prog_name, probe_kern_global_data, probe_kern_array_mmap, probe_prog_bind_map */
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                           .insns = ptr(return_0),
                           .insn_cnt = 2,
                           .license = ptr("GPL")};
    strcpy(attr.prog_name, "test");
    int prog = (int)ebpf_sys(session, BPF_PROG_LOAD, &attr, offsetof(union bpf_attr, prog_ifindex));
    cr_assert_geq(prog, 3);

    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 32, 1, 0);
    struct bpf_insn global[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = 1,
         .src_reg = BPF_PSEUDO_MAP_VALUE,
         .imm = map},
        {.imm = 16},
        {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 1, .imm = 42},
        return_0[0],
        return_0[1],
    };
    cr_assert_geq(load(BPF_PROG_TYPE_SOCKET_FILTER, global, 5), 3, "%s", log_buf);
    cr_assert_geq(map_create(BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_MMAPABLE), 3);
    cr_assert_eq(CALL(BPF_PROG_BIND_MAP,
                      .prog_bind_map = {.prog_fd = (uint32_t)prog, .map_fd = (uint32_t)map}),
                 0);
    cr_assert_eq(
        CALL(BPF_PROG_BIND_MAP,
             .prog_bind_map = {.prog_fd = (uint32_t)prog, .map_fd = (uint32_t)map, .flags = 1}),
        -EINVAL);
    /* probe_perf_link: no such event must be EBADF */
    int tracing = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    cr_assert_eq(CALL(BPF_LINK_CREATE, .link_create = {.prog_fd = (uint32_t)tracing,
                                                       .target_fd = UINT32_MAX,
                                                       .attach_type = BPF_PERF_EVENT}),
                 -EBADF);
    /* probe_exp_attach_type: a type that Skep does not have */
    cr_assert_eq(load(BPF_PROG_TYPE_CGROUP_SOCK, return_0, 2), -EINVAL);
}

Test(sys, bad_program_loads)
{
    struct bpf_insn bad_map[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = 99},
        {0},
        return_0[0],
        return_0[1],
    };

    cr_assert_eq(load(BPF_PROG_TYPE_XDP, bad_map, 4), -EBADF);
    cr_assert_not_null(strstr(log_buf, "fd 99 is not pointing to valid bpf_map"), "%s", log_buf);
    bad_map[0].src_reg = BPF_PSEUDO_MAP_IDX;
    cr_assert_eq(load(BPF_PROG_TYPE_XDP, bad_map, 4), -EPROTO);
    cr_assert_eq(load(BPF_PROG_TYPE_XDP, return_0, 0), -E2BIG);
    cr_assert_eq(load(BPF_PROG_TYPE_XDP, return_0, 1), -EINVAL, "falls off its end");
    cr_assert_eq(CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(return_0),
                      .insn_cnt = 2, .license = ptr("GPL"), .prog_flags = 1u << 30),
                 -EINVAL);
    cr_assert_eq(CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(return_0),
                      .insn_cnt = 2, .license = ptr("GPL"), .log_level = 1),
                 -EINVAL, "a level without a buffer");
    cr_assert_eq(CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(return_0),
                      .insn_cnt = 2, .license = ptr("GPL"), .func_info = ptr(return_0),
                      .func_info_cnt = 1, .func_info_rec_size = 8, .prog_btf_fd = 99),
                 -EBADF);
}

/* Each form of naming a map keeps it alive: the handle may be closed. */
Test(sys, programs_hold_their_maps)
{
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    int fds[2] = {99, map};
    struct bpf_insn code[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .src_reg = BPF_PSEUDO_MAP_IDX_VALUE,
         .imm = 1,
         .dst_reg = 1},
        {0},
        {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1},
        return_0[1],
    };
    uint64_t value = 123;
    uint8_t packet[64] = {0};

    cr_assert_eq(update(map, 0, &value), 0);
    int prog = (int)CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(code),
                         .insn_cnt = 4, .license = ptr("GPL"), .fd_array = ptr(fds));
    cr_assert_geq(prog, 3);
    cr_assert_eq(close_handle(map), 0);

    union bpf_attr run = {.test = {.prog_fd = (uint32_t)prog,
                                   .data_in = ptr(packet),
                                   .data_size_in = sizeof(packet),
                                   .repeat = 3}};
    cr_assert_eq(ebpf_sys(session, BPF_PROG_TEST_RUN, &run, sizeof(run)), 0);
    cr_assert_eq(run.test.retval, 123);
    cr_assert_eq(run.test.data_size_out, sizeof(packet));
    struct ebpf_stats stats;
    ebpf_get_stats(&stats);
    cr_assert_eq(stats.maps, 1);
    cr_assert_eq(close_handle(prog), 0);
    ebpf_get_stats(&stats);
    cr_assert_eq(stats.maps, 0);
    cr_assert_eq(stats.progs, 0);
}

Test(sys, test_run_hands_the_packet_back)
{
    int prog = load_trivial(BPF_PROG_TYPE_XDP);
    uint8_t packet[64], out[32];

    memset(packet, 0x42, sizeof(packet));
    union bpf_attr run = {.test = {.prog_fd = (uint32_t)prog,
                                   .data_in = ptr(packet),
                                   .data_size_in = sizeof(packet),
                                   .data_out = ptr(out),
                                   .data_size_out = sizeof(out)}};
    cr_assert_eq(ebpf_sys(session, BPF_PROG_TEST_RUN, &run, sizeof(run)), -ENOSPC);
    cr_assert_eq(run.test.data_size_out, 64);
    cr_assert_arr_eq(out, packet, sizeof(out));
    run.test.flags = 1;
    cr_assert_eq(ebpf_sys(session, BPF_PROG_TEST_RUN, &run, sizeof(run)), -EINVAL);
}

Test(sys, a_truncated_log_is_enospc)
{
    struct bpf_insn insns[4] = {{.code = 0xff}, {.code = 0xff}, {.code = 0xff}, {.code = 0xff}};
    char small[128];

    cr_assert_eq(CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(insns),
                      .insn_cnt = 4, .license = ptr("GPL"), .log_buf = ptr(small), .log_size = 127,
                      .log_level = 1),
                 -EINVAL);
    long err =
        CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_XDP, .insns = ptr(insns), .insn_cnt = 4,
             .license = ptr("GPL"), .log_buf = ptr(small), .log_size = 128, .log_level = 1);
    cr_assert(err == -EINVAL || err == -ENOSPC);
    cr_assert_lt(strnlen(small, sizeof(small)), sizeof(small));
}

/* ---- info -------------------------------------------------------------------------------- */

Test(sys, program_info)
{
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    struct bpf_insn code[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map, .dst_reg = 1},
        {0},
        return_0[0],
        return_0[1],
    };
    int prog = load(BPF_PROG_TYPE_XDP, code, 4);
    struct bpf_prog_info info = {0};
    struct bpf_insn dump[4];
    uint32_t ids[2] = {0}, jited;
    uint8_t machine[4096];
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)prog, .info_len = sizeof(info), .info = ptr(&info)}};

    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    jited = info.jited_prog_len;
    cr_assert(jited > 0 && jited <= sizeof(machine), "it runs as machine code: %u bytes", jited);
    cr_assert_eq(info.type, BPF_PROG_TYPE_XDP);
    cr_assert_eq(info.xlated_prog_len, 32);
    cr_assert_eq(info.nr_map_ids, 1);
    cr_assert_eq(info.gpl_compatible, 1);

    memset(&info, 0, sizeof(info));
    info.xlated_prog_insns = ptr(dump);
    info.xlated_prog_len = sizeof(dump);
    info.map_ids = ptr(ids);
    info.nr_map_ids = 2;
    info.jited_prog_insns = ptr(machine);
    info.jited_prog_len = jited;
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert(memchr(machine, 0xc3, jited), "a ret is somewhere in it");
    cr_assert_eq(dump[0].imm, (int)ids[0], "maps are shown by id");
    cr_assert_eq(ids[1], 0);
    cr_assert_eq(dump[3].code, BPF_JMP | BPF_EXIT);
}

Test(sys, map_info_and_the_length_of_info)
{
    int map = map_create(BPF_MAP_TYPE_HASH, 8, 16, 100, BPF_F_NO_PREALLOC);
    struct {
        struct bpf_map_info info;
        uint64_t more;
    } a = {0};
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)map, .info_len = sizeof(a), .info = ptr(&a)}};

    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(attr.info.info_len, sizeof(a.info));
    cr_assert_eq(a.info.type, BPF_MAP_TYPE_HASH);
    cr_assert_eq(a.info.key_size, 8);
    cr_assert_eq(a.info.value_size, 16);
    cr_assert_eq(a.info.max_entries, 100);
    cr_assert_eq(a.info.map_flags, BPF_F_NO_PREALLOC);

    a.more = 1;
    attr.info.info_len = sizeof(a);
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -E2BIG);
    memset(&a, 0, sizeof(a));
    attr.info.info_len = 12;
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(attr.info.info_len, 12);
    cr_assert_eq(a.info.key_size, 8);
    cr_assert_eq(a.info.value_size, 0, "nothing beyond what was asked for");
}

/* ---- links ------------------------------------------------------------------------------- */

/* *(map value) += 1 at each event */
static int load_counter(uint32_t type, int map)
{
    struct bpf_insn code[] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = 1,
         .src_reg = BPF_PSEUDO_MAP_VALUE,
         .imm = map},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1},
        {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD},
        return_0[0],
        return_0[1],
    };
    int prog = load(type, code, 6);
    cr_assert_geq(prog, 3, "%s", log_buf);
    return prog;
}

static int attach(int prog, int event, uint64_t cookie)
{
    return (int)CALL(BPF_LINK_CREATE, .link_create = {.prog_fd = (uint32_t)prog,
                                                      .target_fd = (uint32_t)event,
                                                      .attach_type = BPF_PERF_EVENT,
                                                      .perf_event.bpf_cookie = cookie});
}

static uint64_t count_of(int map)
{
    uint64_t value;
    cr_assert_eq(lookup(map, 0, &value), 0);
    return value;
}

Test(sys, tracepoint_links)
{
    uint8_t record[32] = {0};
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    int prog = load_counter(BPF_PROG_TYPE_TRACEPOINT, map);
    int event = ebpf_tracepoint_open(session, openat);
    int link = attach(prog, event, 7);

    cr_assert_geq(link, 3);
    cr_assert_eq(close_handle(event), 0);
    cr_assert_eq(close_handle(prog), 0);
    host_tracepoint_fire(openat, record);
    host_tracepoint_fire(openat, record);
    cr_assert_eq(count_of(map), 2);

    int event2 = ebpf_tracepoint_open(session, openat);
    int prog2 = load_counter(BPF_PROG_TYPE_TRACEPOINT, map);
    int link2 = attach(prog2, event2, 0), link3 = attach(prog2, event2, 1);
    host_tracepoint_fire(openat, record);
    cr_assert_eq(count_of(map), 5, "one program twice, beside another");
    cr_assert_eq(CALL(BPF_LINK_DETACH, .link_detach.link_fd = (uint32_t)link2), 0);
    cr_assert_eq(CALL(BPF_LINK_DETACH, .link_detach.link_fd = (uint32_t)link2), 0);
    cr_assert_eq(close_handle(link3), 0);
    host_tracepoint_fire(openat, record);
    cr_assert_eq(count_of(map), 6);
    cr_assert_eq(close_handle(link), 0);
    cr_assert_eq(host_tracepoint_fire(openat, record), 0);
}

Test(sys, a_pinned_link_outlives_its_session)
{
    uint8_t record[32] = {0};
    struct ebpf_session *first = session;
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    int prog = load_counter(BPF_PROG_TYPE_TRACEPOINT, map);
    int link = attach(prog, ebpf_tracepoint_open(session, openat), 0);

    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("link"), .bpf_fd = (uint32_t)link), 0);
    cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = ptr("map"), .bpf_fd = (uint32_t)map), 0);
    session = ebpf_session_create();
    ebpf_session_destroy(first);
    cr_assert_eq(host_tracepoint_fire(openat, record), 1);
    map = (int)CALL(BPF_OBJ_GET, .pathname = ptr("map"));
    cr_assert_eq(count_of(map), 1);
    union marshal_attr pin = {.pin = {.name = "link"}};
    cr_assert_eq(ebpf_sys(session, SKEP_UNPIN, &pin.bpf, sizeof(pin)), 0);
    cr_assert_eq(host_tracepoint_fire(openat, record), 0, "unpinning the last reference detaches");
}

Test(sys, what_link_create_refuses)
{
    int event = ebpf_tracepoint_open(session, openat);
    int filter = load_trivial(BPF_PROG_TYPE_SOCKET_FILTER);
    int tracing = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    int xdp = load_trivial(BPF_PROG_TYPE_XDP);

    cr_assert_eq(ebpf_tracepoint_open(session, 9999), -ENOENT);
    cr_assert_eq(attach(filter, event, 0), -EINVAL);
    cr_assert_eq(attach(xdp, event, 0), -EINVAL);
    cr_assert_eq(attach(tracing, tracing, 0), -EBADF);
    cr_assert_eq(attach(99, event, 0), -EBADF);
    cr_assert_eq(CALL(BPF_LINK_CREATE, .link_create = {.prog_fd = (uint32_t)tracing,
                                                       .target_fd = (uint32_t)event,
                                                       .attach_type = BPF_PERF_EVENT,
                                                       .flags = 1}),
                 -EINVAL);
    cr_assert_eq(CALL(BPF_LINK_CREATE, .link_create = {.prog_fd = (uint32_t)xdp,
                                                       .target_ifindex = 12345,
                                                       .attach_type = BPF_XDP}),
                 -EINVAL);
    cr_assert_eq(CALL(BPF_RAW_TRACEPOINT_OPEN, .raw_tracepoint = {.name = ptr("sched_switch"),
                                                                  .prog_fd = (uint32_t)tracing}),
                 -EINVAL);
}

Test(sys, raw_tracepoint_links)
{
    int raw = load_trivial(BPF_PROG_TYPE_RAW_TRACEPOINT);
    struct bpf_link_info info = {0};
    char name[64] = "", small[4] = "";

    cr_assert_eq(CALL(BPF_RAW_TRACEPOINT_OPEN,
                      .raw_tracepoint = {.name = ptr("no_such"), .prog_fd = (uint32_t)raw}),
                 -ENOENT);
    cr_assert_eq(CALL(BPF_RAW_TRACEPOINT_OPEN, .raw_tracepoint = {.prog_fd = (uint32_t)raw}),
                 -EFAULT);
    int link =
        (int)CALL(BPF_RAW_TRACEPOINT_OPEN,
                  .raw_tracepoint = {.name = ptr("sys_enter_openat"), .prog_fd = (uint32_t)raw});
    cr_assert_geq(link, 3);
    info.raw_tracepoint.tp_name = ptr(name);
    info.raw_tracepoint.tp_name_len = sizeof(name);
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)link, .info_len = sizeof(info), .info = ptr(&info)}};
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.type, BPF_LINK_TYPE_RAW_TRACEPOINT);
    cr_assert_str_eq(name, "sys_enter_openat");
    cr_assert_eq(info.raw_tracepoint.tp_name_len, strlen(name) + 1);
    memset(&info, 0, sizeof(info));
    info.raw_tracepoint.tp_name = ptr(small);
    info.raw_tracepoint.tp_name_len = sizeof(small);
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -ENOSPC);
    cr_assert_str_eq(small, "sys");

    /* Said to be of another type, the same bytes are no buffer. */
    memset(&info, 0, sizeof(info));
    info.type = BPF_LINK_TYPE_PERF_EVENT;
    info.raw_tracepoint.tp_name = 1;
    info.raw_tracepoint.tp_name_len = 64;
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.type, BPF_LINK_TYPE_RAW_TRACEPOINT);
    cr_assert_eq(info.raw_tracepoint.tp_name, 0);
}

Test(sys, a_tracepoints_link_tells_its_name)
{
    int prog = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    int link = attach(prog, ebpf_tracepoint_open(session, openat), 0x1234567890);
    struct skep_link_info_tracepoint info = {0};
    char name[64] = "", small[4] = "";
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)link, .info_len = sizeof(info), .info = ptr(&info)}};

    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.type, BPF_LINK_TYPE_PERF_EVENT);
    cr_assert_eq(info.event, SKEP_PERF_EVENT_TRACEPOINT);
    cr_assert_eq(info.cookie, 0x1234567890);
    cr_assert_eq(info.name_len, sizeof("sys_enter_openat"));
    info.name = ptr(name);
    info.name_len = sizeof(name);
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_str_eq(name, "sys_enter_openat");
    info.name = ptr(small);
    info.name_len = sizeof(small);
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -ENOSPC);
    cr_assert_str_eq(small, "sys");
    info.name_len = 0;
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -EINVAL);
    memset(&info, 0, sizeof(info));
    info.name = 1; /* the type was not said */
    info.name_len = 64;
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.name, 0);
}

Test(sys, a_link_gets_another_program)
{
    uint8_t record[32] = {0};
    int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
    int idle = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    int counter = load_counter(BPF_PROG_TYPE_TRACEPOINT, map);
    int xdp = load_trivial(BPF_PROG_TYPE_XDP);
    int link = attach(idle, ebpf_tracepoint_open(session, openat), 0);
    union bpf_attr attr = {.link_update = {.link_fd = (uint32_t)link,
                                           .new_prog_fd = (uint32_t)counter,
                                           .flags = BPF_F_REPLACE,
                                           .old_prog_fd = (uint32_t)counter}};

    cr_assert_eq(ebpf_sys(session, BPF_LINK_UPDATE, &attr, sizeof(attr)), -EPERM);
    attr.link_update.old_prog_fd = (uint32_t)idle;
    cr_assert_eq(ebpf_sys(session, BPF_LINK_UPDATE, &attr, sizeof(attr)), 0);
    cr_assert_eq(close_handle(idle), 0);
    host_tracepoint_fire(openat, record);
    cr_assert_eq(count_of(map), 1);
    attr =
        (union bpf_attr){.link_update = {.link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)xdp}};
    cr_assert_eq(ebpf_sys(session, BPF_LINK_UPDATE, &attr, sizeof(attr)), -EINVAL);
}

/* r0 = eight bytes of the context. */
static int load_reader(uint32_t type, int16_t off)
{
    struct bpf_insn code[] = {
        {.code = BPF_LDX | BPF_MEM | BPF_DW, .src_reg = 1, .off = off},
        return_0[1],
    };
    int prog = load(type, code, 2);

    cr_assert_geq(prog, 3, "%s", log_buf);
    return prog;
}

/* Linux: perf_event_set_bpf_prog, __bpf_probe_register: how much an event tells is known here. */
Test(sys, a_program_reads_what_its_event_tells)
{
    int last = load_reader(BPF_PROG_TYPE_TRACEPOINT, RECORD_SIZE - 8);
    int beyond = load_reader(BPF_PROG_TYPE_TRACEPOINT, RECORD_SIZE);
    int raw_last = load_reader(BPF_PROG_TYPE_RAW_TRACEPOINT, 8 * (RAW_ARGS - 1));
    int raw_beyond = load_reader(BPF_PROG_TYPE_RAW_TRACEPOINT, 8 * RAW_ARGS);
    int link = attach(last, ebpf_tracepoint_open(session, openat), 0);

    cr_assert_geq(link, 3);
    cr_assert_eq(attach(beyond, ebpf_tracepoint_open(session, openat), 0), -EACCES);
    cr_assert_eq(CALL(BPF_LINK_UPDATE,
                      .link_update = {.link_fd = (uint32_t)link, .new_prog_fd = (uint32_t)beyond}),
                 -EACCES);
    cr_assert_geq(CALL(BPF_RAW_TRACEPOINT_OPEN, .raw_tracepoint = {.name = ptr("sys_enter_openat"),
                                                                   .prog_fd = (uint32_t)raw_last}),
                  3);
    cr_assert_eq(CALL(BPF_RAW_TRACEPOINT_OPEN, .raw_tracepoint = {.name = ptr("sys_enter_openat"),
                                                                  .prog_fd = (uint32_t)raw_beyond}),
                 -EINVAL);
}

Test(sys, statistics)
{
    uint8_t record[32] = {0};
    struct ebpf_stats stats;
    struct bpf_prog_info info = {0};
    int prog = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)prog, .info_len = sizeof(info), .info = ptr(&info)}};

    int enabled = (int)CALL(BPF_ENABLE_STATS, .enable_stats.type = BPF_STATS_RUN_TIME);
    cr_assert_geq(enabled, 3);
    cr_assert_eq(CALL(BPF_ENABLE_STATS, .enable_stats.type = 7), -EINVAL);
    cr_assert_geq(attach(prog, ebpf_tracepoint_open(session, openat), 0), 3);
    for (int i = 0; i < 5; i++)
        host_tracepoint_fire(openat, record);
    cr_assert_eq(ebpf_sys(session, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.run_cnt, 5);
    ebpf_get_stats(&stats);
    cr_assert_eq(stats.progs, 1);
    cr_assert_eq(stats.links, 1);
    cr_assert_eq(stats.sessions, 1);
}

/* ---- anything at all --------------------------------------------------------------------- */

static int sizes_of(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                    uint32_t *type)
{
    struct ebpf_map *map = ebpf_session_map(arg, (int)handle);

    if (map == NULL)
        return -EBADF;
    *key_size = ebpf_map_key_size(map);
    *value_size = ebpf_map_value_size(map);
    *type = ebpf_map_type(map);
    return 0;
}

static int kind_of(void *arg, uint32_t handle)
{
    return ebpf_session_kind(arg, (int)handle);
}

/* Small numbers, so that they often are handles, ids, types and flags. */
static uint32_t random_word(void)
{
    uint32_t big = (uint32_t)rand() ^ (uint32_t)rand() << 16;
    return rand() % 8 == 0 ? big >> rand() % 32 : (uint32_t)rand() % 12;
}

static void random_fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = rand() % 3 == 0 ? (uint8_t)rand() : (uint8_t)(rand() % 10);
}

/* One random command through both ends' marshalling, as the command server executes it; did it
 * succeed? The request's bytes stand in a block of their own, so that a read beyond is seen. */
static bool random_command(uint32_t cmd, union marshal_attr *attr)
{
    static _Alignas(8) uint8_t arena[MARSHAL_ARENA_SIZE], reply[WIRE_REPLY_MAX];
    const struct marshal_ops ops = {sizes_of, kind_of, session};
    struct marshal_plan client, server;

    long result = -EINVAL;

    if (marshal_plan(cmd, attr, marshal_attr_end(cmd), &ops, &client) != 0)
        return false;
    size_t size = marshal_request_size(&client);
    uint8_t *request = malloc(size);
    cr_assert_eq(marshal_encode_request(&client, request, size), (long)size);
    int err = marshal_decode_request(cmd, request, size, &ops, arena, sizeof(arena), &server);
    if (err == 0) {
        result = ebpf_sys(session, cmd, &server.attr.bpf, server.attr_size);
        long n = marshal_encode_reply(&server, result, reply, sizeof(reply));
        cr_assert_geq(n, 0, "the reply of command %u does not fit", cmd);
        cr_assert_eq(marshal_decode_reply(&client, reply, (size_t)n, attr), 0);
    }
    free(request);
    return result >= 0;
}

/* A few objects of each kind, so that small numbers are their handles: 3 to 11. */
static void start_again(void)
{
    ebpf_session_destroy(session);
    session = ebpf_session_create();
    map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0);
    map_create(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
    load_trivial(BPF_PROG_TYPE_XDP);
    load_trivial(BPF_PROG_TYPE_RAW_TRACEPOINT);
    int prog = load_trivial(BPF_PROG_TYPE_TRACEPOINT);
    int event = ebpf_tracepoint_open(session, openat);
    int link = attach(prog, event, 0);
    cr_assert_geq(link, 3);
    CALL(BPF_OBJ_PIN, .pathname = ptr("\1"), .bpf_fd = (uint32_t)link);
    cr_assert_eq(update(4, 0, "........"), 0);
}

#define POINTERS(...)                                                                              \
    do {                                                                                           \
        uint64_t *const fields[] = {__VA_ARGS__};                                                  \
        for (size_t f = 0; f < ARRAY_LEN(fields); f++)                                             \
            *fields[f] = rand() % 8 == 0 ? 0 : ptr(memory);                                        \
    } while (0)

/* Pointer fields point at memory, or nowhere; the lengths beside them stay within it. */
static void point_at_memory(uint32_t cmd, union marshal_attr *attr, const uint8_t *memory)
{
    union bpf_attr *a = &attr->bpf;

    switch (cmd) {
    case BPF_MAP_CREATE:
        a->max_entries %= 3000;
        a->key_size %= 16;
        a->value_size %= 64;
        if (rand() % 4 != 0) { /* mostly a plain one, else few are made */
            *a = (union bpf_attr){.map_type = a->map_type,
                                  .key_size = a->key_size,
                                  .value_size = a->value_size,
                                  .max_entries = a->max_entries,
                                  .inner_map_fd = a->inner_map_fd};
        }
        break;
    case BPF_MAP_LOOKUP_ELEM:
    case BPF_MAP_UPDATE_ELEM:
    case BPF_MAP_GET_NEXT_KEY:
    case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
        a->flags = (uint64_t)rand() % 4;
        POINTERS((uint64_t *)&a->key, (uint64_t *)&a->value);
        break;
    case BPF_MAP_DELETE_ELEM:
        POINTERS((uint64_t *)&a->key);
        break;
    case BPF_PROG_LOAD:
        a->insn_cnt = rand() % 2 != 0 ? 2 : a->insn_cnt % 200;
        a->prog_flags = a->prog_ifindex = a->attach_btf_id = a->attach_prog_fd = 0;
        a->core_relo_cnt = 0;
        a->func_info_cnt %= 3;
        a->line_info_cnt %= 3;
        a->func_info_rec_size %= 300;
        a->line_info_rec_size %= 300;
        a->log_size = 4096;
        a->log_level = 1 + a->log_level % 2;
        memset(a->prog_name, 0, sizeof(a->prog_name));
        POINTERS((uint64_t *)&a->insns, (uint64_t *)&a->license, (uint64_t *)&a->log_buf,
                 (uint64_t *)&a->func_info, (uint64_t *)&a->line_info);
        a->fd_array = a->core_relos = 0;
        break;
    case BPF_OBJ_PIN:
    case BPF_OBJ_GET:
        a->file_flags = 0;
        POINTERS((uint64_t *)&a->pathname);
        break;
    case BPF_RAW_TRACEPOINT_OPEN:
        a->raw_tracepoint.name = ptr("sys_enter_openat");
        break;
    case BPF_PROG_TEST_RUN:
        a->test.data_size_in %= 4096;
        a->test.data_size_out %= 4096;
        a->test.ctx_size_in %= 256;
        a->test.ctx_size_out %= 256;
        a->test.repeat %= 10;
        if (rand() % 2 != 0)
            a->test.ctx_size_in = a->test.ctx_size_out = 0, a->test.data_size_in += 64;
        a->test.flags = a->test.cpu = a->test.batch_size = 0;
        POINTERS((uint64_t *)&a->test.data_in, (uint64_t *)&a->test.data_out,
                 (uint64_t *)&a->test.ctx_in, (uint64_t *)&a->test.ctx_out);
        break;
    case BPF_OBJ_GET_INFO_BY_FD:
        memset((void *)(uintptr_t)memory, 0, 4096); /* no pointers in the info struct */
        a->info.info_len %= 300;
        POINTERS((uint64_t *)&a->info.info);
        break;
    case BPF_BTF_LOAD:
        a->btf_size = rand() % 2 != 0 ? 25 : a->btf_size % 4096;
        a->btf_log_size = 4096;
        a->btf_log_level = 1 + a->btf_log_level % 2;
        POINTERS((uint64_t *)&a->btf, (uint64_t *)&a->btf_log_buf);
        break;
    case BPF_MAP_LOOKUP_BATCH:
    case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
    case BPF_MAP_UPDATE_BATCH:
    case BPF_MAP_DELETE_BATCH:
        a->batch.count %= 500;
        a->batch.flags = a->batch.elem_flags = 0;
        POINTERS((uint64_t *)&a->batch.keys, (uint64_t *)&a->batch.values,
                 (uint64_t *)&a->batch.in_batch, (uint64_t *)&a->batch.out_batch);
        break;
    case SKEP_MAP_READ:
        attr->map_read.size %= 4096;
        attr->map_read.offset %= 10;
        attr->map_read.flags = 0;
        attr->map_read.buf = ptr(memory);
        POINTERS(&attr->map_read.key);
        break;
    case SKEP_INFO_READ:
        attr->info_read.size %= 4096;
        attr->info_read.offset %= 32;
        attr->info_read.field %= 300;
        attr->info_read.buf = ptr(memory);
        break;
    }
}

static const struct {
    struct btf_header header;
    char strings[1];
} empty_btf = {.header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = 24, .str_len = 1}};

/* Whatever the attributes and buffers hold, each command answers, in bounds (the sanitizers
 * watch), and everything is given back in the end. */
Test(sys, random_commands)
{
    static uint8_t memory[1 << 16];
    static const uint32_t numbers[] = {
#define SERVER_COMMAND(...)
#define COMMAND(number, ...) number,
#include "ebpf/commands.def"
#undef COMMAND
    };

    unsigned succeeded[ARRAY_LEN(numbers)] = {0}, never = 0;

    srand(11);
    for (int i = 0; i < 60000; i++) {
        size_t which = (size_t)rand() % ARRAY_LEN(numbers);
        uint32_t cmd = numbers[which];
        union marshal_attr attr = {0};
        uint32_t end = marshal_attr_end(cmd);

        random_fill(memory, 256);
        for (uint32_t at = 0; at + 4 <= end; at += 4) {
            uint32_t word = random_word();
            memcpy((uint8_t *)&attr + at, &word, 4);
        }
        if (rand() % 2 == 0)
            memset(memory, 0, 256);
        if (rand() % 2 == 0 && cmd == BPF_BTF_LOAD)
            memcpy(memory, &empty_btf, sizeof(empty_btf));
        if (rand() % 2 == 0 && cmd == BPF_PROG_LOAD)
            memcpy(memory, return_0, sizeof(return_0));
        if (i % 100 == 0)
            start_again();
        point_at_memory(cmd, &attr, memory);
        succeeded[which] += random_command(cmd, &attr);
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        never += succeeded[i] == 0;
    cr_assert_lt(never, 10, "too few commands got through to mean something");
}
