/*
 * bpf_perf_event_output: a sample into a perf event array. Linux: kernel/trace/bpf_trace.c and
 * net/core/filter.c, where programs on packets may have the packet's beginning put behind the
 * sample. The buffers are map_perf.c's.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"

#define PACKET_SHIFT 32 /* of BPF_F_CTXLEN_MASK */

/* The packet of the run, beginning where a sample of it does; false: the program's type has none.
 */
static bool packet_of(const struct ebpf_run *run, const uint8_t **start, uint64_t *size)
{
    const struct ebpf_xdp *xdp = run->ctx;
    const struct ebpf_skb *skb = run->ctx;

    switch (run->prog->type) {
    case BPF_PROG_TYPE_XDP:
        *start = xdp->data;
        *size = (uint64_t)(xdp->data_end - xdp->data);
        return true;
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
        *start = skb->data;
        *size = (uint64_t)(skb->data_end - skb->data);
        return true;
    }
    return false;
}

/* perf_event_output(ctx, map, flags, data, size). flags: the index in the map, BPF_F_CURRENT_CPU,
 * and in bits 32 to 51 how many bytes of the packet. -EINVAL: flags; -EFAULT: the packet is
 * shorter; else what ebpf_perf_output says. */
uint64_t helper_perf_event_output(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct ebpf_map *map = (struct ebpf_map *)r2;
    uint64_t more_size = (r3 & BPF_F_CTXLEN_MASK) >> PACKET_SHIFT, packet_size = 0;
    const uint8_t *packet = NULL;
    bool has_packet = packet_of(ebpf_run_current(), &packet, &packet_size);

    (void)r1;
    if (map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
        r3 & ~(BPF_F_INDEX_MASK | (has_packet ? BPF_F_CTXLEN_MASK : 0)))
        return helper_error(-EINVAL);
    if (more_size > packet_size)
        return helper_error(-EFAULT);
    return helper_error(ebpf_perf_output(map, (uint32_t)(r3 & BPF_F_INDEX_MASK), (const void *)r4,
                                         r5, more_size ? packet : NULL, more_size));
}
