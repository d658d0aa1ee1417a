/*
 * How the answers of the comparison with Linux are written. See probe.h.
 */
#define _GNU_SOURCE /* strerrorname_np */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/linux/probe.h"

#define LINE_MAX_SIZE  8192u
#define LINUX_ENOTSUPP 524 /* the kernel's own; the C library has no name for it */

/* One answer. What would break the line becomes a space. */
void probe_say(const char *part, const char *id, const char *field, const char *fmt, ...)
{
    static char line[LINE_MAX_SIZE];
    int head = snprintf(line, sizeof(line), "%s\t%s\t%s\t", part, id, field), len;
    va_list args;

    if (head < 0 || (size_t)head > sizeof(line) - 2)
        return;
    va_start(args, fmt);
    len = vsnprintf(line + head, sizeof(line) - 1 - (size_t)head, fmt, args);
    va_end(args);
    if (len < 0)
        len = 0;
    if (len > (int)sizeof(line) - head - 2)
        len = (int)sizeof(line) - head - 2;
    for (int i = head; i < head + len; i++)
        if (iscntrl((unsigned char)line[i]))
            line[i] = ' ';
    line[head + len] = '\n';
    side_write(line, (size_t)(head + len + 1));
}

void probe_say_hex(const char *part, const char *id, const char *field, const uint8_t *bytes,
                   size_t size)
{
    static char text[2 * 2048 + 1];

    if (size > sizeof(text) / 2)
        size = sizeof(text) / 2;
    text[0] = 0;
    for (size_t i = 0; i < size; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
    probe_say(part, id, field, "%s", text);
}

/* The name of an error number, positive or negative; "ok" for 0. */
const char *probe_error(int error)
{
    static char number[32];
    const char *name;

    if (error < 0)
        error = -error;
    if (error == 0)
        return "ok";
    if (error == LINUX_ENOTSUPP)
        return "ENOTSUPP";
    name = strerrorname_np(error);
    if (name)
        return name;
    snprintf(number, sizeof(number), "error %d", error);
    return number;
}

/* The sentence of a verifier's log that says why it refused: the last line that is neither a total
 * nor a place in the source. */
void probe_log_reason(const char *log, char *out, size_t size)
{
    out[0] = 0;
    while (*log) {
        size_t len = strcspn(log, "\n");

        if (len && strncmp(log, "processed ", 10) != 0 &&
            strncmp(log, "verification time", 17) != 0)
            snprintf(out, size, "%.*s", (int)len, log);
        log += len + (log[len] == '\n');
    }
}
