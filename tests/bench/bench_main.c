/*
 * `make bench`: what each program of tests/bench takes compiled for the host and in Skep's engines,
 * beside what other engines take (figures.def); then programs of the same kind that nobody else was
 * measured with. Medians with their spread, the median of the ratios of runs side by side, code
 * size, and what compiling cost. JSON goes to the file named by the second argument.
 *
 *     skep-bench FOLDER-OF-OBJECTS JSON [PROGRAM]...
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/measure.h"
#include "user/vm/vm.h"

#define FIGURE(program, scalar, kernel, ubpf, rbpf, slow, bytes)                                   \
    uint64_t program(struct native_ctx *ctx);
#define MORE(program) uint64_t program(struct native_ctx *ctx);
#include "tests/bench/figures.def"

static struct bench benches[] = {
#define FIGURE(program, scalar, kernel, ubpf, rbpf, slow, bytes)                                   \
    {.name = #program, .native = program, .figures = {scalar, kernel, ubpf, rbpf, slow, bytes}},
#define MORE(program) {.name = #program, .native = program},
#include "tests/bench/figures.def"
};

#define NR_BENCHES (sizeof(benches) / sizeof(benches[0]))

static const char *const geomean_of[] = {
#define GEOMEAN(program) #program,
#include "tests/bench/figures.def"
};

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

/* Was it measured in other engines? */
static bool has_figures(const struct bench *b)
{
    return b->figures[0] > 0;
}

static void print_head(bool figures)
{
    printf("%-12s %13s %14s %7s | ", "", "native ns", "jit ns", "ratio");
    if (figures)
        printf("%17s | %14s | %13s | %s\n", "Linux  ubpf  rbpf", "interp  ubpf's", "bytes  Linux's",
               "compile ns/insn");
    else
        printf("%6s | %6s | %s\n", "interp", "bytes", "compile ns/insn");
}

static void print_one(const struct bench *b)
{
    const double *f = b->figures;

    printf("%-12s %8.1f ±%2.0f%% %8.1f ±%2.0f%%  %6.2f | ", b->name, b->median[NATIVE],
           spread(b, NATIVE), b->median[JIT], spread(b, JIT), b->ratio[JIT]);
    if (has_figures(b))
        printf("%5.2f %5.2f %5.2f | %6.1f %7.1f | %5zu %8.0f | ", f[1] / f[0], f[2] / f[0],
               f[3] / f[0], b->ratio[INTERP], f[4] / f[0], b->code_size, f[5]);
    else
        printf("%6.1f | %6zu | ", b->ratio[INTERP], b->code_size);
    printf("%4.0f\n", b->compile_ns / b->nr_insns);
}

static void write_json(FILE *out, const struct bench *b)
{
    fprintf(
        out,
        "  {\"program\": \"%s\", \"native_ns\": %.2f, \"jit_ns\": %.2f, \"interp_ns\": %.2f, "
        "\"ratio\": %.3f, \"linux_ratio\": %.3f, \"native_spread\": %.1f, \"jit_spread\": %.1f, "
        "\"code_bytes\": %zu, \"linux_code_bytes\": %.0f, \"compile_ns\": %.0f, "
        "\"instructions\": %u},\n",
        b->name, b->median[NATIVE], b->median[JIT], b->median[INTERP], b->ratio[JIT],
        has_figures(b) ? b->figures[1] / b->figures[0] : 0, spread(b, NATIVE), spread(b, JIT),
        b->code_size, b->figures[5], b->compile_ns, b->nr_insns);
}

/* Geometric means: of those that count for it, beside Linux; of the others without figures. */
static void print_totals(bool figures)
{
    double ours = 0, theirs = 0, interp = 0, bytes = 0, their_bytes = 0;
    unsigned nr = 0;

    for (size_t n = 0; n < NR_BENCHES; n++) {
        const struct bench *b = &benches[n];

        if (!b->median[JIT] || has_figures(b) != figures)
            continue;
        bytes += (double)b->code_size;
        their_bytes += b->figures[5];
        if (figures && !in_geomean(b))
            continue;
        ours += log(b->ratio[JIT]);
        interp += log(b->ratio[INTERP]);
        theirs += figures ? log(b->figures[1] / b->figures[0]) : 0;
        nr++;
    }
    if (!nr)
        return;
    printf("geometric mean of %u: %.2f, interpreter %.1f", nr, exp(ours / nr), exp(interp / nr));
    if (figures)
        printf(" (Linux %.2f); code %.0f bytes (Linux %.0f)", exp(theirs / nr), bytes, their_bytes);
    printf("\n\n");
}

static bool wanted(const struct bench *b, int argc, char **argv)
{
    for (int n = 3; n < argc; n++)
        if (strcmp(argv[n], b->name) == 0)
            return true;
    return argc <= 3;
}

static int bench_set(bool figures, int argc, char **argv, FILE *json)
{
    int err = 0;

    print_head(figures);
    for (size_t n = 0; n < NR_BENCHES; n++) {
        struct bench *b = &benches[n];

        if (has_figures(b) != figures || !wanted(b, argc, argv))
            continue;
        if (bench_one(b, argv[1])) {
            err = -1;
            continue;
        }
        print_one(b);
        fflush(stdout);
        write_json(json, b);
    }
    print_totals(figures);
    return err;
}

int main(int argc, char **argv)
{
    FILE *json;
    int err;

    if (argc < 3) {
        fputs("usage: skep-bench FOLDER JSON [PROGRAM]...\n", stderr);
        return 2;
    }
    json = fopen(argv[2], "w");
    if (!json || vm_start())
        return 1;
    fputs("[\n", json);
    err = bench_set(true, argc, argv, json);
    if (!err)
        err = bench_set(false, argc, argv, json);
    if (!err)
        err = bench_verifier(argv[1], json);
    bench_compile(json);
    fputs("]\n", json);
    fclose(json);
    vm_stop();
    return err ? 1 : 0;
}
