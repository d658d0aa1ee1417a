/*
 * Program types and their contexts: what r1 points at, which of it a program may read or write,
 * and where the packet is. Made from contexts.def; used by the interpreters and by prog.c.
 */
#ifndef SKEP_EBPF_CONTEXT_H
#define SKEP_EBPF_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>

struct ebpf_context; /* one program type */

/* The context of socket_filter and sched_cls programs. The view comes first, so that no address
 * within it is outside this struct. */
struct ebpf_skb {
    struct __sk_buff view;
    uint8_t *data, *data_end, *data_meta;
};

/* The context of EBPF_PROG_TYPE_MEM: r1 = data, r2 = data_end - data. */
struct ebpf_mem {
    uint8_t *data, *data_end;
};

/* What may be done with a field. */
enum ebpf_ctx_kind {
    CTX_NONE,
    CTX_READ,        /* read, in part too */
    CTX_WHOLE,       /* read whole */
    CTX_LONGS,       /* an array that is read 8 bytes at a time */
    CTX_WRITE,       /* read, in part too; written whole */
    CTX_WRITE_WHOLE, /* read and written whole */
    CTX_BYTES,       /* read and written, in any width */
    CTX_POINTER,     /* read whole, as 4 bytes, and gives a pointer to the packet */
};

/* Where one access to the context goes. */
struct ebpf_ctx_slot {
    void *addr;
    bool pointer; /* a packet pointer: the load gives the 8 bytes at addr, whatever its size */
};

const struct ebpf_context *ebpf_context_get(uint32_t prog_type);
const char *ebpf_context_name(const struct ebpf_context *context);
uint32_t ebpf_context_size(const struct ebpf_context *context, uint32_t ctx_size);
const char *ebpf_context_access(const struct ebpf_context *context, void *ctx, uint32_t ctx_size,
                                uint64_t off, uint32_t size, bool write,
                                struct ebpf_ctx_slot *slot);
void ebpf_context_packet(uint32_t prog_type, const void *ctx, uintptr_t *start, uintptr_t *end);

#endif
