/*
 * Which memory is free once the loader is done: the usable regions without the first MiB (firmware
 * data, the loader's structures), the kernel image and the modules. Pure; called by kernel_main()
 * and by tests/unit/test_bootinfo.c.
 */
#include "boot/bootinfo.h"

#define PAGE       4096ull
#define FIRST_FREE 0x100000ull

/* Hands on what is left of [start, end) behind the taken ranges from number i on. */
static void give_parts(const struct boot_info *info, uint64_t start, uint64_t end,
                       const struct boot_region *kernel, unsigned i,
                       void (*give)(uint64_t start, uint64_t end))
{
    for (; start < end && i <= info->nr_modules; i++) {
        uint64_t from = i ? info->modules[i - 1].start : kernel->start;
        uint64_t to = i ? info->modules[i - 1].end : kernel->end;
        from &= ~(PAGE - 1);
        to = (to + PAGE - 1) & ~(PAGE - 1);
        if (to <= start || from >= end)
            continue;
        if (from > start)
            give_parts(info, start, from, kernel, i + 1, give);
        start = to;
    }
    if (start < end)
        give(start, end);
}

/* Calls give for every free range of whole pages inside window; kernel is the image's range. */
void boot_for_each_free(const struct boot_info *info, const struct boot_region *window,
                        const struct boot_region *kernel,
                        void (*give)(uint64_t start, uint64_t end))
{
    for (unsigned i = 0; i < info->nr_regions; i++) {
        const struct boot_region *region = &info->regions[i];
        uint64_t start = region->start > window->start ? region->start : window->start;
        uint64_t end = region->end < window->end ? region->end : window->end;
        if (start < FIRST_FREE)
            start = FIRST_FREE;
        if (!region->usable || start >= end)
            continue;
        start = (start + PAGE - 1) & ~(PAGE - 1);
        give_parts(info, start, end & ~(PAGE - 1), kernel, 0, give);
    }
}
