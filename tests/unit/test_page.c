/*
 * The page allocator against a model: an array that says which page belongs to which block.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/page.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/kernel_host.h"

#define ARENA_PAGES 1024u

static uint8_t *arena;

/* Memory for regions, at an address that is not aligned to large blocks. */
static void set_up(void)
{
    arena = mmap((void *)0x10003000, ARENA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    cr_assert_eq(arena, (void *)0x10003000);
}

TestSuite(page, .init = set_up, .fini = leakcheck);

static void add_pages(unsigned from, unsigned to)
{
    page_add_region((uintptr_t)arena + from * PAGE_SIZE, (uintptr_t)arena + to * PAGE_SIZE);
}

static uint64_t free_pages(void)
{
    struct page_stats stats;
    page_get_stats(&stats);
    return stats.free_pages;
}

Test(page, order_is_the_smallest_that_fits)
{
    cr_assert_eq(page_order(0), 0);
    cr_assert_eq(page_order(1), 0);
    cr_assert_eq(page_order(PAGE_SIZE), 0);
    cr_assert_eq(page_order(PAGE_SIZE + 1), 1);
    cr_assert_eq(page_order(3 * PAGE_SIZE), 2);
    cr_assert_gt(page_order(SIZE_MAX), PAGE_MAX_ORDER);
}

Test(page, a_region_pays_for_its_page_array)
{
    struct page_stats stats;

    add_pages(0, ARENA_PAGES);
    page_get_stats(&stats);
    cr_assert_lt(stats.total_pages, ARENA_PAGES);
    cr_assert_gt(stats.total_pages, ARENA_PAGES - ARENA_PAGES / 100 - 2);
    cr_assert_eq(stats.free_pages, stats.total_pages);
}

Test(page, odd_ends_and_tiny_regions_are_left_out)
{
    page_add_region((uintptr_t)arena + 100, (uintptr_t)arena + PAGE_SIZE - 1);
    page_add_region((uintptr_t)arena, (uintptr_t)arena + PAGE_SIZE);
    cr_assert_eq(free_pages(), 0);
    page_add_region((uintptr_t)arena + 1, (uintptr_t)arena + 4 * PAGE_SIZE - 1);
    cr_assert_eq(free_pages(), 1, "of two whole pages one holds the array");
}

Test(page, every_page_can_be_had_once_and_all_join_again)
{
    static void *pages[ARENA_PAGES];
    unsigned count = 0;

    add_pages(0, ARENA_PAGES);
    uint64_t total = free_pages();
    while ((pages[count] = page_alloc(0)) != NULL) {
        memset(pages[count], 0xaa, PAGE_SIZE);
        count++;
    }
    cr_assert_eq(count, total);
    cr_assert_eq(free_pages(), 0);
    for (unsigned i = 0; i < count; i += 2)
        page_free(pages[i], 0);
    cr_assert_null(page_alloc(1), "no two of the free pages are neighbours");
    for (unsigned i = 1; i < count; i += 2)
        page_free(pages[i], 0);
    cr_assert_eq(free_pages(), total);
    cr_assert_not_null(page_alloc(9), "the pages have joined");
}

/* What memory held before must not count: here it looks like free blocks of order 1. */
Test(page, entries_beyond_the_region_are_not_looked_at)
{
    static void *pages[511];

    memset(arena, 1, ARENA_PAGES * PAGE_SIZE);
    add_pages(0, 515);
    cr_assert_eq(free_pages(), 511);
    for (unsigned i = 0; i < 511; i++)
        cr_assert_not_null(pages[i] = page_alloc(0));
    for (unsigned i = 511; i-- > 0;)
        page_free(pages[i], 0);
    for (unsigned i = 0; i < 511; i++)
        cr_assert_lt((uint8_t *)page_alloc(0), arena + 515 * PAGE_SIZE);
    cr_assert_null(page_alloc(0));
}

Test(page, too_large_an_order_is_refused_and_counted)
{
    struct page_stats stats;

    add_pages(0, ARENA_PAGES);
    cr_assert_null(page_alloc(PAGE_MAX_ORDER));
    cr_assert_null(page_alloc(PAGE_MAX_ORDER + 1));
    cr_assert_null(page_alloc(~0u));
    page_get_stats(&stats);
    cr_assert_eq(stats.failures, 3);
}

Test(page, random_operations_keep_blocks_apart_and_aligned)
{
    struct block {
        uint8_t *pages;
        unsigned order;
    } blocks[64] = {{0}};
    static uint8_t taken[ARENA_PAGES];

    add_pages(0, 300);
    add_pages(301, 700);
    add_pages(700, ARENA_PAGES);
    uint64_t total = free_pages(), held = 0;
    srand(1);
    for (unsigned step = 0; step < 20000; step++) {
        struct block *block = &blocks[(unsigned)rand() % 64];
        if (block->pages) {
            memset(taken + (block->pages - arena) / PAGE_SIZE, 0, 1u << block->order);
            page_free(block->pages, block->order);
            held -= 1u << block->order;
            block->pages = NULL;
        } else {
            block->order = (unsigned)rand() % 6;
            block->pages = page_alloc(block->order);
            if (!block->pages)
                continue;
            cr_assert_eq((uintptr_t)block->pages % (PAGE_SIZE << block->order), 0);
            size_t first = (size_t)(block->pages - arena) / PAGE_SIZE;
            cr_assert_leq(first + (1u << block->order), ARENA_PAGES);
            for (unsigned i = 0; i < 1u << block->order; i++)
                cr_assert_eq(taken[first + i]++, 0, "page %zu given out twice", first + i);
            held += 1u << block->order;
        }
        cr_assert_eq(free_pages() + held, total);
    }
}

Test(page, wrong_frees_panic_with_the_address)
{
    add_pages(0, ARENA_PAGES);
    uint8_t *pages = page_alloc(2);

    cr_assert(PANICS(page_free(pages, 1)));
    cr_assert(strstr(host_panic_message, "has order 2"), "%s", host_panic_message);
    cr_assert(PANICS(page_free(pages + PAGE_SIZE, 0)));
    cr_assert(PANICS(page_free(pages + 1, 2)));
    cr_assert(PANICS(page_free((void *)0x1000, 0)));
    page_free(pages, 2);
    cr_assert(PANICS(page_free(pages, 2)));
    cr_assert(strstr(host_panic_message, "not an allocated block"), "%s", host_panic_message);
}

Test(page, the_owner_covers_every_page_until_the_block_is_freed)
{
    int owner;

    add_pages(0, ARENA_PAGES);
    uint8_t *pages = page_alloc(1);
    cr_assert_null(page_owner(pages));
    page_set_owner(pages, 1, &owner);
    cr_assert_eq(page_owner(pages + 17), &owner);
    cr_assert_eq(page_owner(pages + 2 * PAGE_SIZE - 1), &owner);
    cr_assert_neq(page_owner(pages + 2 * PAGE_SIZE), &owner);
    cr_assert_null(page_owner((void *)8));
    page_free(pages, 1);
    cr_assert_null(page_owner(pages));
}
