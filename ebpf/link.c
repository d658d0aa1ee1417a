/*
 * Links: what makes a program run at an event, for as long as somebody holds the link. Made by the
 * commands in sys_link.c; the port (kernel/ebpf_port.c, user/vm) puts them on their targets and
 * calls ebpf_link_run at each event. Errors are Linux's, from kernel/bpf/syscall.c.
 */
#include <linux/errno.h>
#include <linux/if_link.h>

#include "ebpf/base.h"
#include "ebpf/link.h"
#include "ebpf/port.h"
#include "ebpf/proof.h"

/* ---- opened tracepoints ------------------------------------------------------------------ */

static void destroy_event(struct ebpf_object *object)
{
    port_free(CONTAINER_OF(object, struct ebpf_event, object));
}

/* *out has one reference, the caller's. -ENOENT: no tracepoint has this id. -ENOMEM. */
int ebpf_event_create(uint32_t tracepoint, struct ebpf_event **out)
{
    struct ebpf_event *event;
    uint32_t ctx_size;
    void *target = port_tracepoint_by_id(tracepoint, &ctx_size);
    int err;

    if (target == NULL)
        return -ENOENT;
    event = port_alloc(sizeof(*event));
    if (event == NULL)
        return -ENOMEM;
    event->tracepoint = tracepoint;
    event->target = target;
    event->ctx_size = ctx_size;
    err = ebpf_object_init(&event->object, EBPF_EVENT, destroy_event);
    if (err != 0)
        port_free(event);
    else
        *out = event;
    return err;
}

/* ---- life of a link ---------------------------------------------------------------------- */

/* Takes the program off its target; the link stays as an object. When this returns no run of the
 * link is under way. Thread context. */
void ebpf_link_detach(struct ebpf_link *link)
{
    if (link->attached)
        port_detach(link);
    link->attached = false;
}

static void destroy_link(struct ebpf_object *object)
{
    struct ebpf_link *link = CONTAINER_OF(object, struct ebpf_link, object);

    ebpf_link_detach(link);
    ebpf_prog_put(link->prog);
    port_free(link);
}

/* Has the event all that the program reads of its context? How long a tracepoint's record is shows
 * only here. What is not verified is checked at each access instead. */
static bool has_context(const struct ebpf_link *link, const struct ebpf_prog *prog)
{
    return link->hook == EBPF_HOOK_XDP || !prog->proof || prog->proof->ctx_end <= link->ctx_size;
}

/* A link as described, attached. Holds a reference to its program. */
static int make_link(const struct ebpf_link *description, struct ebpf_prog *prog,
                     struct ebpf_link **out)
{
    struct ebpf_link *link = port_alloc(sizeof(*link));
    int err;

    if (link == NULL)
        return -ENOMEM;
    *link = *description;
    link->prog = prog;
    ebpf_prog_get(prog);
    err = ebpf_object_init(&link->object, EBPF_LINK, destroy_link);
    if (err != 0) {
        ebpf_prog_put(prog);
        port_free(link);
        return err;
    }
    err = port_attach(link);
    if (err != 0) {
        ebpf_object_put(&link->object);
        return err;
    }
    link->attached = true;
    *out = link;
    return 0;
}

/* A tracepoint program on an opened tracepoint. -EINVAL: another type of program. -EACCES: it reads
 * beyond the tracepoint's record (Linux: perf_event_set_bpf_prog). */
int ebpf_link_tracepoint(struct ebpf_prog *prog, struct ebpf_event *event, uint64_t cookie,
                         struct ebpf_link **out)
{
    struct ebpf_link link = {.type = BPF_LINK_TYPE_PERF_EVENT,
                             .hook = EBPF_HOOK_TRACEPOINT,
                             .target = event->target,
                             .ctx_size = event->ctx_size,
                             .tracepoint = event->tracepoint,
                             .cookie = cookie};

    if (prog->type != BPF_PROG_TYPE_TRACEPOINT)
        return -EINVAL;
    return has_context(&link, prog) ? make_link(&link, prog, out) : -EACCES;
}

/* A raw tracepoint program on a tracepoint's arguments. -ENOENT: none has this name. -EINVAL: it
 * reads more arguments than there are (Linux: __bpf_probe_register), or is of another type. */
int ebpf_link_raw_tracepoint(struct ebpf_prog *prog, const char *name, struct ebpf_link **out)
{
    struct ebpf_link link = {.type = BPF_LINK_TYPE_RAW_TRACEPOINT,
                             .hook = EBPF_HOOK_RAW_TRACEPOINT};
    uint32_t nargs = 0;

    if (prog->type != BPF_PROG_TYPE_RAW_TRACEPOINT)
        return -EINVAL;
    link.target = port_tracepoint_by_name(name, &nargs);
    if (link.target == NULL)
        return -ENOENT;
    link.ctx_size = nargs * 8;
    copy_text(link.name, name, sizeof(link.name));
    return has_context(&link, prog) ? make_link(&link, prog, out) : -EINVAL;
}

/* An XDP program on an interface, which has room for one. flags: XDP_FLAGS_SKB_MODE or
 * XDP_FLAGS_DRV_MODE, which are the same here. -EINVAL, -EBUSY. */
int ebpf_link_xdp(struct ebpf_prog *prog, uint32_t ifindex, uint32_t flags, struct ebpf_link **out)
{
    const uint32_t modes = XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE;
    struct ebpf_link link = {.type = BPF_LINK_TYPE_XDP, .hook = EBPF_HOOK_XDP, .ifindex = ifindex};

    if (prog->type != BPF_PROG_TYPE_XDP || (flags & ~modes) != 0 || flags == modes ||
        !port_netdev_exists(ifindex))
        return -EINVAL;
    return make_link(&link, prog, out);
}

/* Puts another program of the same type into a link, between two events. expected: the one that
 * must be there now, else -EPERM; NULL: any. -ENOLINK when it is detached, -EACCES when the event
 * has not all that the program reads. */
int ebpf_link_update(struct ebpf_link *link, struct ebpf_prog *prog, struct ebpf_prog *expected)
{
    struct ebpf_prog *old = link->prog;

    if (expected != NULL && old != expected)
        return -EPERM;
    if (!link->attached)
        return -ENOLINK;
    if (prog->type != old->type)
        return -EINVAL;
    if (!has_context(link, prog))
        return -EACCES;
    ebpf_prog_get(prog);
    /* An event sees the one or the other: programs run with preemption off, so none is under way
     * on this CPU while a thread is here. */
    __atomic_store_n(&link->prog, prog, __ATOMIC_RELEASE);
    ebpf_prog_put(old);
    return 0;
}

/* ---- for the port ------------------------------------------------------------------------ */

/* Runs the link's program on ctx: a record, raw arguments, or a struct ebpf_xdp. @return r0; 0
 * when the program was stopped or is under way already. Any context. */
uint64_t ebpf_link_run(struct ebpf_link *link, void *ctx)
{
    struct ebpf_prog *prog = __atomic_load_n(&link->prog, __ATOMIC_ACQUIRE);
    uint64_t result = 0;

    ebpf_prog_run(prog, ctx, link->ctx_size, link->cookie, &result);
    return result;
}

enum ebpf_hook ebpf_link_hook(const struct ebpf_link *link)
{
    return link->hook;
}

/* What port_tracepoint_by_id or _by_name gave for it. */
void *ebpf_link_target(const struct ebpf_link *link)
{
    return link->target;
}

uint32_t ebpf_link_ifindex(const struct ebpf_link *link)
{
    return link->ifindex;
}

/* A word that belongs to the port (its list node, say). */
void **ebpf_link_port_data(struct ebpf_link *link)
{
    return &link->port_data;
}
