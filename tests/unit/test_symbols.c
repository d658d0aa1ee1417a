/*
 * kernel/symbols.c on a table as scripts/kallsyms writes it: ascending addresses, an alias, a gap.
 */
#include <stdint.h>

#include <criterion/criterion.h>

#include "kernel/symbols.h"
#include "tests/unit/leakcheck.h"

TestSuite(symbols, .fini = leakcheck);

struct row {
    uint32_t addr, size, name;
};

extern const uint64_t symbol_count;
extern const struct row symbol_table[];
extern const char symbol_names[];

const uint64_t symbol_count = 4;
const struct row symbol_table[] = {
    {0x100000, 0x20, 0},
    {0x100020, 0x10, 6},
    {0x100020, 0x10, 10},
    {0x100100, 0x01, 16},
};
const char symbol_names[] = "start\0one\0alias\0tiny";

static void expect(uintptr_t addr, const char *name, uintptr_t offset)
{
    uintptr_t found;
    const char *text = symbol_find(addr, &found);
    cr_assert_not_null(text, "0x%lx", addr);
    cr_assert_str_eq(text, name, "0x%lx: %s", addr, text);
    cr_assert_eq(found, offset, "0x%lx", addr);
}

Test(symbols, find_first_last_and_inner_bytes)
{
    expect(0x100000, "start", 0);
    expect(0x10001f, "start", 0x1f);
    expect(0x100020, "alias", 0);
    expect(0x10002f, "alias", 0xf);
    expect(0x100100, "tiny", 0);
}

Test(symbols, find_nothing_before_between_and_behind)
{
    uintptr_t offset;
    const uintptr_t outside[] = {0, 0xfffff, 0x100030, 0x1000ff, 0x100101, UINTPTR_MAX};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        cr_assert_null(symbol_find(outside[i], &offset), "0x%lx", outside[i]);
    /* 32 bits of an address are not the address. */
    cr_assert_null(symbol_find(0x700100000, &offset));
}

Test(symbols, address_by_name)
{
    cr_assert_eq(symbol_address("one"), 0x100020);
    cr_assert_eq(symbol_address("tiny"), 0x100100);
    cr_assert_eq(symbol_address("on"), 0);
    cr_assert_eq(symbol_address(""), 0);
}

Test(symbols, rows_in_address_order)
{
    uintptr_t addr, last = 0;
    size_t size, index = 0;
    while (symbol_at(index, &addr, &size)) {
        cr_assert_geq(addr, last);
        last = addr;
        index++;
    }
    cr_assert_eq(index, 4);
    cr_assert_str_eq(symbol_at(3, &addr, &size), "tiny");
    cr_assert_eq(size, 1);
}
