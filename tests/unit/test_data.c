/*
 * Every case of tests/data: its program loads and gives what the case expects, or is refused or
 * stopped with the sentence that the case expects; and what disassembles it assembles back.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ebpf/disasm.h"
#include "ebpf/ebpf.h"
#include "tests/unit/data_case.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/asm.h"
#include "user/vm/host_port.h"

#define FOLDER       "tests/data"
#define MEMORY_LIMIT (1u << 24)
#define CASES_MAX    4096u

/* The files, a test each. */
#define FILES(F)                                                                                   \
    F(access)                                                                                      \
    F(alu32)                                                                                       \
    F(alu64)                                                                                       \
    F(atomic)                                                                                      \
    F(callback)                                                                                    \
    F(call)                                                                                        \
    F(context)                                                                                     \
    F(dynptr)                                                                                      \
    F(extend)                                                                                      \
    F(helper)                                                                                      \
    F(jump)                                                                                        \
    F(lock)                                                                                        \
    F(map_type)                                                                                    \
    F(memory)                                                                                      \
    F(packet)                                                                                      \
    F(refuse)                                                                                      \
    F(socket_filter)                                                                               \
    F(string)

static struct data_case *cases; /* all of them */

static void set_up(void)
{
    cases = data_read_all(FOLDER);
    cr_assert_eq(ebpf_init(MEMORY_LIMIT), 0);
}

static void tear_down(void)
{
    data_free(cases);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the engine's memory leaked");
    leakcheck();
}

TestSuite(data, .init = set_up, .fini = tear_down);

static void run_file(const char *name)
{
    char why[1024], path[64];
    unsigned nr = 0;

    snprintf(path, sizeof(path), FOLDER "/%s.data", name);
    for (const struct data_case *c = cases; c; c = c->next) {
        if (strcmp(c->file, path) != 0)
            continue;
        nr++;
        cr_expect_eq(data_run(c, why, sizeof(why)), 0, "%s, %s (%s): %s", c->file, c->name, c->rule,
                     why);
    }
    cr_assert_gt(nr, 0, "%s has no cases", path);
}

#define RUN_FILE(name)                                                                             \
    Test(data, name)                                                                               \
    {                                                                                              \
        run_file(#name);                                                                           \
    }
FILES(RUN_FILE)

/* Cases in assembler text are whole instructions; raw ones may be none at all. */
static void round_trip(const struct data_case *c)
{
    char text[DISASM_MAX], err[160];
    struct bpf_insn again[4];
    unsigned slots;

    for (unsigned i = 0; i < c->nr_insns; i += slots) {
        slots = ebpf_disasm(&c->insns[i], c->nr_insns - i, text, sizeof(text));
        int n = asm_assemble(text, again, 4, err, sizeof(err));

        cr_expect_eq(n, (int)slots, "%s: \"%s\": %s", c->name, text, n < 0 ? err : "other size");
        cr_expect(n != (int)slots || memcmp(again, &c->insns[i], slots * sizeof(again[0])) == 0,
                  "%s: \"%s\" assembles to something else", c->name, text);
    }
}

Test(data, disassembly_assembles_back)
{
    unsigned nr = 0;

    for (const struct data_case *c = cases; c; c = c->next) {
        if (!c->raw) {
            round_trip(c);
            nr++;
        }
    }
    cr_assert_gt(nr, 150);
}

Test(data, names_are_unique)
{
    for (const struct data_case *a = cases; a; a = a->next)
        for (const struct data_case *b = a->next; b; b = b->next)
            cr_expect_str_neq(a->name, b->name);
}

/* A file that no test above runs would look like one that passed. */
Test(data, every_file_is_run)
{
    const char *last = "";
    unsigned files = 0, run = 0;

#define COUNT(name) run++;
    FILES(COUNT)
    for (const struct data_case *c = cases; c; last = c->file, c = c->next)
        files += strcmp(last, c->file) != 0;
    cr_assert_eq(files, run);
}
