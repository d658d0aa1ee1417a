/*
 * `make bench`: each program of tests/bench compiled for the host and run by Skep's JIT, in one
 * process, alternating, on the same packets; medians with their spread, the ratio to native beside
 * that of other engines (figures.def), code size, and what compiling cost. JSON goes to the file
 * named by the second argument.
 *
 *     skep-bench FOLDER-OF-OBJECTS JSON [PROGRAM]...
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/jit.h"
#include "ebpf/proof.h"
#include "ebpf/prog.h"
#include "tests/bench/native.h"
#include "tests/unit/naive_proof.h"
#include "user/vm/vm.h"

#define PACKET_SIZE 1500u
#define SAMPLES     61u
#define SAMPLE_NS   500000.0
#define RING_RUNS   10000u /* records that fit in the ring */
#define CHECK_RUNS  1000u
#define HASH_KEYS   10000u

#define FIGURE(program, scalar, kernel, ubpf, rbpf, slow, bytes)                                   \
    uint64_t program(struct native_ctx *ctx);
#include "tests/bench/figures.def"

enum { NATIVE, JIT, INTERP, NR_ENGINES };

static struct bench {
    const char *name;
    native_program native;
    double figures[6];
    bool in_geomean;
    double ns[NR_ENGINES][SAMPLES];
    double median[NR_ENGINES];
    size_t code_size;
    double compile_ns;
    uint32_t nr_insns;
} benches[] = {
#define FIGURE(program, scalar, kernel, ubpf, rbpf, slow, bytes)                                   \
    {.name = #program, .native = program, .figures = {scalar, kernel, ubpf, rbpf, slow, bytes}},
#include "tests/bench/figures.def"
};

#define NR_BENCHES (sizeof(benches) / sizeof(benches[0]))

static const char *const geomean_of[] = {
#define GEOMEAN(program) #program,
#include "tests/bench/figures.def"
};

static uint8_t packet[PACKET_SIZE + 64];
static struct bpf_map *map; /* the program's, if it has one */
static bool ring;

int vm_error(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return -1;
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* As the README of the programs describes it. */
static void make_packet(void)
{
    static const char *const paths[] = {
        "/etc/passwd",     "/usr/share/zoneinfo",
        "/proc/self/maps", "/home/user/.ssh/id_rsa",
        "/var/log/syslog", "/usr/lib/x86_64-linux-gnu/libc",
        "/tmp/nothing",    "/etc/shadow",
    };
    uint64_t state = 0x123456789abcdef;

    for (unsigned i = 0; i < PACKET_SIZE; i++)
        packet[i] = (uint8_t)(i * 131 + 7);
    packet[12] = 8;
    packet[13] = 0;
    packet[14] = 0x45;
    packet[23] = 17;
    memset(packet + 64, 0, 8 * 32);
    for (unsigned i = 0; i < 8; i++)
        memcpy(packet + 64 + 32 * i, paths[i], strlen(paths[i]));
    memcpy(packet + 1488, &state, sizeof(state));
}

static uint64_t packet_hash(void)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < PACKET_SIZE; i++)
        h = (h ^ packet[i]) * 0x100000001b3u;
    return h;
}

/* ---- running --------------------------------------------------------------------------------- */

static void drain_ring(void)
{
    uint8_t buffer[65536];
    uint64_t dropped;

    native_ring_drain();
    while (ebpf_ringbuf_read(vm_map(bpf_map__fd(map)), buffer, sizeof(buffer), &dropped) > 0)
        ;
}

static double run_native(const struct bench *b, uint32_t times)
{
    struct native_ctx ctx = {(uintptr_t)packet, (uintptr_t)packet + PACKET_SIZE};
    native_program volatile program = b->native;
    double start = now_ns();

    for (uint32_t n = 0; n < times; n++)
        program(&ctx);
    return now_ns() - start;
}

static double run_engine(struct ebpf_prog *prog, uint32_t times)
{
    struct ebpf_xdp xdp = {.data = packet, .data_end = packet + PACKET_SIZE, .data_meta = packet};
    uint64_t result, ns;

    if (ebpf_prog_run_repeated(prog, &xdp, sizeof(xdp), times, 0, &result, &ns))
        exit(vm_error("%s: %s", prog->name, prog->last_fault) ? 1 : 0);
    return (double)ns;
}

static double run_in(const struct bench *b, struct ebpf_prog *progs[NR_ENGINES], unsigned engine,
                     uint32_t times)
{
    double ns = 0;

    while (times) {
        uint32_t part = ring && times > RING_RUNS ? RING_RUNS : times;

        ns += engine == NATIVE ? run_native(b, part) : run_engine(progs[engine], part);
        times -= part;
        if (ring)
            drain_ring();
    }
    return ns;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *samples)
{
    qsort(samples, SAMPLES, sizeof(samples[0]), compare_doubles);
    return samples[SAMPLES / 2];
}

/* Same packet, same number of runs: what is in it afterwards must be the same. */
static int check(const struct bench *b, struct ebpf_prog *progs[NR_ENGINES])
{
    uint64_t hashes[NR_ENGINES];

    for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
        make_packet();
        run_in(b, progs, engine, CHECK_RUNS);
        hashes[engine] = packet_hash();
        if (hashes[engine] != hashes[NATIVE])
            return vm_error("%s: engine %u leaves another packet than native code", b->name,
                            engine);
        if (strcmp(b->name, "arr_lookup") == 0) /* its map keeps what a run left */
            break;
    }
    return 0;
}

static void measure(struct bench *b, struct ebpf_prog *progs[NR_ENGINES])
{
    uint32_t times[NR_ENGINES];

    for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
        double once = run_in(b, progs, engine, 1000) / 1000;

        times[engine] = (uint32_t)(SAMPLE_NS / (once > 0.5 ? once : 0.5)) + 1;
    }
    for (unsigned s = 0; s < SAMPLES; s++) {
        for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
            run_in(b, progs, engine, times[engine]); /* its own data into the caches again */
            b->ns[engine][s] = run_in(b, progs, engine, times[engine]) / times[engine];
        }
    }
    for (unsigned engine = 0; engine < NR_ENGINES; engine++)
        b->median[engine] = median(b->ns[engine]);
}

/* ---- one program ----------------------------------------------------------------------------- */

/* Both maps with the same entries. */
static void fill_maps(void)
{
    if (!map) {
        native_map(0, 0, 0, 0);
        return;
    }
    native_map(bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
               bpf_map__max_entries(map));
    if (bpf_map__type(map) != BPF_MAP_TYPE_HASH || bpf_map__max_entries(map) < HASH_KEYS)
        return;
    for (uint64_t key = 0; key < HASH_KEYS; key++) {
        uint64_t value = key * 3 + 1;

        native_map_update_elem(NULL, &key, &value, 0);
        bpf_map__update_elem(map, &key, sizeof(key), &value, sizeof(value), 0);
    }
}

static double time_compile(struct ebpf_prog *prog, unsigned times)
{
    double best = 1e18;

    for (unsigned n = 0; n < times; n++) {
        double start = now_ns(), took;

        ebpf_engine_prepare(prog, EBPF_JIT);
        took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

static struct ebpf_prog *load(const char *path, enum ebpf_engine engine, struct bpf_object **object)
{
    struct bpf_program *program;
    struct ebpf_prog *prog;

    *object = vm_object_open(path);
    program = *object ? vm_object_choose(*object, NULL) : NULL;
    if (!program || vm_object_load(*object, program, VM_TYPE_OF_SECTION))
        return NULL;
    prog = vm_prog(bpf_program__fd(program));
    if (!prog->proof) {
        prog->proof = naive_proof(prog);
        prog->proof->reads_unwritten_stack = false; /* clang initializes what it reads */
    }
    return ebpf_engine_prepare(prog, engine) ? NULL : prog;
}

static int bench_one(struct bench *b, const char *folder)
{
    struct bpf_object *objects[2] = {NULL, NULL};
    struct ebpf_prog *progs[NR_ENGINES] = {NULL};
    char path[512];
    int err;

    snprintf(path, sizeof(path), "%s/%s.bpf.o", folder, b->name);
    progs[JIT] = load(path, EBPF_JIT, &objects[0]);
    progs[INTERP] = progs[JIT] ? load(path, EBPF_INTERP, &objects[1]) : NULL;
    if (!progs[INTERP])
        return vm_error("%s does not load", path);
    map = bpf_object__next_map(objects[1], NULL);
    fill_maps();
    map = bpf_object__next_map(objects[0], NULL);
    fill_maps();
    ring = map && bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF;
    err = check(b, progs);
    if (!err) {
        b->nr_insns = progs[JIT]->nr_insns;
        b->compile_ns = time_compile(progs[JIT], 20);
        b->code_size = progs[JIT]->jit->size;
        measure(b, progs);
    }
    bpf_object__close(objects[0]);
    bpf_object__close(objects[1]);
    return err;
}

/* ---- compile time ---------------------------------------------------------------------------- */

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
        .type = EBPF_PROG_TYPE_MEM, .name = "long", .insns = insns, .nr_insns = nr};
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
    if (prog && !prog->proof)
        prog->proof = naive_proof(prog);
    return prog;
}

static void bench_compile(FILE *json)
{
    printf("compile time:");
    for (uint32_t nr = 1000; nr <= 1000000; nr *= 10) {
        struct ebpf_prog *prog = long_program(nr);
        double ns = prog ? time_compile(prog, 5) / nr : 0;

        printf("  %u instructions %.1f ns each", nr, ns);
        fprintf(json, "  {\"compile_instructions\": %u, \"ns_per_instruction\": %.1f}%s\n", nr, ns,
                nr == 1000000 ? "" : ",");
        if (prog)
            ebpf_prog_put(prog);
    }
    putchar('\n');
}

/* ---- results --------------------------------------------------------------------------------- */

static bool in_geomean(const struct bench *b)
{
    for (size_t n = 0; n < sizeof(geomean_of) / sizeof(geomean_of[0]); n++)
        if (strcmp(geomean_of[n], b->name) == 0)
            return true;
    return false;
}

/* Half of what lies between the quartiles, in percent of the median. */
static double spread(const struct bench *b, unsigned engine)
{
    return 50 * (b->ns[engine][SAMPLES * 3 / 4] - b->ns[engine][SAMPLES / 4]) / b->median[engine];
}

static void print_one(const struct bench *b)
{
    const double *f = b->figures;

    printf("%-12s %8.1f ±%2.0f%% %8.1f ±%2.0f%%  %5.2f | %5.2f %5.2f %5.2f | %6.1f %6.1f | %5zu "
           "%5.0f | "
           "%4.0f\n",
           b->name, b->median[NATIVE], spread(b, NATIVE), b->median[JIT], spread(b, JIT),
           b->median[JIT] / b->median[NATIVE], f[1] / f[0], f[2] / f[0], f[3] / f[0],
           b->median[INTERP] / b->median[NATIVE], f[4] / f[0], b->code_size, f[5],
           b->compile_ns / b->nr_insns);
}

static void write_json(FILE *out, const struct bench *b)
{
    fprintf(
        out,
        "  {\"program\": \"%s\", \"native_ns\": %.2f, \"jit_ns\": %.2f, \"interp_ns\": %.2f, "
        "\"ratio\": %.3f, \"linux_ratio\": %.3f, \"native_spread\": %.1f, \"jit_spread\": %.1f, "
        "\"code_bytes\": %zu, \"linux_code_bytes\": %.0f, \"compile_ns\": %.0f, "
        "\"instructions\": %u},\n",
        b->name, b->median[NATIVE], b->median[JIT], b->median[INTERP],
        b->median[JIT] / b->median[NATIVE], b->figures[1] / b->figures[0], spread(b, NATIVE),
        spread(b, JIT), b->code_size, b->figures[5], b->compile_ns, b->nr_insns);
}

static void print_totals(void)
{
    double ours = 0, theirs = 0, interp = 0, bytes = 0, their_bytes = 0;
    unsigned nr = 0;

    for (size_t n = 0; n < NR_BENCHES; n++) {
        const struct bench *b = &benches[n];

        if (!b->median[JIT])
            continue;
        bytes += (double)b->code_size;
        their_bytes += b->figures[5];
        if (!in_geomean(b))
            continue;
        ours += log(b->median[JIT] / b->median[NATIVE]);
        interp += log(b->median[INTERP] / b->median[NATIVE]);
        theirs += log(b->figures[1] / b->figures[0]);
        nr++;
    }
    if (nr)
        printf("geometric mean of %u: %.2f, interpreter %.1f (Linux %.2f); code %.0f bytes (Linux "
               "%.0f)\n",
               nr, exp(ours / nr), exp(interp / nr), exp(theirs / nr), bytes, their_bytes);
}

static bool wanted(const struct bench *b, int argc, char **argv)
{
    for (int n = 3; n < argc; n++)
        if (strcmp(argv[n], b->name) == 0)
            return true;
    return argc <= 3;
}

int main(int argc, char **argv)
{
    FILE *json;
    int err = 0;

    if (argc < 3) {
        fputs("usage: skep-bench FOLDER JSON [PROGRAM]...\n", stderr);
        return 2;
    }
    json = fopen(argv[2], "w");
    if (!json || vm_start())
        return 1;
    fputs("[\n", json);
    printf("%-12s %13s %14s %7s | %17s | %13s | %11s | %s\n", "", "native ns", "jit ns", "ratio",
           "Linux  ubpf  rbpf", "interp  ubpf's", "bytes Linux", "compile ns/insn");
    for (size_t n = 0; n < NR_BENCHES && !err; n++) {
        if (!wanted(&benches[n], argc, argv))
            continue;
        err = bench_one(&benches[n], argv[1]);
        if (!err) {
            print_one(&benches[n]);
            fflush(stdout);
            write_json(json, &benches[n]);
        }
    }
    bench_compile(json);
    fputs("]\n", json);
    fclose(json);
    if (!err)
        print_totals();
    vm_stop();
    return err ? 1 : 0;
}
