/*
 * The `format` text of a tracepoint, to the letter as Linux prints events/SYSTEM/NAME/format
 * (Linux Documentation/trace/events.rst, "Event formats"). Called by the command server.
 */
#include <stdarg.h>

#include "kernel/printk.h"
#include "kernel/tracepoint.h"

static const struct trace_field common_fields[] = {
    {.type = "unsigned short", .name = "common_type", .size = 2, .align = 2},
    {.type = "unsigned char", .name = "common_flags", .size = 1, .align = 1},
    {.type = "unsigned char", .name = "common_preempt_count", .size = 1, .align = 1},
    {.type = "int", .name = "common_pid", .size = 4, .align = 4, .is_signed = true},
};

/* The text so far; len counts on past size. */
struct text {
    char *buf;
    size_t size, len;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *fmt, ...)
{
    bool full = text->len >= text->size;
    va_list args;

    va_start(args, fmt);
    text->len += (size_t)format_text_va(full ? NULL : text->buf + text->len,
                                        full ? 0 : text->size - text->len, fmt, args);
    va_end(args);
}

/* One `field:` line a field. offset: where the first may start; returns where the last ends. */
static unsigned put_fields(struct text *text, const struct trace_field *fields, unsigned count,
                           unsigned offset)
{
    for (unsigned i = 0; i < count; i++) {
        const struct trace_field *field = &fields[i];

        offset = (offset + field->align - 1) / field->align * field->align;
        put(text, "\tfield:%s %s", field->type, field->name);
        if (field->count)
            put(text, "[%u]", field->count);
        put(text, ";\toffset:%u;\tsize:%u;\tsigned:%d;\n", offset, field->size, field->is_signed);
        offset += field->size;
    }
    return offset;
}

/* `"dfd: 0x%08lx, ...", ((unsigned long)(REC->dfd)), ...` over the fields after __syscall_nr. */
static void put_syscall_enter_print(struct text *text, const struct tracepoint *tp)
{
    put(text, "\"");
    for (unsigned i = 1; i < tp->nr_fields; i++)
        put(text, "%s%s: 0x%%08lx", i > 1 ? ", " : "", tp->fields[i].name);
    put(text, "\"");
    for (unsigned i = 1; i < tp->nr_fields; i++)
        put(text, ", ((unsigned long)(REC->%s))", tp->fields[i].name);
}

int tracepoint_format(const struct tracepoint *tp, char *buf, size_t size)
{
    struct text text = {.buf = buf, .size = size};
    unsigned offset;

    put(&text, "name: %s\nID: %u\nformat:\n", tp->name, tp->id);
    offset = put_fields(&text, common_fields, sizeof(common_fields) / sizeof(common_fields[0]), 0);
    put(&text, "\n");
    put_fields(&text, tp->fields, tp->nr_fields, offset);
    put(&text, "\nprint fmt: ");
    if (tp->print_fmt)
        put(&text, "%s", tp->print_fmt);
    else
        put_syscall_enter_print(&text, tp);
    put(&text, "\n");
    return (int)text.len;
}
