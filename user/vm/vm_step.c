/*
 * `skep-vm step OBJ`: a run of a program, instruction by instruction: the line of C, the bytecode,
 * the machine code, and beside them registers and stack before it executes. On a terminal by keys,
 * else as text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/engine.h"
#include "ebpf/jit.h"
#include "ebpf/lower.h"
#include "ebpf/port.h"
#include "user/vm/step.h"
#include "user/vm/vm.h"

#define LEFT_WIDTH 56

struct options {
    struct target target;
    int engine;
    uint32_t from, to; /* steps, from 1; 0: all */
};

static int usage(void)
{
    fputs(
        "usage: skep-vm step " TARGET_USAGE "\n"
        "                    [--engine checked|interp|jit] [--steps A..B]\n"
        "  --engine E     whose registers to show; checked unless said\n"
        "  --steps A..B   print these steps as text, as is done with all when standard output is\n"
        "                 no terminal\n",
        stderr);
    return 2;
}

static int parse_steps(struct options *o, const char *text)
{
    char *end;

    o->from = o->to = (uint32_t)strtoul(text, &end, 10);
    if (end != text && strncmp(end, "..", 2) == 0) {
        text = end + 2;
        o->to = (uint32_t)strtoul(text, &end, 10);
    }
    if (end == text || *end || o->from == 0 || o->to < o->from)
        return vm_error("--steps takes a step or two, A..B, counted from 1");
    return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {TARGET_LONG,
                                          {"engine", required_argument, NULL, 'e'},
                                          {"steps", required_argument, NULL, 'n'},
                                          {NULL, 0, NULL, 0}};
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, TARGET_SHORT, longs, NULL)) != -1) {
        if (c == 'e')
            err = vm_engine_parse(optarg, &o->engine);
        else if (c == 'n')
            err = parse_steps(o, optarg);
        else
            err = target_option(&o->target, c, optarg);
    }
    if (!err && optind + !o->target.hex != argc) {
        vm_error("step takes one object file, or --hex and none");
        err = 2;
    }
    o->target.path = o->target.hex ? NULL : argv[optind];
    if (!err)
        err = vm_engine_check(o->engine, o->target.unverified);
    return err == 2 ? usage() : err;
}

/* ---- text ----------------------------------------------------------------------------------- */

/* What is to be said of the instruction: its line of C, itself, its machine code. */
static unsigned instruction_lines(const struct step *s, const char *lines[], unsigned room)
{
    const struct moment *m = step_moment(s);
    const struct listing *l = &s->listings[m->prog];
    uint32_t at = listing_find(l, m->slot);
    unsigned nr = 0;

    do
        lines[nr++] = l->lines[at++].text;
    while (nr < room && at < l->nr && l->lines[at].kind == LISTING_X86);
    return nr;
}

static void print_step(const struct step *s)
{
    const struct moment *m = step_moment(s);
    const char *line = target_line(s->target, m->prog, m->slot), *left[STEP_LINES];
    char title[128], right[STEP_LINES][STEP_WIDTH];
    unsigned nr_left = instruction_lines(s, left, STEP_LINES), nr_right = step_state(s, right);

    step_title(s, title, sizeof(title));
    printf("%s\n", title);
    if (line)
        printf("; %s\n", line);
    for (unsigned n = 0; n < nr_left || n < nr_right; n++) {
        const char *text = n < nr_left ? left[n] : "";

        if (n < nr_right)
            printf("%-*.*s %s\n", LEFT_WIDTH, LEFT_WIDTH, text, right[n]);
        else
            printf("%s\n", text);
    }
    printf("\n");
}

static void print_steps(struct step *s, uint32_t from, uint32_t to)
{
    char end[320];

    for (uint32_t n = from; n <= to && n <= s->run->nr_moments; n++) {
        step_go(s, n - 1);
        print_step(s);
    }
    if (to >= s->run->nr_moments) {
        step_end(s, end, sizeof(end));
        printf("%s\n", end);
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

/* The listing shows the machine code that the program has where nobody watches. */
static int make_listing(const struct target *t, struct listing *l)
{
    struct ebpf_prog *prog = t->watched.progs[0];
    struct ebpf_lowered *low = NULL;
    struct ebpf_jit *jit = NULL;
    int err = prog->proof ? ebpf_lower(prog, prog->proof, LOWER_ALL, &low) : 0;

    if (!err && low)
        err = ebpf_jit_compile(prog, low, port_cpu_features(), &jit);
    if (err)
        vm_error("program %s has no machine code: %s", prog->name, vm_error_text(err));
    else
        err = listing_make(l, t->btf, prog, jit);
    ebpf_jit_free(jit);
    ebpf_lower_free(low);
    return err;
}

static int show(const struct options *o, struct step *s)
{
    char end[320];

    if (s->run->nr_moments == 0) {
        step_end(s, end, sizeof(end));
        return vm_error("the program executes no instruction: %s", end);
    }
    step_go(s, 0);
    if (!o->from && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return step_screen(s);
    if (o->from > s->run->nr_moments)
        return vm_error("there is no step %u, the run has %u", o->from, s->run->nr_moments);
    print_steps(s, o->from ? o->from : 1, o->from ? o->to : UINT32_MAX);
    return 0;
}

static int step(const struct options *o)
{
    static struct step s;
    struct observed *run = NULL;
    int err = make_listing(&o->target, &s.listings[0]);

    s.target = &o->target;
    if (!err && o->engine != EBPF_CHECKED && !o->target.watched.progs[0]->proof)
        err = vm_error("engine %s takes verified programs only",
                       vm_engine_name((enum ebpf_engine)o->engine));
    if (!err)
        run = observe_run(&o->target.watched, (enum ebpf_engine)o->engine);
    s.run = run;
    err = run ? show(o, &s) : -1;
    observe_free(run);
    listing_free(&s.listings[0]);
    return err;
}

int step_main(int argc, char **argv)
{
    struct options o = {.target = {.type = VM_TYPE_OF_SECTION}, .engine = EBPF_CHECKED};
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    if (vm_start())
        return 1;
    err = target_load(&o.target, LOWER_ALL);
    if (!err)
        err = step(&o);
    target_close(&o.target);
    vm_stop();
    return err ? 1 : 0;
}
