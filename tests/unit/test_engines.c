/*
 * The engines held against each other: random programs give the same result and leave the same
 * memory in all of them, with and without the instructions that not every CPU has.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/disasm.h"
#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/jit.h"
#include "ebpf/lower.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/random_program.h"
#include "user/vm/host_port.h"

#define PROGRAMS_DEFAULT 8000u /* SKEP_RANDOM_PROGRAMS sets another number */

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

TestSuite(engines, .init = set_up, .fini = tear_down);

static uint64_t nr_refused;

struct outcome {
    uint64_t result;
    uint8_t memory[RANDOM_MEMORY];
};

static void fill(uint8_t memory[RANDOM_MEMORY], uint64_t seed)
{
    for (unsigned n = 0; n < RANDOM_MEMORY; n++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        memory[n] = (uint8_t)(seed >> 56);
    }
}

static void run(struct ebpf_prog *prog, const uint8_t *memory, struct outcome *out)
{
    struct ebpf_test_run test = {.data_in = memory,
                                 .data_size_in = RANDOM_MEMORY,
                                 .data_out = out->memory,
                                 .data_size_out = RANDOM_MEMORY};
    int err = ebpf_prog_test_run(prog, &test);

    cr_assert_eq(err, 0, "%d: %s", err, prog->last_fault);
    out->result = test.result;
}

static void print(const struct ebpf_prog *prog)
{
    char text[DISASM_MAX];

    for (uint32_t pc = 0, n; pc < prog->nr_insns; pc += n) {
        n = ebpf_disasm(&prog->insns[pc], prog->nr_insns - pc, text, sizeof(text));
        fprintf(stderr, "%4u: %s\n", pc, text);
    }
}

static bool same(const struct ebpf_prog *prog, uint64_t seed, const char *engine,
                 const struct outcome *expected, const struct outcome *got)
{
    if (memcmp(expected, got, sizeof(*got)) == 0)
        return true;
    print(prog);
    fprintf(stderr, "program %lu, %s: r0 0x%lx, checked gives 0x%lx\n", (unsigned long)seed, engine,
            (unsigned long)got->result, (unsigned long)expected->result);
    for (unsigned n = 0; n < RANDOM_MEMORY; n++)
        if (expected->memory[n] != got->memory[n])
            fprintf(stderr, "byte %u is %02x, checked gives %02x\n", n, got->memory[n],
                    expected->memory[n]);
    return false;
}

/* The JIT with these passes and features, outside of prog->engine. */
static bool jit_agrees(struct ebpf_prog *prog, uint64_t seed, int passes, uint32_t features,
                       const uint8_t *memory, const struct outcome *expected)
{
    struct ebpf_lowered *lowered;
    struct outcome got;
    char name[48];

    cr_assert_eq(ebpf_lower(prog, prog->proof, passes, &lowered), 0);
    cr_assert_eq(ebpf_jit_compile(prog, lowered, features, &prog->jit), 0);
    ebpf_lower_free(lowered);
    prog->engine = EBPF_JIT;
    run(prog, memory, &got);
    ebpf_engine_release(prog);
    snprintf(name, sizeof(name), "jit, passes %d, features %u", passes, features);
    return same(prog, seed, name, expected, &got);
}

static bool agree(uint64_t seed)
{
    struct bpf_insn insns[RANDOM_INSNS_MAX];
    char log_text[2048] = "";
    struct ebpf_log log = {.buf = log_text, .size = sizeof(log_text), .level = 4};
    struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                  .name = "random",
                                  .license = "GPL",
                                  .insns = insns,
                                  .nr_insns = random_program(seed, insns),
                                  .mem_size = RANDOM_MEMORY,
                                  .mem_exact = true,
                                  .log = &log};
    struct outcome expected, code, got;
    uint8_t memory[RANDOM_MEMORY];
    struct ebpf_prog *prog;
    bool agreed, plain = seed % 2;

    if (ebpf_prog_create(&load, &prog)) {
        if (nr_refused++ < 8)
            fprintf(stderr, "program %lu is refused: %s\n", (unsigned long)seed, log_text);
        return true;
    }
    fill(memory, seed);
    cr_assert_eq(prog->engine, EBPF_JIT);
    run(prog, memory, &code);
    ebpf_engine_release(prog);
    run(prog, memory, &expected);
    cr_assert_eq(ebpf_engine_prepare(prog, EBPF_INTERP), 0);
    run(prog, memory, &got);
    ebpf_engine_release(prog);
    agreed = same(prog, seed, "interp", &expected, &got) &&
             same(prog, seed, "jit", &expected, &code) &&
             jit_agrees(prog, seed, plain ? LOWER_NONE : LOWER_ALL, plain ? port_cpu_features() : 0,
                        memory, &expected);
    ebpf_prog_put(prog);
    return agreed;
}

Test(engines, random_programs_agree, .timeout = 0)
{
    const char *number = getenv("SKEP_RANDOM_PROGRAMS"), *first = getenv("SKEP_RANDOM_FIRST");
    uint64_t programs = number ? strtoull(number, NULL, 10) : PROGRAMS_DEFAULT;
    uint64_t seed = first ? strtoull(first, NULL, 10) : 0;

    for (uint64_t n = 0; n < programs; n++)
        cr_assert(agree(seed + n), "the engines differ on program %lu", (unsigned long)(seed + n));
    cr_expect_leq(nr_refused, programs / 100, "%lu of %lu programs are refused",
                  (unsigned long)nr_refused, (unsigned long)programs);
}
