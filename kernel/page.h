/*
 * The page allocator: binary buddy over the usable regions of memory. Returns addresses that
 * are mapped RW+NX (identity). Any context (interrupts are held off inside).
 */
#ifndef SKEP_KERNEL_PAGE_H
#define SKEP_KERNEL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE      4096u
#define PAGE_MAX_ORDER 18 /* blocks up to 1 GiB */

struct page_stats {
    uint64_t total_pages; /* pages the allocator manages */
    uint64_t free_pages;
    uint64_t failures; /* requests answered with NULL */
};

/* Hands [start, end) to the allocator. Before the first allocation the page array for this
 * region is placed inside it. Start-up only. */
void page_add_region(uint64_t start, uint64_t end);

/* 2^order contiguous pages, aligned to their size, contents undefined. NULL when out of memory;
 * the caller frees with the same order. */
void *page_alloc(unsigned order);
void page_free(void *pages, unsigned order);
/* The smallest order whose block holds size bytes. */
unsigned page_order(size_t size);
void page_get_stats(struct page_stats *out);

/* One pointer that the owner of an allocated block may keep with each of its pages; page_free
 * clears it. page_owner takes any address: NULL when it is in no managed page or none was set. */
void page_set_owner(void *pages, unsigned order, void *owner);
void *page_owner(const void *addr);
/* The order of the allocated block that starts at addr, or -EINVAL when none does. */
int page_block_order(const void *addr);

#endif
