/*
 * `make bench`, between its files: bench_main.c lists the programs and prints, bench_run.c runs one
 * of them natively and in the engines, bench_compile.c times compilation, bench_verifier.c
 * verification.
 */
#ifndef SKEP_TESTS_BENCH_MEASURE_H
#define SKEP_TESTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/bench/native.h"

#define SAMPLES 61u

enum bench_engine { NATIVE, JIT, INTERP, NR_ENGINES };

struct bpf_insn;
struct bpf_object;
struct ebpf_prog;

struct bench {
    const char *name;
    native_program native;
    double figures[6];              /* of other engines: see figures.def; all 0 for lack of them */
    double ns[NR_ENGINES][SAMPLES]; /* a run; sorted once measured */
    double median[NR_ENGINES];
    double ratio[NR_ENGINES]; /* to native, of samples side by side: the median */
    size_t code_size;
    double compile_ns;
    uint32_t nr_insns;
};

/* bench_run.c */
double now_ns(void);
int bench_one(struct bench *b, const char *folder);
struct ebpf_prog *bench_open(const char *path, struct bpf_object **object);
struct bpf_insn *bench_insns(const struct ebpf_prog *prog);
double bench_time_compile(struct ebpf_prog *prog, unsigned times);
/* bench_compile.c */
void bench_compile(FILE *json);
/* bench_verifier.c */
int bench_verifier(const char *folder, FILE *json);

#endif
