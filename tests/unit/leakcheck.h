/*
 * Every suite ends each of its tests with the leak check: Criterion by itself passes a test
 * whose leaks LeakSanitizer reports. Use:
 *     TestSuite(heap, .init = set_up, .fini = leakcheck);
 * A fini of the suite's own frees what init made and then calls leakcheck().
 */
#ifndef SKEP_TESTS_LEAKCHECK_H
#define SKEP_TESTS_LEAKCHECK_H

#include <criterion/criterion.h>

void leakcheck(void);

#endif
