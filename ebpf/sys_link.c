/*
 * The LINK_* commands but info, and RAW_TRACEPOINT_OPEN. Order of checks and errors: Linux,
 * kernel/bpf/syscall.c link_create and below. LINK_DETACH is served for every link, also for those
 * that Linux cannot detach.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/sys.h"

static int link_tracepoint(struct ebpf_session *session, const union bpf_attr *a,
                           struct ebpf_prog *prog, struct ebpf_link **link)
{
    struct ebpf_object *event;

    if (a->link_create.attach_type != BPF_PERF_EVENT || a->link_create.flags != 0)
        return -EINVAL;
    event = ebpf_handle_of_kind(session, a->link_create.target_fd, EBPF_EVENT);
    if (event == NULL)
        return -EBADF;
    return ebpf_link_tracepoint(prog, CONTAINER_OF(event, struct ebpf_event, object),
                                a->link_create.perf_event.bpf_cookie, link);
}

static int link_xdp(const union bpf_attr *a, struct ebpf_prog *prog, struct ebpf_link **link)
{
    if (a->link_create.attach_type != BPF_XDP)
        return -EINVAL;
    return ebpf_link_xdp(prog, a->link_create.target_ifindex, a->link_create.flags, link);
}

long ebpf_cmd_LINK_CREATE(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_prog *prog;
    struct ebpf_link *link;
    int err = ebpf_get_prog(session, a->link_create.prog_fd, &prog);

    if (err != 0)
        return err;
    switch (prog->type) {
    case BPF_PROG_TYPE_TRACEPOINT:
        err = link_tracepoint(session, a, prog, &link);
        break;
    case BPF_PROG_TYPE_XDP:
        err = link_xdp(a, prog, &link);
        break;
    default:
        err = -EINVAL;
    }
    return err != 0 ? err : ebpf_handle_new(session, &link->object, EBPF_MAY_BOTH);
}

long ebpf_cmd_RAW_TRACEPOINT_OPEN(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    const char *name = ebpf_attr_pointer(a->raw_tracepoint.name);
    struct ebpf_prog *prog;
    struct ebpf_link *link;
    int err = ebpf_get_prog(session, a->raw_tracepoint.prog_fd, &prog);

    if (err != 0)
        return err;
    if (prog->type != BPF_PROG_TYPE_RAW_TRACEPOINT)
        return -EINVAL;
    if (name == NULL)
        return -EFAULT;
    err = ebpf_link_raw_tracepoint(prog, name, &link);
    return err != 0 ? err : ebpf_handle_new(session, &link->object, EBPF_MAY_BOTH);
}

long ebpf_cmd_LINK_UPDATE(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_prog *prog = NULL, *expected = NULL;
    struct ebpf_link *link = NULL;
    int err = (a->link_update.flags & ~(uint32_t)BPF_F_REPLACE) != 0 ? -EINVAL : 0;

    if (err == 0)
        err = ebpf_get_link(session, a->link_update.link_fd, &link);
    if (err == 0)
        err = ebpf_get_prog(session, a->link_update.new_prog_fd, &prog);
    if (err == 0 && (a->link_update.flags & BPF_F_REPLACE) != 0)
        err = ebpf_get_prog(session, a->link_update.old_prog_fd, &expected);
    else if (err == 0 && a->link_update.old_prog_fd != 0)
        err = -EINVAL;
    return err != 0 ? err : ebpf_link_update(link, prog, expected);
}

long ebpf_cmd_LINK_DETACH(struct ebpf_session *session, union marshal_attr *attr)
{
    struct ebpf_link *link;
    int err = ebpf_get_link(session, attr->bpf.link_detach.link_fd, &link);

    if (err == 0)
        ebpf_link_detach(link);
    return err;
}
