/*
 * Random programs (tests/fuzz/generate.h): what is valid is accepted; what is accepted, valid or
 * not, runs without a fault and with nothing in its registers that the verifier did not foresee;
 * and all engines make the same of it. `make test-long` runs many more. A program that
 * fails is printed with its seed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>

#include "ebpf/disasm.h"
#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/fuzz/trial.h"
#include "tests/unit/embed.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

#define PROGRAMS_DEFAULT 2000u /* RANDOM_PROGRAMS sets another number */
#define INPUTS           3u
#define EMBED_EVERY      4u
#define EMBED_STATES     4000u  /* a program with more would take too long to look at */
#define SOUND_BUDGET     20000u /* instructions; a changed program may loop for long */
#define MUTATED_SEED     0x6d757461746564u

static uint64_t seed; /* of the program under way */

/* A crash in machine code names the program too. */
static void say_seed(void)
{
    fprintf(stderr, "random: program %lu was under way\n", (unsigned long)seed);
}

static void set_up(void)
{
    __sanitizer_set_death_callback(say_seed);
    cr_assert_eq(ebpf_init(1u << 24), 0);
}

static void tear_down(void)
{
    embed_end();
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the engine's memory leaked");
    leakcheck();
}

TestSuite(random, .init = set_up, .fini = tear_down, .timeout = 0);

static uint64_t programs(void)
{
    const char *number = getenv("RANDOM_PROGRAMS");

    return number ? strtoull(number, NULL, 10) : PROGRAMS_DEFAULT;
}

static void print(const struct generated *p)
{
    char text[DISASM_MAX];

    for (uint32_t pc = 0, n; pc < p->nr_insns; pc += n) {
        n = ebpf_disasm(&p->insns[pc], p->nr_insns - pc, text, sizeof(text));
        fprintf(stderr, "%4u: %s\n", pc, text);
    }
}

/* All inputs, one after the other, on maps that are empty at first. */
static void run_all(struct trial *t, struct trial_result results[INPUTS], uint64_t *maps)
{
    uint8_t data[GENERATE_INPUT_MAX];

    trial_clear_maps(t);
    for (unsigned i = 0; i < INPUTS; i++)
        trial_run(t, data, generate_input(seed * INPUTS + i, data), &results[i]);
    *maps = trial_maps_digest(t);
}

/* ---- engines -------------------------------------------------------------------------------- */

static bool engine_agrees(struct trial *t, enum ebpf_engine engine,
                          const struct trial_result expected[INPUTS], uint64_t maps)
{
    struct trial_result results[INPUTS];
    uint64_t its_maps;
    char why[128];

    cr_assert_eq(ebpf_engine_prepare(t->prog, engine), 0);
    run_all(t, results, &its_maps);
    for (unsigned i = 0; i < INPUTS; i++) {
        if (!trial_same(&expected[i], &results[i], why, sizeof(why))) {
            fprintf(stderr, "input %u, checked and engine %d: %s\n", i, engine, why);
            return false;
        }
    }
    if (maps != its_maps)
        fprintf(stderr, "checked and engine %d leave different maps\n", engine);
    return maps == its_maps;
}

/* Runs an accepted program everywhere. False: said why. */
static bool agree(struct trial *t)
{
    struct trial_result expected[INPUTS];
    uint64_t maps;

    ebpf_engine_release(t->prog);
    run_all(t, expected, &maps);
    for (unsigned i = 0; i < INPUTS; i++) {
        if (expected[i].err) {
            fprintf(stderr, "accepted, but: %s\n", t->prog->last_fault);
            return false;
        }
    }
    return engine_agrees(t, EBPF_INTERP, expected, maps) &&
           engine_agrees(t, EBPF_JIT, expected, maps);
}

/* One part of the programs; two parts run at a time. */
static void engines(uint64_t first, uint64_t nr)
{
    static struct generated program;
    struct trial t;
    uint64_t refused = 0;

    for (seed = first; seed < first + nr; seed++) {
        bool good = true;

        generate_program(seed, &program);
        if (trial_load(&t, &program) == 0)
            good = agree(&t);
        else if (refused++ == 0)
            fprintf(stderr, "program %lu is refused: %s\n", (unsigned long)seed, t.log);
        trial_unload(&t);
        if (!good)
            print(&program);
        cr_assert(good, "program %lu", (unsigned long)seed);
    }
    fprintf(stderr, "%lu of %lu valid programs are refused\n", (unsigned long)refused,
            (unsigned long)nr);
    cr_assert_leq(refused, nr / 20, "more than 5 %% of what is valid is refused");
}

Test(random, engines_agree_on_valid_programs)
{
    engines(0, programs() / 2);
}

Test(random, engines_agree_on_other_valid_programs)
{
    engines(1u << 30, programs() - programs() / 2);
}

/* ---- soundness ------------------------------------------------------------------------------ */

/* Verified once more, exactly, with each state kept; what ran before is run again. */
static const char *embedded(struct trial *t)
{
    struct ebpf_prog_load load = {.type = t->prog->type,
                                  .insns = t->program->insns,
                                  .nr_insns = t->program->nr_insns,
                                  .maps = t->maps,
                                  .nr_maps = t->program->nr_maps,
                                  .watch = &embed_watch};
    struct trial_result results[INPUTS];
    struct ebpf_proof proof;
    uint64_t maps;

    if (t->prog->proof->processed > EMBED_STATES / 4)
        return "";
    embed_record();
    if (ebpf_verify(&load, t->prog->decoded, EBPF_VERIFY_EXACT, &proof) == 0 &&
        proof.processed <= EMBED_STATES) {
        embed_check(t->prog);
        run_all(t, results, &maps);
    }
    ebpf_proof_free(&proof);
    return embed_end();
}

/* Whatever is accepted runs in the checked interpreter without a fault. */
static bool sound(struct trial *t)
{
    struct trial_result results[INPUTS];
    const char *failure = "";
    uint64_t maps;

    ebpf_engine_release(t->prog);
    t->prog->budget = SOUND_BUDGET;
    run_all(t, results, &maps);
    for (unsigned i = 0; i < INPUTS; i++) {
        if (results[i].err == -EFAULT) {
            fprintf(stderr, "accepted, but: %s\n", t->prog->last_fault);
            return false;
        }
    }
    if (seed % EMBED_EVERY == 0)
        failure = embedded(t);
    if (failure[0])
        fprintf(stderr, "%s\n", failure);
    return !failure[0];
}

static void soundness(uint64_t first, uint64_t nr)
{
    static struct generated program;
    struct trial t;
    uint64_t accepted = 0;

    for (seed = first; seed < first + nr; seed++) {
        unsigned changes = (unsigned)(seed % 4); /* 0: a valid one */
        bool good = true;

        generate_program(seed ^ MUTATED_SEED, &program);
        generate_mutate(seed, changes, &program);
        if (trial_load(&t, &program) == 0) {
            accepted++;
            good = sound(&t);
        }
        trial_unload(&t);
        if (!good)
            print(&program);
        cr_assert(good, "program %lu with %u changes", (unsigned long)seed, changes);
    }
    fprintf(stderr, "%lu of %lu programs, most of them changed, are accepted\n",
            (unsigned long)accepted, (unsigned long)nr);
    cr_assert_gt(accepted, nr / 4);
    cr_assert_lt(accepted, nr);
    cr_assert_gt(embed_steps(), nr);
}

Test(random, what_is_accepted_runs_without_fault)
{
    soundness(1u << 30, programs() / 2);
}

/* A seed is a program, always. */
Test(random, a_seed_gives_the_same_program)
{
    static struct generated a, b;

    for (uint64_t n = 0; n < 100; n++) {
        generate_program(n, &a);
        generate_program(n, &b);
        cr_assert_arr_eq((uint8_t *)&a, (uint8_t *)&b, sizeof(a));
        generate_mutate(n, 3, &a);
        generate_mutate(n, 3, &b);
        cr_assert_arr_eq((uint8_t *)&a, (uint8_t *)&b, sizeof(a));
    }
}
