/*
 * What verification may cost: the limits on instructions and memory, and that no program makes one
 * instruction cost more than a bounded amount of work. Counted, never timed. Each test makes a
 * program that once, or in a verifier more simply made, took hours or the machine's memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

#define INSNS_MAX     1000000u
#define BYTES_MAX     (48u << 20)
#define STATES_MAX    48u
#define PROCESSED_MAX 1000000u
#define MEMORY        64u

static struct bpf_insn *insns;
static uint32_t nr;
static char log_text[4096];
static struct ebpf_verify_cost cost;

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1u << 28), 0);
    insns = calloc(INSNS_MAX, sizeof(*insns));
    nr = 0;
}

static void tear_down(void)
{
    free(insns);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the verifier's memory leaked");
    leakcheck();
}

TestSuite(verifier_bounds, .init = set_up, .fini = tear_down, .timeout = 0);

static uint32_t put(uint8_t code, unsigned dst, unsigned src, int off, int32_t imm)
{
    insns[nr] = (struct bpf_insn){
        .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = (int16_t)off, .imm = imm};
    return nr++;
}

/* r6: the memory; r0: 0. */
static void begin(void)
{
    put(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
    put(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
}

static void end(void)
{
    put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void jump_here(uint32_t jump)
{
    insns[jump].off = (int16_t)(nr - jump - 1);
}

static int verify(void)
{
    struct ebpf_log log = {.buf = log_text, .size = sizeof(log_text), .level = 4};
    struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                  .name = "bounds",
                                  .license = "GPL",
                                  .insns = insns,
                                  .nr_insns = nr,
                                  .mem_size = MEMORY,
                                  .unverified = true,
                                  .log = &log};
    struct ebpf_proof proof;
    struct ebpf_prog *prog;
    int err;

    cr_assert_eq(ebpf_prog_create(&load, &prog), 0, "%s", log_text);
    err = ebpf_verify(&load, prog->decoded, 0, &proof);
    ebpf_proof_free(&proof);
    ebpf_prog_put(prog);
    ebpf_verify_get_cost(&cost);
    cr_expect_leq(cost.peak_bytes, BYTES_MAX);
    cr_expect_leq(cost.max_states_per_insn, STATES_MAX);
    return err;
}

/* A loop of a number that nothing bounds: its trips are walked until the limit, as on Linux. */
Test(verifier_bounds, a_million_instructions_are_processed)
{
    begin();
    put(BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, 1);
    put(BPF_ALU64 | BPF_MUL | BPF_K, 7, 0, 0, 1103515245);
    put(BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, 12345);
    put(BPF_JMP | BPF_JNE | BPF_K, 7, 0, -3, 0x1234567);
    end();
    cr_expect_eq(verify(), -E2BIG);
    cr_expect(strstr(log_text, "BPF program is too large. Processed 1000001 insn"), "%s", log_text);
    cr_expect_eq(cost.processed, PROCESSED_MAX);
    cr_expect_leq(cost.walked_back, (uint64_t)PROCESSED_MAX * 64,
                  "what mattered was followed back over %lu instructions",
                  (unsigned long)cost.walked_back);
}

/* Each of many ways put aside has a stack full of numbers. */
Test(verifier_bounds, memory_has_a_bound)
{
    begin();
    put(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, 0, 0);
    for (int off = -512; off < 0; off += 8)
        put(BPF_STX | BPF_MEM | BPF_DW, 10, 1, off, 0);
    for (int n = 0; n < 20000; n++)
        put(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 20000 - n - 1, n);
    for (int off = -512; off < 0; off += 8)
        put(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, off, 0);
    end();
    cr_expect_eq(verify(), -ENOMEM);
    cr_expect(strstr(log_text, "out of memory after "), "%s", log_text);
    cr_expect(strstr(log_text, "too many different paths"), "%s", log_text);
    cr_expect_geq(cost.peak_bytes, BYTES_MAX / 2);
}

Test(verifier_bounds, straight_code_of_a_million_instructions)
{
    begin();
    while (nr < INSNS_MAX - 1)
        put(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1);
    end();
    cr_expect_eq(verify(), 0, "%s", log_text);
    cr_expect_eq(cost.processed, INSNS_MAX);
    cr_expect_eq(cost.walked_back, 0);
}

/* The way that goes on is the one put aside, each time: states are kept on it all the same. */
Test(verifier_bounds, early_exits_do_not_make_the_way_back_longer)
{
    begin();
    put(BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 5);
    for (int n = 0; n < 20000; n++) {
        put(BPF_LDX | BPF_MEM | BPF_B, 1, 6, n % 64, 0);
        put(BPF_JMP | BPF_JNE | BPF_K, 1, 0, 1, n % 256);
        end();
        put(BPF_JMP | BPF_JEQ | BPF_K, 9, 0, 0, 100); /* which matters */
    }
    end();
    cr_expect_eq(verify(), 0, "%s", log_text);
    cr_expect_leq(cost.walked_back, (uint64_t)cost.processed * 128, "%lu",
                  (unsigned long)cost.walked_back);
}

/* What each of a row of loops leaves is looked at once, not again for each trial before it. */
Test(verifier_bounds, loops_in_sequence_cost_their_sum)
{
    uint32_t loops = 2000;

    begin();
    for (uint32_t n = 0; n < loops; n++) {
        put(BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, 0);
        put(BPF_ALU64 | BPF_ADD | BPF_X, 0, 7, 0, 0);
        put(BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, 1);
        put(BPF_JMP | BPF_JLT | BPF_K, 7, 0, -3, 1000);
    }
    end();
    cr_expect_eq(verify(), 0, "%s", log_text);
    cr_expect_leq(cost.processed, loops * 12);
}

/* Two to the 24 paths whose numbers all matter at the end: refused, within memory for few. */
Test(verifier_bounds, forks_that_all_differ)
{
    uint32_t bad, jump;

    begin();
    put(BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, 0);
    for (int n = 0; n < 24; n++) {
        put(BPF_LDX | BPF_MEM | BPF_B, 1, 6, n, 0);
        jump = put(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 1);
        put(BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, 1 << n);
        jump_here(jump);
        for (int pad = 0; pad < 4; pad++)
            put(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1);
    }
    bad = put(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 0, 0x7fffffff);
    end();
    jump_here(bad);
    put(BPF_LDX | BPF_MEM | BPF_B, 0, 10, 8, 0);
    end();
    cr_expect_eq(verify(), -E2BIG);
    cr_expect_leq(cost.peak_bytes, 1u << 20);
}

/* Blocks in reverse order: were the program's graph gone through again for each of them, this would
 * not end within the hour. */
Test(verifier_bounds, blocks_in_reverse_order, .timeout = 120)
{
    uint32_t blocks = 100000;

    put(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)(2 * blocks));
    put(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
    end();
    for (uint32_t n = 1; n < blocks; n++) {
        put(BPF_ALU64 | BPF_MOV | BPF_X, 2, 1, 0, 0);
        put(BPF_JMP | BPF_JA, 0, 0, -4, 0);
    }
    put(BPF_JMP | BPF_JA, 0, 0, -3, 0);
    cr_expect_eq(verify(), 0, "%s", log_text);
    cr_expect_leq(cost.processed, 2 * blocks + 2);
}
