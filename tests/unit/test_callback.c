/*
 * Functions called back when their program does not run, or after it went on as another: timers and
 * tail calls, verified, in every engine.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/data_case.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/asm.h"
#include "user/vm/host_port.h"

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1u << 24), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the engine's memory leaked");
    leakcheck();
}

TestSuite(callback, .init = set_up, .fini = tear_down);

/* ---- maps: one with a timer in its value, one of programs --------------------------------------
 */

static struct ebpf_prog *target; /* what the second one holds */

static struct ebpf_prog *prog_at(struct ebpf_map *map, uint32_t index)
{
    (void)map;
    return index == 0 ? target : NULL;
}

static void no_destroy(struct ebpf_object *object)
{
    (void)object;
}

static const struct ebpf_map_ops calls_ops = {.name = "prog_array", .prog_at = prog_at};
static struct ebpf_map calls;
static struct ebpf_map *maps[2] = {[1] = &calls};

static void make_maps(void)
{
    struct ebpf_map *made[DATA_MAPS_MAX];

    cr_assert_eq(data_make_maps("array 4 24 1 0 timer=0", made), 1);
    maps[0] = made[0];
    ebpf_object_use(&maps[0]->object);
    calls = (struct ebpf_map){.ops = &calls_ops,
                              .type = BPF_MAP_TYPE_PROG_ARRAY,
                              .name = "calls",
                              .lock_offset = -1,
                              .timer_offset = -1};
    cr_assert_eq(ebpf_object_init(&calls.object, EBPF_MAP, no_destroy), 0);
}

static void end_maps(void)
{
    ebpf_object_unuse(&maps[0]->object);
    ebpf_map_put(maps[0]);
    ebpf_map_put(maps[1]);
}

static uint64_t count(void)
{
    uint64_t value[3];
    uint32_t key = 0;

    cr_assert_eq(ebpf_map_read(maps[0], &key, value, 0), 0);
    return value[2];
}

/* ---- programs -----------------------------------------------------------------------------------
 */

static struct ebpf_prog *load(const char *text, enum ebpf_engine engine)
{
    static char log_text[8192];
    struct ebpf_log log = {.buf = log_text, .size = sizeof(log_text), .level = 4};
    struct bpf_insn insns[128];
    struct ebpf_prog_load load = {.type = BPF_PROG_TYPE_XDP,
                                  .name = "test",
                                  .license = "GPL",
                                  .insns = insns,
                                  .maps = maps,
                                  .nr_maps = 2,
                                  .unverified = true,
                                  .log = &log};
    struct ebpf_prog *prog;
    char err[160];
    int n = asm_assemble(text, insns, 128, err, sizeof(err));

    cr_assert_gt(n, 0, "%s", err);
    load.nr_insns = (uint32_t)n;
    cr_assert_eq(ebpf_prog_create(&load, &prog), 0, "%s", log_text);
    prog->proof = port_alloc(sizeof(*prog->proof));
    cr_assert_eq(ebpf_verify(&load, prog->decoded, 0, prog->proof), 0, "%s", log_text);
    cr_assert_eq(ebpf_engine_prepare(prog, engine), 0);
    return prog;
}

static uint64_t run(struct ebpf_prog *prog)
{
    uint8_t packet[64] = {0};
    struct ebpf_test_run test = {.data_in = packet, .data_size_in = sizeof(packet)};

    cr_assert_eq(ebpf_prog_test_run(prog, &test), 0, "%s", prog->last_fault);
    return test.result;
}

/* Element 0's timer is to call `function`; r0 is then 0. */
#define ARM(function)                                                                              \
    "*(u32 *)(r10 -4) = 0\n"                                                                       \
    "r1 = map[idx:0]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n"                              \
    "if r0 == 0 goto out\n"                                                                        \
    "r6 = r0\n"                                                                                    \
    "r1 = r6\nr2 = map[idx:0]\nr3 = 1\ncall bpf_timer_init\n"                                      \
    "r1 = r6\nr2 = subprog[" function "]\ncall bpf_timer_set_callback\n"                           \
    "if r0 != 0 goto out\n"                                                                        \
    "r1 = r6\nr2 = 5\nr3 = 0\ncall bpf_timer_start\n"

#define COUNT_UP(by) "r5 = *(u64 *)(r3 +16)\nr5 += " by "\n*(u64 *)(r3 +16) = r5\n"

/* A function before the one that is called back, so that both have an address. */
#define START "r9 = r1\ncall other\nr1 = r9\n"
#define FUNCTIONS                                                                                  \
    "other:\nr0 = 0\nexit\n"                                                                       \
    "fired:\n" COUNT_UP("1") "r0 = 0\n"                                                            \
                             "if r5 > 2 goto last\n"                                               \
                             "r1 = r3\nr2 = 5\nr3 = 0\ncall bpf_timer_start\n"                     \
                             "last:\nr0 = 0\nexit\n"

Test(callback, timer_in_every_engine)
{
    for (enum ebpf_engine engine = EBPF_CHECKED; engine <= EBPF_JIT; engine++) {
        struct ebpf_prog *prog;

        make_maps();
        prog = load(START ARM("fired") "out:\nexit\n" FUNCTIONS, engine);
        cr_expect_eq(run(prog), 0);
        cr_expect_eq(count(), 0);
        cr_expect_eq(host_timers_run(UINT64_MAX), 3, "engine %u", engine);
        cr_expect_eq(count(), 3, "engine %u", engine);
        ebpf_prog_put(prog);
        end_maps();
    }
}

/* The timer's function is one of the program that the run has gone on as. */
Test(callback, timer_of_a_tail_called_program)
{
    for (enum ebpf_engine engine = EBPF_CHECKED; engine <= EBPF_JIT; engine++) {
        struct ebpf_prog *first;

        make_maps();
        target = load(ARM("f") "out:\nexit\nf:\n" COUNT_UP("7") "r0 = 0\nexit\n", engine);
        first = load("r2 = map[idx:1]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit\n", engine);
        cr_expect_eq(run(first), 0);
        ebpf_prog_put(first);
        cr_expect_eq(host_timers_run(UINT64_MAX), 1, "engine %u", engine);
        cr_expect_eq(count(), 7, "engine %u", engine);
        ebpf_prog_put(target);
        end_maps();
    }
}

/* And of the first program again, where the other has returned to a function's caller: by a call,
 * and by a helper that calls back. */
Test(callback, timer_after_a_tail_call_returned)
{
    static const struct {
        const char *call, *function;
    } ways[] = {
        {"call f\n", "f:\nr2 = map[idx:1]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit\n"},
        {"*(u64 *)(r10 -8) = r1\nr1 = 2\nr2 = subprog[f]\nr3 = r10\nr3 += -8\nr4 = 0\n"
         "call bpf_loop\n",
         "f:\nr1 = *(u64 *)(r2 +0)\nr2 = map[idx:1]\nr3 = 0\ncall bpf_tail_call\nr0 = 0\n"
         "exit\n"},
    };
    char text[2048];

    for (unsigned way = 0; way < 2; way++) {
        for (enum ebpf_engine engine = EBPF_CHECKED; engine <= EBPF_JIT; engine++) {
            struct ebpf_prog *first;

            make_maps();
            target = load("r0 = 0\nexit\n", engine);
            snprintf(text, sizeof(text), START "%s" ARM("fired") "out:\nexit\n%s" FUNCTIONS,
                     ways[way].call, ways[way].function);
            first = load(text, engine);
            cr_expect_eq(run(first), 0);
            ebpf_prog_put(target);
            cr_expect_eq(host_timers_run(UINT64_MAX), 3, "way %u, engine %u", way, engine);
            cr_expect_eq(count(), 3, "way %u, engine %u", way, engine);
            ebpf_prog_put(first);
            end_maps();
        }
    }
}

/* A target that needs more frames than are left counts as absent. */
Test(callback, tail_call_without_room)
{
    char chain[1024] = "call f1\nexit\n";
    struct ebpf_prog *first;

    make_maps();
    target = load("call a\nexit\na:\ncall b\nexit\nb:\nr0 = 7\nexit\n", EBPF_INTERP);
    for (unsigned n = 1; n < 6; n++)
        sprintf(chain + strlen(chain), "f%u:\ncall f%u\nexit\n", n, n + 1);
    strcat(chain, "f6:\nr2 = map[idx:1]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit\n");
    first = load(chain, EBPF_INTERP);
    cr_expect_eq(run(first), 1);
    ebpf_prog_put(first);
    strcpy(strstr(chain, "f5:\n") + 4,
           "r2 = map[idx:1]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit\n");
    first = load(chain, EBPF_INTERP);
    cr_expect_eq(run(first), 7);
    ebpf_prog_put(first);
    ebpf_prog_put(target);
    end_maps();
}
