/*
 * The page tables (SDM 3A 4.5): identity mapping with W^X. RAM is mapped by 2 MiB pages, which
 * are split where rights differ and never merged back. Called by kernel_main(), the drivers (device
 * memory), the thread stacks (guard pages), the eBPF JIT (sealing) and static keys (patching).
 * Guarded by interrupts off; one CPU, so a change needs no shoot-down.
 */
#include "arch/x86_64/internal.h"
#include "arch/x86_64/registers.h"
#include "boot/bootinfo.h"

#include <linux/errno.h>

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_UNCACHED (3ull << 3) /* PWT and PCD */
#define PTE_LARGE    (1ull << 7)
#define PTE_LEAF     (1ull << 9) /* ignored by the CPU: an entry that maps, present or not */
#define PTE_NX       (1ull << 63)
#define PTE_ADDRESS  0x000ffffffffff000ull
#define PTE_TABLE    (PTE_PRESENT | PTE_WRITE)

#define PAGE_4K       0x1000ull
#define PAGE_2M       0x200000ull
#define CANONICAL_END 0x0000800000000000ull /* the lower half: all that we map to itself */
#define FLUSH_ALL     64                    /* pages from which on reloading CR3 is cheaper */

/* Two pages of address space in the top 2 MiB, through which text is written. */
#define PATCH_WINDOW 0xffffffffffe00000ull

#define MAX_PATCH 16

static const uint64_t prot_flags[] = {
    [ARCH_PROT_NONE] = PTE_LEAF,
    [ARCH_PROT_R] = PTE_LEAF | PTE_PRESENT | PTE_NX,
    [ARCH_PROT_RW] = PTE_LEAF | PTE_PRESENT | PTE_WRITE | PTE_NX,
    [ARCH_PROT_RX] = PTE_LEAF | PTE_PRESENT,
};

extern uint8_t __text_start[], __text_end[], __rodata_start[], __data_start[];

static uint64_t *root;
static void *(*alloc_table_page)(void);
static uint64_t *patch_entry; /* the window's first page table entry */

static uint64_t *new_table(void)
{
    uint64_t *table = alloc_table_page();
    if (table)
        __builtin_memset(table, 0, PAGE_4K);
    return table;
}

static unsigned index_at(uint64_t addr, unsigned level)
{
    return addr >> (12 + 9 * level) & 511;
}

/* Makes a 2 MiB leaf a table of 512 leaves with the same rights. */
static int split(uint64_t *entry)
{
    uint64_t *table = alloc_table_page();
    if (!table)
        return -ENOMEM;
    uint64_t leaf = *entry & ~PTE_LARGE;
    for (unsigned i = 0; i < 512; i++)
        table[i] = leaf + i * PAGE_4K;
    *entry = (uintptr_t)table | PTE_TABLE;
    return 0;
}

/* Finds the entry for addr at level (0: 4 KiB, 1: 2 MiB), making the tables above it and splitting
 * a large page in the way. -ENOMEM when there is no page for a table. */
static int find_entry(uint64_t addr, unsigned level, uint64_t **out)
{
    uint64_t *table = root;
    for (unsigned at = 3; at > level; at--) {
        uint64_t *entry = &table[index_at(addr, at)];
        if (*entry & PTE_LEAF) {
            int err = split(entry);
            if (err)
                return err;
        } else if (!*entry) {
            uint64_t *fresh = new_table();
            if (!fresh)
                return -ENOMEM;
            *entry = (uintptr_t)fresh | PTE_TABLE;
        }
        table = (uint64_t *)(uintptr_t)(*entry & PTE_ADDRESS);
    }
    *out = &table[index_at(addr, level)];
    return 0;
}

/* The leaf that covers addr, or NULL when nothing is mapped there. *size: 4 KiB or 2 MiB. */
static uint64_t *find_leaf(uint64_t addr, uint64_t *size)
{
    uint64_t *table = root;
    for (unsigned level = 3;; level--) {
        uint64_t *entry = &table[index_at(addr, level)];
        if (*entry & PTE_LEAF) {
            *size = PAGE_4K << 9 * level;
            return entry;
        }
        if (!*entry || !level)
            return NULL;
        table = (uint64_t *)(uintptr_t)(*entry & PTE_ADDRESS);
    }
}

static int map_range(uint64_t start, uint64_t end, uint64_t flags)
{
    while (start < end) {
        bool large = !(start % PAGE_2M) && end - start >= PAGE_2M;
        uint64_t *entry;
        int err = find_entry(start, large, &entry);
        if (err)
            return err;
        *entry = start | flags | (large ? PTE_LARGE : 0);
        start += large ? PAGE_2M : PAGE_4K;
    }
    return 0;
}

static void flush(uint64_t start, uint64_t end)
{
    if ((end - start) / PAGE_4K >= FLUSH_ALL) {
        cr3_write((uintptr_t)root);
        return;
    }
    for (; start < end; start += PAGE_4K)
        tlb_flush_page(start);
}

/* Splits the large pages that [start, end) covers in part, so that the change itself needs no
 * memory and cannot fail half-way. -EINVAL when some of it is not mapped at all. */
static int prepare(uint64_t start, uint64_t end)
{
    uint64_t at = start;
    while (at < end) {
        uint64_t size;
        uint64_t *leaf = find_leaf(at, &size);
        if (!leaf)
            return -EINVAL;
        uint64_t page = at & ~(size - 1);
        if (size > PAGE_4K && (page < start || page + size > end)) {
            int err = split(leaf);
            if (err)
                return err;
            size = PAGE_4K;
        }
        at = (at & ~(size - 1)) + size;
    }
    return 0;
}

/* Gives the whole range its rights in the tables, or changes nothing. */
static int set_rights(uint64_t start, uint64_t end, enum arch_prot prot)
{
    int err = prepare(start, end);
    for (uint64_t at = start, size; !err && at < end; at += size) {
        uint64_t *leaf = find_leaf(at, &size);
        *leaf = at | prot_flags[prot] | (*leaf & PTE_UNCACHED) | (size > PAGE_4K ? PTE_LARGE : 0);
    }
    return err;
}

/* Changes the rights of [addr, addr + len), page aligned. 0; -EINVAL when it is not aligned or
 * holds something that was never mapped (page 0 never is); -ENOMEM; on errors nothing changed. Any
 * context. */
int arch_protect(uintptr_t addr, size_t len, enum arch_prot prot)
{
    uint64_t end;
    if (addr % PAGE_4K || len % PAGE_4K || __builtin_add_overflow(addr, len, &end) ||
        end > CANONICAL_END)
        return -EINVAL;
    uint64_t flags = arch_irq_save();
    int err = set_rights(addr, end, prot);
    flush(addr, end);
    arch_irq_restore(flags);
    return err;
}

/* Maps device memory uncached at its own address; it stays mapped. NULL when out of page tables or
 * not an address that can be mapped. Thread context. */
volatile void *arch_map_mmio(uint64_t phys, size_t len)
{
    uint64_t start = phys & ~(PAGE_4K - 1);
    uint64_t end;
    if (__builtin_add_overflow(phys, len + PAGE_4K - 1, &end) || end > CANONICAL_END)
        return NULL;
    end &= ~(PAGE_4K - 1);
    uint64_t flags = arch_irq_save();
    int err = 0;
    for (uint64_t at = start; !err && at < end; at += PAGE_4K) {
        uint64_t *entry;
        err = find_entry(at, 0, &entry);
        if (!err)
            *entry = at | prot_flags[ARCH_PROT_RW] | PTE_UNCACHED;
    }
    flush(start, end);
    arch_irq_restore(flags);
    return err ? NULL : (volatile void *)(uintptr_t)phys;
}

static void must(int err)
{
    if (err)
        kernel_fatal("no memory for the page tables");
}

/* Writes the new tables only: the old ones are in use until all rights are set. */
static void protect_image(void)
{
    must(set_rights((uintptr_t)__text_start, (uintptr_t)__rodata_start, ARCH_PROT_RX));
    must(set_rights((uintptr_t)__rodata_start, (uintptr_t)__data_start, ARCH_PROT_R));
    uint64_t guard = (uintptr_t)boot_stack.guard;
    must(set_rights(guard, guard + ARCH_PAGE_SIZE, ARCH_PROT_NONE));
    for (unsigned i = 0; i < IST_COUNT; i++) {
        guard = (uintptr_t)ist_stacks[i].guard;
        must(set_rights(guard, guard + ARCH_PAGE_SIZE, ARCH_PROT_NONE));
    }
}

/* Builds the final tables and switches to them: RAM of info RW+NX, the kernel's sections with their
 * rights, guard pages and page 0 unmapped. alloc_page gives pages for tables, NULL when there are
 * none; it is called from any context later on. Start-up only. */
void arch_paging_init(const struct boot_info *info, void *(*alloc_page)(void))
{
    alloc_table_page = alloc_page;
    root = new_table();
    must(root ? 0 : -ENOMEM);
    for (unsigned i = 0; i < info->nr_regions; i++) {
        const struct boot_region *region = &info->regions[i];
        uint64_t start = (region->start + PAGE_4K - 1) & ~(PAGE_4K - 1);
        uint64_t end = region->end & ~(PAGE_4K - 1);
        if (!start)
            start = PAGE_4K; /* page 0 catches null pointers */
        if (region->usable && start < end && end <= CANONICAL_END)
            must(map_range(start, end, prot_flags[ARCH_PROT_RW]));
    }
    must(find_entry(PATCH_WINDOW, 0, &patch_entry));
    protect_image();
    cr3_write((uintptr_t)root);
}

/* Replaces n (at most 16) bytes of text through a writable alias that exists only meanwhile; text
 * itself is never writable. After arch_paging_init(). Any context. SDM 3A 8.1.3. */
void arch_text_patch(void *where, const void *bytes, size_t n)
{
    uint64_t page = (uintptr_t)where & ~(PAGE_4K - 1);
    if (n > MAX_PATCH || !patch_entry)
        kernel_fatal("arch_text_patch: before paging, or too long");
    uint64_t flags = arch_irq_save();
    patch_entry[0] = page | prot_flags[ARCH_PROT_RW];
    patch_entry[1] = (page + PAGE_4K) | prot_flags[ARCH_PROT_RW];
    __builtin_memcpy((void *)(PATCH_WINDOW + ((uintptr_t)where - page)), bytes, n);
    patch_entry[0] = 0;
    patch_entry[1] = 0;
    tlb_flush_page(PATCH_WINDOW);
    tlb_flush_page(PATCH_WINDOW + PAGE_4K);
    cpuid(0); /* serializes: what was fetched ahead is dropped */
    arch_irq_restore(flags);
}

/* True when addr lies in kernel text. */
bool arch_is_text(uintptr_t addr)
{
    return addr >= (uintptr_t)__text_start && addr < (uintptr_t)__text_end;
}
