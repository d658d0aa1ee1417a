/*
 * skepctl run OBJ: load, attach each program to what its section names, show the trace pipe and
 * the ring buffers until Ctrl-C. Nothing is pinned: everything belongs to this session and goes
 * with it, however it ends.
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
            json_begin(json, NULL, '{');
            json_text(json, "trace", text, length);
            json_end(json, '}');
        } else {
            printf("%.*s\n", (int)length, text);
        }
        length += end ? 1 : 0;
        text += length;
        size -= length;
    }
}

static void print_record(const char *map, const uint8_t *data, uint32_t size)
{
    if (json) {
        json_begin(json, NULL, '{');
        json_string(json, "map", map);
        json_bytes(json, "data", data, size);
        json_end(json, '}');
        return;
    }
    printf("%s: %uB:%c", map, size, size > 16 ? '\n' : ' ');
    print_hex(data, size, " ");
    printf("\n");
}

/* Takes what a ring buffer holds. Each record is u32 length, u32 zero, data padded to 8. */
static int read_ring(const struct bpf_map *map)
{
    static uint8_t buf[SKEP_TEXT_MAX];
    static uint64_t lost;
    struct skep_read_attr attr = {
        .buf = (uintptr_t)buf,
        .size = sizeof(buf),
        .handle = (uint32_t)bpf_map__fd(map),
    };
    long result = guest_command(SKEP_RINGBUF_READ, &attr, sizeof(attr));

    if (result < 0)
        return (int)result;
    if (attr.lost > lost)
        p_info("skepctl: %s: %llu records lost, the ring buffer was full", bpf_map__name(map),
               (unsigned long long)(attr.lost - lost));
    lost = attr.lost;
    for (uint32_t at = 0, size; at + 8 <= attr.size; at += 8 + ((size + 7u) & ~7u)) {
        memcpy(&size, buf + at, sizeof(size));
        if (size > attr.size - at - 8)
            break;
        print_record(bpf_map__name(map), buf + at + 8, size);
    }
    return 0;
}

static int stream(const struct bpf_object *object, uint64_t cursor)
{
    int result = 0;

    while (!guest_stopped() && result >= 0) {
        const struct bpf_map *map;

        result = guest_stream_text(SKEP_TRACE_PIPE_READ, &cursor, HOLD_MS, print_trace);
        bpf_object__for_each_map(map, object)
        {
            if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF && result >= 0)
                result = read_ring(map);
        }
        fflush(stdout);
    }
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
        json_begin(json, NULL, '[');
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
        json_end(json, ']');
    bpf_object__close(object);
    return result < 0 ? -1 : 0;
}
