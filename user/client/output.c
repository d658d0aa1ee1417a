/*
 * What skepctl prints besides data: errors and notes, bpftool's way. In JSON mode an error is an
 * object on standard output, else a line on standard error.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "user/client/client.h"

struct json *json;
bool show_pinned, verifier_logs;

static void print_line(const char *lead, const char *fmt, va_list args)
{
    fflush(stdout);
    fputs(lead, stderr);
    vfprintf(stderr, fmt, args);
    putc('\n', stderr);
}

void p_err(const char *fmt, ...)
{
    char text[4096];
    va_list args;

    va_start(args, fmt);
    if (json) {
        vsnprintf(text, sizeof(text), fmt, args);
        jsonw_begin(json, NULL, '{');
        jsonw_string(json, "error", text);
        jsonw_end(json, '}');
    } else {
        print_line("Error: ", fmt, args);
    }
    va_end(args);
}

/* A note; nothing in JSON mode. */
void p_info(const char *fmt, ...)
{
    va_list args;

    if (json)
        return;
    va_start(args, fmt);
    print_line("", fmt, args);
    va_end(args);
}

/* 16 bytes a line, a gap after 8. */
void print_hex(const void *data, size_t size, const char *separator)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        if (i > 0)
            fputs(i % 16 == 0 ? "\n" : i % 8 == 0 ? "  " : separator, stdout);
        printf("%02x", bytes[i]);
    }
}

/* A verb that has nothing to print ends with this: JSON output is always a value. */
int done(void)
{
    if (json)
        jsonw_null(json, NULL);
    return 0;
}

/* The words for an errno value (either sign). */
const char *error_text(long error)
{
    return strerror((int)(error < 0 ? -error : error));
}
