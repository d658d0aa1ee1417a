/*
 * From a whole request to its reply: the message is taken apart by ebpf/marshal.c, executed by
 * ebpf_sys() or by one of the server's own handlers, and put together again. A read that has
 * nothing to say yet is parked: its request stays, and is executed again when data may be there
 * or its time is up.
 */
#include <linux/errno.h>

#include "net/server_internal.h"

#define PARK_MAX_MS 1000u

/* ---- what the marshaller asks -------------------------------------------------------------- */

static int map_sizes(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type)
{
    struct ebpf_map *map = ebpf_session_map(arg, (int)handle);

    if (!map)
        return -EBADF;
    *key_size = ebpf_map_key_size(map);
    *value_size = ebpf_map_value_size(map);
    *type = ebpf_map_type(map);
    return 0;
}

static int object_kind(void *arg, uint32_t handle)
{
    return ebpf_session_kind(arg, (int)handle);
}

/* ---- commands ------------------------------------------------------------------------------ */

static long say_goodbye(struct server *server, struct server_session *session, void *attr)
{
    (void)server;
    (void)session;
    (void)attr;
    return 0; /* the session ends once this is answered: server.c */
}

static long close_handle(struct server *server, struct server_session *session, void *attr)
{
    const struct skep_close_attr *close = attr;

    (void)server;
    return ebpf_close(session->handles, (int)close->handle);
}

static const struct {
    uint32_t command;
    server_handler run;
} handlers[] = {
    {SKEP_GOODBYE, say_goodbye},
    {SKEP_CLOSE, close_handle},
    {SKEP_TRACEPOINT_NEXT, server_tracepoint_next},
    {SKEP_TRACEPOINT_FORMAT, server_tracepoint_format},
    {SKEP_TRACEPOINT_OPEN, server_tracepoint_open},
    {SKEP_TRACEPOINT_ENABLE, server_tracepoint_enable},
    {SKEP_RINGBUF_READ, server_ringbuf_read},
    {SKEP_TRACE_PIPE_READ, server_trace_pipe_read},
    {SKEP_KLOG_READ, server_klog_read},
    {SKEP_SYMBOLS_READ, server_symbols_read},
    {SKEP_SYS_INFO, server_sys_info},
    {SKEP_POWER, server_power},
};

static long execute(struct server *server, struct server_session *session,
                    struct marshal_plan *plan)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
        if (handlers[i].command != plan->cmd)
            continue;
        if (plan->attr_size < marshal_attr_end(plan->cmd))
            return -EINVAL;
        return handlers[i].run(server, session, &plan->attr);
    }
    return ebpf_sys(session->handles, plan->cmd, &plan->attr.bpf, plan->attr_size);
}

/* Parks a read, unless it has waited long enough. Where it stands is kept: a reader that wants new
 * lines only has found out by now where these begin. */
static bool park(struct server_session *session, const struct skep_read_attr *read, uint64_t now_ns)
{
    if (session->state != SESSION_PARKED) {
        uint32_t ms = read->timeout_ms < PARK_MAX_MS ? read->timeout_ms : PARK_MAX_MS;
        session->state = SESSION_PARKED;
        session->park_deadline_ns = now_ns + ms * 1000000ull;
    }
    session->park_cursor = read->cursor;
    session->park_lost = read->lost;
    return now_ns < session->park_deadline_ns;
}

/* Executes the session's request, which is complete, and answers it; or parks it. Also called
 * again for a parked one. */
void server_dispatch(struct server *server, struct server_session *session, uint64_t now_ns)
{
    const struct marshal_ops ops = {map_sizes, object_kind, session->handles};
    struct marshal_plan plan;
    long status =
        marshal_decode_request(session->command, session->request.data, session->request.total,
                               &ops, server->arena, sizeof(server->arena), &plan);
    if (status) {
        server_answer(server, session, (int32_t)status, NULL, 0, now_ns);
        return;
    }
    if (session->state == SESSION_PARKED) {
        plan.attr.read.cursor = session->park_cursor;
        plan.attr.read.lost = session->park_lost;
    }
    status = execute(server, session, &plan);
    if (status == SERVER_WAIT) {
        if (park(session, &plan.attr.read, now_ns))
            return;
        plan.attr.read.size = 0;
        status = 0;
    }
    long size = marshal_encode_reply(&plan, status, server->reply, sizeof(server->reply));
    if (size < 0) {
        status = size;
        size = 0;
    }
    server_answer(server, session, (int32_t)status, server->reply, (uint32_t)size, now_ns);
}

/* ---- hello --------------------------------------------------------------------------------- */

/* A hello has no buffers, so nothing is ever asked of these. */
static const struct marshal_ops no_ops;

/* 0, or a negative errno when the message is not a hello's. message: any alignment. */
int server_decode_hello(struct server *server, const void *message, size_t size,
                        struct skep_hello_attr *attr)
{
    struct marshal_plan plan;

    if (size > sizeof(server->reply))
        return -EBADMSG;
    __builtin_memcpy(server->reply, message, size);
    int err = marshal_decode_request(SKEP_HELLO, server->reply, size, &no_ops, server->arena,
                                     sizeof(server->arena), &plan);
    if (err)
        return err;
    if (plan.attr_size < sizeof(*attr))
        return -EINVAL;
    *attr = plan.attr.hello;
    return 0;
}

/* Writes the reply's message; its bytes. */
uint32_t server_encode_hello(const struct skep_hello_attr *attr, uint8_t reply[WIRE_FRAGMENT_SIZE])
{
    struct marshal_plan plan = {
        .cmd = SKEP_HELLO, .attr_size = sizeof(*attr), .attr.hello = *attr, .kind = -1};

    long size = marshal_encode_reply(&plan, 0, reply, WIRE_FRAGMENT_SIZE);
    return size < 0 ? 0 : (uint32_t)size;
}
