/*
 * What the engine needs from the machine it runs on, and all it knows of it. The kernel
 * implements this in kernel/ebpf_port.c, host tools and tests in user/vm/host_port.c.
 * Any context unless said otherwise.
 */
#ifndef SKEP_EBPF_PORT_H
#define SKEP_EBPF_PORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ebpf_link;
struct ebpf_prog;

#define PORT_NR_CPUS 1u

/* Zeroed memory aligned to 16, or NULL; port_free takes NULL. */
void *port_alloc(size_t size);
void port_free(void *block);
/* Whole zeroed pages, for what is mapped or large. NULL when out of memory. */
void *port_alloc_pages(size_t size);
void port_free_pages(void *pages, size_t size);

/* Executable memory: RW until sealed, then RX and never writable again. */
void *port_exec_alloc(size_t size);
int port_exec_seal(void *code, size_t size);
void port_exec_free(void *code, size_t size);

/* What the CPU can do beyond x86-64's first version, a bit each. */
enum { PORT_CPU_BMI2 = 1, PORT_CPU_MOVBE = 2 };
uint32_t port_cpu_features(void);

uint64_t port_time_ns(void); /* CLOCK_MONOTONIC since boot */
uint32_t port_cpu_id(void);
uint64_t port_random(void);

/* Timers. fire is called once, at the deadline (port_time_ns) or soon after, with everything kept
 * out as by port_lock; it may start its timer again. start moves a timer that is started already;
 * cancel says whether it was, and fire is not called any more. create: NULL when out of memory. */
struct port_timer;
struct port_timer *port_timer_create(void (*fire)(void *arg), void *arg);
void port_timer_start(struct port_timer *timer, uint64_t deadline_ns);
bool port_timer_cancel(struct port_timer *timer);
void port_timer_free(struct port_timer *timer); /* one that is not started */

/* Keeps programs, interrupts and other threads out; short sections only; does not nest with
 * itself except by passing the saved state back in reverse order. */
uint64_t port_lock(void);
void port_unlock(uint64_t saved);

/* Keeps other threads out, not interrupts, while a program runs; nests. An interrupt may run
 * programs on top, and ends before the interrupted one goes on. */
void port_preempt_disable(void);
void port_preempt_enable(void);

/* Reads or copies memory that may not be mapped. 0 or -EFAULT. */
int port_read_safe(void *dst, const void *src, size_t n);
int port_write_safe(void *dst, const void *src, size_t n);

uint64_t port_pid_tgid(void); /* tgid << 32 | tid of the running thread */
void port_comm(char comm[16]);
const void *port_current_task(void); /* the running thread's structure */

/* One formatted line for the trace pipe; text need not end in a newline. */
void port_trace_printk(const char *text, size_t len);
/* New data in a ring buffer or perf buffer: wakes whoever streams it to a client. */
void port_ring_notify(void *map);

/* Attach points live in the host of the engine. attach puts the link's program on its target so
 * that ebpf_link_run is called at each event; detach returns only when no run is under way. */
int port_attach(struct ebpf_link *link);
void port_detach(struct ebpf_link *link);
/* Resolves a target: tracepoint id or raw tracepoint name -> opaque, stable pointer; NULL: none.
 * A tracepoint's record size in bytes goes to *ctx_size (programs may read [8, size)). */
void *port_tracepoint_by_id(uint32_t id, uint32_t *ctx_size);
void *port_tracepoint_by_name(const char *name, uint32_t *nargs);
const char *port_tracepoint_name(const void *target); /* without its system */
bool port_netdev_exists(uint32_t ifindex);

/* An invariant of the engine broke. Prints and does not return. */
_Noreturn void port_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int port_format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int port_vformat(char *buf, size_t size, const char *fmt, va_list args);

#endif
