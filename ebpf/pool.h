/*
 * Blocks of one size for the elements of a map, in slabs that live as long as the map: a block's
 * address stays inside of the map's memory for ever, whatever happens to the element. Internal to
 * map_*.c; used under port_lock once the map exists.
 */
#ifndef SKEP_EBPF_POOL_H
#define SKEP_EBPF_POOL_H

#include <stdint.h>

#include "ebpf/map.h"

#define POOL_SLABS_MAX 128u

struct ebpf_slab {
    uint8_t *base;
    uint32_t blocks, used; /* used: given out at least once */
};

struct ebpf_pool {
    struct ebpf_map *map; /* whose memory it is */
    uint32_t block_size;  /* a multiple of 8 */
    uint32_t most;        /* blocks that there may ever be */
    uint32_t capacity;    /* blocks in all slabs */
    void *free;           /* given back; linked through their first 8 bytes */
    uint32_t nr_slabs, most_slabs;
    struct ebpf_slab *slabs;
};

int ebpf_pool_init(struct ebpf_pool *pool, struct ebpf_map *map, uint32_t block_size, uint32_t most,
                   bool all_now);
void ebpf_pool_destroy(struct ebpf_pool *pool);
void *ebpf_pool_take(struct ebpf_pool *pool);
void ebpf_pool_give(struct ebpf_pool *pool, void *block);
void *ebpf_pool_block(const struct ebpf_pool *pool, uint32_t index);
bool ebpf_pool_offset(const struct ebpf_pool *pool, uintptr_t addr, uint64_t *offset);

#endif
