/*
 * Writes JSON while it is produced, in bpftool's layout: compact on one line, or indented with
 * each member on a line of its own and nothing between the elements of an array. (json_ is
 * Jansson's, which skep-vm reads with.)
 */
#ifndef SKEP_CLIENT_JSON_H
#define SKEP_CLIENT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool pretty;
    unsigned depth;
    bool comma; /* something stands before the next element */
};

/* name: of the member; NULL for an element of an array and for the outermost value. */
void jsonw_begin(struct json *json, const char *name, char bracket);
void jsonw_end(struct json *json, char bracket);
void jsonw_name(struct json *json, const char *name);
void jsonw_uint(struct json *json, const char *name, uint64_t value);
void jsonw_int(struct json *json, const char *name, int64_t value);
void jsonw_bool(struct json *json, const char *name, bool value);
void jsonw_null(struct json *json, const char *name);
void jsonw_string(struct json *json, const char *name, const char *text);
void jsonw_text(struct json *json, const char *name, const char *text, size_t length);
void jsonw_bytes(struct json *json, const char *name, const void *data, size_t size);
void jsonw_printf(struct json *json, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
