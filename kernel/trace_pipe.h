/*
 * The trace pipe: lines of text about events, in a ring in memory. A reader keeps its own position,
 * so several read at once and none takes anything from the others. A reader that falls behind by
 * more than the ring's size loses the oldest lines, and is told how many bytes.
 */
#ifndef SKEP_KERNEL_TRACE_PIPE_H
#define SKEP_KERNEL_TRACE_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/tracepoint.h"

#define TRACE_PIPE_SIZE (1u << 20) /* bytes, a power of two */
#define TRACE_LINE_MAX  1024u      /* a longer line is cut */

struct trace_pipe_stats {
    uint64_t lines, bytes; /* written since boot */
    uint64_t overwritten;  /* bytes that made room for newer ones */
    uint64_t dropped;      /* lines that came before trace_pipe_init */
};

/* 0, or -ENOMEM: every line is then dropped and counted. Start-up. */
int trace_pipe_init(void);

/* Appends "comm-pid [cpu] flags seconds.micros: " event text "\n"; text goes up to its first
 * newline. Any context. */
void trace_pipe_write(const struct trace_common *common, const char *event, const char *text,
                      size_t len);

/* Copies whole lines from position *cursor on, at most size bytes, and advances *cursor; 0 is the
 * oldest position there ever was. Adds to *lost the bytes that the reader missed. Returns the bytes
 * copied; 0 when there is nothing new, or when size is less than the next line. Any context. */
size_t trace_pipe_read(uint64_t *cursor, char *buf, size_t size, uint64_t *lost);
/* The position behind the newest line: where a reader starts that wants new lines only. */
uint64_t trace_pipe_end(void);
void trace_pipe_get_stats(struct trace_pipe_stats *out);

#endif
