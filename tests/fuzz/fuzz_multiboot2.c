/*
 * Fuzz target: any bytes as what a multiboot2 loader leaves; then the free memory that follows from
 * it must be whole pages, above 1 MiB, and none of the kernel's.
 */
#include <stdlib.h>
#include <string.h>

#include "boot/bootinfo.h"

#define PAGE 4096u

static const struct boot_region window = {0, 4ull << 30, true}, kernel = {1 << 20, 4 << 20, true};

static void check_free(uint64_t start, uint64_t end)
{
    if (start % PAGE || end % PAGE || start >= end || start < 1 << 20 || end > window.end)
        abort();
    if (start < kernel.end && end > kernel.start)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = aligned_alloc(8, (size + 8) & ~(size_t)7);
    struct boot_info info;

    memcpy(copy, data, size);
    boot_parse_multiboot2(copy, size, &info);
    if (info.nr_regions > BOOT_MAX_REGIONS || info.nr_modules > BOOT_MAX_MODULES)
        abort();
    boot_for_each_free(&info, &window, &kernel, check_free);
    free(copy);
    return 0;
}
