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
#include "ebpf/verifier.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/naive_proof.h"
#include "tests/unit/random_program.h"
#include "user/vm/host_port.h"

#define VERIFIED         50u    /* each so many-th program goes through the verifier too */
#define PROGRAMS_DEFAULT 10000u /* SKEP_RANDOM_PROGRAMS sets another number */

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

static uint64_t nr_verified;

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

/* Likewise on what the verifier proves, which lets more be done. */
static bool verified_agrees(struct ebpf_prog *prog, const struct ebpf_prog_load *load,
                            uint64_t seed, const uint8_t *memory, const struct outcome *expected)
{
    struct ebpf_proof proof, *naive = prog->proof;
    bool agreed = true;

    if (ebpf_verify(load, prog->decoded, 0, &proof))
        return true;
    nr_verified++;
    prog->proof = &proof;
    agreed = jit_agrees(prog, seed, LOWER_ALL, port_cpu_features(), memory, expected);
    prog->proof = naive;
    ebpf_proof_free(&proof);
    return agreed;
}

static bool agree(uint64_t seed)
{
    struct bpf_insn insns[RANDOM_INSNS_MAX];
    char log_text[256] = "";
    struct ebpf_log log = {.buf = log_text, .size = sizeof(log_text), .level = 1};
    struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                  .name = "random",
                                  .license = "GPL",
                                  .insns = insns,
                                  .nr_insns = random_program(seed, insns),
                                  .mem_size = RANDOM_MEMORY,
                                  .log = &log};
    struct outcome expected, got;
    uint8_t memory[RANDOM_MEMORY];
    struct ebpf_prog *prog;
    bool agreed;

    cr_assert_eq(ebpf_prog_create(&load, &prog), 0, "program %lu: %s", (unsigned long)seed,
                 log_text);
    if (!prog->proof)
        prog->proof = naive_proof(prog);
    fill(memory, seed);
    ebpf_engine_release(prog);
    run(prog, memory, &expected);
    cr_assert_eq(ebpf_engine_prepare(prog, EBPF_INTERP), 0);
    run(prog, memory, &got);
    agreed = same(prog, seed, "interp", &expected, &got);
    ebpf_engine_release(prog);
    agreed = agreed && jit_agrees(prog, seed, LOWER_NONE, port_cpu_features(), memory, &expected) &&
             jit_agrees(prog, seed, LOWER_ALL, port_cpu_features(), memory, &expected) &&
             jit_agrees(prog, seed, LOWER_ALL, 0, memory, &expected);
    if (agreed && seed % VERIFIED == 0)
        agreed = verified_agrees(prog, &load, seed, memory, &expected);
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
    cr_expect_gt(nr_verified, programs / VERIFIED / 4, "%lu of %lu programs are verified",
                 (unsigned long)nr_verified, (unsigned long)programs);
}
