/*
 * What the suites about tracing share: memory for the kernel's heap, and stand-ins for the engine
 * that note which link ran on which context.
 */
#ifndef SKEP_TESTS_TRACE_TEST_H
#define SKEP_TESTS_TRACE_TEST_H

#include <stdint.h>

/* A link whose program does what the test says. */
struct ebpf_link {
    uint64_t (*run)(struct ebpf_link *link, void *ctx);
    unsigned runs;
    void *last_ctx;
    uint8_t bytes[128]; /* the start of the last context */
};

/* Gives the page allocator memory and registers the tracepoints. Once a test (a process of its own
 * under Criterion). */
void trace_test_init(void);

#endif
