/*
 * The segments long mode still wants and the TSS with its interrupt stacks (SDM 3A 3.4.5, 8.7).
 * Called once by arch_cpu_init(). Double fault, NMI and machine check get stacks of their own: they
 * must work when the current stack is what broke.
 */
#include "arch/x86_64/internal.h"

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[0] is IST1 */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 3A figure 8-11");

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
_Static_assert(sizeof(struct table_pointer) == 10, "SDM 3A figure 3-11");

struct guarded_stack ist_stacks[IST_COUNT] __attribute__((aligned(ARCH_PAGE_SIZE)));

static struct tss tss;
static uint64_t gdt[] = {
    [0] = 0,
    [GDT_CODE / 8] = 0x00af9a000000ffff, /* present, ring 0, code, long */
    [GDT_DATA / 8] = 0x00cf92000000ffff, /* present, ring 0, data */
    [GDT_TSS / 8] = 0,                   /* two words, made below */
    [GDT_TSS / 8 + 1] = 0,
};

static void make_tss_descriptor(void)
{
    uint64_t base = (uintptr_t)&tss;
    uint64_t limit = sizeof(tss) - 1;
    gdt[GDT_TSS / 8] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[GDT_TSS / 8 + 1] = base >> 32;
}

/* Loads GDT, segment registers and TSS. Start-up only. */
void gdt_init(void)
{
    for (unsigned i = 0; i < IST_COUNT; i++)
        tss.ist[i] = (uintptr_t)(ist_stacks[i].bytes + sizeof(ist_stacks[i].bytes));
    tss.iomap_base = sizeof(tss);
    make_tss_descriptor();

    struct table_pointer pointer = {.limit = sizeof(gdt) - 1, .base = (uintptr_t)gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "ltr %w3"
                     :
                     : "m"(pointer), "i"(GDT_CODE), "i"(GDT_DATA), "r"(GDT_TSS)
                     : "rax", "memory");
}
