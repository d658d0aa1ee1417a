/*
 * State embedding: whatever a run has in its registers and stack, the verifier knew to be possible.
 * Over the programs of tests/data and random ones. With exact comparison, so that every recorded
 * state stands for itself; and without, where what is accepted must run without fault on any input.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/disasm.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/data_case.h"
#include "tests/unit/embed.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/random_program.h"
#include "tests/unit/random_verifier.h"
#include "user/vm/host_port.h"

#define PROGRAMS_DEFAULT 150u /* SKEP_RANDOM_PROGRAMS sets another number */
#define INPUTS           4u
#define LOG_SIZE         16384u

static char log_text[LOG_SIZE];
static struct ebpf_log log_buffer = {.buf = log_text, .size = LOG_SIZE, .level = 4};

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1u << 24), 0);
}

static void tear_down(void)
{
    embed_end();
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the verifier's memory leaked");
    leakcheck();
}

TestSuite(verifier_embed, .init = set_up, .fini = tear_down);

static uint64_t random64(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed ^ *seed >> 29;
}

/* Numbers near edges come up as often as others. */
static void fill(uint8_t *memory, uint32_t size, uint64_t seed)
{
    for (uint32_t n = 0; n < size; n++) {
        uint64_t r = random64(&seed) >> 20;

        memory[n] = (uint8_t)(r % 4 == 0 ? 0 : r % 4 == 1 ? r % 7 : r % 16 == 2 ? 255 : r >> 8);
    }
}

static void print(const struct ebpf_prog *prog)
{
    char text[DISASM_MAX];

    for (uint32_t pc = 0, n; pc < prog->nr_insns; pc += n) {
        n = ebpf_disasm(&prog->insns[pc], prog->nr_insns - pc, text, sizeof(text));
        fprintf(stderr, "%4u: %s\n", pc, text);
    }
}

static int verify(const struct ebpf_prog_load *load, const struct ebpf_prog *prog, uint32_t flags)
{
    struct ebpf_proof proof;
    int err;

    log_buffer.used = 0;
    err = ebpf_verify(load, prog->decoded, flags, &proof);
    ebpf_proof_free(&proof);
    return err;
}

/* Runs on inputs; a fault is as bad as a value that was not foreseen. */
static bool runs_fit(struct ebpf_prog *prog, uint32_t size, uint64_t seed)
{
    uint8_t memory[RANDOM_MEMORY];

    for (unsigned i = 0; i < INPUTS; i++) {
        struct ebpf_test_run run = {.data_in = memory, .data_size_in = size};
        int err;

        fill(memory, size, seed * INPUTS + i);
        err = ebpf_prog_test_run(prog, &run);
        if (err && err != -ELOOP) {
            fprintf(stderr, "accepted, but: %s\n", prog->last_fault);
            return false;
        }
    }
    return true;
}

/* One random program under some flags. *accepted counts. */
static void check_random(struct ebpf_prog_load *load, uint64_t seed, uint32_t flags,
                         unsigned *accepted)
{
    struct ebpf_prog *prog;
    const char *failure;
    bool fits = true;
    int err;

    cr_assert_eq(ebpf_prog_create(load, &prog), 0, "program %lu: %s", (unsigned long)seed,
                 log_text);
    prog->budget = 200000;
    embed_record();
    err = verify(load, prog, flags);
    if (!err) {
        ++*accepted;
        if (flags & EBPF_VERIFY_EXACT)
            embed_check(prog);
        fits = runs_fit(prog, load->mem_size, seed);
    }
    failure = embed_end();
    if (!fits || failure[0])
        print(prog);
    cr_assert(fits && !failure[0], "program %lu, flags %u: %s", (unsigned long)seed, flags,
              failure);
    ebpf_prog_put(prog);
}

static uint64_t programs(void)
{
    const char *number = getenv("SKEP_RANDOM_PROGRAMS");

    return number ? strtoull(number, NULL, 10) : PROGRAMS_DEFAULT;
}

static uint64_t first(void)
{
    const char *number = getenv("SKEP_RANDOM_FIRST");

    return number ? strtoull(number, NULL, 10) : 0;
}

Test(verifier_embed, random_programs_embedded, .timeout = 0)
{
    static const uint32_t flags[] = {EBPF_VERIFY_EXACT, 0,
                                     EBPF_VERIFY_EXACT | EBPF_VERIFY_WALK_LOOPS};
    struct bpf_insn insns[RANDOM_VERIFIER_INSNS];
    struct ebpf_map *map;
    union bpf_attr attr;
    unsigned accepted = 0, nr = 0;

    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = RANDOM_VERIFIER_VALUE;
    attr.max_entries = 4;
    cr_assert_eq(ebpf_map_create(&attr, NULL, &map), 0);
    for (uint64_t n = first(); n < first() + programs(); n++) {
        struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                      .name = "random",
                                      .license = "GPL",
                                      .insns = insns,
                                      .nr_insns = random_verifier(n, insns),
                                      .maps = &map,
                                      .nr_maps = 1,
                                      .mem_size = RANDOM_VERIFIER_MEM,
                                      .unverified = true,
                                      .watch = &embed_watch,
                                      .log = &log_buffer};

        check_random(&load, n, flags[n % ARRAY_LEN(flags)], &accepted);
        nr++;
    }
    ebpf_map_put(map);
    fprintf(stderr, "%u of %u accepted, %lu steps embedded\n", accepted, nr,
            (unsigned long)embed_steps());
    cr_assert_gt(accepted, nr / 4, "only %u of %u were accepted", accepted, nr);
    cr_assert_gt(embed_steps(), nr * 20);
}

/* Those that are safe by construction, which the engines are tested with. */
Test(verifier_embed, safe_programs_embedded, .timeout = 0)
{
    struct bpf_insn insns[RANDOM_INSNS_MAX];
    unsigned accepted = 0, nr = 0;

    for (uint64_t n = first(); n < first() + programs() / 20; n++) {
        struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                      .name = "random",
                                      .license = "GPL",
                                      .insns = insns,
                                      .nr_insns = random_program(n, insns),
                                      .mem_size = RANDOM_MEMORY,
                                      .unverified = true,
                                      .watch = &embed_watch,
                                      .log = &log_buffer};

        check_random(&load, n, n % 2 ? EBPF_VERIFY_EXACT : 0, &accepted);
        nr++;
    }
    fprintf(stderr, "%u of %u safe ones accepted; the last log:\n%s", accepted, nr, log_text);
}

/* Programs of the data files on their own input. */
static void embed_case(const struct data_case *c)
{
    struct ebpf_map *maps[DATA_MAPS_MAX] = {0};
    int nr_maps = data_make_maps(c->maps, maps);
    struct ebpf_prog_load load = {
        .type = data_type_by_name(c->type ? c->type : "mem"),
        .name = c->name,
        .license = c->license ? c->license : "GPL",
        .insns = c->insns,
        .nr_insns = c->nr_insns,
        .maps = maps,
        .nr_maps = nr_maps > 0 ? (uint32_t)nr_maps : 0,
        .mem_size = c->type ? 0 : c->mem.size,
        .unverified = true,
        .watch = &embed_watch,
        .log = &log_buffer,
    };
    struct ebpf_prog *prog;

    data_add_functions(c->functions, &load);
    cr_assert_eq(ebpf_prog_create(&load, &prog), 0, "%s: %s", c->name, log_text);
    embed_record();
    if (verify(&load, prog, EBPF_VERIFY_EXACT) == 0) {
        struct ebpf_test_run run = {.data_in = c->mem.bytes,
                                    .data_size_in = c->mem.size,
                                    .ctx_in = c->ctx.bytes,
                                    .ctx_size_in = c->ctx.size};

        if (!c->mem.given)
            run.data_in = NULL;
        if (!c->ctx.given)
            run.ctx_in = NULL;
        embed_check(prog);
        ebpf_prog_test_run(prog, &run);
    }
    {
        const char *failure = embed_end();

        cr_expect_eq(failure[0], 0, "%s, %s: %s", c->file, c->name, failure);
    }
    data_remove_functions(&load);
    ebpf_prog_put(prog);
    for (unsigned i = 0; i < DATA_MAPS_MAX; i++)
        ebpf_map_put(maps[i]);
}

static void embed_folder(const char *folder)
{
    struct data_case *cases = data_read_all(folder);

    for (const struct data_case *c = cases; c; c = c->next)
        if (c->result)
            embed_case(c);
    data_free(cases);
}

Test(verifier_embed, data_files_embedded)
{
    embed_folder("tests/data");
    embed_folder("tests/data/verifier");
    cr_assert_gt(embed_steps(), 500);
}
