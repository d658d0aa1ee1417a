/*
 * Each of the server's own commands does what ebpf/commands.h says of it, and bpf(2)'s arrive at
 * the engine with their buffers (net/server_dispatch.c, server_trace.c, server_sys.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/printk.h"
#include "kernel/trace_events.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/server_test.h"

static struct client client;

static void set_up(void)
{
    server_test_init();
    client = client_open(1);
}

TestSuite(server_commands, .init = set_up, .fini = server_test_fini);

static long read_text(uint32_t cmd, struct skep_read_attr *attr, char *buf, uint32_t size)
{
    attr->buf = (uintptr_t)buf;
    attr->size = size;
    return client_command(&client, cmd, attr, sizeof(*attr));
}

/* ---- bpf(2) -------------------------------------------------------------------------------- */

Test(server_commands, map_elements_travel_both_ways)
{
    uint32_t key = 7;
    uint64_t value = 0x0123456789abcdef, back = 0;
    long map = make_map(&client, BPF_MAP_TYPE_HASH, 4, 8, 16);

    cr_assert_gt(map, 0);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};
    attr.value = (uintptr_t)&value;
    cr_assert_eq(client_command(&client, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
    attr.value = (uintptr_t)&back;
    cr_assert_eq(client_command(&client, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(back, value);
    cr_assert_eq(attr.value, (uintptr_t)&back, "pointers stay the client's own");
    key = 8;
    back = 55;
    cr_assert_eq(client_command(&client, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), -ENOENT);
    cr_assert_eq(back, 55);
}

/* The client library asks for its parts instead: MAP_READ. */
Test(server_commands, a_value_larger_than_a_reply_is_refused)
{
    static uint8_t value[100000];
    uint32_t key = 0;
    long map = make_map(&client, BPF_MAP_TYPE_ARRAY, 4, sizeof(value), 1);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};

    cr_assert_gt(map, 0);
    attr.value = (uintptr_t)value;
    cr_assert_eq(client_command(&client, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_eq(client_command(&client, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), -EMSGSIZE);
}

Test(server_commands, handles)
{
    long map = make_map(&client, BPF_MAP_TYPE_HASH, 4, 24, 16);
    struct skep_handle_attr info = {.handle = (uint32_t)map};
    struct skep_close_attr close = {.handle = (uint32_t)map};

    cr_assert_eq(client_command(&client, SKEP_HANDLE_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.kind, EBPF_MAP);
    cr_assert_eq(info.map_type, BPF_MAP_TYPE_HASH);
    cr_assert_eq(info.key_size, 4);
    cr_assert_eq(info.value_size, 24);
    cr_assert_eq(client_command(&client, SKEP_CLOSE, &close, sizeof(close)), 0);
    cr_assert_eq(client_command(&client, SKEP_CLOSE, &close, sizeof(close)), -EBADF);
    cr_assert_eq(client_command(&client, SKEP_HANDLE_INFO, &info, sizeof(info)), -EBADF);
}

Test(server_commands, attributes_that_are_too_short_are_refused)
{
    struct skep_close_attr close = {0};

    cr_assert_eq(client_command(&client, SKEP_CLOSE, &close, 4), -EINVAL);
}

/* ---- tracepoints --------------------------------------------------------------------------- */

Test(server_commands, tracepoints_are_listed_by_rising_id)
{
    struct skep_tracepoint_attr tp = {0};
    uint32_t last = 0, n = 0;
    bool seen = false;

    while (client_command(&client, SKEP_TRACEPOINT_NEXT, &tp, sizeof(tp)) == 0) {
        cr_assert_gt(tp.id, last);
        cr_assert_gt(tp.size, 8);
        last = tp.id;
        n++;
        seen |= strcmp(tp.system, "sched") == 0 && strcmp(tp.name, "sched_switch") == 0;
    }
    cr_assert(seen);
    cr_assert_eq(n, tracepoint_count());
    cr_assert_eq(client_command(&client, SKEP_TRACEPOINT_NEXT, &tp, sizeof(tp)), -ENOENT);
}

Test(server_commands, tracepoint_format)
{
    static char buf[SKEP_TEXT_MAX];
    struct skep_read_attr attr = {.id = 1};

    cr_assert_eq(read_text(SKEP_TRACEPOINT_FORMAT, &attr, buf, sizeof(buf)), 0);
    cr_assert_eq(strncmp(buf, "name: ", 6), 0);
    cr_assert_eq(attr.size, strlen(buf));
    cr_assert_eq(read_text(SKEP_TRACEPOINT_FORMAT, &attr, buf, 20), -ENOSPC);
    attr.id = 9999;
    cr_assert_eq(read_text(SKEP_TRACEPOINT_FORMAT, &attr, buf, sizeof(buf)), -ENOENT);
}

Test(server_commands, tracepoint_open_gives_a_handle)
{
    struct skep_tracepoint_attr tp = {.system = "net", .name = "netif_receive_skb"};
    long handle = client_command(&client, SKEP_TRACEPOINT_OPEN, &tp, sizeof(tp));
    struct skep_handle_attr info = {.handle = (uint32_t)handle};

    cr_assert_gt(handle, 0);
    cr_assert_eq(client_command(&client, SKEP_HANDLE_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.kind, EBPF_EVENT);
    memset(tp.name, 'x', sizeof(tp.name)); /* not terminated */
    cr_assert_eq(client_command(&client, SKEP_TRACEPOINT_OPEN, &tp, sizeof(tp)), -ENOENT);
}

Test(server_commands, an_enabled_tracepoint_writes_to_the_pipe)
{
    static char buf[2000];
    struct skep_tracepoint_attr tp = {.system = "net", .name = "netif_receive_skb", .enable = 1};
    struct skep_read_attr attr = {.cursor = UINT64_MAX};
    static const uint8_t frame[60];

    trace_netif_receive_skb(frame, 60, "eth0"); /* nobody listens yet */
    cr_assert_eq(client_command(&client, SKEP_TRACEPOINT_ENABLE, &tp, sizeof(tp)), 0);
    cr_assert_eq(read_text(SKEP_TRACE_PIPE_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);
    trace_netif_receive_skb(frame, 60, "eth0");
    memset(buf, 0, sizeof(buf));
    cr_assert_eq(read_text(SKEP_TRACE_PIPE_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_not_null(strstr(buf, "netif_receive_skb"));
    cr_assert_not_null(strstr(buf, "eth0"));
    cr_assert_eq(attr.size, strlen(buf));

    tp.enable = 0;
    cr_assert_eq(client_command(&client, SKEP_TRACEPOINT_ENABLE, &tp, sizeof(tp)), 0);
    trace_netif_receive_skb(frame, 60, "eth0");
    cr_assert_eq(read_text(SKEP_TRACE_PIPE_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);
    tp.enable = 2;
    cr_assert_eq(client_command(&client, SKEP_TRACEPOINT_ENABLE, &tp, sizeof(tp)), -EINVAL);
}

/* ---- ring buffers -------------------------------------------------------------------------- */

#define INSN(c, d, s, o, i)                                                                        \
    ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

/* Loads a program that puts eight bytes into the ring buffer. */
static long load_writer(long map)
{
    const struct bpf_insn insns[] = {
        INSN(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 0x5ca1ab1e),
        INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, (int32_t)map),
        INSN(0, 0, 0, 0, 0),
        INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0),
        INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -8),
        INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 8),
        INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0),
        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
        INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    };
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                           .insn_cnt = sizeof(insns) / sizeof(insns[0]),
                           .insns = (uintptr_t)insns,
                           .license = (uintptr_t) "GPL"};

    return client_command(&client, BPF_PROG_LOAD, &attr, sizeof(attr));
}

Test(server_commands, a_programs_records_are_read_once)
{
    long map = make_map(&client, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096), prog;
    uint8_t packet[64] = {0}, buf[4096] = {0};
    struct skep_read_attr attr = {.handle = (uint32_t)map};
    uint64_t data;
    uint32_t length;

    cr_assert_gt(map, 0);
    prog = load_writer(map);
    cr_assert_gt(prog, 0);
    cr_assert_eq(read_text(SKEP_RINGBUF_READ, &attr, (char *)buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);

    union bpf_attr run = {.test = {.prog_fd = (uint32_t)prog,
                                   .data_size_in = sizeof(packet),
                                   .data_in = (uintptr_t)packet,
                                   .repeat = 2}};
    cr_assert_eq(client_command(&client, BPF_PROG_TEST_RUN, &run, sizeof(run)), 0);
    cr_assert_eq(run.test.retval, 0);
    cr_assert_eq(read_text(SKEP_RINGBUF_READ, &attr, (char *)buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 32);
    memcpy(&length, buf, 4);
    memcpy(&data, buf + 8, 8);
    cr_assert_eq(length, 8);
    cr_assert_eq(data, 0x5ca1ab1e);
    cr_assert_eq(read_text(SKEP_RINGBUF_READ, &attr, (char *)buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);
}

Test(server_commands, only_ring_buffers_are_read_as_such)
{
    long map = make_map(&client, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    char buf[64];
    struct skep_read_attr attr = {.handle = (uint32_t)map};

    cr_assert_eq(read_text(SKEP_RINGBUF_READ, &attr, buf, sizeof(buf)), -EINVAL);
    attr.handle = 77;
    cr_assert_eq(read_text(SKEP_RINGBUF_READ, &attr, buf, sizeof(buf)), -EBADF);
}

/* ---- the machine --------------------------------------------------------------------------- */

Test(server_commands, the_kernel_log_goes_on_at_the_cursor)
{
    char buf[2000] = {0};
    struct skep_read_attr attr = {0};

    pr_info("first line");
    cr_assert_eq(read_text(SKEP_KLOG_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_not_null(strstr(buf, "first line"));
    cr_assert_eq(read_text(SKEP_KLOG_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);
    pr_info("second line");
    memset(buf, 0, sizeof(buf));
    cr_assert_eq(read_text(SKEP_KLOG_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_not_null(strstr(buf, "second line"));
    cr_assert_null(strstr(buf, "first line"));
}

Test(server_commands, symbols_come_in_pieces_of_whole_lines)
{
    char buf[200] = {0};
    struct skep_read_attr attr = {0};

    cr_assert_eq(read_text(SKEP_SYMBOLS_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_str_eq(buf, "0000000000001000 T first\n0000000000001010 T second\n"
                          "0000000000001020 T third\n");
    cr_assert_eq(attr.cursor, 3);
    cr_assert_eq(read_text(SKEP_SYMBOLS_READ, &attr, buf, sizeof(buf)), 0);
    cr_assert_eq(attr.size, 0);

    attr.cursor = 0;
    memset(buf, 0, sizeof(buf));
    cr_assert_eq(read_text(SKEP_SYMBOLS_READ, &attr, buf, 40), 0);
    cr_assert_str_eq(buf, "0000000000001000 T first\n");
    cr_assert_eq(attr.cursor, 1);
    cr_assert_eq(read_text(SKEP_SYMBOLS_READ, &attr, buf, 10), -ENOSPC);
}

Test(server_commands, sys_info_adds_up)
{
    struct skep_sys_info_attr info;

    make_map(&client, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_str_eq(info.hostname, "test");
    cr_assert_eq(info.sessions, 1);
    cr_assert_eq(info.maps, 1);
    cr_assert_gt(info.map_bytes, 0);
    cr_assert_eq(info.map_bytes_limit, 16u << 20);
    cr_assert_eq(info.requests, 2);
    cr_assert_eq(info.tracepoints, tracepoint_count());
}

Test(server_commands, power_goes_off_behind_its_reply)
{
    struct skep_power_attr power = {.action = 2};
    struct marshal_plan plan;
    uint32_t size;

    cr_assert_eq(client_command(&client, SKEP_POWER, &power, sizeof(power)), -EINVAL);
    power.action = 1;
    cr_assert_eq(client_command(&client, SKEP_POWER, &power, sizeof(power)), 0);
    cr_assert_eq(powered, -1);
    server_tick(server, now);
    cr_assert_eq(powered, 1, "acknowledged: at once");

    /* Not acknowledged: after half a second all the same. */
    power.action = 0;
    uint8_t *message = client_encode(&client, SKEP_POWER, &power, sizeof(power), &plan, &size);
    client_send(&client, SKEP_POWER, message, size, 0);
    free(message);
    server_tick(server, now);
    cr_assert_eq(powered, 1);
    now += 500 * MS;
    server_tick(server, now);
    cr_assert_eq(powered, 0);
}
