/*
 * bpf(2): ebpf_sys() finds the command in commands.def and checks the form of its attributes; the
 * commands themselves are in sys_map.c, sys_prog.c, sys_link.c and sys_object.c. Also the engine's
 * start, end and totals. Called by the command server and by tools, in thread context, by one
 * thread at a time. Linux: kernel/bpf/syscall.c, __sys_bpf.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/sys.h"

static const struct {
    uint32_t number;
    uint32_t end; /* of the attributes that it uses */
    long (*run)(struct ebpf_session *session, union marshal_attr *attr);
} commands[] = {
#define SERVER_COMMAND(...)
#define COMMAND(number, NAME, last, ...)                                                           \
    {number, END_OF(union marshal_attr, last), ebpf_cmd_##NAME},
#include "ebpf/commands.def"
#undef COMMAND
};

/* One command; see ebpf.h. attr is in and out. @return 0, a handle, or a negative errno: -EINVAL
 * for a command that Skep does not have and for attributes that this one does not use, -E2BIG for
 * attributes beyond all that are known. */
long ebpf_sys(struct ebpf_session *session, uint32_t cmd, union bpf_attr *attr, uint32_t size)
{
    union marshal_attr full;
    uint32_t known = size < sizeof(full) ? size : (uint32_t)sizeof(full);
    long result;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].number != cmd)
            continue;
        if (size > known && !all_zero((const uint8_t *)attr + known, size - known))
            return -E2BIG;
        __builtin_memset(&full, 0, sizeof(full));
        __builtin_memcpy(&full, attr, known);
        if (!all_zero((const uint8_t *)&full + commands[i].end, sizeof(full) - commands[i].end))
            return -EINVAL;
        result = commands[i].run(session, &full);
        __builtin_memcpy(attr, &full, known < commands[i].end ? known : commands[i].end);
        return result;
    }
    return -EINVAL;
}

/* ---- what the commands share ------------------------------------------------------------- */

/* The object behind a handle, borrowed. -EBADF: none; -EINVAL: of another kind. */
static int get_object(struct ebpf_session *session, uint32_t handle, enum ebpf_kind kind,
                      struct ebpf_object **out)
{
    *out = ebpf_handle_object(session, handle);
    if (*out == NULL)
        return -EBADF;
    return (*out)->kind == kind ? 0 : -EINVAL;
}

int ebpf_get_map(struct ebpf_session *session, uint32_t handle, struct ebpf_map **out)
{
    struct ebpf_object *object;
    int err = get_object(session, handle, EBPF_MAP, &object);

    if (err == 0)
        *out = CONTAINER_OF(object, struct ebpf_map, object);
    return err;
}

int ebpf_get_prog(struct ebpf_session *session, uint32_t handle, struct ebpf_prog **out)
{
    struct ebpf_object *object;
    int err = get_object(session, handle, EBPF_PROG, &object);

    if (err == 0)
        *out = CONTAINER_OF(object, struct ebpf_prog, object);
    return err;
}

int ebpf_get_link(struct ebpf_session *session, uint32_t handle, struct ebpf_link **out)
{
    struct ebpf_object *object;
    int err = get_object(session, handle, EBPF_LINK, &object);

    if (err == 0)
        *out = CONTAINER_OF(object, struct ebpf_link, object);
    return err;
}

int ebpf_get_btf(struct ebpf_session *session, uint32_t handle, struct ebpf_btf **out)
{
    struct ebpf_object *object;
    int err = get_object(session, handle, EBPF_BTF, &object);

    if (err == 0)
        *out = CONTAINER_OF(object, struct ebpf_btf, object);
    return err;
}

/* What BPF_F_RDONLY and BPF_F_WRONLY among flags leave of a handle's access. -EINVAL: both. */
int ebpf_access_from_flags(uint32_t flags, unsigned *access)
{
    bool reads = (flags & BPF_F_RDONLY) != 0, writes = (flags & BPF_F_WRONLY) != 0;

    if (reads && writes)
        return -EINVAL;
    *access = reads ? EBPF_MAY_READ : writes ? EBPF_MAY_WRITE : EBPF_MAY_BOTH;
    return 0;
}

/* The caller's log, or none. -EINVAL as Linux's bpf_verifier_log_attr_valid has it. */
int ebpf_get_log(struct ebpf_log *log, uint64_t buf, uint32_t size, uint32_t level)
{
    *log = (struct ebpf_log){.buf = ebpf_attr_pointer(buf), .size = size, .level = level};
    if (buf == 0 && size == 0 && level == 0)
        return 0;
    if (buf == 0 || size < 128 || size > UINT32_MAX >> 2 || level == 0 || level > 7)
        return -EINVAL;
    log->buf[0] = '\0';
    return 0;
}

/* ---- start, end, totals ------------------------------------------------------------------ */

/* Start-up, once. memory_limit: bytes that all maps together may use. */
int ebpf_init(uint64_t memory_limit)
{
    ebpf_map_set_limit(memory_limit);
    return 0;
}

/* Tests only: drops every pin. @return how many objects are left. */
unsigned ebpf_shutdown(void)
{
    unsigned left = 0;

    ebpf_unpin_all();
    for (int kind = 0; kind < EBPF_NR_KINDS; kind++)
        left += ebpf_object_count((enum ebpf_kind)kind);
    return left;
}

/* A tracepoint as a handle of the session. -ENOENT, -ENOMEM, -EMFILE. */
int ebpf_tracepoint_open(struct ebpf_session *session, uint32_t id)
{
    struct ebpf_event *event;
    int err = ebpf_event_create(id, &event);

    return err != 0 ? err : ebpf_handle_new(session, &event->object, EBPF_MAY_BOTH);
}

void ebpf_get_stats(struct ebpf_stats *out)
{
    __builtin_memset(out, 0, sizeof(*out));
    ebpf_prog_get_stats(out);
    out->progs = ebpf_object_count(EBPF_PROG);
    out->maps = ebpf_object_count(EBPF_MAP);
    out->links = ebpf_object_count(EBPF_LINK);
    out->btfs = ebpf_object_count(EBPF_BTF);
    out->sessions = ebpf_session_count();
    out->map_bytes = ebpf_map_bytes(&out->map_bytes_limit);
}
