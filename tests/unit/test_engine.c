/*
 * Programs as objects and their runs: what tests/data cannot say. Tags, map ids, tail calls, nested
 * runs, faults and their counts, test runs, and memory that runs out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/helper.h"
#include "ebpf/isa.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/sha1.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/asm.h"
#include "user/vm/host_port.h"

#define MEMORY_LIMIT (1u << 24)

static void set_up(void)
{
    cr_assert_eq(ebpf_init(MEMORY_LIMIT), 0);
}

static void tear_down(void)
{
    host_trace_set(NULL);
    host_port_reset();
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the engine's memory leaked");
    leakcheck();
}

TestSuite(engine, .init = set_up, .fini = tear_down);

static char log_text[4096]; /* of the last load */

/* A program of type mem unless load says otherwise. */
static int try_load(struct ebpf_prog_load *load, const char *text, struct ebpf_prog **prog)
{
    static struct ebpf_log log;
    struct bpf_insn insns[64];
    char err[160];
    int n = asm_assemble(text, insns, 64, err, sizeof(err));

    cr_assert_gt(n, 0, "%s", err);
    if (load->type == BPF_PROG_TYPE_UNSPEC)
        load->type = EBPF_PROG_TYPE_MEM;
    log_text[0] = 0;
    log = (struct ebpf_log){.buf = log_text, .size = sizeof(log_text), .level = 4};
    if (!load->log)
        load->log = &log;
    load->name = "test";
    load->license = "GPL";
    load->insns = insns;
    load->nr_insns = (uint32_t)n;
    return ebpf_prog_create(load, prog);
}

static struct ebpf_prog *load(const char *text)
{
    struct ebpf_prog_load load = {0};
    struct ebpf_prog *prog;

    cr_assert_eq(try_load(&load, text, &prog), 0, "%s", log_text);
    return prog;
}

static struct ebpf_prog *load_with_map(uint32_t type, const char *text, struct ebpf_map *map)
{
    struct ebpf_prog_load load = {.type = type, .maps = &map, .nr_maps = 1};
    struct ebpf_prog *prog;

    cr_assert_eq(try_load(&load, text, &prog), 0, "%s", log_text);
    return prog;
}

/* What the verifier would refuse, for the checked interpreter. map may be NULL. */
static struct ebpf_prog *load_unverified(uint32_t type, const char *text, struct ebpf_map *map)
{
    struct ebpf_prog_load load = {
        .type = type, .maps = &map, .nr_maps = map ? 1 : 0, .unverified = true};
    struct ebpf_prog *prog;

    cr_assert_eq(try_load(&load, text, &prog), 0, "%s", log_text);
    return prog;
}

static int run(struct ebpf_prog *prog, uint64_t *result)
{
    struct ebpf_mem mem = {0};

    return ebpf_prog_run(prog, &mem, 0, 0, result);
}

static struct ebpf_map *make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries)
{
    union bpf_attr attr;
    struct ebpf_map *map;

    memset(&attr, 0, sizeof(attr));
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    cr_assert_eq(ebpf_map_create(&attr, NULL, &map), 0);
    return map;
}

/* ---- what a program is ---------------------------------------------------------------------- */

static void expect_sha1(const char *text, const char *hex)
{
    uint8_t digest[SHA1_SIZE];
    char got[2 * SHA1_SIZE + 1];

    sha1(text, strlen(text), digest);
    for (unsigned i = 0; i < SHA1_SIZE; i++)
        snprintf(got + 2 * i, 3, "%02x", digest[i]);
    cr_expect_str_eq(got, hex);
}

/* FIPS 180-4's examples, and the lengths around one block. */
Test(engine, sha1_known_digests)
{
    expect_sha1("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_sha1("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    expect_sha1("0123456789abcdef0123456789abcdef0123456789abcdef0123456",
                "accfa188bccab15065e9feaf805d00217e958ec0");
    expect_sha1("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "ce4303f6b22257d9c9cf314ef1dee4707c6e1c13");
}

/* What bpftool shows for the program `r0 = 0; exit` on Linux. */
Test(engine, tag_is_linuxs)
{
    static const uint8_t expected[BPF_TAG_SIZE] = {0xa0, 0x4f, 0x5e, 0xef, 0x06, 0xa7, 0xf5, 0x55};
    struct ebpf_prog *prog = load("r0 = 0\nexit");

    cr_expect_arr_eq(prog->tag, expected, sizeof(expected));
    ebpf_prog_put(prog);
}

Test(engine, tag_does_not_depend_on_maps_and_dump_shows_ids)
{
    static const char text[] = "r1 = map[id:0]\nr2 = map[id:0][0]+4\nr0 = 0\nexit";
    struct ebpf_map *first = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    struct ebpf_map *second = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    struct ebpf_prog *a = load_with_map(EBPF_PROG_TYPE_MEM, text, first);
    struct ebpf_prog *b = load_with_map(EBPF_PROG_TYPE_MEM, text, second);

    cr_expect_arr_eq(a->tag, b->tag, sizeof(a->tag));
    cr_expect_eq(a->insns[0].imm, (int)first->object.id);
    cr_expect_eq(b->insns[2].imm, (int)second->object.id);
    cr_expect_eq(b->insns[3].imm, 4);
    ebpf_prog_put(a);
    ebpf_prog_put(b);
    ebpf_map_put(first);
    ebpf_map_put(second);
}

Test(engine, program_holds_its_maps)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    struct ebpf_prog *prog =
        load_with_map(EBPF_PROG_TYPE_MEM, "r1 = map[idx:0][0]+0\nr0 = *(u64 *)(r1 +0)\nexit", map);
    uint64_t result = 1;

    ebpf_map_put(map);
    cr_expect_eq(run(prog, &result), 0);
    cr_expect_eq(result, 0);
    ebpf_prog_put(prog);
}

Test(engine, refused_loads)
{
    struct ebpf_prog_load load = {.type = 200};
    struct ebpf_prog *prog;
    char text[256] = "";
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 1};

    load.log = &log;
    cr_expect_eq(try_load(&load, "exit", &prog), -EINVAL);
    cr_expect(strstr(text, "program type 200 is not supported"));
    load.type = EBPF_PROG_TYPE_MEM;
    load.nr_insns = 0;
    cr_expect_eq(ebpf_prog_create(&load, &prog), -E2BIG);
    load.nr_insns = EBPF_INSNS_MAX + 1;
    cr_expect_eq(ebpf_prog_create(&load, &prog), -E2BIG);
}

/* Linux: a log that is too short is told as -ENOSPC; what there is of it is kept, and ended. */
Test(engine, short_log_is_truncated)
{
    struct ebpf_prog_load load = {0};
    char text[16];
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 1};
    struct ebpf_prog *prog;

    load.log = &log;
    cr_expect_eq(try_load(&load, "goto pc+9\nexit", &prog), -EINVAL);
    cr_expect(log.truncated);
    cr_expect_str_eq(text, "insn 0: jump ou");
}

Test(engine, out_of_memory_at_each_step)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    struct bpf_func_info func = {0};
    struct bpf_line_info line = {0};
    size_t before = host_port_blocks();
    unsigned failed = 0, told = 0;
    int err = -1;

    while (err) {
        struct ebpf_prog_load load = {.maps = &map,
                                      .nr_maps = 1,
                                      .func_info = &func,
                                      .nr_func_info = 1,
                                      .line_info = &line,
                                      .nr_line_info = 1};
        struct ebpf_prog *prog;

        host_port_fail_after(failed + 1);
        err = try_load(&load, "r0 = 0\nexit", &prog);
        host_port_fail_after(0);
        if (err) {
            cr_assert_eq(err, -ENOMEM);
            cr_assert_eq(host_port_blocks(), before);
            told += strstr(log_text, "out of memory for verifying 2 instructions") != NULL;
            failed++;
        } else {
            ebpf_prog_put(prog);
        }
    }
    cr_expect_geq(failed, 7);
    cr_expect_geq(told, 4, "the verifier's own memory");
    ebpf_map_put(map);
}

/* ---- runs ----------------------------------------------------------------------------------- */

Test(engine, faults_are_counted_and_told)
{
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, "r0 = *(u8 *)(r1 +0)\nexit", NULL);
    struct ebpf_stats before, after;
    uint64_t result = 5;
    unsigned lines = 0;

    ebpf_prog_get_stats(&before);
    for (unsigned i = 0; i < 9; i++)
        cr_expect_eq(run(prog, &result), -EFAULT);
    ebpf_prog_get_stats(&after);
    cr_expect_eq(result, 0);
    cr_expect_eq(prog->faults, 9);
    cr_expect_eq(prog->run_cnt, 9);
    cr_expect_eq(after.faults - before.faults, 9);
    cr_expect_eq(after.runs - before.runs, 9);
    cr_expect_eq(after.budget_exceeded, before.budget_exceeded);
    /* Of nine, the 1st, 2nd, 4th and 8th. */
    for (const char *p = host_trace_take(); (p = strstr(p, "stopped: insn 0")); p++)
        lines++;
    cr_expect_eq(lines, 4);
    ebpf_prog_put(prog);
}

Test(engine, budget_is_eloop)
{
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, "again:\ngoto again", NULL);
    struct ebpf_stats before, after;
    uint64_t result;

    ebpf_prog_get_stats(&before);
    cr_expect_eq(prog->budget, EBPF_BUDGET);
    cr_expect_eq(run(prog, &result), -ELOOP);
    ebpf_prog_get_stats(&after);
    cr_expect_eq(after.budget_exceeded - before.budget_exceeded, 1);
    ebpf_prog_put(prog);
}

Test(engine, cookie_reaches_the_program)
{
    struct ebpf_prog_load load = {.type = BPF_PROG_TYPE_TRACEPOINT};
    uint64_t record[2] = {0}, result;
    struct ebpf_prog *prog;

    cr_assert_eq(try_load(&load, "call bpf_get_attach_cookie\nexit", &prog), 0);
    cr_expect_eq(ebpf_prog_run(prog, record, sizeof(record), 0x123456789abcdef0, &result), 0);
    cr_expect_eq(result, 0x123456789abcdef0);
    ebpf_prog_put(prog);
}

/* A run that ends without submitting its record, by exit or by fault, gives it back. */
static void expect_discarded(const char *text, int error)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, text, map);
    uint64_t result, dropped, buf[16];

    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(run(prog, &result), error);
    /* A busy record would stand in the way of reading. */
    cr_expect_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 0);
    cr_expect_eq(ebpf_ringbuf_pending(map), 0);
    ebpf_prog_put(prog);
    ebpf_map_put(map);
}

Test(engine, records_are_discarded_at_exit)
{
    expect_discarded("r1 = map[idx:0]\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit", 0);
}

Test(engine, records_are_discarded_at_a_fault)
{
    expect_discarded(
        "r1 = map[idx:0]\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = *(u64 *)(r0 +8)\nexit",
        -EFAULT);
}

/* A run has room for eight records; the ninth reserve gives NULL. */
Test(engine, records_of_one_run_are_limited)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM,
                                             "r6 = 0\n"
                                             "again:\n"
                                             "r1 = map[idx:0]\nr2 = 8\nr3 = 0\n"
                                             "call bpf_ringbuf_reserve\n"
                                             "if r0 == 0x0 goto full\n"
                                             "r6 += 1\n"
                                             "goto again\n"
                                             "full:\n"
                                             "r0 = r6\n"
                                             "exit",
                                             map);
    uint64_t result;

    cr_expect_eq(run(prog, &result), 0);
    cr_expect_eq(result, 8);
    ebpf_prog_put(prog);
    ebpf_map_put(map);
}

Test(engine, ringbuf_records_reach_the_reader)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
    struct ebpf_prog *prog = load_with_map(
        EBPF_PROG_TYPE_MEM,
        "r1 = map[idx:0]\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto none\n"
        "*(u64 *)(r0 +0) = 77\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nnone:\nr0 = 0\nexit",
        map);
    uint64_t result, dropped, buf[16];

    cr_expect_eq(run(prog, &result), 0);
    cr_expect_eq(ebpf_ringbuf_read(map, buf, sizeof(buf), &dropped), 16);
    cr_expect_eq(buf[0], 8);
    cr_expect_eq(buf[1], 77);
    ebpf_prog_put(prog);
    ebpf_map_put(map);
}

/* ---- nested runs: a print handler stands for an event that a program's own helper causes ------
 */

static struct ebpf_prog *nested[6];
static unsigned nr_nested;
static int nested_errors[6];

static void run_next(const char *text, size_t len)
{
    uint64_t result;
    unsigned n = nr_nested++;

    (void)text, (void)len;
    if (n + 1 < sizeof(nested) / sizeof(nested[0]) && nested[n + 1])
        nested_errors[n + 1] = run(nested[n + 1], &result);
}

static const char printing[] = "*(u64 *)(r10 -8) = 120\n"
                               "r1 = r10\nr1 += -8\nr2 = 2\n"
                               "call bpf_trace_printk\n"
                               "exit";

Test(engine, program_does_not_run_inside_itself)
{
    struct ebpf_prog *prog = load(printing);
    uint64_t result;

    nested[0] = nested[1] = prog;
    host_trace_set(run_next);
    cr_expect_eq(run(prog, &result), 0);
    cr_expect_eq(result, 1);
    cr_expect_eq(nested_errors[1], -EBUSY);
    cr_expect_eq(prog->recursion_misses, 1);
    cr_expect_eq(prog->run_cnt, 1);
    ebpf_prog_put(prog);
}

/* Four runs nest; the fifth is missed, and each goes on undisturbed. */
Test(engine, runs_nest_four_deep)
{
    uint64_t result;

    for (unsigned i = 0; i < 6; i++)
        nested[i] = load(printing);
    host_trace_set(run_next);
    cr_expect_eq(run(nested[0], &result), 0);
    cr_expect_eq(result, 1);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_eq(nested_errors[i], 0);
        cr_expect_eq(nested[i]->run_cnt, 1);
    }
    cr_expect_eq(nested_errors[4], -EBUSY);
    cr_expect_eq(nested[4]->recursion_misses, 1);
    cr_expect_null(ebpf_run_current());
    for (unsigned i = 0; i < 6; i++)
        ebpf_prog_put(nested[i]);
}

/* ---- tail calls, through a map type of the test's own ---------------------------------------- */

static struct ebpf_prog *slots[2];

static struct ebpf_prog *slot_at(struct ebpf_map *map, uint32_t index)
{
    (void)map;
    return index < 2 ? slots[index] : NULL;
}

static void no_destroy(struct ebpf_object *object)
{
    (void)object;
}

static const struct ebpf_map_ops array_ops = {.name = "prog_array", .prog_at = slot_at};

static struct ebpf_map *prog_array(void)
{
    static struct ebpf_map map;

    map = (struct ebpf_map){.ops = &array_ops,
                            .type = BPF_MAP_TYPE_PROG_ARRAY,
                            .name = "calls",
                            .lock_offset = -1,
                            .timer_offset = -1};
    cr_assert_eq(ebpf_object_init(&map.object, EBPF_MAP, no_destroy), 0);
    return &map;
}

#define TAIL_CALL(index) "r2 = map[idx:0]\nr3 = " index "\ncall bpf_tail_call\n"

static uint64_t run_record(struct ebpf_prog *prog, int expected)
{
    uint64_t record[4] = {0, 40, 0, 0}, result;

    cr_expect_eq(ebpf_prog_run(prog, record, sizeof(record), 0, &result), expected, "%s",
                 prog->last_fault);
    return result;
}

Test(engine, tail_call_does_not_return)
{
    struct ebpf_map *map = prog_array();
    const uint32_t type = BPF_PROG_TYPE_RAW_TRACEPOINT;
    struct ebpf_prog *first = load_with_map(type, TAIL_CALL("1") "r0 = 1\nexit", map);

    slots[1] = load_with_map(type, "r0 = *(u64 *)(r1 +8)\nr0 += 2\nexit", map);
    cr_expect_eq(run_record(first, 0), 42);
    cr_expect_eq(first->run_cnt, 1);
    ebpf_prog_put(slots[1]);
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

Test(engine, tail_call_of_empty_slot_goes_on)
{
    struct ebpf_map *map = prog_array();
    struct ebpf_prog *first =
        load_with_map(BPF_PROG_TYPE_RAW_TRACEPOINT, TAIL_CALL("0") "r0 = 1\nexit", map);

    slots[0] = NULL;
    cr_expect_eq(run_record(first, 0), 1);
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

/* Linux: 33 tail calls; the 34th goes on. Each adds one to the record of a ring-free counter. */
Test(engine, tail_calls_are_limited)
{
    struct ebpf_map *map = prog_array();
    struct ebpf_map *count = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
    struct ebpf_map *maps[] = {map, count};
    struct ebpf_prog_load load = {.type = BPF_PROG_TYPE_RAW_TRACEPOINT, .maps = maps, .nr_maps = 2};

    cr_assert_eq(try_load(&load,
                          "r4 = map[idx:1][0]+0\nr5 = 1\nlock *(u64 *)(r4 +0) += r5\n" TAIL_CALL(
                              "0") "r4 = map[idx:1][0]+0\nr0 = *(u64 *)(r4 +0)\nexit",
                          &slots[0]),
                 0);
    cr_expect_eq(run_record(slots[0], 0), 34);
    ebpf_prog_put(slots[0]);
    ebpf_map_put(count);
    ebpf_map_put(map);
}

/* From a function, a tail call replaces that function: its caller goes on. */
Test(engine, tail_call_from_a_function)
{
    struct ebpf_map *map = prog_array();
    const uint32_t type = BPF_PROG_TYPE_RAW_TRACEPOINT;
    struct ebpf_prog *first = load_with_map(
        type, "r6 = 100\ncall f\nr0 += r6\nexit\nf:\n" TAIL_CALL("1") "r0 = 1\nexit", map);

    slots[1] = load_with_map(type, "r6 = 5\nr0 = 7\nexit", map);
    cr_expect_eq(run_record(first, 0), 107);
    ebpf_prog_put(slots[1]);
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

Test(engine, tail_call_to_another_type_goes_on)
{
    struct ebpf_map *map = prog_array();
    struct ebpf_prog *first =
        load_with_map(BPF_PROG_TYPE_RAW_TRACEPOINT, TAIL_CALL("1") "r0 = 1\nexit", map);

    slots[1] = load_with_map(BPF_PROG_TYPE_XDP, "r0 = 7\nexit", map);
    cr_expect_eq(run_record(first, 0), 1);
    ebpf_prog_put(slots[1]);
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

Test(engine, tail_call_through_another_map_type)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
    struct ebpf_prog *first =
        load_unverified(BPF_PROG_TYPE_RAW_TRACEPOINT, TAIL_CALL("1") "r0 = 1\nexit", map);

    run_record(first, -EFAULT);
    cr_expect(strstr(first->last_fault, "of type array, must be a prog_array"));
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

/* The same through the engine's own map type, filled as a client fills it. */
Test(engine, tail_call_through_a_client_filled_array)
{
    const uint32_t type = BPF_PROG_TYPE_RAW_TRACEPOINT;
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
    struct ebpf_prog *first = load_with_map(type, TAIL_CALL("1") "r0 = 1\nexit", map);
    struct ebpf_prog *second = load_with_map(type, "r0 = *(u64 *)(r1 +8)\nexit", map);
    uint32_t key = 1;

    cr_expect_eq(run_record(first, 0), 1);
    cr_assert_eq(ebpf_map_write_object(map, &key, &second->object, 0), 0);
    cr_expect_eq(run_record(first, 0), 40);
    cr_assert_eq(ebpf_map_remove(map, &key), 0);
    cr_expect_eq(run_record(first, 0), 1);
    ebpf_prog_put(second);
    ebpf_prog_put(first);
    ebpf_map_put(map);
}

/* ---- test runs ------------------------------------------------------------------------------ */

static struct ebpf_prog *load_type(uint32_t type, const char *text)
{
    struct ebpf_prog_load load = {.type = type};
    struct ebpf_prog *prog;

    cr_assert_eq(try_load(&load, text, &prog), 0, "%s", log_text);
    return prog;
}

Test(engine, test_run_of_short_packets)
{
    struct ebpf_prog *prog = load_type(BPF_PROG_TYPE_XDP, "r0 = 2\nexit");
    uint8_t packet[64] = {0};
    struct ebpf_test_run run = {.data_in = packet, .data_size_in = 13};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    run.data_size_in = 14;
    cr_expect_eq(ebpf_prog_test_run(prog, &run), 0);
    cr_expect_eq(run.result, 2);
    run.data_in = NULL;
    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    ebpf_prog_put(prog);
}

Test(engine, test_run_repeats)
{
    struct ebpf_prog *prog = load_type(BPF_PROG_TYPE_XDP, "r0 = 2\nexit");
    uint8_t packet[64] = {0};
    struct ebpf_test_run run = {.data_in = packet, .data_size_in = 64, .repeat = 100};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), 0);
    cr_expect_eq(prog->run_cnt, 100);
    cr_expect_gt(run.total_ns, 0);
    ebpf_prog_put(prog);
}

/* Linux ends a long test run by a signal; here the time is limited. */
Test(engine, test_run_is_limited_in_time)
{
    struct ebpf_prog *prog = load_type(BPF_PROG_TYPE_XDP, "r0 = 2\nexit");
    uint8_t packet[64] = {0};
    struct ebpf_test_run run = {
        .data_in = packet, .data_size_in = 64, .repeat = UINT32_MAX, .limit_ns = 1000000};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINTR);
    cr_expect_gt(prog->run_cnt, 0);
    ebpf_prog_put(prog);
}

/* Linux: what fits is copied, the size is that of the whole, and the error tells. */
Test(engine, test_run_short_out_buffer)
{
    struct ebpf_prog *prog =
        load_type(BPF_PROG_TYPE_XDP, "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\n"
                                     "if r2 >= r3 goto short\n*(u8 *)(r2 +0) = 9\n"
                                     "short:\nr0 = 2\nexit");
    uint8_t packet[64] = {0}, out[4] = {0};
    struct ebpf_test_run run = {
        .data_in = packet, .data_size_in = 64, .data_out = out, .data_size_out = 4};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), -ENOSPC);
    cr_expect_eq(run.data_size_out, 64);
    cr_expect_eq(out[0], 9);
    cr_expect_eq(packet[0], 0);
    ebpf_prog_put(prog);
}

/* struct xdp_md in and out: data is the length of the metadata in front of the packet. */
Test(engine, test_run_xdp_context)
{
    struct ebpf_prog *prog =
        load_type(BPF_PROG_TYPE_XDP, "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +8)\nr2 -= r3\n"
                                     "r0 = *(u32 *)(r1 +16)\nr0 <<= 8\nr0 |= r2\nexit");
    uint8_t packet[64] = {0};
    struct xdp_md in = {.data = 4, .data_end = 64, .rx_queue_index = 3}, out;
    struct ebpf_test_run run = {.data_in = packet,
                                .data_size_in = 64,
                                .ctx_in = &in,
                                .ctx_size_in = sizeof(in),
                                .ctx_out = &out,
                                .ctx_size_out = sizeof(out)};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), 0);
    cr_expect_eq(run.result, 0x304);
    cr_expect_eq(out.data, 4);
    cr_expect_eq(out.data_end, 64);
    in.data = 33;
    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    in.data = 56;
    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    ebpf_prog_put(prog);
}

Test(engine, test_run_of_tracepoint_takes_no_data)
{
    struct ebpf_prog *prog = load_type(BPF_PROG_TYPE_TRACEPOINT, "r0 = 0\nexit");
    uint8_t data[64] = {0};
    struct ebpf_test_run run = {.data_in = data, .data_size_in = 64};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    ebpf_prog_put(prog);
}

/* ---- anything at all ------------------------------------------------------------------------ */

#define RANDOM_PROGRAMS 30000u
#define RANDOM_LENGTH   24u

static unsigned pick(unsigned *seed, unsigned n)
{
    return (unsigned)rand_r(seed) % n;
}

/* An instruction that mostly decodes: real opcodes, few registers, short jumps. */
static struct bpf_insn random_insn(unsigned *seed)
{
    static const uint8_t codes[] = {
        0x07, 0x0f, 0x1f, 0x2f, 0x37, 0x3f, 0x4f, 0x57, 0x67, 0x77, 0x87, 0x97, 0xa7, 0xb7, 0xbf,
        0xc7, 0x04, 0x0c, 0x14, 0x24, 0x34, 0x3c, 0x44, 0x54, 0x6c, 0x7c, 0x84, 0x9c, 0xa4, 0xb4,
        0xbc, 0xcc, 0xdc, 0xd4, 0xd7, 0x61, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91, 0x62, 0x6a, 0x72,
        0x7a, 0x63, 0x6b, 0x73, 0x7b, 0xdb, 0xc3, 0x05, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x5d, 0x65,
        0x75, 0xa5, 0xb5, 0xc5, 0xd5, 0x16, 0x1e, 0x26, 0x46, 0x66, 0xc6, 0x06, 0xe5, 0x85, 0x95};
    static const int16_t offsets[] = {0, 0, 1, -8, -16, 8, -512, 3, -1};
    static const int32_t values[] = {0, 1, 16, 32, -1, 7, 0x7fffffff, -512, 0xe1, 0xf1};
    struct bpf_insn insn = {.code = codes[pick(seed, sizeof(codes))],
                            .dst_reg = (uint8_t)pick(seed, 11) & 15,
                            .src_reg = (uint8_t)pick(seed, 11) & 15,
                            .off = offsets[pick(seed, 9)],
                            .imm = values[pick(seed, 10)]};
    uint8_t class = BPF_CLASS(insn.code);

    /* Most reserved fields as they must be, so that most programs load. */
    if (pick(seed, 50) == 0)
        return insn;
    if (class == BPF_ALU || class == BPF_ALU64) {
        insn.off = 0;
        insn.dst_reg = (uint8_t)pick(seed, 10) & 15;
        if (BPF_OP(insn.code) == BPF_END)
            insn.imm = 16 << pick(seed, 3);
    }
    if (insn.code == (BPF_JMP | BPF_CALL))
        insn.imm = (int32_t)pick(seed, 20), insn.src_reg = (uint8_t)pick(seed, 2) & 1;
    if (insn.code == (BPF_JMP | BPF_CALL) || insn.code == (BPF_JMP | BPF_EXIT) ||
        insn.code == (BPF_JMP32 | BPF_JA))
        insn.dst_reg = 0, insn.off = 0;
    if (insn.code == (BPF_JMP | BPF_EXIT) || insn.code == (BPF_JMP | BPF_JA) ||
        insn.code == (BPF_JMP | BPF_JCOND))
        insn.dst_reg = insn.src_reg = 0, insn.imm = 0;
    if (insn.code == (BPF_JMP32 | BPF_JA))
        insn.src_reg = 0, insn.imm = (int32_t)pick(seed, 6) - 2;
    if (class == BPF_JMP || class == BPF_JMP32)
        insn.off = insn.off ? (int16_t)((int)pick(seed, 8) - 3) : 0;
    if (class == BPF_LDX)
        insn.imm = 0, insn.dst_reg = (uint8_t)pick(seed, 10) & 15;
    if (class == BPF_STX && BPF_MODE(insn.code) == BPF_MEM)
        insn.imm = 0;
    if (class == BPF_ST ||
        ((class == BPF_ALU || class == BPF_ALU64 || class == BPF_JMP || class == BPF_JMP32) &&
         BPF_SRC(insn.code) == BPF_K && insn.code != (BPF_JMP | BPF_CALL)))
        insn.src_reg = 0;
    else if (BPF_SRC(insn.code) == BPF_X && class != BPF_STX && BPF_OP(insn.code) != BPF_END)
        insn.imm = 0;
    return insn;
}

/* Whatever loads, runs to an end without touching what it may not: the sanitizers watch. */
Test(engine, random_programs, .timeout = 120)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 64, 1);
    unsigned seed = 12345, loaded = 0, finished = 0;

    for (unsigned i = 0; i < RANDOM_PROGRAMS; i++) {
        struct bpf_insn insns[RANDOM_LENGTH + 3] = {
            {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 3, .src_reg = BPF_PSEUDO_MAP_IDX_VALUE}};
        uint8_t *memory = calloc(1, 64);
        struct ebpf_mem mem = {memory, memory + 64};
        struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                      .name = "random",
                                      .license = "GPL",
                                      .insns = insns,
                                      .nr_insns = RANDOM_LENGTH + 3,
                                      .maps = &map,
                                      .nr_maps = 1,
                                      .unverified = true};
        struct ebpf_prog *prog;
        uint64_t result;

        for (unsigned n = 0; n < RANDOM_LENGTH; n++)
            insns[2 + n] = random_insn(&seed);
        insns[RANDOM_LENGTH + 2] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
        if (ebpf_prog_create(&load, &prog) == 0) {
            loaded++;
            prog->budget = 2000;
            finished += ebpf_prog_run(prog, &mem, 0, 0, &result) == 0;
            ebpf_prog_put(prog);
        }
        free(memory);
    }
    cr_expect_gt(loaded, RANDOM_PROGRAMS / 50, "only %u programs loaded", loaded);
    cr_expect_gt(finished, loaded / 50, "only %u of %u programs finished", finished, loaded);
    ebpf_map_put(map);
}

/* Bytes that no generator shaped: the decoder refuses them, or they run. */
Test(engine, random_bytes)
{
    unsigned seed = 99;
    struct ebpf_prog *prog;
    uint64_t result;

    for (unsigned i = 0; i < RANDOM_PROGRAMS; i++) {
        struct bpf_insn insns[3];
        struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                      .name = "bytes",
                                      .insns = insns,
                                      .nr_insns = 3,
                                      .unverified = true};

        for (unsigned byte = 0; byte < sizeof(insns); byte++)
            ((uint8_t *)insns)[byte] = (uint8_t)rand_r(&seed);
        insns[2] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
        if (ebpf_prog_create(&load, &prog) == 0) {
            prog->budget = 100;
            run(prog, &result);
            ebpf_prog_put(prog);
        }
    }
}

/* ---- timers --------------------------------------------------------------------------------- */

/* A timer at the start of element 0 of a map of 24-byte values; its function adds the element's key
 * plus one to what stands behind it. start: what the program does once it has its timer. */
#define TIMER_PROGRAM(start)                                                                       \
    "*(u32 *)(r10 -4) = 0\n"                                                                       \
    "r1 = map[idx:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n"                              \
    "r6 = r0\n"                                                                                    \
    "r1 = r6\nr2 = map[idx:0]\nr3 = 1\ncall bpf_timer_init\n"                                      \
    "if r0 != 0 goto end\n"                                                                        \
    "r1 = r6\nr2 = subprog[fired]\ncall bpf_timer_set_callback\n"                                  \
    "if r0 != 0 goto end\n" start "end:\n"                                                         \
    "exit\n"                                                                                       \
    "fired:\n"                                                                                     \
    "r4 = *(u32 *)(r2 +0)\nr4 += 1\n"                                                              \
    "r5 = *(u64 *)(r3 +16)\nr5 += r4\n*(u64 *)(r3 +16) = r5\n"                                     \
    "r0 = 0\n"                                                                                     \
    "exit"

#define START "r1 = r6\nr2 = 1000\nr3 = 0\ncall bpf_timer_start\n"

/* A map that a client holds, with element 0. */
static struct ebpf_map *timer_map(uint32_t type)
{
    struct ebpf_map *map = make_map(type, 4, 24, 4);
    uint64_t value[3] = {0};
    uint32_t key = 0;

    map->timer_offset = 0;
    ebpf_object_use(&map->object);
    cr_assert_eq(ebpf_map_write(map, &key, value, 0), 0);
    return map;
}

static void end_timer_map(struct ebpf_map *map)
{
    ebpf_object_unuse(&map->object);
    ebpf_map_put(map);
}

static uint64_t fired(struct ebpf_map *map)
{
    uint64_t value[3];
    uint32_t key = 0;

    cr_assert_eq(ebpf_map_read(map, &key, value, 0), 0);
    return value[2];
}

static uint64_t result_of(struct ebpf_prog *prog)
{
    uint64_t result;

    cr_expect_eq(run(prog, &result), 0, "%s", prog->last_fault);
    return result;
}

Test(engine, timer_calls_its_function_once)
{
    static const uint32_t types[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH};

    for (unsigned i = 0; i < 3; i++) {
        struct ebpf_map *map = timer_map(types[i]);
        struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, TIMER_PROGRAM(START), map);

        cr_expect_eq(result_of(prog), 0);
        cr_expect_eq(host_timers_run(0), 0);
        cr_expect_eq(fired(map), 0);
        cr_expect_eq(host_timers_run(UINT64_MAX), 1);
        cr_expect_eq(fired(map), 1);
        cr_expect_eq(host_timers_run(UINT64_MAX), 0);
        cr_expect_eq((int64_t)result_of(prog), -EBUSY, "a timer is initialised once");
        ebpf_prog_put(prog);
        end_timer_map(map);
    }
}

/* The timer holds the program that its function is of. */
Test(engine, timer_outlives_the_programs_handle)
{
    struct ebpf_map *map = timer_map(BPF_MAP_TYPE_HASH);
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, TIMER_PROGRAM(START), map);

    cr_expect_eq(result_of(prog), 0);
    ebpf_prog_put(prog);
    cr_expect_eq(host_timers_run(UINT64_MAX), 1);
    cr_expect_eq(fired(map), 1);
    end_timer_map(map);
}

Test(engine, timer_starts_itself_again)
{
    struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 24, 1);
    struct ebpf_prog *prog;

    map->timer_offset = 0;
    ebpf_object_use(&map->object);
    prog =
        load_unverified(EBPF_PROG_TYPE_MEM,
                        "r1 = map[idx:0][0]+0\nr2 = map[idx:0]\nr3 = 1\ncall bpf_timer_init\n"
                        "r1 = map[idx:0][0]+0\nr2 = subprog[fired]\ncall bpf_timer_set_callback\n"
                        "r1 = map[idx:0][0]+0\nr2 = 5\nr3 = 0\ncall bpf_timer_start\n"
                        "exit\n"
                        "fired:\n"
                        "r5 = *(u64 *)(r3 +16)\nr5 += 1\n*(u64 *)(r3 +16) = r5\n"
                        "r0 = 0\nif r5 > 3 goto last\n"
                        "r1 = r3\nr2 = 5\nr3 = 0\ncall bpf_timer_start\n"
                        "last:\nexit",
                        map);
    cr_expect_eq(result_of(prog), 0);
    cr_expect_eq(host_timers_run(UINT64_MAX), 4);
    cr_expect_eq(fired(map), 4);
    ebpf_prog_put(prog);
    end_timer_map(map);
}

/* From its own function a timer is not cancelled; its element may be deleted. */
Test(engine, timer_in_its_own_function)
{
    struct ebpf_map *map = timer_map(BPF_MAP_TYPE_HASH);
    struct ebpf_prog *prog =
        load_unverified(EBPF_PROG_TYPE_MEM,
                        "*(u32 *)(r10 -4) = 0\n"
                        "r1 = map[idx:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr6 = r0\n"
                        "r1 = r6\nr2 = map[idx:0]\nr3 = 1\ncall bpf_timer_init\n"
                        "r1 = r6\nr2 = subprog[fired]\ncall bpf_timer_set_callback\n"
                        "r1 = r6\nr2 = 5\nr3 = 0\ncall bpf_timer_start\n"
                        "exit\n"
                        "fired:\n"
                        "r6 = r2\nr1 = r3\ncall bpf_timer_cancel\n"
                        "*(u64 *)(r10 -8) = 0\nif r0 != -35 goto wrong\n"
                        "r1 = map[idx:0]\nr2 = r6\ncall bpf_map_delete_elem\n"
                        "wrong:\n"
                        "r0 = 0\nexit",
                        map);
    uint64_t value[3];
    uint32_t key = 0;

    cr_expect_eq(result_of(prog), 0);
    cr_expect_eq(host_timers_run(UINT64_MAX), 1);
    cr_expect_eq(ebpf_map_read(map, &key, value, 0), -ENOENT);
    ebpf_prog_put(prog);
    end_timer_map(map);
}

Test(engine, timer_ends_with_its_element)
{
    struct ebpf_map *map = timer_map(BPF_MAP_TYPE_HASH);
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, TIMER_PROGRAM(START), map);
    uint64_t value[3] = {0};
    uint32_t key = 0;

    cr_expect_eq(result_of(prog), 0);
    cr_expect_eq(ebpf_map_remove(map, &key), 0);
    cr_expect_eq(host_timers_run(UINT64_MAX), 0);
    cr_expect_eq(ebpf_map_write(map, &key, value, 0), 0);
    cr_expect_eq(result_of(prog), 0);
    cr_expect_eq(ebpf_map_write(map, &key, value, 0), 0);
    cr_expect_eq(host_timers_run(UINT64_MAX), 0, "an update ends it too");
    ebpf_prog_put(prog);
    end_timer_map(map);
}

/* The map's last user is gone, the program is still loaded. */
Test(engine, timer_ends_with_the_maps_users)
{
    struct ebpf_map *map = timer_map(BPF_MAP_TYPE_HASH);
    struct ebpf_prog *prog = load_unverified(EBPF_PROG_TYPE_MEM, TIMER_PROGRAM(START), map);

    cr_expect_eq(result_of(prog), 0);
    ebpf_object_unuse(&map->object);
    cr_expect_eq(host_timers_run(UINT64_MAX), 0);
    cr_expect_eq((int64_t)result_of(prog), -EPERM, "nor is there a new one");
    ebpf_prog_put(prog);
    ebpf_map_put(map);
}

Test(engine, timer_cancel)
{
    struct ebpf_map *map = timer_map(BPF_MAP_TYPE_HASH);
    struct ebpf_prog *started = load_unverified(
        EBPF_PROG_TYPE_MEM, TIMER_PROGRAM(START "r1 = r6\ncall bpf_timer_cancel\n"), map);
    uint32_t key = 0;
    uint64_t value[3] = {0};
    struct ebpf_prog *idle, *again;

    cr_expect_eq(result_of(started), 1);
    cr_expect_eq(host_timers_run(UINT64_MAX), 0);
    ebpf_map_write(map, &key, value, 0);
    idle =
        load_unverified(EBPF_PROG_TYPE_MEM, TIMER_PROGRAM("r1 = r6\ncall bpf_timer_cancel\n"), map);
    cr_expect_eq(result_of(idle), 0);
    ebpf_map_write(map, &key, value, 0);
    again = load_unverified(EBPF_PROG_TYPE_MEM,
                            TIMER_PROGRAM("r1 = r6\ncall bpf_timer_cancel\n" START), map);
    cr_expect_eq((int64_t)result_of(again), -EINVAL, "a cancelled timer has no function");
    ebpf_prog_put(started);
    ebpf_prog_put(idle);
    ebpf_prog_put(again);
    end_timer_map(map);
}

Test(engine, timer_arguments)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"r3 = 2\ncall bpf_timer_init\nexit", -EINVAL},
        {"r3 = 256\ncall bpf_timer_init\nexit", -EINVAL},
        {"r2 = subprog[f]\ncall bpf_timer_set_callback\nexit\nf:\nr0 = 0\nexit", -EINVAL},
        {"r2 = 1\nr3 = 0\ncall bpf_timer_start\nexit", -EINVAL},
        {"call bpf_timer_cancel\nexit", -EINVAL},
        {"r3 = 7\ncall bpf_timer_init\nr1 = map[idx:0][0]+0\nr2 = 1\nr3 = 1\n"
         "call bpf_timer_start\nexit",
         -EINVAL},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ebpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 4, 24, 1);
        char text[512];
        struct ebpf_prog *prog;

        map->timer_offset = 0;
        ebpf_object_use(&map->object);
        snprintf(text, sizeof(text), "r1 = map[idx:0][0]+0\nr2 = map[idx:0]\n%s", cases[i].text);
        prog = load_unverified(EBPF_PROG_TYPE_MEM, text, map);
        cr_expect_eq((int64_t)result_of(prog), cases[i].error, "%s", cases[i].text);
        ebpf_prog_put(prog);
        end_timer_map(map);
    }
}

/* ---- program types without events ----------------------------------------------------------- */

Test(engine, kprobe_and_perf_event_contexts)
{
    /* The last register of struct pt_regs, ss, and what perf events have behind it. */
    struct ebpf_prog *kprobe = load_type(BPF_PROG_TYPE_KPROBE, "r0 = *(u64 *)(r1 +160)\nexit");
    struct ebpf_prog *perf = load_type(BPF_PROG_TYPE_PERF_EVENT, "r0 = *(u64 *)(r1 +176)\nexit");
    struct ebpf_prog *beyond =
        load_unverified(BPF_PROG_TYPE_KPROBE, "r0 = *(u64 *)(r1 +168)\nexit", NULL);
    struct ebpf_test_run run = {0};
    uint64_t regs[23], result;

    for (unsigned i = 0; i < 23; i++)
        regs[i] = 100 + i;
    cr_expect_eq(ebpf_prog_run(kprobe, regs, sizeof(regs), 0, &result), 0);
    cr_expect_eq(result, 120);
    cr_expect_eq(ebpf_prog_run(perf, regs, sizeof(regs), 0, &result), 0);
    cr_expect_eq(result, 122);
    cr_expect_eq(ebpf_prog_run(beyond, regs, sizeof(regs), 0, &result), -EFAULT);
    cr_expect_eq(ebpf_prog_test_run(kprobe, &run), -EBPF_ENOTSUPP);
    ebpf_prog_put(kprobe);
    ebpf_prog_put(perf);
    ebpf_prog_put(beyond);
}

/* Linux: what of struct __sk_buff a caller has no say in must be zero. */
Test(engine, test_run_classifier_context)
{
    struct ebpf_prog *prog =
        load_type(BPF_PROG_TYPE_SCHED_CLS, "r2 = *(u32 *)(r1 +8)\nr2 += 1\n*(u32 *)(r1 +8) = r2\n"
                                           "r0 = *(u32 *)(r1 +0)\nexit");
    uint8_t packet[64] = {0};
    struct __sk_buff in = {.mark = 41}, out;
    struct ebpf_test_run run = {.data_in = packet,
                                .data_size_in = 64,
                                .ctx_in = &in,
                                .ctx_size_in = sizeof(in),
                                .ctx_out = &out,
                                .ctx_size_out = sizeof(out)};

    cr_expect_eq(ebpf_prog_test_run(prog, &run), 0);
    cr_expect_eq(run.result, 64);
    cr_expect_eq(out.mark, 42);
    cr_expect_eq(out.wire_len, 64);
    in.pkt_type = 1;
    cr_expect_eq(ebpf_prog_test_run(prog, &run), -EINVAL);
    ebpf_prog_put(prog);
}
