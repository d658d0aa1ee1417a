/*
 * Writes a trace as one page that needs nothing else: its style, its script and its data stand in
 * it, and its policy forbids to fetch anything. The pieces are trace.html, trace.css and trace.js
 * of this folder, linked in as they are (scripts/serve.mk).
 */
#include <stdlib.h>
#include <string.h>

#include "user/vm/trace.h"

/* As `ld -b binary` names what it wraps. */
#define ASSET(name) extern const char name##_start[], name##_end[];
ASSET(_binary_trace_html)
ASSET(_binary_trace_css)
ASSET(_binary_trace_js)
ASSET(_binary_trace_lists_js)
ASSET(_binary_trace_graph_js)

static const struct {
    const char *name; /* the line of trace.html that it stands for */
    const char *start, *end;
} assets[] = {
#define PIECE(name, asset)                                                                         \
    {                                                                                              \
        name, asset##_start, asset##_end                                                           \
    }
    PIECE("{{css}}\n", _binary_trace_css),
    PIECE("{{js}}\n", _binary_trace_js),
    PIECE("{{js}}\n", _binary_trace_lists_js),
    PIECE("{{js}}\n", _binary_trace_graph_js),
};

/* "<" stands in strings alone, where it can be written as an escape that ends no script. */
static void put_data(FILE *out, const struct trace *trace, const struct trace_about *about)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);

    trace_write_json(memory, trace, about);
    fclose(memory);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '<')
            fputs("\\u003c", out);
        else
            putc(text[i], out);
    }
    free(text);
}

/* False: the line is none that stands for something. */
static bool put_pieces(FILE *out, const char *line, size_t length)
{
    bool found = false;

    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++) {
        if (length != strlen(assets[i].name) || memcmp(line, assets[i].name, length) != 0)
            continue;
        fwrite(assets[i].start, 1, (size_t)(assets[i].end - assets[i].start), out);
        found = true;
    }
    return found;
}

/* The linker's symbols are the two ends of one array. */
static size_t trace_page_size(void)
{
    return (uintptr_t)_binary_trace_html_end - (uintptr_t)_binary_trace_html_start;
}

void trace_write_html(FILE *out, const struct trace *trace, const struct trace_about *about)
{
    const char *at = _binary_trace_html_start, *end = at + trace_page_size();

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline ? newline + 1 : end) - at);

        if (length == 9 && memcmp(at, "{{data}}\n", length) == 0)
            put_data(out, trace, about);
        else if (!put_pieces(out, at, length))
            fwrite(at, 1, length, out);
        at += length;
    }
}
