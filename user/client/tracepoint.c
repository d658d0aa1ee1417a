/*
 * skepctl tracepoint: the guest's events; and tracepoints by name for those who attach to them.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* "SYSTEM:NAME" (or SYSTEM/NAME, as sections say) into the two fields. */
static int parse_name(const char *text, struct skep_tracepoint_attr *out)
{
    const char *colon = text + strcspn(text, ":/");
    size_t length = (size_t)(colon - text);

    *out = (struct skep_tracepoint_attr){0};
    if (!*colon || length == 0 || length >= sizeof(out->system) || !colon[1] ||
        strlen(colon + 1) >= sizeof(out->name)) {
        p_err("unknown tracepoint: '%s' is not of the form SYSTEM:NAME", text);
        return -1;
    }
    memcpy(out->system, text, length);
    strcpy(out->name, colon + 1);
    return 0;
}

static void unknown(const char *name)
{
    p_err("unknown tracepoint: '%s'; 'skepctl tracepoint list' shows those there are", name);
}

/* All that the guest says of the tracepoint of that name. -1 after saying why not. */
int tracepoint_find(const char *name, struct skep_tracepoint_attr *out)
{
    struct skep_tracepoint_attr wanted;
    long result;

    if (parse_name(name, &wanted))
        return -1;
    *out = (struct skep_tracepoint_attr){0};
    while ((result = guest_command(SKEP_TRACEPOINT_NEXT, out, sizeof(*out))) == 0)
        if (strcmp(out->system, wanted.system) == 0 && strcmp(out->name, wanted.name) == 0)
            return 0;
    if (result == -ENOENT)
        unknown(name);
    else
        p_err("can't list tracepoints: %s", error_text(result));
    return -1;
}

/* A handle to attach to: a descriptor that the caller closes. -1 after saying why not. */
int tracepoint_open(const char *name)
{
    struct skep_tracepoint_attr attr;
    long result;

    if (parse_name(name, &attr))
        return -1;
    result = guest_command(SKEP_TRACEPOINT_OPEN, &attr, sizeof(attr));
    if (result >= 0)
        return (int)result;
    if (result == -ENOENT)
        unknown(name);
    else
        p_err("can't open tracepoint %s: %s", name, error_text(result));
    return -1;
}

static void show(const struct skep_tracepoint_attr *event)
{
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "id", event->id);
        jsonw_string(json, "system", event->system);
        jsonw_string(json, "name", event->name);
        jsonw_uint(json, "bytes_record", event->size);
        jsonw_bool(json, "enabled", event->enable);
        jsonw_uint(json, "progs", event->programs);
        jsonw_uint(json, "hits", event->hits);
        jsonw_end(json, '}');
        return;
    }
    printf("%s:%s\n\tid %u  record %uB", event->system, event->name, event->id, event->size);
    if (event->enable)
        printf("  enabled");
    if (event->programs)
        printf("  progs %u", event->programs);
    if (event->hits)
        printf("  hits %llu", (unsigned long long)event->hits);
    printf("\n");
}

/* Without a pattern all; else those of a system, or the one. */
static int do_list(struct args *args)
{
    struct skep_tracepoint_attr event = {0};
    const char *pattern = args_take(args);
    long result;

    if (args_none(args))
        return -1;
    if (pattern && strpbrk(pattern, ":/")) {
        if (tracepoint_find(pattern, &event))
            return -1;
        show(&event);
        return 0;
    }
    if (json)
        jsonw_begin(json, NULL, '[');
    while ((result = guest_command(SKEP_TRACEPOINT_NEXT, &event, sizeof(event))) == 0)
        if (!pattern || strcmp(pattern, event.system) == 0)
            show(&event);
    if (json)
        jsonw_end(json, ']');
    if (result == -ENOENT)
        return 0;
    p_err("can't list tracepoints: %s", error_text(result));
    return -1;
}

/* Its record's layout, as /sys/kernel/tracing/events/SYSTEM/NAME/format on Linux. */
static int do_format(struct args *args)
{
    struct skep_tracepoint_attr event;
    char text[8192];
    struct skep_read_attr attr = {.buf = (uintptr_t)text, .size = sizeof(text)};
    long result;

    if (!args_require(args, 1) || tracepoint_find(args_take(args), &event) || args_none(args))
        return -1;
    attr.id = event.id;
    result = guest_command(SKEP_TRACEPOINT_FORMAT, &attr, sizeof(attr));
    if (result < 0) {
        p_err("can't read the format: %s", error_text(result));
        return -1;
    }
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_text(json, "format", text, attr.size);
        jsonw_end(json, '}');
    } else {
        fwrite(text, 1, attr.size, stdout);
    }
    return 0;
}

static int set_enabled(struct args *args, bool enable)
{
    struct skep_tracepoint_attr event;
    long result;

    if (!args_require(args, 1) || parse_name(args->next[0], &event))
        return -1;
    event.enable = enable;
    result = guest_command(SKEP_TRACEPOINT_ENABLE, &event, sizeof(event));
    if (result == -ENOENT)
        unknown(args->next[0]);
    else if (result < 0)
        p_err("can't %s tracepoint %s: %s", enable ? "enable" : "disable", args->next[0],
              error_text(result));
    args_take(args);
    return result < 0 || args_none(args) ? -1 : done();
}

static int do_enable(struct args *args)
{
    return set_enabled(args, true);
}

static int do_disable(struct args *args)
{
    return set_enabled(args, false);
}

static const struct verb verbs[] = {
    {"show", do_list, "[SYSTEM[:NAME]]",
     "The guest's events, with the size of their records and what is attached."},
    {"list", do_list, NULL, NULL},
    {"format", do_format, "SYSTEM:NAME",
     "The layout of an event's record, as Linux's `format` files give it."},
    {"enable", do_enable, "SYSTEM:NAME",
     "Writes a line to the trace pipe at each event, without a program."},
    {"disable", do_disable, "SYSTEM:NAME", "Ends that."},
    {0},
};

const struct noun noun_tracepoint = {
    .name = "tracepoint",
    .verbs = verbs,
    .terms =
        "       An enabled tracepoint writes a line to the trace pipe ('skepctl prog tracelog') "
        "at each event.\n",
};
