/*
 * The engine's public face: kernel/, net/ and user/ include this and nothing else of ebpf/
 * (besides port.h, which they implement, and wire.h, the datagram).
 *
 * Objects (programs, maps, links, BTF, event handles) are reference counted. A session is one
 * client's table of handles; ending it drops them all. ebpf_sys() is bpf(2).
 */
#ifndef SKEP_EBPF_H
#define SKEP_EBPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

struct ebpf_session;
struct ebpf_prog;
struct ebpf_map;
struct ebpf_link;

/* Start-up, once, before anything else. memory_limit: bytes that all maps together may use. */
int ebpf_init(uint64_t memory_limit);
/* Tests only: drops every pin and asserts that no object is left; returns how many were. */
unsigned ebpf_shutdown(void);

/* ---- bpf(2) ----------------------------------------------------------------------------- */

struct ebpf_session *ebpf_session_create(void); /* NULL: out of memory */
void ebpf_session_destroy(struct ebpf_session *session);

/* One command. attr is in and out; its pointers are addresses of the caller's buffers, whose
 * sizes the caller has checked against ebpf/commands.def (ebpf_marshal_*). Returns 0 or a handle,
 * or a negative errno. Thread context. size: bytes of attr given; a longer attr needs a zero tail.
 */
long ebpf_sys(struct ebpf_session *session, uint32_t cmd, union bpf_attr *attr, uint32_t size);
/* close(2) on a handle. 0 or -EBADF. */
int ebpf_close(struct ebpf_session *session, int handle);

/* A handle on a tracepoint, to attach to with LINK_CREATE (BPF_PERF_EVENT). */
int ebpf_tracepoint_open(struct ebpf_session *session, uint32_t id);

/* The map behind a handle; borrowed until the handle is closed. NULL: -EBADF. */
struct ebpf_map *ebpf_session_map(struct ebpf_session *session, int handle);
struct ebpf_prog *ebpf_session_prog(struct ebpf_session *session, int handle);
/* enum ebpf_kind (ebpf/commands.h) of what is behind a handle, or -EBADF. */
int ebpf_session_kind(struct ebpf_session *session, int handle);
uint32_t ebpf_map_type(const struct ebpf_map *map);
uint32_t ebpf_map_key_size(const struct ebpf_map *map);
/* As on the wire: per-CPU sizes expanded. */
uint32_t ebpf_map_value_size(const struct ebpf_map *map);

/* Takes records out of a ring buffer, each as u32 length, u32 zero, data padded to 8, or out of a
 * perf event array, each a struct skep_perf_header and what it says (ebpf/commands.h). Returns
 * bytes put into buf (whole records only), or -errno. *dropped is the map's total so far. */
long ebpf_ringbuf_read(struct ebpf_map *map, void *buf, size_t size, uint64_t *dropped);
/* Bytes waiting in a ring buffer. */
uint64_t ebpf_ringbuf_pending(struct ebpf_map *map);

/* ---- running programs ------------------------------------------------------------------- */

/* Runs the link's program on ctx; the result is r0. The budget and faults are handled inside and
 * counted on the program. Any context; not re-entrant for one program (counted as a miss). */
uint64_t ebpf_link_run(struct ebpf_link *link, void *ctx);

/* What a link points at, for port_attach. */
enum ebpf_hook { EBPF_HOOK_TRACEPOINT, EBPF_HOOK_RAW_TRACEPOINT, EBPF_HOOK_XDP };
enum ebpf_hook ebpf_link_hook(const struct ebpf_link *link);
void *ebpf_link_target(const struct ebpf_link *link);     /* from port_tracepoint_* */
uint32_t ebpf_link_ifindex(const struct ebpf_link *link); /* EBPF_HOOK_XDP */
/* A word in the link that belongs to the port (its list node, say). */
void **ebpf_link_port_data(struct ebpf_link *link);

/* The XDP context at a receive hook, and what xdp_md fields map to. Programs read and write
 * [data_meta, data_end); without metadata data_meta is data (NULL is taken as that too). */
struct ebpf_xdp {
    uint8_t *data, *data_end, *data_meta;
    uint8_t *data_hard_start, *data_hard_end; /* how far head and tail may move */
    uint32_t ingress_ifindex, rx_queue_index, egress_ifindex;
};

/* ---- totals, for `sys info` ------------------------------------------------------------- */

struct ebpf_stats {
    uint32_t progs, maps, links, btfs, sessions;
    uint64_t map_bytes, map_bytes_limit;
    uint64_t runs, faults, budget_exceeded, recursion_misses;
};
void ebpf_get_stats(struct ebpf_stats *out);

#endif
