/*
 * One program of `make bench`: compiled for the host and run by Skep's engines, in one process,
 * alternating, on the same packets.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/jit.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "tests/bench/measure.h"
#include "user/vm/vm.h"

#define PACKET_SIZE 1500u
#define SAMPLE_NS   500000.0
#define RING_RUNS   10000u /* records that fit in the ring */
#define CHECK_RUNS  1000u
#define HASH_KEYS   10000u

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

double now_ns(void)
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
    }
    return 0;
}

static void measure(struct bench *b, struct ebpf_prog *progs[NR_ENGINES])
{
    double ratios[NR_ENGINES][SAMPLES];
    uint32_t times[NR_ENGINES];

    for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
        double once = run_in(b, progs, engine, 1000) / 1000;

        times[engine] = (uint32_t)(SAMPLE_NS / (once > 0.5 ? once : 0.5)) + 1;
    }
    for (unsigned s = 0; s < SAMPLES; s++) {
        for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
            run_in(b, progs, engine, times[engine]); /* its own data into the caches again */
            b->ns[engine][s] = run_in(b, progs, engine, times[engine]) / times[engine];
            ratios[engine][s] = b->ns[engine][s] / b->ns[NATIVE][s];
        }
    }
    for (unsigned engine = 0; engine < NR_ENGINES; engine++) {
        b->median[engine] = median(b->ns[engine]);
        b->ratio[engine] = median(ratios[engine]);
    }
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

/* The best of several, in nanoseconds. */
double bench_time_compile(struct ebpf_prog *prog, unsigned times)
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

/* The program's instructions as PROG_LOAD had them: maps by their place in prog->maps. */
struct bpf_insn *bench_insns(const struct ebpf_prog *prog)
{
    size_t size = prog->nr_insns * sizeof(prog->insns[0]);
    struct bpf_insn *insns = malloc(size);

    memcpy(insns, prog->insns, size);
    for (uint32_t pc = 0; pc + 1 < prog->nr_insns; pc++) {
        if (insns[pc].code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        for (uint32_t n = 0; n < prog->nr_maps; n++)
            if (prog->insns[pc].src_reg && prog->insns[pc].imm == (int)prog->maps[n]->object.id)
                insns[pc].imm = (int)n;
        pc++;
    }
    return insns;
}

/* The object's own map; what libbpf made for its global variables does not count. */
static struct bpf_map *map_of(struct bpf_object *object)
{
    struct bpf_map *m;

    bpf_object__for_each_map(m, object) if (!bpf_map__is_internal(m)) return m;
    return NULL;
}

/* The one program of an object file, loaded. NULL: there is a message. The caller closes *object in
 * any case. */
struct ebpf_prog *bench_open(const char *path, struct bpf_object **object)
{
    struct bpf_program *program;

    *object = vm_object_open(path);
    program = *object ? vm_object_choose(*object, NULL) : NULL;
    if (!program || vm_object_load(*object, program, VM_TYPE_OF_SECTION))
        return NULL;
    return vm_prog(bpf_program__fd(program));
}

static struct ebpf_prog *load(const char *path, enum ebpf_engine engine, struct bpf_object **object)
{
    struct ebpf_prog *prog = bench_open(path, object);

    return prog && ebpf_engine_prepare(prog, engine) == 0 ? prog : NULL;
}

int bench_one(struct bench *b, const char *folder)
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
    map = map_of(objects[1]);
    fill_maps();
    map = map_of(objects[0]);
    fill_maps();
    ring = map && bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF;
    err = check(b, progs);
    if (!err) {
        b->nr_insns = progs[JIT]->nr_insns;
        b->compile_ns = bench_time_compile(progs[JIT], 20);
        b->code_size = progs[JIT]->jit->size;
        measure(b, progs);
    }
    bpf_object__close(objects[0]);
    bpf_object__close(objects[1]);
    return err;
}
