/*
 * `skep-vm bench OBJ`: a program of an object file in each engine, on the same packet or memory of
 * zeroes, alternating; medians.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#include "ebpf/engine.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define SAMPLES   21u
#define SAMPLE_NS 1000000u
#define INPUT     1500u /* bytes of packet, record or memory */

static int run(struct ebpf_prog *prog, enum ebpf_engine engine, uint32_t times, double *ns)
{
    static const uint8_t zeroes[INPUT];
    struct ebpf_test_run test = {.repeat = times};
    int err = ebpf_engine_prepare(prog, engine);

    vm_give_input(prog, zeroes, prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT ? 0 : sizeof(zeroes),
                  &test);
    if (!err)
        err = ebpf_prog_test_run(prog, &test);
    if (err)
        return vm_error("%s does not run (%s): %s", prog->name, vm_engine_name(engine),
                        prog->last_fault[0] ? prog->last_fault : vm_error_text(err));
    *ns = (double)test.total_ns / times;
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print(enum ebpf_engine engine, double samples[SAMPLES])
{
    qsort(samples, SAMPLES, sizeof(samples[0]), compare);
    printf("%-8s %10.1f ns a run (from %.1f to %.1f)\n", vm_engine_name(engine),
           samples[SAMPLES / 2], samples[0], samples[SAMPLES - 1]);
}

/* Times one engine, or (VM_ENGINE_DEFAULT) all that take the program, in turns. */
static int bench(struct ebpf_prog *prog, int only)
{
    double samples[VM_NR_ENGINES][SAMPLES], once = 0;
    uint32_t times[VM_NR_ENGINES] = {0}; /* 0: not this engine */
    int err = 0;

    for (int e = 0; e < VM_NR_ENGINES && !err; e++) {
        if (only == VM_ENGINE_DEFAULT ? vm_engine_set(prog, e) != 0 : only != e)
            continue;
        err = vm_engine_choose(prog, e) || run(prog, (enum ebpf_engine)e, 100, &once);
        times[e] = (uint32_t)(SAMPLE_NS / (once > 1 ? once : 1)) + 1;
    }
    for (unsigned s = 0; s < SAMPLES; s++)
        for (int e = 0; e < VM_NR_ENGINES && !err; e++)
            if (times[e])
                err = run(prog, (enum ebpf_engine)e, times[e], &samples[e][s]);
    for (int e = 0; e < VM_NR_ENGINES && !err; e++)
        if (times[e])
            print((enum ebpf_engine)e, samples[e]);
    return err;
}

/* 0, 2 for wrong usage, -1 after saying what is wrong. */
static int parse(int argc, char **argv, const char **name, int *engine)
{
    static const struct option longs[] = {{"engine", required_argument, NULL, 'e'},
                                          {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "s:", longs, NULL)) != -1) {
        if (c == 's')
            *name = optarg;
        else if (c == 'e' && vm_engine_parse(optarg, engine))
            return -1;
        else if (c == '?')
            return 2;
    }
    return optind + 1 == argc ? 0 : 2;
}

int bench_main(int argc, char **argv)
{
    struct bpf_object *object;
    struct bpf_program *program;
    const char *name = NULL;
    int engine = VM_ENGINE_DEFAULT, err = parse(argc, argv, &name, &engine);

    if (err == 2) {
        vm_error("bench takes one object file");
        fputs("usage: skep-vm bench OBJ [-s PROG] [--engine checked|interp|jit]\n", stderr);
    }
    if (err)
        return err == 2 ? 2 : 1;
    if (vm_start())
        return 1;
    object = vm_object_open(argv[optind]);
    program = object ? vm_object_choose(object, name) : NULL;
    err = program ? vm_object_load(object, program, VM_TYPE_OF_SECTION) : -1;
    if (!err)
        err = bench(vm_prog(bpf_program__fd(program)), engine);
    bpf_object__close(object);
    vm_stop();
    return err ? 1 : 0;
}
