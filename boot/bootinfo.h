/*
 * What the boot loader told us, in one form for both ways in (multiboot2 through GRUB, PVH
 * through `qemu -kernel`). boot/multiboot2.c and boot/pvh.c fill it in; kernel/main.c hands it on.
 * All strings and arrays are copied here, so nothing points into loader memory except the
 * bytes of the modules themselves, which the page allocator keeps reserved.
 */
#ifndef SKEP_BOOT_BOOTINFO_H
#define SKEP_BOOT_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOT_MAX_REGIONS  64
#define BOOT_MAX_MODULES  8
#define BOOT_CMDLINE_SIZE 1024

/* One range of physical memory; usable is false for everything that is not plain RAM. */
struct boot_region {
    uint64_t start; /* physical address, inclusive */
    uint64_t end;   /* exclusive */
    bool usable;
};

/* One module that the loader put into memory; name is its command line ("initrd", "key"). */
struct boot_module {
    uint64_t start; /* physical address, inclusive */
    uint64_t end;   /* exclusive */
    char name[64];
};

struct boot_info {
    char loader[64]; /* "GRUB 2.06-13", "PVH" */
    char cmdline[BOOT_CMDLINE_SIZE];
    unsigned nr_regions;
    unsigned nr_modules;
    struct boot_region regions[BOOT_MAX_REGIONS];
    struct boot_module modules[BOOT_MAX_MODULES];
};

/* Parses a multiboot2 information structure of at most `limit` bytes (tests pass a buffer; the
 * guest passes the structure's own total_size). 0, or -EINVAL when it is malformed. */
int boot_parse_multiboot2(const void *info, size_t limit, struct boot_info *out);

/* Parses a PVH hvm_start_info (v0 or v1). Addresses inside it are physical = virtual. */
int boot_parse_pvh(const void *start_info, struct boot_info *out);

/* Calls give for every free range of whole pages inside window: usable memory from 1 MiB up,
 * without the kernel image and the modules. */
void boot_for_each_free(const struct boot_info *info, const struct boot_region *window,
                        const struct boot_region *kernel,
                        void (*give)(uint64_t start, uint64_t end));

/* What boot/entry.S calls, in long mode, on the boot stack. magic is one of boot/magic.h, info the
 * physical address of that loader's structure. */
_Noreturn void kernel_main(uint32_t magic, uint64_t info);

#endif
