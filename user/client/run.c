/*
 * skepctl run OBJ: load, attach each program to what its section names, show the trace pipe and
 * what comes through ring buffers and perf event arrays until Ctrl-C. Nothing is pinned: everything
 * belongs to this session and goes with it, however it ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

#define HOLD_MS 200 /* how long the guest may wait for something to show */

/* Attaches to what the program's section names after its first '/'. The link is not closed: it
 * lives as long as this session. */
static int attach(const struct bpf_program *program)
{
    const char *section = bpf_program__section_name(program);
    const char *slash = strchr(section, '/');

    if (attach_program(bpf_program__type(program), bpf_program__fd(program),
                       slash ? slash + 1 : "") < 0)
        return -1;
    p_info("%s attached to %s", bpf_program__name(program), section);
    return 0;
}

/* ---- streaming ---------------------------------------------------------------------------- */

static void print_trace(const char *text, size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;

        if (json) {
            jsonw_begin(json, NULL, '{');
            jsonw_text(json, "trace", text, length);
            jsonw_end(json, '}');
        } else {
            printf("%.*s\n", (int)length, text);
        }
        length += end ? 1 : 0;
        text += length;
        size -= length;
    }
}

/* The object's maps that events come from; the caller frees. NULL: out of memory. */
static struct events *find_events(const struct bpf_object *object, unsigned *count)
{
    struct events *events;
    const struct bpf_map *map;
    unsigned most = 0;

    bpf_object__for_each_map(map, object) most++;
    events = calloc(most + 1, sizeof(*events));
    *count = 0;
    if (!events)
        return NULL;
    bpf_object__for_each_map(map, object)
    {
        if (events_has(bpf_map__type(map)))
            events[(*count)++] = (struct events){
                .fd = bpf_map__fd(map), .map_type = bpf_map__type(map), .name = bpf_map__name(map)};
    }
    return events;
}

static int stream(const struct bpf_object *object, uint64_t cursor)
{
    unsigned count;
    struct events *events = find_events(object, &count);
    int result = events ? 0 : -ENOMEM;

    while (!guest_stopped() && result >= 0) {
        result = guest_stream_text(SKEP_TRACE_PIPE_READ, &cursor, HOLD_MS, print_trace);
        for (unsigned i = 0; i < count && result >= 0; i++)
            result = events_read(&events[i], 0);
        fflush(stdout);
    }
    free(events);
    return guest_stopped() ? 0 : result;
}

/* Moves the cursor to the end of the trace pipe: what others wrote earlier is not ours to show. */
static int skip_trace(uint64_t *cursor)
{
    int result;

    do
        result = guest_stream_text(SKEP_TRACE_PIPE_READ, cursor, 0, NULL);
    while (result > 0);
    return result;
}

int do_run(struct args *args)
{
    struct bpf_program *program;
    struct bpf_object *object;
    uint64_t cursor = 0;
    const char *path;
    int result = 0;

    if (!args_require(args, 1))
        return -1;
    path = args_take(args);
    if (args_none(args) || !(object = object_open(path)))
        return -1;
    guest_catch_signals();
    if (object_load(path, object)) {
        bpf_object__close(object);
        return -1;
    }
    result = skip_trace(&cursor);
    if (result < 0)
        p_err("can't read the trace pipe: %s", error_text(result));
    if (json)
        jsonw_begin(json, NULL, '[');
    bpf_object__for_each_program(program, object)
    {
        if (result >= 0)
            result = attach(program);
    }
    if (result >= 0) {
        p_info("Ctrl-C ends");
        result = stream(object, cursor);
        if (result < 0)
            p_err("can't read from the guest: %s", error_text(result));
    }
    if (json)
        jsonw_end(json, ']');
    bpf_object__close(object);
    return result < 0 ? -1 : 0;
}
