/*
 * The kernel's function names by address, for backtraces, %pS and `skepctl`. The table is made
 * by scripts/kallsyms from the first link's symbols and linked in by a second pass, in address
 * order.
 */
#include "kernel/symbols.h"

/* One function; the image lies below 4 GiB. */
struct symbol {
    uint32_t addr;
    uint32_t size;
    uint32_t name; /* offset into symbol_names */
};
_Static_assert(sizeof(struct symbol) == 12, "written by scripts/kallsyms");

extern const uint64_t symbol_count;
extern const struct symbol symbol_table[];
extern const char symbol_names[];

/* The function that addr lies in; NULL when none. *offset is addr minus its start. Any context. */
const char *symbol_find(uintptr_t addr, uintptr_t *offset)
{
    size_t low = 0, high = symbol_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbol_table[middle].addr <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    /* Of several that share an address the last one answers. */
    if (!low || addr - symbol_table[low - 1].addr >= symbol_table[low - 1].size)
        return NULL;
    *offset = addr - symbol_table[low - 1].addr;
    return symbol_names + symbol_table[low - 1].name;
}

/* Start address of the function called name; 0 when there is none. */
uintptr_t symbol_address(const char *name)
{
    for (size_t i = 0; i < symbol_count; i++)
        if (__builtin_strcmp(symbol_names + symbol_table[i].name, name) == 0)
            return symbol_table[i].addr;
    return 0;
}

/* The index-th symbol in address order, its start and length in bytes; NULL past the end. */
const char *symbol_at(size_t index, uintptr_t *addr, size_t *size)
{
    if (index >= symbol_count)
        return NULL;
    *addr = symbol_table[index].addr;
    *size = symbol_table[index].size;
    return symbol_names + symbol_table[index].name;
}
