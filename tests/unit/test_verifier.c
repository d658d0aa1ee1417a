/*
 * Verdicts: every case of tests/data/verifier is accepted or rejected as it says, with the message
 * it says; what is accepted gives its result in every engine; and programs of tests/data that run
 * without fault are accepted, unless they say why not.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/data_case.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

#define MEMORY_LIMIT (1u << 24)
#define LOG_SIZE     16384u

static void set_up(void)
{
    cr_assert_eq(ebpf_init(MEMORY_LIMIT), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the verifier's memory leaked");
    leakcheck();
}

TestSuite(verifier, .init = set_up, .fini = tear_down);

/* A case, loaded but not verified. */
struct loaded {
    struct ebpf_map *maps[DATA_MAPS_MAX];
    char log_text[LOG_SIZE];
    struct ebpf_log log;
    struct ebpf_prog_load load;
    struct ebpf_prog *prog;
    int err;
};

static void load_case(const struct data_case *c, struct loaded *l)
{
    int nr_maps;

    memset(l, 0, sizeof(*l));
    nr_maps = data_make_maps(c->maps, l->maps);
    cr_assert_geq(nr_maps, 0, "%s: its maps cannot be made", c->name);
    l->log = (struct ebpf_log){.buf = l->log_text, .size = LOG_SIZE};
    data_load(c, l->maps, nr_maps, &l->log, &l->load);
    l->load.unverified = true;
    l->err = ebpf_prog_create(&l->load, &l->prog);
}

static int verify(struct loaded *l, uint32_t flags)
{
    struct ebpf_proof proof;
    int err;

    if (l->err)
        return l->err;
    err = ebpf_verify(&l->load, l->prog->decoded, flags, &proof);
    ebpf_proof_free(&proof);
    return err;
}

static void unload(struct loaded *l)
{
    data_remove_functions(&l->load);
    if (l->prog)
        ebpf_prog_put(l->prog);
    for (unsigned i = 0; i < DATA_MAPS_MAX; i++)
        ebpf_map_put(l->maps[i]);
}

static void check_case(const struct data_case *c)
{
    static struct loaded l;
    struct ebpf_verify_cost cost;
    char why[1024];
    int err;

    load_case(c, &l);
    err = verify(&l, 0);
    if (c->error) {
        cr_expect(err, "%s, %s (%s) was accepted", c->file, c->name, c->rule);
        cr_expect(!err || strstr(l.log_text, c->error), "%s, %s: log is\n%s", c->file, c->name,
                  l.log_text);
    } else {
        cr_expect(!err, "%s, %s (%s) was rejected:\n%s", c->file, c->name, c->rule, l.log_text);
    }
    ebpf_verify_get_cost(&cost);
    cr_expect(!c->processed || cost.processed <= c->processed,
              "%s, %s (%s): %u instructions processed, at most %u expected", c->file, c->name,
              c->rule, cost.processed, c->processed);
    unload(&l);
    if (!c->error)
        cr_expect_eq(data_run(c, why, sizeof(why)), 0, "%s, %s: %s", c->file, c->name, why);
}

Test(verifier, cases_have_their_verdicts)
{
    struct data_case *cases = data_read_all("tests/data/verifier");
    unsigned nr = 0;

    for (const struct data_case *c = cases; c; c = c->next, nr++)
        check_case(c);
    cr_expect_geq(nr, 90, "only %u cases", nr);
    data_free(cases);
}

/* Programs that fault and are accepted: what they do wrong is known at attach. */
static const char *const too_short[] = {"tracepoint_end", "tracepoint_over_end"};

Test(verifier, programs_that_run_are_accepted)
{
    static struct loaded l;
    struct data_case *cases = data_read_all("tests/data");

    for (const struct data_case *c = cases; c; c = c->next) {
        int err;

        if (!c->result || c->engines)
            continue;
        load_case(c, &l);
        err = verify(&l, 0);
        if (c->unverified)
            cr_expect(err, "%s is accepted now: it is not to be \"unverified\"", c->name);
        else
            cr_expect(!err, "%s, %s (%s) was rejected:\n%s", c->file, c->name, c->rule, l.log_text);
        unload(&l);
    }
    data_free(cases);
}

Test(verifier, programs_that_fault_are_rejected)
{
    static struct loaded l;
    struct data_case *cases = data_read_all("tests/data");

    for (const struct data_case *c = cases; c; c = c->next) {
        bool known_later = false;

        for (unsigned i = 0; i < ARRAY_LEN(too_short); i++)
            known_later |= strcmp(too_short[i], c->name) == 0;
        if (!c->fault || c->budget || known_later)
            continue;
        load_case(c, &l);
        cr_expect(verify(&l, 0), "%s, %s (%s) faults, and was accepted", c->file, c->name, c->rule);
        unload(&l);
    }
    data_free(cases);
}
