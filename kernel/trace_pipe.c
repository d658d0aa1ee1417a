/*
 * The trace pipe: see kernel/trace_pipe.h. Written by kernel/probe.c and by bpf_trace_printk
 * (kernel/ebpf_port.c), read by the command server. Lines look like those of Linux's trace_pipe
 * (Linux Documentation/trace/ftrace.rst, "Output format").
 *
 * Positions count bytes since boot; the ring holds [end - size, end), and begins with a whole line
 * at `start`. Guarded by interrupts off, since an interrupt writes too: a line is copied, never
 * formatted, in there.
 */
#include <asm/errno.h>

#include "arch/x86_64/arch.h"
#include "kernel/page.h"
#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/trace_pipe.h"

static char *ring;
static uint64_t start, end; /* of the lines in the ring */
static struct trace_pipe_stats stats;

int trace_pipe_init(void)
{
    ring = page_alloc(page_order(TRACE_PIPE_SIZE));
    return ring ? 0 : -ENOMEM;
}

/* Copies between the ring from a position on and a buffer; the range may wrap. */
static void copy_in(uint64_t position, const char *from, size_t len)
{
    size_t offset = position % TRACE_PIPE_SIZE;
    size_t to_edge = TRACE_PIPE_SIZE - offset < len ? TRACE_PIPE_SIZE - offset : len;

    memcpy(ring + offset, from, to_edge);
    memcpy(ring, from + to_edge, len - to_edge);
}

static void copy_out(uint64_t position, char *to, size_t len)
{
    size_t offset = position % TRACE_PIPE_SIZE;
    size_t to_edge = TRACE_PIPE_SIZE - offset < len ? TRACE_PIPE_SIZE - offset : len;

    memcpy(to, ring + offset, to_edge);
    memcpy(to + to_edge, ring, len - to_edge);
}

/* Bytes of the line at position, with its newline. */
static size_t line_length(uint64_t position)
{
    size_t len = 1;

    while (ring[(position + len - 1) % TRACE_PIPE_SIZE] != '\n')
        len++;
    return len;
}

static void append(const char *line, size_t len)
{
    uint64_t flags = arch_irq_save();

    while (end + len - start > TRACE_PIPE_SIZE) {
        size_t oldest = line_length(start);
        start += oldest;
        stats.overwritten += oldest;
    }
    copy_in(end, line, len);
    end += len;
    stats.lines++;
    stats.bytes += len;
    arch_irq_restore(flags);
}

/* The five columns that ftrace.rst calls irqs-off, need-resched, hardirq/softirq, preempt-depth and
 * migrate-disable; the second and fifth never apply here. */
static void format_flags(const struct trace_common *common, char columns[6])
{
    columns[0] = common->flags & TRACE_FLAG_IRQS_OFF ? 'd' : '.';
    columns[1] = '.';
    columns[2] = common->flags & TRACE_FLAG_HARDIRQ ? 'h' : '.';
    columns[3] = common->preempt_count ? (char)('0' + common->preempt_count) : '.';
    columns[4] = '.';
    columns[5] = 0;
}

void trace_pipe_write(const struct trace_common *common, const char *event, const char *text,
                      size_t len)
{
    char line[TRACE_LINE_MAX], columns[6];
    uint64_t micros = arch_time_ns() / 1000;
    const char *comm = common->pid ? thread_current()->name : "<idle>"; /* Linux's word for it */
    const char *newline = memchr(text, '\n', len);
    size_t used;

    if (!ring) {
        stats.dropped++;
        return;
    }
    if (newline)
        len = (size_t)(newline - text);
    format_flags(common, columns);
    used = (size_t)format_text(line, sizeof(line), "%16s-%-7d [%03u] %s %5lu.%06lu: %s", comm,
                               common->pid, arch_cpu_id(), columns, micros / 1000000,
                               micros % 1000000, event);
    if (len > sizeof(line) - used - 1)
        len = sizeof(line) - used - 1;
    memcpy(line + used, text, len);
    line[used + len] = '\n';
    append(line, used + len + 1);
    probe_notify();
}

size_t trace_pipe_read(uint64_t *cursor, char *buf, size_t size, uint64_t *lost)
{
    uint64_t flags = arch_irq_save();
    size_t copied = 0;

    if (*cursor < start) {
        *lost += start - *cursor;
        *cursor = start;
    }
    /* A position from another boot starts over at the end. */
    if (*cursor > end)
        *cursor = end;
    while (*cursor < end) {
        size_t len = line_length(*cursor);
        if (len > size - copied)
            break;
        copy_out(*cursor, buf + copied, len);
        copied += len;
        *cursor += len;
    }
    arch_irq_restore(flags);
    return copied;
}

uint64_t trace_pipe_end(void)
{
    uint64_t flags = arch_irq_save();
    uint64_t position = end;

    arch_irq_restore(flags);
    return position;
}

void trace_pipe_get_stats(struct trace_pipe_stats *out)
{
    uint64_t flags = arch_irq_save();

    *out = stats;
    arch_irq_restore(flags);
}
