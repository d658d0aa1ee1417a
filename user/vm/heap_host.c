/*
 * The kernel heap over the C library's, so that the sanitizers watch every block. For unit tests
 * of what uses the heap; the heap itself is tested as it is.
 */
#include <stdint.h>
#include <stdlib.h>

#include "kernel/heap.h"
#include "user/vm/kernel_host.h"

unsigned host_heap_fail_in;

/* True when this allocation is the one that host_heap_fail_in counts down to. */
static bool must_fail(void)
{
    return host_heap_fail_in && --host_heap_fail_in == 0;
}

void *kmalloc(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *kzalloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size ? size : 1);
}

void *krealloc(void *block, size_t size)
{
    return must_fail() ? NULL : realloc(block, size ? size : 1);
}

void kfree(void *block)
{
    free(block);
}
