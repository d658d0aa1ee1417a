/*
 * What the benchmark programs call when they are compiled for the host: plain maps without locks,
 * one at a time.
 */
#ifndef SKEP_TESTS_BENCH_NATIVE_H
#define SKEP_TESTS_BENCH_NATIVE_H

#include <stdint.h>

struct native_ctx {
    uint64_t data, data_end;
};

typedef uint64_t (*native_program)(struct native_ctx *ctx);

/* Gives the programs an empty map of Linux's type (0: none); it stays until the next call. */
void native_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries);
/* Empties the ring buffer. */
void native_ring_drain(void);

/* What bench.h declares, with native_ for bpf_: scripts/bench.mk renames the calls. */
void *native_map_lookup_elem(void *map, const void *key);
long native_map_update_elem(void *map, const void *key, const void *value,
                            unsigned long long flags);
long native_map_delete_elem(void *map, const void *key);
unsigned long long native_ktime_get_ns(void);
unsigned int native_get_smp_processor_id(void);
void *native_ringbuf_reserve(void *ring, unsigned long long size, unsigned long long flags);
void native_ringbuf_submit(void *data, unsigned long long flags);

#endif
