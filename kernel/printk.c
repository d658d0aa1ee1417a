/*
 * The kernel log: a ring of formatted lines, and the console. Called from everywhere, interrupt
 * handlers included; so a line is formatted on the caller's stack and then, with interrupts
 * off, appended and written out in one piece.
 */
#include "kernel/printk.h"

#include "arch/x86_64/arch.h"
#include "kernel/string.h"

#define RING_SIZE 131072u              /* a power of two: positions are taken modulo RING_SIZE */
#define LINE_MAX  (KLOG_LINE_MAX - 40) /* longer messages are cut */
_Static_assert((RING_SIZE & (RING_SIZE - 1)) == 0, "positions wrap by masking");

/* Guarded by interrupts off. Bytes [oldest, newest) are in the ring and begin at a line. */
static struct {
    char bytes[RING_SIZE];
    uint64_t oldest, newest;
} ring;

static enum log_level console_level = LOG_INFO;

/* Lines above this level go into the ring only. */
void printk_set_console_level(enum log_level level)
{
    console_level = level;
}

static char ring_byte(uint64_t position)
{
    return ring.bytes[position % RING_SIZE];
}

/* Drops whole lines until `need` more bytes fit. */
static void ring_make_room(size_t need)
{
    while (ring.newest + need - ring.oldest > RING_SIZE) {
        while (ring_byte(ring.oldest) != '\n')
            ring.oldest++;
        ring.oldest++;
    }
}

static void ring_append(const char *text, size_t len)
{
    ring_make_room(len);
    for (size_t i = 0; i < len; i++)
        ring.bytes[ring.newest++ % RING_SIZE] = text[i];
}

/* One line of a message, without its newline. */
static void log_line(enum log_level level, uint64_t now_ns, const char *text, size_t len)
{
    char line[KLOG_LINE_MAX];
    int prefix = format_text(line, sizeof(line), "<%d>[%5lu.%06lu] ", level,
                             (unsigned long)(now_ns / 1000000000u),
                             (unsigned long)(now_ns / 1000 % 1000000));
    size_t total = (size_t)prefix + len + 1;
    size_t console_start = 3; /* without "<6>" */

    memcpy(line + prefix, text, len);
    line[total - 1] = '\n';
    uint64_t flags = arch_irq_save();
    ring_append(line, total);
    if (level <= console_level)
        arch_console_write(line + console_start, total - console_start);
    arch_irq_restore(flags);
}

/* A message of several lines becomes several records; a newline at the end is not needed. */
void printk_va(enum log_level level, const char *fmt, va_list args)
{
    char text[LINE_MAX];
    uint64_t now_ns = arch_time_ns();
    int whole = format_text_va(text, sizeof(text), fmt, args);
    size_t len = whole < (int)sizeof(text) ? (size_t)whole : sizeof(text) - 1;

    for (const char *line = text, *end = text + len; line < end || line == text;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        log_line(level, now_ns, line, (size_t)(stop - line));
        line = stop + 1;
    }
}

/* As printk_va, with the arguments in the call. Any context. */
void printk(enum log_level level, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    printk_va(level, fmt, args);
    va_end(args);
}

/* Length of the line at position, newline included. */
static size_t line_length(uint64_t position)
{
    size_t len = 1;
    while (ring_byte(position + len - 1) != '\n')
        len++;
    return len;
}

/* Copies whole lines from *cursor on and moves it behind them; see printk.h. Any context, though
 * it holds interrupts off for as long as it copies. */
size_t klog_read(uint64_t *cursor, char *buf, size_t size, uint64_t *lost)
{
    size_t copied = 0;
    uint64_t flags = arch_irq_save();

    if (*cursor < ring.oldest) {
        *lost += ring.oldest - *cursor;
        *cursor = ring.oldest;
    }
    while (*cursor < ring.newest) {
        size_t len = line_length(*cursor);
        if (copied + len > size)
            break;
        for (size_t i = 0; i < len; i++)
            buf[copied++] = ring_byte(*cursor + i);
        *cursor += len;
    }
    arch_irq_restore(flags);
    return copied;
}
