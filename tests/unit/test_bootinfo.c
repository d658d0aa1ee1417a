/*
 * The loaders' information and the free memory that follows from it: boot/multiboot2.c, boot/pvh.c,
 * boot/memory.c. Structures are built here byte by byte, from the specifications.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "boot/bootinfo.h"
#include "boot/magic.h"
#include "tests/unit/leakcheck.h"

TestSuite(bootinfo, .fini = leakcheck);

/* ---- building multiboot2 information ---------------------------------------------------- */

struct builder {
    _Alignas(8) uint8_t bytes[8192];
    size_t len;
};

static void put(struct builder *b, const void *data, size_t n)
{
    memcpy(b->bytes + b->len, data, n);
    b->len += n;
}

static void put32(struct builder *b, uint32_t value)
{
    put(b, &value, 4);
}

static void put64(struct builder *b, uint64_t value)
{
    put(b, &value, 8);
}

static void begin(struct builder *b)
{
    memset(b, 0, sizeof(*b));
    b->len = 8;
}

static void pad(struct builder *b)
{
    b->len = (b->len + 7) & ~(size_t)7;
}

static void put_string_tag(struct builder *b, uint32_t type, const char *text)
{
    put32(b, type);
    put32(b, 8 + (uint32_t)strlen(text) + 1);
    put(b, text, strlen(text) + 1);
    pad(b);
}

static void put_module(struct builder *b, uint32_t start, uint32_t end, const char *name)
{
    put32(b, 3);
    put32(b, 16 + (uint32_t)strlen(name) + 1);
    put32(b, start);
    put32(b, end);
    put(b, name, strlen(name) + 1);
    pad(b);
}

static void put_map(struct builder *b, const struct boot_region *regions, uint32_t count)
{
    put32(b, 6);
    put32(b, 16 + 24 * count);
    put32(b, 24);
    put32(b, 0);
    for (uint32_t i = 0; i < count; i++) {
        put64(b, regions[i].start);
        put64(b, regions[i].end - regions[i].start);
        put32(b, regions[i].usable ? 1 : 2);
        put32(b, 0);
    }
}

static void finish(struct builder *b)
{
    put32(b, 0);
    put32(b, 8);
    uint32_t total = (uint32_t)b->len;
    memcpy(b->bytes, &total, 4);
}

/* Parses out of a block of exactly the structure's size, so that the sanitizer sees any step
 * beyond it. */
static int parse(const struct builder *b, struct boot_info *out)
{
    uint8_t *exact = aligned_alloc(8, (b->len + 7) & ~(size_t)7);
    memcpy(exact, b->bytes, b->len);
    int err = boot_parse_multiboot2(exact, b->len, out);
    free(exact);
    return err;
}

static const struct boot_region map[] = {
    {0, 0x9fc00, true},
    {0xf0000, 0x100000, false},
    {0x100000, 0x10000000, true},
};

static void build_usual(struct builder *b)
{
    begin(b);
    put_string_tag(b, 1, "loglevel=7 skep.ip=dhcp");
    put_string_tag(b, 2, "GRUB 2.06");
    put_module(b, 0x200000, 0x203000, "initrd");
    put_map(b, map, 3);
    finish(b);
}

Test(bootinfo, multiboot2_gives_every_part)
{
    struct builder b;
    struct boot_info info;
    build_usual(&b);
    cr_assert_eq(parse(&b, &info), 0);
    cr_assert_str_eq(info.cmdline, "loglevel=7 skep.ip=dhcp");
    cr_assert_str_eq(info.loader, "GRUB 2.06");
    cr_assert_eq(info.nr_modules, 1);
    cr_assert_str_eq(info.modules[0].name, "initrd");
    cr_assert_eq(info.modules[0].start, 0x200000);
    cr_assert_eq(info.modules[0].end, 0x203000);
    cr_assert_eq(info.nr_regions, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(info.regions[i].start, map[i].start);
        cr_assert_eq(info.regions[i].end, map[i].end);
        cr_assert_eq(info.regions[i].usable, map[i].usable);
    }
}

Test(bootinfo, multiboot2_cut_anywhere_is_refused)
{
    struct builder whole;
    build_usual(&whole);
    for (size_t len = 0; len < whole.len; len++) {
        struct builder b = whole;
        struct boot_info info;
        b.len = len;
        if (len >= 4) {
            uint32_t total = (uint32_t)len;
            memcpy(b.bytes, &total, 4);
        }
        cr_assert_eq(parse(&b, &info), -EINVAL, "cut at %zu of %zu", len, whole.len);
    }
}

Test(bootinfo, multiboot2_total_beyond_the_limit_is_refused)
{
    struct builder b;
    struct boot_info info;
    build_usual(&b);
    cr_assert_eq(boot_parse_multiboot2(b.bytes, b.len - 1, &info), -EINVAL);
}

/* Any byte wrong: an error or a result, within bounds and with terminated strings. */
Test(bootinfo, multiboot2_survives_damage)
{
    struct builder whole;
    build_usual(&whole);
    srand(1);
    for (int round = 0; round < 20000; round++) {
        struct builder b = whole;
        struct boot_info info;
        for (int i = rand() % 4; i >= 0; i--)
            b.bytes[(size_t)rand() % b.len] = (uint8_t)rand();
        parse(&b, &info);
        cr_assert_leq(info.nr_regions, BOOT_MAX_REGIONS);
        cr_assert_leq(info.nr_modules, BOOT_MAX_MODULES);
        cr_assert_lt(strnlen(info.cmdline, sizeof(info.cmdline)), sizeof(info.cmdline));
        cr_assert_lt(strnlen(info.loader, sizeof(info.loader)), sizeof(info.loader));
    }
}

Test(bootinfo, multiboot2_tag_of_no_size_is_refused)
{
    struct builder b;
    struct boot_info info;
    begin(&b);
    put32(&b, 42);
    put32(&b, 0);
    finish(&b);
    cr_assert_eq(parse(&b, &info), -EINVAL);
}

Test(bootinfo, multiboot2_long_texts_are_cut)
{
    struct builder b;
    struct boot_info info;
    char text[3000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    begin(&b);
    put_string_tag(&b, 1, text);
    put_string_tag(&b, 2, text);
    finish(&b);
    cr_assert_eq(parse(&b, &info), 0);
    cr_assert_eq(strlen(info.cmdline), sizeof(info.cmdline) - 1);
    cr_assert_eq(strlen(info.loader), sizeof(info.loader) - 1);
}

Test(bootinfo, multiboot2_module_that_ends_before_it_starts_is_refused)
{
    struct builder b;
    struct boot_info info;
    begin(&b);
    put_module(&b, 0x300000, 0x2fffff, "odd");
    finish(&b);
    cr_assert_eq(parse(&b, &info), -EINVAL);
}

Test(bootinfo, multiboot2_more_modules_than_we_keep_are_refused)
{
    struct builder b;
    struct boot_info info;
    begin(&b);
    for (uint32_t i = 0; i <= BOOT_MAX_MODULES; i++)
        put_module(&b, 0x200000 + i * 4096, 0x201000 + i * 4096, "m");
    finish(&b);
    cr_assert_eq(parse(&b, &info), -EINVAL);
}

Test(bootinfo, multiboot2_regions_past_the_table_and_beyond_64_bits_are_dropped)
{
    struct builder b;
    struct boot_info info;
    begin(&b);
    put32(&b, 6);
    put32(&b, 16 + 24 * (BOOT_MAX_REGIONS + 9));
    put32(&b, 24);
    put32(&b, 0);
    put64(&b, UINT64_MAX - 10);
    put64(&b, 4096);
    put32(&b, 1);
    put32(&b, 0);
    for (int i = 0; i < BOOT_MAX_REGIONS + 8; i++) {
        put64(&b, (uint64_t)i * 8192);
        put64(&b, 4096);
        put32(&b, 1);
        put32(&b, 0);
    }
    finish(&b);
    cr_assert_eq(parse(&b, &info), 0);
    cr_assert_eq(info.nr_regions, BOOT_MAX_REGIONS);
    cr_assert_eq(info.regions[0].start, 0);
    cr_assert_eq(info.regions[1].start, 8192);
}

/* ---- PVH -------------------------------------------------------------------------------- */

struct pvh_fixture {
    uint32_t head[4];   /* magic, version, flags, number of modules */
    uint64_t addrs[4];  /* modules, command line, RSDP, memory map */
    uint32_t counts[2]; /* memory map entries, reserved */
    uint64_t modules[2][4];
    struct {
        uint64_t base, length;
        uint32_t type, reserved;
    } memory[2];
};

static uint64_t address(const void *p)
{
    return (uintptr_t)p;
}

static void build_pvh(struct pvh_fixture *f)
{
    *f = (struct pvh_fixture){
        .head = {BOOT_MAGIC_PVH, 1, 0, 2},
        .addrs = {address(f->modules), address("a=1 b"), 0, address(f->memory)},
        .counts = {2, 0},
        .modules = {{0x7000000, 0x2000, 0, 0}, {0x7100000, 0x10, address("key"), 0}},
        .memory = {{0, 0x9fc00, 1, 0}, {0xfd000000, 0x1000, 2, 0}},
    };
}

Test(bootinfo, pvh_gives_every_part)
{
    struct pvh_fixture f;
    struct boot_info info;
    build_pvh(&f);
    cr_assert_eq(boot_parse_pvh(&f, &info), 0);
    cr_assert_str_eq(info.loader, "PVH");
    cr_assert_str_eq(info.cmdline, "a=1 b");
    cr_assert_eq(info.nr_modules, 2);
    cr_assert_str_eq(info.modules[0].name, "initrd");
    cr_assert_eq(info.modules[0].end, 0x7002000);
    cr_assert_str_eq(info.modules[1].name, "key");
    cr_assert_eq(info.nr_regions, 2);
    cr_assert(info.regions[0].usable);
    cr_assert_not(info.regions[1].usable);
}

Test(bootinfo, pvh_version_0_has_no_memory_map)
{
    struct pvh_fixture f;
    struct boot_info info;
    build_pvh(&f);
    f.head[1] = 0;
    cr_assert_eq(boot_parse_pvh(&f, &info), 0);
    cr_assert_eq(info.nr_regions, 0);
}

Test(bootinfo, pvh_wrong_magic_count_or_address_is_refused)
{
    struct pvh_fixture f;
    struct boot_info info;
    build_pvh(&f);
    f.head[0]++;
    cr_assert_eq(boot_parse_pvh(&f, &info), -EINVAL);
    build_pvh(&f);
    f.head[3] = BOOT_MAX_MODULES + 1;
    cr_assert_eq(boot_parse_pvh(&f, &info), -EINVAL);
    build_pvh(&f);
    f.addrs[0] = 0;
    cr_assert_eq(boot_parse_pvh(&f, &info), -EINVAL);
    build_pvh(&f);
    f.addrs[3] = 0;
    cr_assert_eq(boot_parse_pvh(&f, &info), -EINVAL);
    build_pvh(&f);
    f.modules[0][1] = UINT64_MAX;
    cr_assert_eq(boot_parse_pvh(&f, &info), -EINVAL);
}

/* ---- free memory ------------------------------------------------------------------------ */

static struct boot_region given[64];
static unsigned nr_given;

static void give(uint64_t start, uint64_t end)
{
    cr_assert_lt(nr_given, 64);
    given[nr_given++] = (struct boot_region){start, end, true};
}

static const struct boot_region everything = {0, UINT64_MAX, true};
static const struct boot_region image = {0x100000, 0x180000, false};

Test(bootinfo, free_memory_leaves_out_first_mib_image_and_modules)
{
    struct boot_info info = {
        .nr_regions = 3,
        .regions = {map[0], map[1], map[2]},
        .nr_modules = 2,
        .modules = {{.start = 0x400000, .end = 0x400801}, {.start = 0x200800, .end = 0x203000}},
    };
    nr_given = 0;
    boot_for_each_free(&info, &everything, &image, give);
    cr_assert_eq(nr_given, 3);
    cr_assert_eq(given[0].start, 0x180000);
    cr_assert_eq(given[0].end, 0x200000);
    cr_assert_eq(given[1].start, 0x203000);
    cr_assert_eq(given[1].end, 0x400000);
    cr_assert_eq(given[2].start, 0x401000);
    cr_assert_eq(given[2].end, 0x10000000);
}

Test(bootinfo, free_memory_keeps_to_the_window_and_whole_pages)
{
    struct boot_info info = {.nr_regions = 1, .regions = {{0x100001, 0x7fffff, true}}};
    const struct boot_region window = {0x300000, 0x500000, true};
    nr_given = 0;
    boot_for_each_free(&info, &window, &image, give);
    cr_assert_eq(nr_given, 1);
    cr_assert_eq(given[0].start, 0x300000);
    cr_assert_eq(given[0].end, 0x500000);
    nr_given = 0;
    boot_for_each_free(&info, &everything, &image, give);
    cr_assert_eq(nr_given, 1);
    cr_assert_eq(given[0].start, 0x180000);
    cr_assert_eq(given[0].end, 0x7ff000);
}

/* Against a model: a page is given exactly once when it is usable and not taken. */
Test(bootinfo, free_memory_agrees_with_a_page_by_page_model)
{
    enum { PAGES = 512, FIRST = 256 };
    srand(2);
    for (int round = 0; round < 2000; round++) {
        struct boot_info info = {.nr_regions = 2, .nr_modules = (unsigned)rand() % 5};
        bool usable[PAGES] = {0};
        unsigned split = (unsigned)rand() % PAGES;
        info.regions[0] = (struct boot_region){0, split * 4096, true};
        info.regions[1] = (struct boot_region){split * 4096, PAGES * 4096, rand() % 2};
        for (unsigned p = FIRST; p < PAGES; p++)
            usable[p] = (p < split || info.regions[1].usable) && p >= 384;
        struct boot_region kernel = {FIRST * 4096, 384 * 4096, false};
        for (unsigned m = 0; m < info.nr_modules; m++) {
            unsigned start = (unsigned)rand() % (PAGES * 4096);
            unsigned end = start + (unsigned)rand() % 100000;
            info.modules[m] = (struct boot_module){.start = start, .end = end};
            for (unsigned p = start / 4096; p < PAGES && p * 4096 < end; p++)
                usable[p] = false;
        }
        nr_given = 0;
        boot_for_each_free(&info, &everything, &kernel, give);
        unsigned count[PAGES] = {0};
        for (unsigned g = 0; g < nr_given; g++)
            for (uint64_t at = given[g].start; at < given[g].end; at += 4096)
                count[at / 4096]++;
        for (unsigned p = 0; p < PAGES; p++)
            cr_assert_eq(count[p], usable[p], "round %d page %u", round, p);
    }
}
