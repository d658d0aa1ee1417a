/*
 * One event, once somebody listens: runs the programs attached to a tracepoint and writes the
 * event to the trace pipe; runs the XDP program of a network device; tells the command server that
 * there is something to read. Called by kernel/trace_events.c, the system call entries, and net/.
 */
#ifndef SKEP_KERNEL_PROBE_H
#define SKEP_KERNEL_PROBE_H

#include <stdint.h>

struct ebpf_link;
struct ebpf_xdp;
struct netdev;
struct trace_common;
struct tracepoint;

/* record starts with struct trace_common, which is filled in here, and has the tracepoint's fields
 * behind it; args are its raw arguments (NULL: it has none). Both are borrowed. An event inside
 * what listens to another one in the same context (thread or interrupt) is only counted. Any
 * context. */
void probe_event(struct tracepoint *tp, struct trace_common *record, const uint64_t *args);
/* Fills in the common fields with what is so where it is called. Any context. */
void probe_fill_common(struct trace_common *common, uint32_t id);

/* Runs the device's XDP program, if it has one, on a received frame. Returns its verdict (enum
 * xdp_action), XDP_PASS without a program. The frame's bounds in *xdp may be changed. Network
 * thread. */
uint32_t probe_xdp(struct netdev *dev, struct ebpf_xdp *xdp);
/* Puts a link in place as the device's XDP program, or (NULL) takes it away. 0, -EBUSY when there
 * is one already. Thread context. */
int probe_xdp_attach(struct netdev *dev, struct ebpf_link *link);

/* Whom to tell that the trace pipe or a ring buffer has something new: called in interrupt context,
 * at most once a millisecond. NULL: nobody. The command server sets it. */
void probe_set_notify(void (*notify)(void));
/* Something new is there. Any context, also inside the scheduler. */
void probe_notify(void);

#endif
