/*
 * The leak check, linked into every suite. Criterion prints an assertion that fails in a suite's
 * fini but does not count it, since the test's own body has been judged by then; the two report
 * hooks below, which run in the parent process, count it.
 */
#include <criterion/hooks.h>
#include <sanitizer/lsan_interface.h>

#include "tests/unit/leakcheck.h"

static size_t leaks;

void leakcheck(void)
{
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "memory leaked (report above)");
}

ReportHook(ASSERT)(struct criterion_assert_stats *assertion)
{
    if (!assertion->passed && strcmp(assertion->file, __FILE__) == 0)
        leaks++;
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    stats->tests_failed += leaks;
    stats->tests_passed -= leaks < stats->tests_passed ? leaks : stats->tests_passed;
}
