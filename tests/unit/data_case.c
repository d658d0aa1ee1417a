/*
 * Reads the files of tests/data: see data_case.h for their form.
 */
#include "tests/unit/data_case.h"

#include <ctype.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/vm/asm.h"

#define INSNS_MAX 4096u

struct reader {
    const char *path;
    unsigned line;
    struct data_case *c; /* the case under way */
};

static _Noreturn void refuse(const struct reader *r, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "%s:%u: ", r->path, r->line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(99);
}

static void *must(void *block)
{
    if (!block) {
        fputs("data_case: out of memory\n", stderr);
        exit(99);
    }
    return block;
}

/* Appends to *text, which may be NULL. */
static void append(char **text, const char *more)
{
    size_t len = *text ? strlen(*text) : 0;

    *text = must(realloc(*text, len + strlen(more) + 1));
    strcpy(*text + len, more);
}

/* Hex digits, two a byte; white space and lines beginning with # between them. */
static void parse_hex(const struct reader *r, const char *text, struct data_bytes *out)
{
    out->given = true;
    free(out->bytes);
    out->bytes = must(calloc(1, strlen(text) / 2 + 1));
    out->size = 0;
    while (*text) {
        unsigned byte;

        if (isspace((unsigned char)*text)) {
            text++;
        } else if (*text == '#') {
            text += strcspn(text, "\n");
        } else if (sscanf(text, "%2x", &byte) == 1 && isxdigit((unsigned char)text[1])) {
            out->bytes[out->size++] = (uint8_t)byte;
            text += 2;
        } else {
            refuse(r, "not hexadecimal: %.20s", text);
        }
    }
}

static void make_program(const struct reader *r, struct data_case *c)
{
    struct data_bytes raw = {0};
    char err[160];
    int n;

    c->insns = must(calloc(INSNS_MAX, sizeof(c->insns[0])));
    if (c->raw) {
        parse_hex(r, c->raw, &raw);
        if (raw.size % sizeof(c->insns[0]) || raw.size > INSNS_MAX * sizeof(c->insns[0]))
            refuse(r, "case %s: %u bytes are not whole slots", c->name, raw.size);
        memcpy(c->insns, raw.bytes, raw.size);
        c->nr_insns = raw.size / (unsigned)sizeof(c->insns[0]);
        free(raw.bytes);
        return;
    }
    if (!c->asm_text)
        refuse(r, "case %s has no program", c->name);
    n = asm_assemble(c->asm_text, c->insns, INSNS_MAX, err, sizeof(err));
    if (n < 0)
        refuse(r, "case %s: %s", c->name, err);
    c->nr_insns = (unsigned)n;
}

/* The case is complete: one outcome, and a program. */
static void finish_case(const struct reader *r)
{
    struct data_case *c = r->c;

    if (!c)
        return;
    if (!!c->result + !!c->error + !!c->fault + !!c->log != 1)
        refuse(r, "case %s must have one of result, error, fault, log", c->name);
    make_program(r, c);
}

/* Ends the section under way: text is all that stood in it. */
static void finish_section(const struct reader *r, const char *section, char *text)
{
    struct data_case *c = r->c;
    struct {
        const char *name;
        char **to;
    } texts[] = {{"type", &c->type},
                 {"maps", &c->maps},
                 {"license", &c->license},
                 {"asm", &c->asm_text},
                 {"raw", &c->raw},
                 {"result", &c->result},
                 {"engines", &c->engines},
                 {"unverified", &c->unverified},
                 {"exact", &c->exact},
                 {"trace", &c->trace},
                 {"error", &c->error},
                 {"fault", &c->fault},
                 {"functions", &c->functions},
                 {"lines", &c->lines},
                 {"log", &c->log}};

    for (size_t len = strlen(text); len && isspace((unsigned char)text[len - 1]);)
        text[--len] = 0;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i].name, section) == 0) {
            if (*texts[i].to)
                refuse(r, "second section %s", section);
            *texts[i].to = text;
            return;
        }
    }
    if (strcmp(section, "mem") == 0)
        parse_hex(r, text, &c->mem);
    else if (strcmp(section, "ctx") == 0)
        parse_hex(r, text, &c->ctx);
    else if (strcmp(section, "after") == 0)
        parse_hex(r, text, &c->after);
    else if (strcmp(section, "level") == 0)
        c->level = (uint32_t)strtoul(text, NULL, 10);
    else if (strcmp(section, "budget") == 0)
        c->budget = (uint32_t)strtoul(text, NULL, 10);
    else if (strcmp(section, "processed") == 0)
        c->processed = (uint32_t)strtoul(text, NULL, 10);
    else
        refuse(r, "unknown section %s", section);
    free(text);
}

static struct data_case *start_case(const struct reader *r, const char *line)
{
    struct data_case *c = must(calloc(1, sizeof(*c)));
    const char *colon = strchr(line, ':');

    if (!colon || strlen(colon) < 4)
        refuse(r, "a case begins with `== name: rule`");
    c->file = must(strdup(r->path));
    c->name = must(strndup(line + 3, (size_t)(colon - line) - 3));
    c->rule = must(strdup(colon + 2));
    return c;
}

struct data_case *data_read(const char *path)
{
    struct reader r = {.path = path};
    struct data_case *first = NULL, **link = &first;
    char line[4096], section[16] = "", *text = NULL;
    FILE *file = fopen(path, "r");
    int at;

    if (!file)
        refuse(&r, "cannot be opened");
    while (fgets(line, sizeof(line), file)) {
        r.line++;
        if (strncmp(line, "== ", 3) != 0 && strncmp(line, "-- ", 3) != 0) {
            if (section[0])
                append(&text, line);
            else if (line[0] != '#' && line[0] != '\n')
                refuse(&r, "text outside of a section");
            continue;
        }
        if (section[0])
            finish_section(&r, section, text);
        section[0] = 0;
        text = NULL;
        if (line[0] == '=') {
            finish_case(&r);
            line[strcspn(line, "\n")] = 0;
            *link = r.c = start_case(&r, line);
            link = &r.c->next;
        } else {
            if (!r.c || sscanf(line, "-- %15s%n", section, &at) != 1)
                refuse(&r, "a section begins with `-- NAME`, inside a case");
            append(&text, line + at + strspn(line + at, " "));
        }
    }
    fclose(file);
    if (section[0])
        finish_section(&r, section, text);
    finish_case(&r);
    return first;
}

struct data_case *data_read_all(const char *folder)
{
    struct data_case *first = NULL, **link = &first;
    char pattern[512];
    glob_t found;

    snprintf(pattern, sizeof(pattern), "%s/*.data", folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        fprintf(stderr, "%s: no .data files\n", folder);
        exit(99);
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        *link = data_read(found.gl_pathv[i]);
        while (*link)
            link = &(*link)->next;
    }
    globfree(&found);
    return first;
}

void data_free(struct data_case *cases)
{
    while (cases) {
        struct data_case *c = cases;
        void *blocks[] = {c->file,  c->name,     c->engines,   c->unverified, c->exact,
                          c->rule,  c->type,     c->maps,      c->license,    c->raw,
                          c->trace, c->asm_text, c->result,    c->error,      c->functions,
                          c->fault, c->insns,    c->mem.bytes, c->ctx.bytes,  c->after.bytes,
                          c->lines, c->log};

        for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
            free(blocks[i]);
        cases = c->next;
        free(c);
    }
}
