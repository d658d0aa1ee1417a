/*
 * The meta-test: a planted leak, heap overflow and signed overflow each make a suite fail, and
 * a clean test in the same binary passes. UNIT_DIR is set by scripts/run-unit.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "tests/unit/leakcheck.h"

TestSuite(sanitizers, .fini = leakcheck);

/* Exit status of the planted test called name; its output, which shows a failure, is dropped.
 * BXFI_MAP would make Criterion take the new process for a worker of this one. */
static int run_planted(const char *name)
{
    const char *dir = getenv("UNIT_DIR");
    char command[512];

    cr_assert_not_null(dir, "UNIT_DIR is not set: run through `make unit`");
    snprintf(command, sizeof(command),
             "env -u BXFI_MAP '%s/planted' --filter 'planted/%s' >/dev/null 2>&1", dir, name);
    int status = system(command);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(sanitizers, clean_test_passes)
{
    cr_assert_eq(run_planted("clean"), 0);
}

Test(sanitizers, leak_fails)
{
    cr_assert_eq(run_planted("leak"), 1);
}

Test(sanitizers, heap_overflow_fails)
{
    cr_assert_eq(run_planted("heap_overflow"), 1);
}

Test(sanitizers, signed_overflow_fails)
{
    cr_assert_eq(run_planted("signed_overflow"), 1);
}
