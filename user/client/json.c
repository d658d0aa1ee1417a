/*
 * See json.h. Called by everything that prints for -j and -p, and by map dump in plain mode where
 * a map has BTF. Values are written as they come: 64-bit unsigned numbers stay exact.
 */
#include "user/client/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

static void new_line(struct json *json)
{
    if (!json->pretty)
        return;
    putc('\n', json->out);
    for (unsigned i = 0; i < json->depth; i++)
        fputs("    ", json->out);
}

/* What stands before a value: a comma, and the member's name. */
static void begin_value(struct json *json, const char *name)
{
    if (json->comma)
        putc(',', json->out);
    json->comma = true;
    if (!name)
        return;
    new_line(json);
    json->comma = false;
    jsonw_string(json, NULL, name);
    fputs(json->pretty ? ": " : ":", json->out);
}

/* Writes a member's name only; the value follows with name NULL. */
void jsonw_name(struct json *json, const char *name)
{
    begin_value(json, name);
    json->comma = false;
}

/* bracket: '{' or '['. */
void jsonw_begin(struct json *json, const char *name, char bracket)
{
    begin_value(json, name);
    putc(bracket, json->out);
    json->depth++;
    json->comma = false;
}

/* bracket: '}' or ']'. The outermost one ends the line. */
void jsonw_end(struct json *json, char bracket)
{
    json->depth--;
    if (json->comma)
        new_line(json);
    putc(bracket, json->out);
    json->comma = true;
}

void jsonw_uint(struct json *json, const char *name, uint64_t value)
{
    jsonw_printf(json, name, "%" PRIu64, value);
}

void jsonw_int(struct json *json, const char *name, int64_t value)
{
    jsonw_printf(json, name, "%" PRId64, value);
}

void jsonw_bool(struct json *json, const char *name, bool value)
{
    jsonw_printf(json, name, "%s", value ? "true" : "false");
}

void jsonw_null(struct json *json, const char *name)
{
    jsonw_printf(json, name, "null");
}

/* A number, or anything else that is JSON as it stands. */
void jsonw_printf(struct json *json, const char *name, const char *fmt, ...)
{
    va_list args;

    begin_value(json, name);
    va_start(args, fmt);
    vfprintf(json->out, fmt, args);
    va_end(args);
    json->comma = true;
}

/* Text of so many bytes. Bytes that are not ASCII become escapes of the same number: guest data
 * need not be UTF-8, and the output always is. */
void jsonw_text(struct json *json, const char *name, const char *text, size_t length)
{
    static const char plain[] = "\"\\\n\t\r\b\f", escaped[] = "\"\\ntrbf";

    begin_value(json, name);
    putc('"', json->out);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        const char *special = c ? strchr(plain, c) : NULL;

        if (special)
            fprintf(json->out, "\\%c", escaped[special - plain]);
        else if (c < ' ' || c >= 0x7f)
            fprintf(json->out, "\\u%04x", c);
        else
            putc(c, json->out);
    }
    putc('"', json->out);
    json->comma = true;
}

void jsonw_string(struct json *json, const char *name, const char *text)
{
    jsonw_text(json, name, text, strlen(text));
}

/* bpftool's form of raw data: an array of strings "0x1f". */
void jsonw_bytes(struct json *json, const char *name, const void *data, size_t size)
{
    jsonw_begin(json, name, '[');
    for (size_t i = 0; i < size; i++)
        jsonw_printf(json, NULL, "\"0x%02x\"", ((const uint8_t *)data)[i]);
    jsonw_end(json, ']');
}
