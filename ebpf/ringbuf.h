/*
 * A ring buffer's state, for its own file and for what verified programs do without a call: the
 * same steps are machine code in jit_x86_ringbuf.c.
 *
 * Programs run with preemption off, the reader with interrupts off. So the only one to come between
 * two steps of a program is an interrupt's program, which puts its own records behind the producer
 * and ends: one compare-and-exchange of the producer is all that reserving needs to hold against
 * that. With more CPUs than one it would take a lock.
 */
#ifndef SKEP_EBPF_RINGBUF_H
#define SKEP_EBPF_RINGBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "ebpf/base.h"
#include "ebpf/port.h"

_Static_assert(PORT_NR_CPUS == 1, "records are reserved without a lock");

struct ebpf_map;

/* In the page before the data, so that a record leads to its ring. */
struct ebpf_ringbuf {
    uint64_t consumer, producer; /* positions: they count bytes for ever */
    uint64_t mask;
    uint8_t *data;    /* twice max_entries bytes; a record begins at position & mask */
    uint64_t dropped; /* records that found no room, or no reader */
    struct ebpf_map *map;
};

/* Before each record's data; Linux's struct bpf_ringbuf_hdr, which counts in pages. */
struct ebpf_ringbuf_header {
    uint32_t len;  /* of the data, with BPF_RINGBUF_BUSY_BIT and BPF_RINGBUF_DISCARD_BIT */
    uint32_t from; /* the ring is 8 times as many bytes before the header */
};

_Static_assert(sizeof(struct ebpf_ringbuf_header) == BPF_RINGBUF_HDR_SZ, "the header is Linux's");

static inline uint64_t ebpf_ringbuf_record_size(uint64_t data_length)
{
    return round_up_to(data_length + sizeof(struct ebpf_ringbuf_header), 8);
}

static inline struct ebpf_ringbuf_header *ebpf_ringbuf_at(const struct ebpf_ringbuf *rb,
                                                          uint64_t position)
{
    return (struct ebpf_ringbuf_header *)(rb->data + (position & rb->mask));
}

/* size bytes that no reader sees yet, or NULL. Programs alone, see above. */
static inline void *ebpf_ringbuf_reserve(struct ebpf_ringbuf *rb, uint64_t size)
{
    struct ebpf_ringbuf_header *header;
    uint64_t at = __atomic_load_n(&rb->producer, __ATOMIC_RELAXED), end;

    do {
        /* size first: a huge one would overflow the rounding. */
        end = at + ebpf_ringbuf_record_size(size);
        if (size > rb->mask || end - rb->consumer > rb->mask) {
            rb->dropped++;
            return NULL;
        }
    } while (!__atomic_compare_exchange_n(&rb->producer, &at, end, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    header = ebpf_ringbuf_at(rb, at);
    header->len = (uint32_t)size | BPF_RINGBUF_BUSY_BIT;
    header->from = (uint32_t)(((uintptr_t)header - (uintptr_t)rb) / 8);
    return header + 1;
}

void ebpf_ringbuf_commit(void *record, bool discard, uint64_t flags);

/* As the helpers of these names, for verified programs, whose every record is known to be given
 * back: nothing is noted in the run. */
uint64_t ebpf_ringbuf_reserve_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5);
uint64_t ebpf_ringbuf_submit_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                    uint64_t r5);
uint64_t ebpf_ringbuf_discard_direct(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4,
                                     uint64_t r5);

#endif
