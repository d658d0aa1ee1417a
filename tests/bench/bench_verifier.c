/*
 * `make bench`: what verification costs. Straight code from a thousand to a million instructions,
 * the programs that Linux was measured with (README.md beside their originals: its verifier, same
 * programs, one machine), and a loop of many trips. Medians of samples, with half of what lies
 * between the quartiles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "ebpf/ebpf.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/bench/measure.h"
#include "user/vm/vm.h"

#define RUNS        15u
#define TRIPS       190000
#define LINUX_LOOP  471000.0 /* us */
#define LINUX_INSN  "450-540"
#define MEMORY_SIZE 64u

/* One verification, many times. */
struct cost {
    double ns[RUNS]; /* sorted */
    uint32_t nr_insns;
    struct ebpf_verify_cost cost;
};

/* Of this thread: a verification is longer than a turn of the machine's other work, whose time does
 * not count. */
static double thread_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const struct cost *c)
{
    return c->ns[RUNS / 2];
}

static double spread(const struct cost *c)
{
    return 50 * (c->ns[RUNS * 3 / 4] - c->ns[RUNS / 4]) / median(c);
}

static int measure(const struct ebpf_prog_load *load, const struct ebpf_decoded *decoded,
                   struct cost *out)
{
    for (unsigned n = 0; n < RUNS; n++) {
        struct ebpf_proof proof;
        double start = thread_ns();
        int err = ebpf_verify(load, decoded, 0, &proof);

        out->ns[n] = thread_ns() - start;
        ebpf_proof_free(&proof);
        if (err)
            return vm_error("%s: the verifier refuses it", load->name);
    }
    out->nr_insns = load->nr_insns;
    ebpf_verify_get_cost(&out->cost);
    qsort(out->ns, RUNS, sizeof(out->ns[0]), compare_doubles);
    return 0;
}

static int measure_insns(const char *name, const struct bpf_insn *insns, uint32_t nr,
                         struct cost *out)
{
    struct ebpf_prog_load load = {.type = EBPF_PROG_TYPE_MEM,
                                  .name = name,
                                  .license = "GPL",
                                  .insns = insns,
                                  .nr_insns = nr,
                                  .mem_size = MEMORY_SIZE,
                                  .unverified = true};
    struct ebpf_prog *prog;
    int err = ebpf_prog_create(&load, &prog);

    if (err)
        return vm_error("%s does not load", name);
    err = measure(&load, prog->decoded, out);
    ebpf_prog_put(prog);
    return err;
}

static void write_json(FILE *json, const char *name, const struct cost *c, double linux_us,
                       unsigned linux_processed)
{
    fprintf(json,
            "  {\"verify\": \"%s\", \"instructions\": %u, \"us\": %.1f, \"spread\": %.1f, "
            "\"processed\": %u, \"peak_states\": %u, \"peak_bytes\": %lu",
            name, c->nr_insns, median(c) / 1000, spread(c), c->cost.processed, c->cost.peak_states,
            (unsigned long)c->cost.peak_bytes);
    if (linux_us)
        fprintf(json, ", \"linux_us\": %.0f", linux_us);
    if (linux_processed)
        fprintf(json, ", \"linux_processed\": %u", linux_processed);
    fputs("},\n", json);
}

/* ---- straight code --------------------------------------------------------------------------- */

/* Loads, arithmetic, spills and fills, and no branch. */
static const struct bpf_insn block[] = {
    {BPF_LDX | BPF_MEM | BPF_DW, 2, 6, 8, 0},   {BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0},
    {BPF_ALU64 | BPF_LSH | BPF_K, 3, 0, 0, 13}, {BPF_ALU64 | BPF_XOR | BPF_X, 3, 2, 0, 0},
    {BPF_ALU | BPF_ADD | BPF_K, 2, 0, 0, 100},  {BPF_STX | BPF_MEM | BPF_DW, 10, 3, -8, 0},
    {BPF_ALU64 | BPF_ADD | BPF_X, 0, 3, 0, 0},  {BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 31},
    {BPF_LDX | BPF_MEM | BPF_W, 4, 6, 16, 0},   {BPF_ALU64 | BPF_AND | BPF_K, 4, 0, 0, 255},
    {BPF_ALU64 | BPF_ADD | BPF_X, 0, 4, 0, 0},  {BPF_LDX | BPF_MEM | BPF_DW, 5, 10, -8, 0},
    {BPF_ALU64 | BPF_OR | BPF_X, 0, 5, 0, 0},   {BPF_ALU64 | BPF_RSH | BPF_K, 5, 0, 0, 7},
    {BPF_STX | BPF_MEM | BPF_DW, 6, 0, 24, 0},  {BPF_ALU | BPF_XOR | BPF_X, 0, 2, 0, 0},
};

#define BLOCK (sizeof(block) / sizeof(block[0]))

static int straight(uint32_t nr, FILE *json)
{
    struct bpf_insn *insns = calloc(nr, sizeof(*insns));
    struct cost c;
    char name[32];
    int err;

    insns[0] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0};
    insns[1] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0};
    for (uint32_t n = 2; n + 1 < nr; n++)
        insns[n] = block[(n - 2) % BLOCK];
    insns[nr - 1] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
    snprintf(name, sizeof(name), "straight_%u", nr);
    err = measure_insns(name, insns, nr, &c);
    free(insns);
    if (err)
        return err;
    printf("%9u instructions %6.1f ns each ±%2.0f%% (Linux %s) %11lu bytes\n", nr, median(&c) / nr,
           spread(&c), LINUX_INSN, (unsigned long)c.cost.peak_bytes);
    write_json(json, name, &c, 0, 0);
    return 0;
}

/* ---- what Linux was measured with ------------------------------------------------------------ */

static void print(const char *name, const struct cost *c, double linux_us, unsigned linux_processed)
{
    printf("%-12s %9.1f us ±%2.0f%% (Linux %6.0f us, %5.0fx)  %6u processed", name,
           median(c) / 1000, spread(c), linux_us, linux_us * 1000 / median(c), c->cost.processed);
    if (linux_processed)
        printf(" (Linux %u)", linux_processed);
    printf("  peak %u states, %lu bytes\n", c->cost.peak_states, (unsigned long)c->cost.peak_bytes);
}

static int object(const char *folder, const char *name, double linux_us, unsigned linux_processed,
                  FILE *json)
{
    struct bpf_object *opened;
    struct ebpf_prog *prog;
    struct cost c;
    char path[512];
    int err = -1;

    snprintf(path, sizeof(path), "%s/%s.bpf.o", folder, name);
    prog = bench_open(path, &opened);
    if (prog) {
        struct bpf_insn *insns = bench_insns(prog);
        struct ebpf_prog_load load = {.type = prog->type,
                                      .name = name,
                                      .license = "GPL",
                                      .insns = insns,
                                      .nr_insns = prog->nr_insns,
                                      .maps = prog->maps,
                                      .nr_maps = prog->nr_maps,
                                      .btf = prog->btf};

        err = measure(&load, prog->decoded, &c);
        free(insns);
    }
    bpf_object__close(opened);
    if (err)
        return err;
    print(name, &c, linux_us, linux_processed);
    write_json(json, name, &c, linux_us, linux_processed);
    return 0;
}

static int loop(FILE *json)
{
    static const struct bpf_insn insns[] = {
        {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1},
        {BPF_JMP | BPF_JNE | BPF_K, 0, 0, -2, TRIPS},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    struct cost c;

    if (measure_insns("loop_190000", insns, sizeof(insns) / sizeof(insns[0]), &c))
        return -1;
    print("loop_190000", &c, LINUX_LOOP, 0);
    write_json(json, "loop_190000", &c, LINUX_LOOP, 0);
    return 0;
}

/* Prints the section and writes it to json. folder: of the objects. */
int bench_verifier(const char *folder, FILE *json)
{
    int err = 0;

    puts("verification:");
    for (uint32_t nr = 1000; nr <= 1000000 && !err; nr *= 10)
        err = straight(nr, json);
    if (!err)
        err = object(folder, "acl64", 74000, 45610, json);
    if (!err)
        err = object(folder, "switch64", 29000, 31735, json);
    if (!err)
        err = loop(json);
    putchar('\n');
    return err;
}
