/*
 * `make bench`: what lowering and emission cost an instruction, from a thousand to a million of
 * them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "tests/bench/measure.h"

/* A block of what programs are made of: loads, arithmetic, spills, branches forward. */
static const struct bpf_insn block[] = {
    {BPF_LDX | BPF_MEM | BPF_DW, 2, 6, 8, 0},    {BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0},
    {BPF_ALU64 | BPF_LSH | BPF_K, 3, 0, 0, 13},  {BPF_ALU64 | BPF_XOR | BPF_X, 3, 2, 0, 0},
    {BPF_ALU | BPF_ADD | BPF_K, 2, 0, 0, 100},   {BPF_STX | BPF_MEM | BPF_DW, 10, 3, -8, 0},
    {BPF_JMP | BPF_JGT | BPF_K, 2, 0, 2, 77},    {BPF_ALU64 | BPF_ADD | BPF_X, 0, 3, 0, 0},
    {BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31},  {BPF_LDX | BPF_MEM | BPF_W, 4, 6, 16, 0},
    {BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, 255}, {BPF_ALU64 | BPF_ADD | BPF_X, 0, 4, 0, 0},
    {BPF_LDX | BPF_MEM | BPF_DW, 5, 10, -8, 0},  {BPF_ALU64 | BPF_OR | BPF_X, 0, 5, 0, 0},
    {BPF_JMP32 | BPF_JNE | BPF_X, 4, 5, 1, 0},   {BPF_STX | BPF_MEM | BPF_DW, 6, 0, 24, 0},
};

#define BLOCK (sizeof(block) / sizeof(block[0]))

static struct ebpf_prog *long_program(uint32_t nr)
{
    struct bpf_insn *insns = calloc(nr, sizeof(*insns));
    struct ebpf_prog_load load = {
        .type = EBPF_PROG_TYPE_MEM, .name = "long", .insns = insns, .nr_insns = nr, .mem_size = 32};
    struct ebpf_prog *prog = NULL;
    uint32_t n = 0;

    insns[n++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0};
    insns[n++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0};
    for (; n + BLOCK < nr; n += BLOCK)
        memcpy(&insns[n], block, sizeof(block));
    for (; n + 1 < nr; n++)
        insns[n] = (struct bpf_insn){BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1};
    insns[n] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
    if (ebpf_prog_create(&load, &prog))
        prog = NULL;
    free(insns);
    return prog;
}

/* Prints a line and writes it to json. */
void bench_compile(FILE *json)
{
    printf("compile time:");
    for (uint32_t nr = 1000; nr <= 1000000; nr *= 10) {
        struct ebpf_prog *prog = long_program(nr);
        double ns = prog ? bench_time_compile(prog, 5) / nr : 0;

        printf("  %u instructions %.1f ns each", nr, ns);
        fprintf(json, "  {\"compile_instructions\": %u, \"ns_per_instruction\": %.1f}%s\n", nr, ns,
                nr == 1000000 ? "" : ",");
        if (prog)
            ebpf_prog_put(prog);
    }
    putchar('\n');
}
