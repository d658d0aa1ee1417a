/*
 * The marshaller: what a client encodes is what the server decodes and the reverse, for each form
 * of length in commands.def; and a server survives any bytes at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/marshal.h"
#include "ebpf/marshal_rules.h"
#include "tests/unit/leakcheck.h"

TestSuite(marshal, .fini = leakcheck);

/* Handles: 3 is a hash of 4-byte keys and 12-byte values, 4 a per-CPU array of 12-byte values, 5 a
 * program, 6 BTF, 7 a link, 8 a program array, 9 a queue. */
static int map_sizes(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type)
{
    static const struct {
        uint32_t handle, key_size, value_size, type;
    } maps[] = {
        {3, 4, 12, BPF_MAP_TYPE_HASH},
        {4, 4, 12, BPF_MAP_TYPE_PERCPU_ARRAY},
        {8, 4, 4, BPF_MAP_TYPE_PROG_ARRAY},
        {9, 0, 12, BPF_MAP_TYPE_QUEUE},
    };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (maps[i].handle == handle) {
            *key_size = maps[i].key_size;
            *value_size = marshal_value_size(maps[i].type, maps[i].value_size);
            *type = maps[i].type;
            return 0;
        }
    return -EBADF;
}

static int object_kind(void *arg, uint32_t handle)
{
    (void)arg;
    switch (handle) {
    case 3:
    case 4:
    case 8:
    case 9:
        return EBPF_MAP;
    case 5:
        return EBPF_PROG;
    case 6:
        return EBPF_BTF;
    case 7:
        return EBPF_LINK;
    }
    return -EBADF;
}

static const struct marshal_ops ops = {.map_sizes = map_sizes, .object_kind = object_kind};

/* Both ends, and the wire between them. */
static struct marshal_plan client, server;
static _Alignas(8) uint8_t request[1 << 16], reply[WIRE_REPLY_MAX], arena[MARSHAL_ARENA_SIZE];

static int send_request(uint32_t cmd, const void *attr, uint32_t size)
{
    int err = marshal_plan(cmd, attr, size, &ops, &client);
    if (err != 0)
        return err;
    long n = marshal_encode_request(&client, request, sizeof(request));
    cr_assert_eq(n, (long)marshal_request_size(&client));
    return marshal_decode_request(cmd, request, (size_t)n, &ops, arena, sizeof(arena), &server);
}

static int send_reply(long status, void *attr)
{
    long n = marshal_encode_reply(&server, status, reply, sizeof(reply));
    cr_assert_geq(n, 0);
    return marshal_decode_reply(&client, reply, (size_t)n, attr);
}

static void *at(uint64_t pointer)
{
    return (void *)(uintptr_t)pointer;
}

static uint64_t ptr(const void *p)
{
    return (uintptr_t)p;
}

Test(marshal, key_travels_in_and_value_comes_back)
{
    uint32_t key = 7;
    char value[13] = "............";
    union bpf_attr attr = {.map_fd = 3, .key = ptr(&key), .value = ptr(value)};

    cr_assert_eq(send_request(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.attr.bpf.map_fd, 3);
    cr_assert_eq(*(uint32_t *)at(server.attr.bpf.key), 7);
    memcpy(at(server.attr.bpf.value), "hello, world", 12);
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_str_eq(value, "hello, world");
    cr_assert_eq(attr.key, ptr(&key));
}

Test(marshal, failed_lookup_leaves_the_callers_value)
{
    uint32_t key = 7;
    char value[13] = "............";
    union bpf_attr attr = {.map_fd = 3, .key = ptr(&key), .value = ptr(value)};

    cr_assert_eq(send_request(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(send_reply(-ENOENT, &attr), 0);
    cr_assert_str_eq(value, "............");
}

Test(marshal, per_cpu_values_are_rounded_up)
{
    uint32_t key = 0;
    uint8_t value[16 * 8];
    union bpf_attr attr = {.map_fd = 4, .key = ptr(&key), .value = ptr(value)};

    cr_assert_eq(send_request(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.buffers[1].len, marshal_value_size(BPF_MAP_TYPE_PERCPU_ARRAY, 12));
    cr_assert_eq(server.buffers[1].len % 8, 0);
}

Test(marshal, first_key_is_asked_for_by_a_null_key)
{
    uint32_t next = 0;
    union bpf_attr attr = {.map_fd = 3, .next_key = ptr(&next)};

    cr_assert_eq(send_request(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.attr.bpf.key, 0);
    *(uint32_t *)at(server.attr.bpf.next_key) = 99;
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_eq(next, 99);
}

Test(marshal, missing_pointer_is_efault)
{
    union bpf_attr attr = {.map_fd = 3};
    cr_assert_eq(send_request(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)), -EFAULT);
}

Test(marshal, unknown_handle_and_command)
{
    union bpf_attr attr = {.map_fd = 77};
    cr_assert_eq(send_request(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)), -EBADF);
    cr_assert_eq(send_request(BPF_TASK_FD_QUERY, &attr, sizeof(attr)), -EINVAL);
    cr_assert_eq(send_request(0x1fff, &attr, sizeof(attr)), -EINVAL);
}

Test(marshal, longer_attributes_need_a_zero_tail)
{
    uint8_t attr[sizeof(union bpf_attr) + 8] = {0};

    cr_assert_eq(send_request(BPF_PROG_GET_NEXT_ID, attr, sizeof(attr)), 0);
    cr_assert_eq(server.attr_size, sizeof(union bpf_attr));
    attr[sizeof(attr) - 1] = 1;
    cr_assert_eq(send_request(BPF_PROG_GET_NEXT_ID, attr, sizeof(attr)), -E2BIG);
}

Test(marshal, attributes_shorter_than_the_fields_are_zeros)
{
    uint32_t fd = 3;
    cr_assert_eq(send_request(BPF_MAP_FREEZE, &fd, sizeof(fd)), 0);
    cr_assert_eq(server.attr.bpf.map_fd, 3);
    cr_assert_eq(server.attr_size, 4);
    /* Pointers beyond what was given are null. */
    cr_assert_eq(send_request(BPF_MAP_LOOKUP_ELEM, &fd, sizeof(fd)), -EFAULT);
}

Test(marshal, program_load_carries_all_its_arrays)
{
    struct bpf_insn insns[4] = {
        {.code = BPF_LD | BPF_IMM | BPF_DW, .src_reg = BPF_PSEUDO_MAP_IDX, .imm = 1},
        {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
        {.code = BPF_JMP | BPF_EXIT},
    };
    struct bpf_func_info funcs[2] = {{.insn_off = 0, .type_id = 5}, {.insn_off = 3, .type_id = 6}};
    struct bpf_line_info lines[3] = {{.insn_off = 0}, {.insn_off = 1}, {.insn_off = 2}};
    int fds[2] = {3, 4};
    char log[100] = "";
    union bpf_attr attr = {
        .prog_type = BPF_PROG_TYPE_XDP,
        .insns = ptr(insns),
        .insn_cnt = 4,
        .license = ptr("GPL"),
        .log_buf = ptr(log),
        .log_size = sizeof(log),
        .log_level = 1,
        .func_info = ptr(funcs),
        .func_info_cnt = 2,
        .func_info_rec_size = sizeof(funcs[0]),
        .line_info = ptr(lines),
        .line_info_cnt = 3,
        .line_info_rec_size = sizeof(lines[0]),
        .fd_array = ptr(fds),
        .prog_btf_fd = 6,
    };

    cr_assert_eq(send_request(BPF_PROG_LOAD, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.buffers[0].content, MARSHAL_INSNS);
    cr_assert_arr_eq(at(server.attr.bpf.insns), insns, sizeof(insns));
    cr_assert_str_eq((char *)at(server.attr.bpf.license), "GPL");
    cr_assert_arr_eq(at(server.attr.bpf.func_info), funcs, sizeof(funcs));
    cr_assert_arr_eq(at(server.attr.bpf.line_info), lines, sizeof(lines));
    cr_assert_arr_eq(at(server.attr.bpf.fd_array), fds, sizeof(fds));
    cr_assert_eq(server.attr.bpf.core_relos, 0);
    strcpy(at(server.attr.bpf.log_buf), "insn 3: no");
    cr_assert_eq(send_reply(-EACCES, &attr), 0);
    cr_assert_str_eq(log, "insn 3: no");
}

Test(marshal, a_log_larger_than_a_reply_gets_what_there_is)
{
    struct bpf_insn insn = {.code = BPF_JMP | BPF_EXIT};
    size_t size = WIRE_MESSAGE_MAX - 1;
    char *log = calloc(1, size);
    union bpf_attr attr = {.insns = ptr(&insn),
                           .insn_cnt = 1,
                           .license = ptr("GPL"),
                           .log_buf = ptr(log),
                           .log_size = (uint32_t)size,
                           .log_level = 1};

    cr_assert_eq(send_request(BPF_PROG_LOAD, &attr, sizeof(attr)), 0);
    cr_assert_leq(server.attr.bpf.log_size, MARSHAL_ARENA_SIZE);
    cr_assert_geq(server.attr.bpf.log_size, MARSHAL_ARENA_SIZE - 64);
    memset(at(server.attr.bpf.log_buf), 'x', server.attr.bpf.log_size - 1);
    cr_assert_eq(send_reply(-EACCES, &attr), 0);
    cr_assert_eq(strlen(log), server.attr.bpf.log_size - 1);
    free(log);
}

Test(marshal, long_names_are_cut_and_ended)
{
    char license[300];
    struct bpf_insn insn = {0};
    union bpf_attr attr = {.insns = ptr(&insn), .insn_cnt = 1, .license = ptr(license)};

    memset(license, 'G', sizeof(license));
    cr_assert_eq(send_request(BPF_PROG_LOAD, &attr, sizeof(attr)), 0);
    cr_assert_eq(strlen(at(server.attr.bpf.license)), 127);
}

Test(marshal, program_info_brings_its_arrays)
{
    struct bpf_prog_info info = {0};
    uint64_t code[4] = {0};
    uint32_t ids[8] = {0};
    union bpf_attr attr = {.info = {.bpf_fd = 5, .info_len = sizeof(info), .info = ptr(&info)}};

    info.xlated_prog_insns = ptr(code);
    info.xlated_prog_len = sizeof(code);
    info.map_ids = ptr(ids);
    info.nr_map_ids = 8;
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);

    struct bpf_prog_info *got = at(server.attr.bpf.info.info);
    cr_assert_eq(got->nr_map_ids, 8);
    cr_assert_eq(got->jited_prog_insns, 0);
    memset(at(got->xlated_prog_insns), 0x55, 32);
    ((uint32_t *)at(got->map_ids))[0] = 11;
    ((uint32_t *)at(got->map_ids))[1] = 12;
    got->nr_map_ids = 2;
    got->xlated_prog_len = 800; /* there is more than the caller had room for */
    got->id = 42;
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_eq(info.id, 42);
    cr_assert_eq(info.nr_map_ids, 2);
    cr_assert_eq(info.xlated_prog_len, 800);
    cr_assert_eq(ids[0], 11);
    cr_assert_eq(ids[1], 12);
    cr_assert_eq(code[3], 0x5555555555555555);
    cr_assert_eq(info.xlated_prog_insns, ptr(code), "the caller's pointers stay");
    cr_assert_eq(info.map_ids, ptr(ids));
    cr_assert_eq(attr.info.info, ptr(&info));
}

Test(marshal, a_short_info_struct_has_no_pointers_beyond_its_end)
{
    struct bpf_prog_info info = {0};
    uint32_t ids[8] = {0};
    union bpf_attr attr = {.info = {.bpf_fd = 5, .info_len = 16, .info = ptr(&info)}};

    info.map_ids = ptr(ids);
    info.nr_map_ids = 8;
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.count, 1);
}

Test(marshal, an_info_struct_that_ends_within_a_pointer_is_refused)
{
    struct bpf_prog_info info = {0};
    uint32_t ids[8] = {0};
    union bpf_attr attr = {.info = {.bpf_fd = 5, .info = ptr(&info)}};

    for (uint32_t cut = 1; cut < 8; cut++) {
        info.nr_map_ids = 8;
        info.map_ids = ptr(ids);
        attr.info.info_len = offsetof(struct bpf_prog_info, map_ids) + cut;
        cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -EINVAL);
    }
}

Test(marshal, records_of_no_size_are_none)
{
    struct bpf_prog_info info = {.nr_func_info = UINT32_MAX, .nr_line_info = UINT32_MAX};
    uint8_t records[64];
    union bpf_attr attr = {.info = {.bpf_fd = 5, .info_len = sizeof(info), .info = ptr(&info)}};

    info.func_info = info.line_info = ptr(records);
    info.line_info_rec_size = 16;
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), -E2BIG);
    info.nr_line_info = 4 * WIRE_REPLY_MAX / 16;
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    const struct bpf_prog_info *got = at(server.attr.bpf.info.info);
    cr_assert_eq(got->func_info, 0);
    cr_assert_gt(got->nr_line_info, 0, "as many as a reply has room for");
    cr_assert_lt(got->nr_line_info * 16, WIRE_REPLY_MAX);

    /* A batch of elements that have no size, and one of none. */
    union bpf_attr batch = {.batch = {.map_fd = 9, .count = UINT32_MAX, .keys = ptr(records)}};
    cr_assert_eq(send_request(BPF_MAP_DELETE_BATCH, &batch, sizeof(batch)), 0);
    batch.batch.map_fd = 3;
    batch.batch.count = 0;
    cr_assert_eq(send_request(BPF_MAP_DELETE_BATCH, &batch, sizeof(batch)), 0);
}

Test(marshal, xdp_link_info_has_an_interface_where_others_have_a_name)
{
    struct bpf_link_info info = {0};
    char name[32] = "";
    union bpf_attr attr = {.info = {.bpf_fd = 7, .info_len = sizeof(info), .info = ptr(&info)}};

    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    struct bpf_link_info *got = at(server.attr.bpf.info.info);
    got->type = BPF_LINK_TYPE_XDP;
    got->xdp.ifindex = 2;
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_eq(info.xdp.ifindex, 2);

    memset(&info, 0, sizeof(info));
    info.raw_tracepoint.tp_name = ptr(name);
    info.raw_tracepoint.tp_name_len = sizeof(name);
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    got = at(server.attr.bpf.info.info);
    got->type = BPF_LINK_TYPE_RAW_TRACEPOINT;
    strcpy(at(got->raw_tracepoint.tp_name), "sched_switch");
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_str_eq(name, "sched_switch");
    cr_assert_eq(info.raw_tracepoint.tp_name, ptr(name));
}

Test(marshal, a_tracepoints_link_has_its_name_where_later_linux_has_it)
{
    struct skep_link_info_tracepoint info = {.type = BPF_LINK_TYPE_PERF_EVENT}, *got;
    char name[32] = "";
    union bpf_attr attr = {.info = {.bpf_fd = 7, .info_len = sizeof(info), .info = ptr(&info)}};

    info.name = ptr(name);
    info.name_len = sizeof(name);
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.count, 2);
    got = at(server.attr.bpf.info.info);
    cr_assert_eq(got->name, ptr(server.buffers[1].data));
    cr_assert_eq(got->name_len, sizeof(name));
    got->event = SKEP_PERF_EVENT_TRACEPOINT;
    got->cookie = 77;
    strcpy(at(got->name), "sys_enter_openat");
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_str_eq(name, "sys_enter_openat");
    cr_assert_eq(info.name, ptr(name));
    cr_assert_eq(info.cookie, 77);

    /* The name's length there is not taken for a pointer, nor the event for half of one. */
    struct bpf_link_info raw = {.raw_tracepoint = {.tp_name = ptr(name), .tp_name_len = 9}};
    attr.info.info = ptr(&raw);
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.count, 2);
    cr_assert_eq(server.buffers[1].offset, offsetof(struct bpf_link_info, raw_tracepoint.tp_name));
    cr_assert_eq(
        ((struct bpf_link_info *)at(server.attr.bpf.info.info))->raw_tracepoint.tp_name_len, 9);
}

Test(marshal, batches_bring_back_as_many_as_were_found)
{
    uint32_t keys[10], token = 0;
    char values[10][12];
    union bpf_attr attr = {.batch = {.map_fd = 3,
                                     .count = 10,
                                     .keys = ptr(keys),
                                     .values = ptr(values),
                                     .out_batch = ptr(&token)}};

    memset(keys, 0xee, sizeof(keys));
    cr_assert_eq(send_request(BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.attr.bpf.batch.in_batch, 0);
    memset(at(server.attr.bpf.batch.keys), 1, 8);
    server.attr.bpf.batch.count = 2;
    *(uint32_t *)at(server.attr.bpf.batch.out_batch) = 5;
    cr_assert_eq(send_reply(-ENOENT, &attr), 0);
    cr_assert_eq(attr.batch.count, 2);
    cr_assert_eq(keys[1], 0x01010101);
    cr_assert_eq(keys[2], 0xeeeeeeee);
    cr_assert_eq(token, 5);
}

Test(marshal, a_batch_is_lowered_to_what_a_reply_carries)
{
    uint32_t count = 100000, token = 0;
    uint32_t *keys = calloc(count, 4);
    char *values = calloc(count, 12);
    union bpf_attr attr = {.batch = {.map_fd = 3,
                                     .count = count,
                                     .keys = ptr(keys),
                                     .values = ptr(values),
                                     .out_batch = ptr(&token)}};

    cr_assert_eq(send_request(BPF_MAP_LOOKUP_BATCH, &attr, sizeof(attr)), 0);
    cr_assert_gt(server.attr.bpf.batch.count, 3900);
    cr_assert_lt(server.attr.bpf.batch.count, 4100);
    cr_assert_eq(attr.batch.count, count, "the caller's attributes stay until the reply");
    cr_assert_eq(send_reply(0, &attr), 0);
    cr_assert_eq(attr.batch.count, server.attr.bpf.batch.count);
    free(keys);
    free(values);
}

Test(marshal, values_that_hold_handles_say_so)
{
    uint32_t key = 0, fd = 5;
    union bpf_attr attr = {.map_fd = 8, .key = ptr(&key), .value = ptr(&fd)};

    cr_assert_eq(marshal_plan(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr), &ops, &client), 0);
    cr_assert_eq(client.buffers[1].content, MARSHAL_FDS);
    cr_assert_eq(marshal_plan(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr), &ops, &client), 0);
    cr_assert_eq(client.buffers[1].content, MARSHAL_BYTES);
}

Test(marshal, maps_without_keys)
{
    char value[12] = "first value";
    union bpf_attr attr = {.map_fd = 9, .value = ptr(value)};

    cr_assert_eq(send_request(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(server.count, 1);
    cr_assert_str_eq((char *)at(server.attr.bpf.value), "first value");
}

Test(marshal, handle_fields_by_command)
{
    uint16_t offsets[8];
    union marshal_attr attr = {0};

    cr_assert_eq(marshal_handle_fields(BPF_LINK_CREATE, &attr, offsets), 2);
    cr_assert_eq(offsets[0], offsetof(union bpf_attr, link_create.prog_fd));
    attr.bpf.link_create.attach_type = BPF_XDP;
    cr_assert_eq(marshal_handle_fields(BPF_LINK_CREATE, &attr, offsets), 1);
    cr_assert(marshal_returns_handle(BPF_MAP_CREATE));
    cr_assert_not(marshal_returns_handle(BPF_MAP_FREEZE));
    cr_assert_str_eq(marshal_command_name(SKEP_PIN_NEXT), "PIN_NEXT");
    cr_assert_null(marshal_command_name(0xffff));
}

Test(marshal, no_address_leaves_either_end)
{
    uint32_t key = 7;
    char value[12];
    struct bpf_prog_info info = {0};
    uint32_t ids[8];
    union bpf_attr attr = {.map_fd = 3, .key = ptr(&key), .value = ptr(value)};
    union bpf_attr ask = {.info = {.bpf_fd = 5, .info_len = sizeof(info), .info = ptr(&info)}};
    struct bpf_prog_info seen;

    cr_assert_eq(marshal_plan(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr), &ops, &client), 0);
    cr_assert_gt(marshal_encode_request(&client, request, sizeof(request)), 0);
    memcpy(&attr, request + sizeof(struct marshal_head), sizeof(attr));
    cr_assert_eq(attr.key, 1);
    cr_assert_eq(attr.value, 1);

    info.map_ids = ptr(ids);
    info.nr_map_ids = 8;
    cr_assert_eq(send_request(BPF_OBJ_GET_INFO_BY_FD, &ask, sizeof(ask)), 0);
    cr_assert_gt(marshal_encode_reply(&server, 0, reply, sizeof(reply)), 0);
    memcpy(&seen, reply + 8 + round_up_to(sizeof(ask), 8) + 8, sizeof(seen));
    cr_assert_eq(seen.map_ids, 1);
}

/* Every pointer that a struct holds, as the engine reads it (bytes that did not come are 0), is
 * null or that of one of the buffers. */
static void check_pointers(const void *bytes, uint32_t len, const struct marshal_rule *rules,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct marshal_holder holder = {(uint8_t *)bytes, len};
        uint64_t pointer = 0;
        bool known = false;

        if (!marshal_rule_applies(&rules[i], &holder))
            continue;
        if (rules[i].offset < len)
            memcpy(&pointer, (const uint8_t *)bytes + rules[i].offset,
                   len - rules[i].offset < 8 ? len - rules[i].offset : 8);
        for (unsigned k = 0; k < server.count; k++)
            known |= server.buffers[k].offset == rules[i].offset &&
                     pointer == ptr(server.buffers[k].data);
        cr_assert(pointer == 0 || known, "0x%lx at offset %u of %u", (unsigned long)pointer,
                  rules[i].offset, len);
    }
}

/* The rule that is held: whatever arrives, decoding ends, stays in bounds (the sanitizers watch),
 * and what it accepts lies within message and arena. */
static void decode_and_check(uint32_t cmd, uint8_t *message, size_t size)
{
    const struct marshal_command *command;

    if (marshal_decode_request(cmd, message, size, &ops, arena, sizeof(arena), &server) != 0)
        return;
    for (unsigned i = 0; i < server.count; i++) {
        const struct marshal_buffer *b = &server.buffers[i];
        uint8_t *data = b->data;
        bool in_arena = data >= arena && data + b->len <= arena + sizeof(arena);
        bool in_message = data >= message && data + b->len <= message + size;
        cr_assert(in_arena || (in_message && b->dir == MARSHAL_IN));
        if (b->rule->length == INFO_KIND)
            check_pointers(b->data, b->len, marshal_info_rules[server.kind].rules,
                           marshal_info_rules[server.kind].count);
    }
    command = marshal_find_command(cmd);
    check_pointers(&server.attr, sizeof(server.attr), command->rules, command->nr_rules);
    cr_assert_geq(marshal_encode_reply(&server, 0, reply, sizeof(reply)), 0,
                  "an accepted command's reply fits");
}

static const uint32_t all_commands[] = {
#define COMMAND(number, ...) number,
#include "ebpf/commands.def"
#undef COMMAND
};

Test(marshal, survives_random_bytes)
{
    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)rand() % 600;
        uint8_t *message = malloc(size + 1); /* its own block, so that ASan sees each overrun */
        for (size_t i = 0; i < size; i++)
            message[i] = (uint8_t)(rand() % 4 == 0 ? rand() : 0);
        if (size >= 8)
            memcpy(message, &(uint32_t){(uint32_t)size % 200}, 4);
        decode_and_check(all_commands[(size_t)rand() % ARRAY_LEN(all_commands)], message, size);
        free(message);
    }
}

Test(marshal, survives_corrupted_requests)
{
    struct bpf_insn insns[8] = {{.code = BPF_LD | BPF_IMM | BPF_DW, .src_reg = 5, .imm = 1}};
    struct bpf_prog_info info = {0};
    uint32_t fds[2] = {3, 4}, ids[4];
    char log[64];
    union bpf_attr load = {.insns = ptr(insns),
                           .insn_cnt = 8,
                           .license = ptr("GPL"),
                           .log_buf = ptr(log),
                           .log_size = sizeof(log),
                           .fd_array = ptr(fds)};
    union bpf_attr ask = {.info = {.bpf_fd = 5, .info_len = sizeof(info), .info = ptr(&info)}};

    info.map_ids = ptr(ids);
    info.nr_map_ids = 4;
    srand(2);
    for (int round = 0; round < 20000; round++) {
        uint32_t cmd = round % 2 != 0 ? BPF_PROG_LOAD : BPF_OBJ_GET_INFO_BY_FD;
        ask.info.bpf_fd = round % 4 != 0 ? 5 : 7;
        union bpf_attr *attr = round % 2 != 0 ? &load : &ask;
        cr_assert_eq(marshal_plan(cmd, attr, sizeof(*attr), &ops, &client), 0);
        size_t size = marshal_request_size(&client);
        uint8_t *message = malloc(size);
        cr_assert_eq(marshal_encode_request(&client, message, size), (long)size);
        for (int flips = rand() % 4 + 1; flips > 0; flips--)
            message[(size_t)rand() % size] = (uint8_t)rand();
        if (cmd == BPF_OBJ_GET_INFO_BY_FD && rand() % 2 == 0) {
            struct marshal_part *part = (void *)(message + 8 + round_up_to(sizeof(ask), 8));
            union bpf_attr *said = (void *)(message + 8);

            part->len = said->info.info_len = (uint32_t)rand() % sizeof(info);
            size = (size_t)((uint8_t *)part - message) + 8 + round_up_to(part->len, 8);
        }
        if (rand() % 4 == 0)
            size = (size_t)rand() % size;
        decode_and_check(cmd, message, size);
        free(message);
    }
}

Test(marshal, client_survives_corrupted_replies)
{
    uint32_t keys[10], token = 0;
    char values[10][12];
    union bpf_attr attr = {.batch = {.map_fd = 3,
                                     .count = 10,
                                     .keys = ptr(keys),
                                     .values = ptr(values),
                                     .out_batch = ptr(&token)}};
    srand(3);
    for (int round = 0; round < 20000; round++) {
        union bpf_attr mine = attr;
        cr_assert_eq(send_request(BPF_MAP_LOOKUP_BATCH, &mine, sizeof(mine)), 0);
        long n = marshal_encode_reply(&server, 0, reply, sizeof(reply));
        uint8_t *copy = malloc((size_t)n);
        memcpy(copy, reply, (size_t)n);
        copy[(size_t)rand() % (size_t)n] = (uint8_t)rand();
        size_t size = rand() % 4 == 0 ? (size_t)rand() % (size_t)n : (size_t)n;
        int err = marshal_decode_reply(&client, copy, size, &mine);
        cr_assert(err == 0 || err == -EBADMSG);
        cr_assert_eq(mine.batch.keys, ptr(keys));
        free(copy);
    }
}
