/*
 * Steering the engine's host port (user/vm/host_port.c) from tools and tests: what programs print,
 * and tracepoints that exist only in this process.
 */
#ifndef SKEP_USER_VM_HOST_PORT_H
#define SKEP_USER_VM_HOST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ebpf_link;

/* Lines of the trace pipe go to this function; NULL (from the start): they are kept for
 * host_trace_take, the last 64 KiB of them. */
void host_trace_set(void (*print)(const char *text, size_t len));
/* What was printed since the last call, each line ended by a newline. Borrowed until the next. */
const char *host_trace_take(void);

/* Adds a tracepoint "system:name"; id from 1 up in order of adding. Names are borrowed. record_size
 * is that of its context, nargs the number of raw arguments. Returns its id, 0 when the table is
 * full. */
uint32_t host_tracepoint_add(const char *name, uint32_t record_size, uint32_t nargs);
/* An event: runs every program attached to the tracepoint. Returns how many ran. */
unsigned host_tracepoint_fire(uint32_t id, void *record);
/* Likewise for XDP programs on an interface; *verdict is the last one's result. */
unsigned host_xdp_fire(uint32_t ifindex, void *xdp, uint64_t *verdict);
/* Forgets tracepoints and trace text. Tests call it between cases. */
void host_port_reset(void);

/* Fires the timers whose deadline (port_time_ns) is not after now_ns, in their order, those among
 * them that are started meanwhile too. How many fired. */
unsigned host_timers_run(uint64_t now_ns);

/* How many blocks of port_alloc and port_alloc_pages are alive. */
size_t host_port_blocks(void);
/* From now on the n-th allocation fails, and those after it; 0: none does. */
void host_port_fail_after(size_t n);

#endif
