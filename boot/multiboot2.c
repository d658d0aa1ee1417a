/*
 * Reads the multiboot2 information that GRUB leaves in memory (Multiboot2 specification 3.6) into
 * a struct boot_info. Pure: called by kernel_main() on the real structure and by
 * tests/unit/test_bootinfo.c on made-up ones. Every length is tested before it is believed.
 */
#include "boot/bootinfo.h"

#include <linux/errno.h>

enum mb2_tag_type {
    MB2_TAG_END = 0,
    MB2_TAG_CMDLINE = 1,
    MB2_TAG_LOADER = 2,
    MB2_TAG_MODULE = 3,
    MB2_TAG_MEMORY_MAP = 6,
};

#define MB2_MEMORY_AVAILABLE 1

struct mb2_info {
    uint32_t total_size;
    uint32_t reserved;
};

/* Tags start on 8 bytes; size counts the header and not the padding behind. */
struct mb2_tag {
    uint32_t type;
    uint32_t size;
};

struct mb2_module {
    struct mb2_tag tag;
    uint32_t start;
    uint32_t end;
    char name[];
};

struct mb2_memory_map {
    struct mb2_tag tag;
    uint32_t entry_size;
    uint32_t entry_version;
};

struct mb2_memory_entry {
    uint64_t base;
    uint64_t length;
    uint32_t type;
    uint32_t reserved;
};

_Static_assert(sizeof(struct mb2_info) == 8, "Multiboot2 3.6.1");
_Static_assert(sizeof(struct mb2_tag) == 8, "Multiboot2 3.6.2");
_Static_assert(sizeof(struct mb2_module) == 16, "Multiboot2 3.6.6");
_Static_assert(sizeof(struct mb2_memory_map) == 16, "Multiboot2 3.6.8");
_Static_assert(sizeof(struct mb2_memory_entry) == 24, "Multiboot2 3.6.8");

/* Copies a string of at most len bytes, cut to fit dst. */
static void copy_string(char *dst, size_t size, const char *src, size_t len)
{
    size_t n = 0;
    while (n < len && n + 1 < size && src[n]) {
        dst[n] = src[n];
        n++;
    }
    dst[n] = '\0';
}

static int read_module(const struct mb2_tag *tag, struct boot_info *out)
{
    const struct mb2_module *module = (const void *)tag;
    if (tag->size < sizeof(*module) || module->end < module->start)
        return -EINVAL;
    if (out->nr_modules == BOOT_MAX_MODULES)
        return -EINVAL; /* unknown to us, its memory would be given away */
    struct boot_module *to = &out->modules[out->nr_modules++];
    to->start = module->start;
    to->end = module->end;
    copy_string(to->name, sizeof(to->name), module->name, tag->size - sizeof(*module));
    return 0;
}

/* Regions past BOOT_MAX_REGIONS are dropped: memory that we do not know of is only unused. */
static int read_memory_map(const struct mb2_tag *tag, struct boot_info *out)
{
    const struct mb2_memory_map *map = (const void *)tag;
    if (tag->size < sizeof(*map) || map->entry_size < sizeof(struct mb2_memory_entry) ||
        map->entry_size % 8)
        return -EINVAL;
    size_t count = (tag->size - sizeof(*map)) / map->entry_size;
    const uint8_t *at = (const uint8_t *)(map + 1);
    for (size_t i = 0; i < count && out->nr_regions < BOOT_MAX_REGIONS; i++) {
        const struct mb2_memory_entry *entry = (const void *)(at + i * map->entry_size);
        uint64_t end;
        if (!entry->length || __builtin_add_overflow(entry->base, entry->length, &end))
            continue;
        out->regions[out->nr_regions++] = (struct boot_region){
            .start = entry->base,
            .end = end,
            .usable = entry->type == MB2_MEMORY_AVAILABLE,
        };
    }
    return 0;
}

static int read_tag(const struct mb2_tag *tag, struct boot_info *out)
{
    const char *text = (const char *)(tag + 1);
    size_t len = tag->size - sizeof(*tag);
    switch (tag->type) {
    case MB2_TAG_CMDLINE:
        copy_string(out->cmdline, sizeof(out->cmdline), text, len);
        return 0;
    case MB2_TAG_LOADER:
        copy_string(out->loader, sizeof(out->loader), text, len);
        return 0;
    case MB2_TAG_MODULE:
        return read_module(tag, out);
    case MB2_TAG_MEMORY_MAP:
        return read_memory_map(tag, out);
    default:
        return 0;
    }
}

/* Parses the structure at info (8-byte aligned, at most limit bytes) into *out, which is cleared
 * first. 0, or -EINVAL when a length leaves the structure or the end tag is missing; *out then
 * holds what came before. Multiboot2 3.6. */
int boot_parse_multiboot2(const void *info, size_t limit, struct boot_info *out)
{
    *out = (struct boot_info){0};
    const struct mb2_info *head = info;
    if (limit < sizeof(*head) || head->total_size > limit)
        return -EINVAL;
    size_t offset = sizeof(*head);
    while (offset + sizeof(struct mb2_tag) <= head->total_size) {
        const struct mb2_tag *tag = (const void *)((const uint8_t *)info + offset);
        if (tag->size < sizeof(*tag) || tag->size > head->total_size - offset)
            return -EINVAL;
        if (tag->type == MB2_TAG_END)
            return 0;
        int err = read_tag(tag, out);
        if (err)
            return err;
        offset += ((size_t)tag->size + 7) & ~(size_t)7;
    }
    return -EINVAL;
}
