/*
 * Bugs on purpose. test_sanitizers.c runs each test here by name and asserts that it fails,
 * and that `clean` passes: without that, a sanitizer that is silently off would look like a
 * tree without bugs. Not part of `make unit`'s own count.
 */
#include <limits.h>
#include <stdlib.h>

#include "tests/unit/leakcheck.h"

TestSuite(planted, .fini = leakcheck);

/* Keeps the compiler from seeing, and removing, the bugs. */
static void *volatile sink;

Test(planted, clean)
{
    sink = malloc(16);
    free(sink);
    sink = NULL;
}

Test(planted, leak)
{
    sink = malloc(16);
    sink = NULL;
}

Test(planted, heap_overflow)
{
    volatile size_t index = 16;
    char *block = malloc(16);
    sink = block;
    block[index] = 1;
    free(block);
}

Test(planted, signed_overflow)
{
    volatile int value = INT_MAX;
    value = value + 1;
}
