/*
 * Attach points in a host process: the tracepoints of host_port.h and one interface. Links put
 * themselves here; host_tracepoint_fire and host_xdp_fire run them.
 */
#include <errno.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/port.h"
#include "user/vm/host_port.h"

#define LINKS_MAX    64u
#define HOST_IFINDEX 1u

static struct ebpf_link *links[LINKS_MAX];
static unsigned nr_links;

bool port_netdev_exists(uint32_t ifindex)
{
    return ifindex == HOST_IFINDEX;
}

int port_attach(struct ebpf_link *link)
{
    if (nr_links == LINKS_MAX)
        return -ENOMEM;
    links[nr_links++] = link;
    return 0;
}

void port_detach(struct ebpf_link *link)
{
    for (unsigned i = 0; i < nr_links; i++) {
        if (links[i] != link)
            continue;
        memmove(&links[i], &links[i + 1], (--nr_links - i) * sizeof(links[0]));
        return;
    }
    port_fatal("port_detach of a link that is not attached");
}

unsigned host_tracepoint_fire(uint32_t id, void *record)
{
    uint32_t size;
    void *target = port_tracepoint_by_id(id, &size);
    unsigned ran = 0;

    for (unsigned i = 0; i < nr_links; i++) {
        if (ebpf_link_hook(links[i]) == EBPF_HOOK_XDP || ebpf_link_target(links[i]) != target)
            continue;
        ebpf_link_run(links[i], record);
        ran++;
    }
    return ran;
}

unsigned host_xdp_fire(uint32_t ifindex, void *xdp, uint64_t *verdict)
{
    unsigned ran = 0;

    for (unsigned i = 0; i < nr_links; i++) {
        if (ebpf_link_hook(links[i]) != EBPF_HOOK_XDP || ebpf_link_ifindex(links[i]) != ifindex)
            continue;
        *verdict = ebpf_link_run(links[i], xdp);
        ran++;
    }
    return ran;
}
