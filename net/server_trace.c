/*
 * The server's commands about events: tracepoints (list, format, open, enable), the trace pipe,
 * ring buffers. What they show is kept by kernel/tracepoint.c, kernel/trace_pipe.c and the maps.
 */
#include <linux/errno.h>

#include "kernel/printk.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "net/server_internal.h"

/* The one that id names, or system and name when it is 0; NULL: there is none. */
static struct tracepoint *find(uint32_t id, char *system, size_t system_size, char *name,
                               size_t name_size)
{
    if (id)
        return tracepoint_by_id(id);
    system[system_size - 1] = 0;
    name[name_size - 1] = 0;
    return tracepoint_by_name(system, name);
}

static struct tracepoint *find_attr(struct skep_tracepoint_attr *tp)
{
    return find(tp->id, tp->system, sizeof(tp->system), tp->name, sizeof(tp->name));
}

long server_tracepoint_next(struct server *server, struct server_session *session, void *attr)
{
    struct skep_tracepoint_attr *out = attr;
    const struct tracepoint *tp = tracepoint_next(out->id);

    (void)server;
    (void)session;
    if (!tp)
        return -ENOENT;
    *out = (struct skep_tracepoint_attr){.id = tp->id,
                                         .enable = tp->to_pipe,
                                         .programs = tracepoint_programs(tp),
                                         .size = tp->ctx_size,
                                         .hits = tp->hits};
    format_text(out->system, sizeof(out->system), "%s", tp->system);
    format_text(out->name, sizeof(out->name), "%s", tp->name);
    return 0;
}

long server_tracepoint_format(struct server *server, struct server_session *session, void *attr)
{
    struct skep_read_attr *read = attr;
    const struct tracepoint *tp = tracepoint_by_id(read->id);

    (void)server;
    (void)session;
    if (!tp)
        return -ENOENT;
    int length = tracepoint_format(tp, (char *)(uintptr_t)read->buf, read->size);
    if (length < 0)
        return length;
    if ((uint32_t)length >= read->size)
        return -ENOSPC;
    read->size = (uint32_t)length;
    return 0;
}

long server_tracepoint_open(struct server *server, struct server_session *session, void *attr)
{
    const struct tracepoint *tp = find_attr(attr);

    (void)server;
    return tp ? ebpf_tracepoint_open(session->handles, tp->id) : -ENOENT;
}

long server_tracepoint_enable(struct server *server, struct server_session *session, void *attr)
{
    const struct skep_tracepoint_attr *in = attr;
    struct tracepoint *tp = find_attr(attr);

    (void)server;
    (void)session;
    if (!tp)
        return -ENOENT;
    if (in->enable > 1)
        return -EINVAL;
    if (in->enable)
        tracepoint_enable(tp);
    else
        tracepoint_disable(tp);
    return 0;
}

/* Lines from the cursor on; cursor ~0: those still to come. */
long server_trace_pipe_read(struct server *server, struct server_session *session, void *attr)
{
    struct skep_read_attr *read = attr;

    (void)server;
    (void)session;
    if (read->cursor == UINT64_MAX)
        read->cursor = trace_pipe_end();
    size_t copied =
        trace_pipe_read(&read->cursor, (char *)(uintptr_t)read->buf, read->size, &read->lost);
    if (copied == 0)
        return SERVER_WAIT;
    read->size = (uint32_t)copied;
    return 0;
}

/* Takes records out of a ring buffer or perf buffer: a record is read by one client once. */
long server_ringbuf_read(struct server *server, struct server_session *session, void *attr)
{
    struct skep_read_attr *read = attr;
    struct ebpf_map *map = ebpf_session_map(session->handles, (int)read->handle);

    (void)server;
    if (!map)
        return -EBADF;
    long copied = ebpf_ringbuf_read(map, (void *)(uintptr_t)read->buf, read->size, &read->lost);
    if (copied < 0)
        return copied;
    if (copied == 0)
        return SERVER_WAIT;
    read->size = (uint32_t)copied;
    return 0;
}
