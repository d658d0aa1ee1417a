/*
 * The kernel heap. Small blocks come from slabs: one or more pages that hold blocks of one size
 * class behind a header with a bitmap of the blocks in use. Larger ones are whole page blocks.
 * The page allocator remembers the slab for each page, so kfree finds it from the address alone and
 * recognises what was never given out. Nothing is kept inside free blocks, so a stray write
 * to one cannot damage the heap.
 */
#include "kernel/heap.h"

#include "arch/x86_64/arch.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/string.h"

#define HEAP_ALIGN     16u
#define BITMAP_WORDS   4u   /* 256 blocks of 16 bytes in a page */
#define SMALL_SLAB_MAX 256u /* classes up to this size use slabs of one page */
#define LARGE_SLAB_ORD 2u

struct slab {
    struct slab *next, *prev; /* in the class's list while a block is free */
    struct heap_class *class;
    uint8_t *blocks;
    uint32_t used;
    uint64_t bitmap[BITMAP_WORDS]; /* a set bit: block in use */
};

struct heap_class {
    uint32_t size;
    uint32_t blocks_per_slab; /* computed with the first slab */
    struct slab *partial;     /* slabs with a free block */
    struct slab *spare;       /* one empty slab kept for the next allocation */
};

/* Guarded by interrupts off. */
static struct heap_class classes[] = {
    {.size = 16},  {.size = 32},   {.size = 48},   {.size = 64},   {.size = 96},
    {.size = 128}, {.size = 192},  {.size = 256},  {.size = 384},  {.size = 512},
    {.size = 768}, {.size = 1024}, {.size = 1536}, {.size = 2048},
};
#define NR_CLASSES (sizeof(classes) / sizeof(*classes))
#define CLASS_MAX  2048u

static struct heap_stats stats;

/* The owner of the pages of a large block, which has no slab. */
static char large_block;

static unsigned class_slab_order(const struct heap_class *class)
{
    return class->size <= SMALL_SLAB_MAX ? 0 : LARGE_SLAB_ORD;
}

static struct heap_class *class_for(size_t size)
{
    for (unsigned i = 0; i < NR_CLASSES; i++)
        if (size <= classes[i].size)
            return &classes[i];
    return NULL;
}

static void partial_push(struct slab *slab)
{
    struct heap_class *class = slab->class;

    slab->prev = NULL;
    slab->next = class->partial;
    if (slab->next)
        slab->next->prev = slab;
    class->partial = slab;
}

static void partial_remove(struct slab *slab)
{
    if (slab->prev)
        slab->prev->next = slab->next;
    else
        slab->class->partial = slab->next;
    if (slab->next)
        slab->next->prev = slab->prev;
}

/* A slab with a free block at the head of the class's list; NULL when out of memory. */
static struct slab *class_get_slab(struct heap_class *class)
{
    const size_t header = (sizeof(struct slab) + HEAP_ALIGN - 1) / HEAP_ALIGN * HEAP_ALIGN;
    unsigned order = class_slab_order(class);
    struct slab *slab = class->partial;

    if (slab)
        return slab;
    slab = class->spare;
    class->spare = NULL;
    if (!slab) {
        slab = page_alloc(order);
        if (!slab)
            return NULL;
        memset(slab, 0, sizeof(*slab));
        slab->class = class;
        slab->blocks = (uint8_t *)slab + header;
        class->blocks_per_slab = (uint32_t)((((size_t)PAGE_SIZE << order) - header) / class->size);
        page_set_owner(slab, order, slab);
    }
    partial_push(slab);
    return slab;
}

static void *slab_take(struct slab *slab)
{
    unsigned word = 0;

    while (slab->bitmap[word] == UINT64_MAX)
        word++;
    unsigned bit = (unsigned)__builtin_ctzll(~slab->bitmap[word]);
    slab->bitmap[word] |= 1ull << bit;
    if (++slab->used == slab->class->blocks_per_slab)
        partial_remove(slab);
    return slab->blocks + (size_t)(word * 64 + bit) * slab->class->size;
}

/* An empty slab becomes the class's spare, or goes back to the page allocator. */
static void slab_give(struct slab *slab, size_t index)
{
    struct heap_class *class = slab->class;

    slab->bitmap[index / 64] &= ~(1ull << index % 64);
    if (slab->used-- == class->blocks_per_slab)
        partial_push(slab);
    if (slab->used)
        return;
    partial_remove(slab);
    if (!class->spare)
        class->spare = slab;
    else
        page_free(slab, class_slab_order(class));
}

static void *small_alloc(struct heap_class *class)
{
    void *block = NULL;
    uint64_t flags = arch_irq_save();
    struct slab *slab = class_get_slab(class);

    if (slab) {
        block = slab_take(slab);
        stats.allocated_bytes += class->size;
        stats.allocations++;
    } else {
        stats.failures++;
    }
    arch_irq_restore(flags);
    return block;
}

static void *large_alloc(size_t size)
{
    unsigned order = page_order(size);
    void *block = page_alloc(order);
    uint64_t flags = arch_irq_save();

    if (block) {
        page_set_owner(block, order, &large_block);
        stats.allocated_bytes += (uint64_t)PAGE_SIZE << order;
        stats.allocations++;
    } else {
        stats.failures++;
    }
    arch_irq_restore(flags);
    return block;
}

/* A block of at least size bytes, aligned to 16, contents undefined, for the caller to kfree;
 * NULL when out of memory. Any context. */
void *kmalloc(size_t size)
{
    return size <= CLASS_MAX ? small_alloc(class_for(size)) : large_alloc(size);
}

/* As kmalloc, zeroed. */
void *kzalloc(size_t size)
{
    void *block = kmalloc(size);

    if (block)
        memset(block, 0, size);
    return block;
}

/* The slab of a small block and the block's index in it; NULL for a large block. Panics on
 * anything that is not a block in use. */
static struct slab *find_block(const void *block, size_t *index, const char *caller)
{
    void *owner = page_owner(block);

    if (!owner)
        panic("%s(%p): not a block of the heap, or freed already", caller, block);
    if (owner == &large_block) {
        if (page_block_order(block) < 0)
            panic("%s(%p): not the start of a block", caller, block);
        return NULL;
    }
    struct slab *slab = owner;
    size_t offset = (size_t)((const uint8_t *)block - slab->blocks);
    *index = offset / slab->class->size;
    if ((const uint8_t *)block < slab->blocks || offset % slab->class->size ||
        *index >= slab->class->blocks_per_slab)
        panic("%s(%p): not the start of a block of %u bytes", caller, block, slab->class->size);
    if (!(slab->bitmap[*index / 64] & 1ull << *index % 64))
        panic("%s(%p): block of %u bytes was freed already", caller, block, slab->class->size);
    return slab;
}

static size_t block_size(const void *block, const char *caller)
{
    size_t index;
    const struct slab *slab = find_block(block, &index, caller);

    return slab ? slab->class->size : (size_t)PAGE_SIZE << page_block_order(block);
}

/* As realloc: the block, moved if need be, contents kept; on failure NULL, and the old block
 * stays the caller's. NULL allocates. Any context. */
void *krealloc(void *block, size_t size)
{
    if (!block)
        return kmalloc(size);
    size_t old_size = block_size(block, "krealloc");
    /* Stays unless it must grow, or would leave more than three quarters unused. */
    if (size <= old_size && size >= old_size / 4)
        return block;
    void *moved = kmalloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, block, size < old_size ? size : old_size);
    kfree(block);
    return moved;
}

/* Takes back a block, or NULL. Panics on anything else, and on a block that was freed already:
 * the heap cannot be trusted any more. Any context. */
void kfree(void *block)
{
    size_t index;

    if (!block)
        return;
    uint64_t flags = arch_irq_save();
    struct slab *slab = find_block(block, &index, "kfree");
    stats.allocations--;
    if (slab) {
        stats.allocated_bytes -= slab->class->size;
        slab_give(slab, index);
    } else {
        unsigned order = (unsigned)page_block_order(block);
        stats.allocated_bytes -= (uint64_t)PAGE_SIZE << order;
        page_free(block, order);
    }
    arch_irq_restore(flags);
}

/* A copy of the counters, taken at one moment. Any context. */
void heap_get_stats(struct heap_stats *out)
{
    uint64_t flags = arch_irq_save();
    *out = stats;
    arch_irq_restore(flags);
}
