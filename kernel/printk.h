/*
 * The kernel log: formatted lines with a level and a time, to the console and into a ring that
 * `skepctl sys dmesg` reads. Any context.
 */
#ifndef SKEP_KERNEL_PRINTK_H
#define SKEP_KERNEL_PRINTK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERR = 3, LOG_WARN = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

/* Formats like snprintf (kernel/format.c): d i u x X o c s p %, flags "-+ 0#", width, precision,
 * hh h l ll z t j; plus %px (no 0x), %pS (symbol+offset), %pI4 and %pI6 (address in network order),
 * %pM (MAC).
 * Returns the length the whole text has; writes at most size bytes, always terminated. */
int format_text(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int format_text_va(char *buf, size_t size, const char *fmt, va_list args);

void printk(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void printk_va(enum log_level level, const char *fmt, va_list args);

#define pr_err(...)    printk(LOG_ERR, __VA_ARGS__)
#define pr_warn(...)   printk(LOG_WARN, __VA_ARGS__)
#define pr_notice(...) printk(LOG_NOTICE, __VA_ARGS__)
#define pr_info(...)   printk(LOG_INFO, __VA_ARGS__)
#define pr_debug(...)  printk(LOG_DEBUG, __VA_ARGS__)

/* Lines above this level stay in the ring only. Command line: loglevel=N. */
void printk_set_console_level(enum log_level level);

/* Copies whole lines ("<6>[    0.012345] text\n") from position *cursor on, at most size bytes,
 * and advances *cursor. Positions count bytes since boot; a reader that fell behind is moved to
 * the oldest line and *lost grows by the bytes it missed. Returns the bytes copied; 0 at the end.
 * size is at least KLOG_LINE_MAX, or a long line would look like the end. */
#define KLOG_LINE_MAX 552
size_t klog_read(uint64_t *cursor, char *buf, size_t size, uint64_t *lost);

#endif
