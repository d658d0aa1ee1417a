/*
 * The page allocator. Each region of memory carries an array of struct page, one a page, at its
 * own start; free blocks are linked through that array, so free memory itself is never touched.
 * Called by the heap, the thread stacks, page tables, rings; everything else uses the heap.
 * Buddy system: Knuth, The Art of Computer Programming 1, 2.5.
 */
#include "kernel/page.h"

#include <linux/errno.h>

#include "arch/x86_64/arch.h"
#include "boot/bootinfo.h"
#include "kernel/panic.h"
#include "kernel/string.h"

#define NR_ORDERS (PAGE_MAX_ORDER + 1)
#define NONE      UINT32_MAX /* no page: end of a list */

enum page_state {
    PAGE_INSIDE,    /* in the middle of a block, or never handed out */
    PAGE_FREE,      /* first page of a free block */
    PAGE_ALLOCATED, /* first page of an allocated block */
};

struct page {
    void *owner;         /* while allocated */
    uint32_t prev, next; /* while free: neighbours in the list of its order */
    uint8_t state;       /* enum page_state */
    uint8_t order;       /* unless PAGE_INSIDE */
};

/* Pages [first, first + count) by number (address / PAGE_SIZE). Indexes into pages[] are relative
 * to first; whether two blocks are buddies goes by the absolute number, which is what alignment
 * is about. */
struct page_region {
    uint64_t first;
    uint32_t count;
    uint32_t free[NR_ORDERS]; /* heads of the free lists, or NONE */
    struct page *pages;
};

/* Guarded by interrupts off. */
static struct page_region regions[BOOT_MAX_REGIONS];
static unsigned nr_regions;
static struct page_stats stats;

static void free_list_push(struct page_region *region, uint32_t index, unsigned order)
{
    struct page *page = &region->pages[index];

    page->state = PAGE_FREE;
    page->order = (uint8_t)order;
    page->prev = NONE;
    page->next = region->free[order];
    if (page->next != NONE)
        region->pages[page->next].prev = index;
    region->free[order] = index;
}

static void free_list_remove(struct page_region *region, uint32_t index)
{
    struct page *page = &region->pages[index];

    if (page->prev != NONE)
        region->pages[page->prev].next = page->next;
    else
        region->free[page->order] = page->next;
    if (page->next != NONE)
        region->pages[page->next].prev = page->prev;
    page->state = PAGE_INSIDE;
}

/* Frees a block and joins it with its buddy for as long as that is free too. */
static void free_block(struct page_region *region, uint32_t index, unsigned order)
{
    for (; order < PAGE_MAX_ORDER; order++) {
        uint64_t buddy_page = (region->first + index) ^ (1ull << order);
        if (buddy_page < region->first)
            break;
        uint64_t buddy = buddy_page - region->first;
        if (buddy + (1ull << order) > region->count)
            break;
        const struct page *page = &region->pages[buddy];
        if (page->state != PAGE_FREE || page->order != order)
            break;
        free_list_remove(region, (uint32_t)buddy);
        if (buddy < index)
            index = (uint32_t)buddy;
    }
    free_list_push(region, index, order);
}

/* The largest block that may start at index: aligned to its size and inside the region. */
static unsigned largest_order(const struct page_region *region, uint32_t index)
{
    unsigned order = (unsigned)__builtin_ctzll(region->first + index);

    if (order > PAGE_MAX_ORDER)
        order = PAGE_MAX_ORDER;
    while ((1u << order) > region->count - index)
        order--;
    return order;
}

/* Takes over the pages that lie wholly in [start, end), bytes, less those for the page array,
 * which is placed at their start. Start-up only. */
void page_add_region(uint64_t start, uint64_t end)
{
    uint64_t first = (start + PAGE_SIZE - 1) / PAGE_SIZE;
    uint64_t last = end / PAGE_SIZE;

    if (first == 0)
        first = 1; /* page 0 stays unmapped, and NULL means none */
    if (last <= first)
        return;
    ASSERT(nr_regions < BOOT_MAX_REGIONS, "more than %u regions", BOOT_MAX_REGIONS);
    ASSERT(last - first < NONE, "region of %lu pages", (unsigned long)(last - first));
    uint64_t count = last - first;
    uint64_t array_pages = (count * sizeof(struct page) + PAGE_SIZE - 1) / PAGE_SIZE;
    if (count <= array_pages)
        return;

    struct page_region *region = &regions[nr_regions++];
    region->pages = (struct page *)(uintptr_t)(first * PAGE_SIZE);
    region->first = first + array_pages;
    region->count = (uint32_t)(count - array_pages);
    memset(region->pages, 0, region->count * sizeof(struct page));
    for (unsigned order = 0; order < NR_ORDERS; order++)
        region->free[order] = NONE;
    for (uint32_t index = 0; index < region->count;) {
        unsigned order = largest_order(region, index);
        free_list_push(region, index, order);
        index += 1u << order;
    }
    stats.total_pages += region->count;
    stats.free_pages += region->count;
}

/* A block of exactly `order` from this region, split off a larger one if need be, or NONE. */
static uint32_t take_block(struct page_region *region, unsigned order)
{
    unsigned found = order;

    while (found < NR_ORDERS && region->free[found] == NONE)
        found++;
    if (found == NR_ORDERS)
        return NONE;
    uint32_t index = region->free[found];
    free_list_remove(region, index);
    while (found > order) {
        found--;
        free_list_push(region, index + (1u << found), found);
    }
    region->pages[index].state = PAGE_ALLOCATED;
    region->pages[index].order = (uint8_t)order;
    return index;
}

/* 2^order pages aligned to their size, contents undefined, owned by the caller; NULL when there
 * are none. Takes from the region added first that can serve. Any context. */
void *page_alloc(unsigned order)
{
    void *pages = NULL;
    uint64_t flags = arch_irq_save();

    for (unsigned i = 0; i < nr_regions && order <= PAGE_MAX_ORDER; i++) {
        uint32_t index = take_block(&regions[i], order);
        if (index != NONE) {
            pages = (void *)(uintptr_t)((regions[i].first + index) * PAGE_SIZE);
            stats.free_pages -= 1ull << order;
            break;
        }
    }
    if (!pages)
        stats.failures++;
    arch_irq_restore(flags);
    return pages;
}

/* The region that addr lies in, and the index of its page there; NULL when none. */
static struct page_region *find_region(const void *addr, uint32_t *index)
{
    uint64_t number = (uintptr_t)addr / PAGE_SIZE;

    for (unsigned i = 0; i < nr_regions; i++) {
        if (number >= regions[i].first && number - regions[i].first < regions[i].count) {
            *index = (uint32_t)(number - regions[i].first);
            return &regions[i];
        }
    }
    return NULL;
}

/* The order of the allocated block that starts at addr, any address, or -EINVAL. Any context. */
int page_block_order(const void *addr)
{
    uint32_t index;
    const struct page_region *region = find_region(addr, &index);

    if (!region || (uintptr_t)addr % PAGE_SIZE || region->pages[index].state != PAGE_ALLOCATED)
        return -EINVAL;
    return region->pages[index].order;
}

/* Gives a block back. Panics on a block that is not allocated or has another order: going on
 * would hand the same memory to two owners. */
void page_free(void *pages, unsigned order)
{
    uint32_t index;
    int allocated = page_block_order(pages);

    if (allocated < 0)
        panic("page_free(%p, %u): not an allocated block", pages, order);
    if (allocated != (int)order)
        panic("page_free(%p, %u): the block has order %d", pages, order, allocated);
    page_set_owner(pages, order, NULL);
    uint64_t flags = arch_irq_save();
    struct page_region *region = find_region(pages, &index);
    region->pages[index].state = PAGE_INSIDE;
    free_block(region, index, order);
    stats.free_pages += 1ull << order;
    arch_irq_restore(flags);
}

/* Keeps one pointer with each page of an allocated block. Any context; the caller owns the block.
 * */
void page_set_owner(void *pages, unsigned order, void *owner)
{
    uint32_t index;
    struct page_region *region = find_region(pages, &index);

    ASSERT(region, "page_set_owner(%p, %u)", pages, order);
    for (uint32_t i = 0; i < 1u << order; i++)
        region->pages[index + i].owner = owner;
}

/* What page_set_owner kept for the page that addr, any address, lies in, or NULL. Any context. */
void *page_owner(const void *addr)
{
    uint32_t index;
    const struct page_region *region = find_region(addr, &index);

    return region ? region->pages[index].owner : NULL;
}

/* The smallest order whose block holds size bytes; above PAGE_MAX_ORDER when none does. */
unsigned page_order(size_t size)
{
    unsigned order = 0;

    while (order < 63 - 12 && ((size_t)PAGE_SIZE << order) < size)
        order++;
    return order;
}

/* A copy of the counters, taken at one moment. Any context. */
void page_get_stats(struct page_stats *out)
{
    uint64_t flags = arch_irq_save();
    *out = stats;
    arch_irq_restore(flags);
}
