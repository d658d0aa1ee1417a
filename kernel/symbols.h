/*
 * The kernel's own symbol table, linked into the image by scripts/kallsyms in a second link pass.
 */
#ifndef SKEP_KERNEL_SYMBOLS_H
#define SKEP_KERNEL_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

/* The function that addr lies in; NULL when none. *offset is addr minus its start. Any context. */
const char *symbol_find(uintptr_t addr, uintptr_t *offset);
/* Start address of the function called name; 0 when there is none. */
uintptr_t symbol_address(const char *name);
/* The index-th symbol in address order; NULL past the end. For dumping the table. */
const char *symbol_at(size_t index, uintptr_t *addr, size_t *size);

#endif
