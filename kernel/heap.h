/*
 * The kernel heap: size classes in slabs of pages; large blocks come straight from the page
 * allocator. Any context (interrupts are held off inside). Every block is aligned to 16 bytes.
 */
#ifndef SKEP_KERNEL_HEAP_H
#define SKEP_KERNEL_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_stats {
    uint64_t allocated_bytes; /* as requested, rounded to their class */
    uint64_t allocations;     /* live */
    uint64_t failures;
};

/* NULL when out of memory. kmalloc(0) gives a block that may be freed. */
void *kmalloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *kzalloc(size_t size) __attribute__((malloc, alloc_size(1)));
/* As realloc: may move; on failure NULL and the old block stays. */
void *krealloc(void *block, size_t size) __attribute__((alloc_size(2)));
/* NULL is fine. Panics on a block that the heap did not give or that was freed already. */
void kfree(void *block);
void heap_get_stats(struct heap_stats *out);

#endif
