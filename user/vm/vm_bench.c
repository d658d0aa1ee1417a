/*
 * `skep-vm bench OBJ`: a program of an object file in each engine, on the same packet or memory of
 * zeroes, alternating; medians.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "ebpf/engine.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define SAMPLES   21u
#define SAMPLE_NS 1000000u
#define INPUT     1500u /* bytes of packet, record or memory */

static const char *const names[] = {"checked", "interp", "jit"};

#define NR_ENGINES (sizeof(names) / sizeof(names[0]))

static int run(struct ebpf_prog *prog, enum ebpf_engine engine, uint32_t times, double *ns)
{
    static const uint8_t zeroes[INPUT];
    bool record =
        prog->type == BPF_PROG_TYPE_TRACEPOINT || prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT;
    struct ebpf_test_run test = {.repeat = times};
    int err = ebpf_engine_prepare(prog, engine);

    if (record && prog->type == BPF_PROG_TYPE_TRACEPOINT) {
        test.ctx_in = zeroes;
        test.ctx_size_in = sizeof(zeroes);
    } else if (!record) {
        test.data_in = zeroes;
        test.data_size_in = sizeof(zeroes);
    }
    if (!err)
        err = ebpf_prog_test_run(prog, &test);
    if (err)
        return vm_error("%s does not run (%s): %s", prog->name, names[engine],
                        prog->last_fault[0] ? prog->last_fault : strerror(-err));
    *ns = (double)test.total_ns / times;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int bench(struct ebpf_prog *prog)
{
    double samples[NR_ENGINES][SAMPLES], once = 0;
    uint32_t times[NR_ENGINES];
    unsigned engines = prog->proof ? NR_ENGINES : 1;
    int err = 0;

    for (unsigned e = 0; e < engines && !err; e++) {
        err = run(prog, (enum ebpf_engine)e, 100, &once);
        times[e] = (uint32_t)(SAMPLE_NS / (once > 1 ? once : 1)) + 1;
    }
    for (unsigned s = 0; s < SAMPLES; s++)
        for (unsigned e = 0; e < engines && !err; e++)
            err = run(prog, (enum ebpf_engine)e, times[e], &samples[e][s]);
    for (unsigned e = 0; e < engines && !err; e++) {
        qsort(samples[e], SAMPLES, sizeof(samples[e][0]), compare);
        printf("%-8s %10.1f ns a run (from %.1f to %.1f)\n", names[e], samples[e][SAMPLES / 2],
               samples[e][0], samples[e][SAMPLES - 1]);
    }
    return err;
}

int bench_main(int argc, char **argv)
{
    struct bpf_object *object;
    struct bpf_program *program;
    int err;

    if (argc != 2 && !(argc == 4 && strcmp(argv[2], "-s") == 0)) {
        fputs("usage: skep-vm bench OBJ [-s PROG]\n", stderr);
        return 2;
    }
    if (vm_start())
        return 1;
    object = vm_object_open(argv[1]);
    program = object ? vm_object_choose(object, argc == 4 ? argv[3] : NULL) : NULL;
    err = program ? vm_object_load(object, program, VM_TYPE_OF_SECTION) : -1;
    if (!err)
        err = bench(vm_prog(bpf_program__fd(program)));
    bpf_object__close(object);
    vm_stop();
    return err ? 1 : 0;
}
