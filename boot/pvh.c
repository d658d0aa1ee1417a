/*
 * Reads the hvm_start_info that QEMU hands to a PVH kernel (Xen public/arch-x86/hvm/start_info.h)
 * into a struct boot_info. Called by kernel_main() and by tests/unit/test_bootinfo.c. The
 * structure is made by the virtual machine monitor, whom we have to trust with our memory anyway;
 * still every count is bounded.
 */
#include "boot/bootinfo.h"
#include "boot/magic.h"

#include <linux/errno.h>

#define PVH_MEMORY_RAM 1 /* as E820 */

struct pvh_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t nr_modules;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    uint64_t memory_map; /* from here on: version 1 */
    uint32_t nr_memory_map;
    uint32_t reserved;
};

struct pvh_module {
    uint64_t start;
    uint64_t size;
    uint64_t cmdline; /* 0: none */
    uint64_t reserved;
};

struct pvh_memory_entry {
    uint64_t base;
    uint64_t length;
    uint32_t type;
    uint32_t reserved;
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(sizeof(struct pvh_memory_entry) == 24, "start_info.h");

static void copy_string(char *dst, size_t size, uint64_t addr, const char *fallback)
{
    const char *src = addr ? (const char *)(uintptr_t)addr : fallback;
    size_t n = 0;
    while (n + 1 < size && src[n]) {
        dst[n] = src[n];
        n++;
    }
    dst[n] = '\0';
}

/* QEMU's -initrd gives one module without a name. */
static int read_modules(const struct pvh_start_info *info, struct boot_info *out)
{
    const struct pvh_module *from = (const void *)(uintptr_t)info->modules;
    if (info->nr_modules > BOOT_MAX_MODULES || (info->nr_modules && !from))
        return -EINVAL;
    for (uint32_t i = 0; i < info->nr_modules; i++) {
        struct boot_module *to = &out->modules[i];
        to->start = from[i].start;
        if (__builtin_add_overflow(from[i].start, from[i].size, &to->end))
            return -EINVAL;
        copy_string(to->name, sizeof(to->name), from[i].cmdline, i ? "" : "initrd");
        if (!to->name[0] && i == 0)
            copy_string(to->name, sizeof(to->name), 0, "initrd");
        out->nr_modules++;
    }
    return 0;
}

static int read_memory_map(const struct pvh_start_info *info, struct boot_info *out)
{
    const struct pvh_memory_entry *from = (const void *)(uintptr_t)info->memory_map;
    if (info->nr_memory_map && !from)
        return -EINVAL;
    for (uint32_t i = 0; i < info->nr_memory_map && out->nr_regions < BOOT_MAX_REGIONS; i++) {
        uint64_t end;
        if (!from[i].length || __builtin_add_overflow(from[i].base, from[i].length, &end))
            continue;
        out->regions[out->nr_regions++] = (struct boot_region){
            .start = from[i].base,
            .end = end,
            .usable = from[i].type == PVH_MEMORY_RAM,
        };
    }
    return 0;
}

/* Parses the structure at start_info into *out, which is cleared first. Version 0 has no memory
 * map: nr_regions stays 0. 0, or -EINVAL when the magic number, a count or an address is wrong. */
int boot_parse_pvh(const void *start_info, struct boot_info *out)
{
    *out = (struct boot_info){0};
    const struct pvh_start_info *info = start_info;
    if (info->magic != BOOT_MAGIC_PVH)
        return -EINVAL;
    copy_string(out->loader, sizeof(out->loader), 0, "PVH");
    copy_string(out->cmdline, sizeof(out->cmdline), info->cmdline, "");
    int err = read_modules(info, out);
    if (err)
        return err;
    return info->version >= 1 ? read_memory_map(info, out) : 0;
}
