/*
 * Commands on objects of any kind: pins, ids, and BTF_LOAD. Errors: Linux, kernel/bpf/syscall.c and
 * inode.c.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/sys.h"

/* Flags that may only say how the handle will be used. */
static int get_access(uint32_t flags, unsigned *access)
{
    if ((flags & ~(uint32_t)(BPF_F_RDONLY | BPF_F_WRONLY)) != 0)
        return -EINVAL;
    return ebpf_access_from_flags(flags, access);
}

/* ---- pins -------------------------------------------------------------------------------- */

long ebpf_cmd_OBJ_PIN(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_object *object = ebpf_handle_object(session, a->bpf_fd);

    if (a->file_flags != 0)
        return -EINVAL;
    if (object == NULL)
        return -EBADF;
    if (object->kind != EBPF_PROG && object->kind != EBPF_MAP && object->kind != EBPF_LINK)
        return -EINVAL;
    return ebpf_pin(ebpf_attr_pointer(a->pathname), object);
}

long ebpf_cmd_OBJ_GET(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_object *object;
    unsigned access;
    int err;

    if (a->bpf_fd != 0 || get_access(a->file_flags, &access) != 0)
        return -EINVAL;
    err = ebpf_pin_get(ebpf_attr_pointer(a->pathname), &object);
    if (err != 0)
        return err;
    if (object->kind == EBPF_LINK && access != EBPF_MAY_BOTH) {
        ebpf_object_put(object);
        return -EINVAL;
    }
    return ebpf_handle_new(session, object, access);
}

long ebpf_cmd_UNPIN(struct ebpf_session *session, union marshal_attr *attr)
{
    (void)session;
    attr->pin.name[SKEP_PIN_MAX - 1] = '\0';
    return ebpf_unpin(attr->pin.name);
}

long ebpf_cmd_PIN_NEXT(struct ebpf_session *session, union marshal_attr *attr)
{
    enum ebpf_kind kind;
    int err = ebpf_pin_next(attr->pin.name, &kind, &attr->pin.id);

    (void)session;
    if (err == 0)
        attr->pin.kind = (uint32_t)kind;
    return err;
}

/* ---- ids --------------------------------------------------------------------------------- */

static long next_id(enum ebpf_kind kind, union bpf_attr *a)
{
    uint32_t id;

    if (a->start_id >= INT32_MAX)
        return -EINVAL;
    id = ebpf_object_next_id(kind, a->start_id);
    if (id == 0)
        return -ENOENT;
    a->next_id = id;
    return 0;
}

long ebpf_cmd_PROG_GET_NEXT_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    (void)session;
    return next_id(EBPF_PROG, &attr->bpf);
}

long ebpf_cmd_MAP_GET_NEXT_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    (void)session;
    return next_id(EBPF_MAP, &attr->bpf);
}

long ebpf_cmd_BTF_GET_NEXT_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    (void)session;
    return next_id(EBPF_BTF, &attr->bpf);
}

long ebpf_cmd_LINK_GET_NEXT_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    (void)session;
    return next_id(EBPF_LINK, &attr->bpf);
}

static long handle_by_id(struct ebpf_session *session, enum ebpf_kind kind, uint32_t id,
                         unsigned access)
{
    struct ebpf_object *object = ebpf_object_by_id(kind, id);

    return object != NULL ? ebpf_handle_new(session, object, access) : -ENOENT;
}

long ebpf_cmd_PROG_GET_FD_BY_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    return handle_by_id(session, EBPF_PROG, attr->bpf.prog_id, EBPF_MAY_BOTH);
}

long ebpf_cmd_MAP_GET_FD_BY_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    unsigned access;

    if (attr->bpf.next_id != 0 || get_access(attr->bpf.open_flags, &access) != 0)
        return -EINVAL;
    return handle_by_id(session, EBPF_MAP, attr->bpf.map_id, access);
}

long ebpf_cmd_BTF_GET_FD_BY_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    return handle_by_id(session, EBPF_BTF, attr->bpf.btf_id, EBPF_MAY_BOTH);
}

long ebpf_cmd_LINK_GET_FD_BY_ID(struct ebpf_session *session, union marshal_attr *attr)
{
    return handle_by_id(session, EBPF_LINK, attr->bpf.link_id, EBPF_MAY_BOTH);
}

/* ---- BTF --------------------------------------------------------------------------------- */

long ebpf_cmd_BTF_LOAD(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_btf *btf;
    struct ebpf_log log;
    int err = ebpf_get_log(&log, a->btf_log_buf, a->btf_log_size, a->btf_log_level);

    if (err == 0)
        err = ebpf_btf_create(ebpf_attr_pointer(a->btf), a->btf_size, &log, &btf);
    if (err != 0)
        return log.truncated ? -ENOSPC : err;
    return ebpf_handle_new(session, &btf->object, EBPF_MAY_BOTH);
}
