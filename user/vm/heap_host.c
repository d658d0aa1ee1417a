/*
 * The kernel heap over the C library's, so that the sanitizers watch every block. For unit tests
 * of what uses the heap; the heap itself is tested as it is.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "kernel/heap.h"
#include "user/vm/kernel_host.h"

unsigned host_heap_fail_in;

static uint64_t allocations, failures;

/* True when this allocation is the one that host_heap_fail_in counts down to. */
static bool must_fail(void)
{
    return host_heap_fail_in && --host_heap_fail_in == 0;
}

static void *count(void *block)
{
    allocations += block != NULL;
    failures += block == NULL;
    return block;
}

void *kmalloc(size_t size)
{
    return count(must_fail() ? NULL : malloc(size ? size : 1));
}

void *kzalloc(size_t size)
{
    return count(must_fail() ? NULL : calloc(1, size ? size : 1));
}

void *krealloc(void *block, size_t size)
{
    void *moved = count(must_fail() ? NULL : realloc(block, size ? size : 1));

    allocations -= block && moved;
    return moved;
}

void kfree(void *block)
{
    allocations -= block != NULL;
    free(block);
}

/* Bytes are those of the whole process. */
void heap_get_stats(struct heap_stats *out)
{
    *out = (struct heap_stats){
        .allocated_bytes = mallinfo2().uordblks, .allocations = allocations, .failures = failures};
}
