/*
 * The heap over the real page allocator: contents against a model, alignment, what panics, and
 * that everything freed goes back.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/kernel_host.h"

#define ARENA_SIZE (8u << 20)

static void set_up(void)
{
    void *arena =
        mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(arena, MAP_FAILED);
    page_add_region((uintptr_t)arena, (uintptr_t)arena + ARENA_SIZE);
}

TestSuite(heap, .init = set_up, .fini = leakcheck);

static uint64_t live(void)
{
    struct heap_stats stats;
    heap_get_stats(&stats);
    return stats.allocations;
}

Test(heap, blocks_of_every_size_are_aligned_and_writable)
{
    void *blocks[200];
    unsigned count = 0;

    for (size_t size = 0; size < 10000; size += 1 + size / 20, count++) {
        blocks[count] = kmalloc(size);
        cr_assert_not_null(blocks[count]);
        cr_assert_eq((uintptr_t)blocks[count] % 16, 0);
        memset(blocks[count], (int)count, size);
    }
    cr_assert_eq(live(), count);
    while (count)
        kfree(blocks[--count]);
    cr_assert_eq(live(), 0);
}

Test(heap, zeroed_blocks_are_zero_even_when_reused)
{
    for (size_t size = 1; size < 9000; size = size * 3 + 1) {
        uint8_t *block = kmalloc(size);
        memset(block, 0xff, size);
        kfree(block);
        block = kzalloc(size);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(block[i], 0);
        kfree(block);
    }
}

Test(heap, random_operations_keep_every_block_intact)
{
    struct {
        uint8_t *block;
        size_t size;
        uint8_t mark;
    } slots[200] = {{0}};
    struct heap_stats stats;
    struct page_stats before, after;

    page_get_stats(&before);
    srand(2);
    for (unsigned step = 0; step < 50000; step++) {
        unsigned i = (unsigned)rand() % 200;
        size_t size = (unsigned)rand() % (rand() % 8 ? 400 : 20000);
        for (size_t at = 0; at < slots[i].size; at += 1 + slots[i].size / 16)
            cr_assert_eq(slots[i].block[at], slots[i].mark);
        if (slots[i].block && rand() % 2) {
            kfree(slots[i].block);
            slots[i].block = NULL;
            slots[i].size = 0;
            continue;
        }
        uint8_t *block = krealloc(slots[i].block, size);
        if (!block)
            continue;
        for (size_t at = 0; at < (size < slots[i].size ? size : slots[i].size); at++)
            cr_assert_eq(block[at], slots[i].mark, "krealloc keeps the contents");
        slots[i].block = block;
        slots[i].size = size;
        slots[i].mark = (uint8_t)step;
        memset(block, slots[i].mark, size);
    }
    for (unsigned i = 0; i < 200; i++)
        kfree(slots[i].block);
    heap_get_stats(&stats);
    cr_assert_eq(stats.allocations, 0);
    cr_assert_eq(stats.allocated_bytes, 0);
    page_get_stats(&after);
    cr_assert_leq(before.free_pages - after.free_pages, 8 + 6 * 4, "one spare slab a class");
    cr_assert(arch_irq_enabled());
}

Test(heap, a_block_freed_in_a_full_slab_is_given_out_again)
{
    enum { COUNT = 1000 };
    void *blocks[COUNT];
    struct page_stats before, after;

    for (unsigned i = 0; i < COUNT; i++)
        blocks[i] = kmalloc(64);
    page_get_stats(&before);
    for (unsigned i = 0; i < COUNT; i += 10)
        kfree(blocks[i]);
    for (unsigned i = 0; i < COUNT; i += 10)
        blocks[i] = kmalloc(64);
    page_get_stats(&after);
    cr_assert_eq(after.free_pages, before.free_pages, "no new slab was needed");
    for (unsigned i = 0; i < COUNT; i++)
        kfree(blocks[i]);
}

Test(heap, empty_slabs_go_back_to_the_page_allocator)
{
    static void *blocks[5000];
    struct page_stats before, after;

    page_get_stats(&before);
    for (unsigned i = 0; i < 5000; i++)
        blocks[i] = kmalloc(200);
    for (unsigned i = 0; i < 5000; i++)
        kfree(blocks[i]);
    page_get_stats(&after);
    cr_assert_eq(before.free_pages - after.free_pages, 1, "one slab stays as a spare");
}

Test(heap, out_of_memory_is_null_and_counted_and_recovers)
{
    static void *blocks[ARENA_SIZE / 1024];
    struct heap_stats stats;
    unsigned count = 0;

    volatile size_t huge = SIZE_MAX; /* volatile: the compiler would refuse the constant */
    cr_assert_null(kmalloc(huge));
    cr_assert_null(kzalloc(2 * ARENA_SIZE));
    while ((blocks[count] = kmalloc(1024)) != NULL)
        count++;
    cr_assert_gt(count, ARENA_SIZE / 1024 * 8 / 10);
    cr_assert_null(kmalloc(5000));
    cr_assert_null(krealloc(blocks[0], 5000));
    heap_get_stats(&stats);
    cr_assert_eq(stats.failures, 5);
    while (count)
        kfree(blocks[--count]);
    void *block = kmalloc(1u << 20);
    cr_assert_not_null(block);
    kfree(block);
}

Test(heap, krealloc_of_null_allocates_and_small_changes_stay)
{
    uint8_t *block = krealloc(NULL, 100);

    cr_assert_eq(krealloc(block, 128), block);
    cr_assert_eq(krealloc(block, 50), block);
    cr_assert_neq(krealloc(block, 8), block);
}

Test(heap, freeing_twice_panics_with_the_block)
{
    char address[32];
    uint8_t *first = kmalloc(40), *second = kmalloc(40);

    kfree(first);
    cr_assert(PANICS(kfree(first)));
    snprintf(address, sizeof(address), "kfree(%p)", (void *)first);
    cr_assert(strstr(host_panic_message, address), "%s", host_panic_message);
    cr_assert(strstr(host_panic_message, "48 bytes was freed already"), "%s", host_panic_message);
    kfree(second);
    uint8_t *large = kmalloc(100000);
    kfree(large);
    cr_assert(PANICS(kfree(large)));
}

Test(heap, wild_frees_panic)
{
    int local;
    uint8_t *block = kmalloc(40), *large = kmalloc(100000), *pages = page_alloc(0);

    cr_assert(PANICS(kfree(&local)));
    cr_assert(strstr(host_panic_message, "not a block of the heap"), "%s", host_panic_message);
    cr_assert(PANICS(kfree(block + 16)));
    cr_assert(strstr(host_panic_message, "not the start"), "%s", host_panic_message);
    cr_assert(PANICS(kfree(large + PAGE_SIZE)));
    cr_assert(PANICS(kfree(pages)));
    cr_assert(PANICS(krealloc(block + 1, 10)));
    kfree(NULL);
}
