/*
 * The kernel command line: words separated by spaces, `name` or `name=value`, double quotes
 * around values with spaces. Names of ours begin with "skep." except loglevel.
 */
#ifndef SKEP_KERNEL_CMDLINE_H
#define SKEP_KERNEL_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Remembers text (copied, cut at 1,023 bytes). */
void cmdline_init(const char *text);
const char *cmdline_text(void);
/* Copies the value of the last `name=value` into buf, without quotes. Length, 0 for a bare name,
 * -ENOENT, or -ENAMETOOLONG when it does not fit. */
int cmdline_get(const char *name, char *buf, size_t size);
bool cmdline_flag(const char *name); /* `name`, `name=1`, `name=yes`; not `name=0` */
/* Decimal or 0x; fallback when absent or malformed (which is logged). */
uint64_t cmdline_u64(const char *name, uint64_t fallback);

#endif
