/*
 * Blocks of one size: one slab for all of them, or slabs as they are needed, which double up to
 * SLAB_BYTES: a new one is zeroed under port_lock. When many are there already they double again,
 * so that there is always a slab left. Used by the map types whose elements come and go.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/pool.h"

#define FIRST_SLAB 64u
#define SLAB_BYTES (1u << 20)

static int add_slab(struct ebpf_pool *pool, uint32_t blocks)
{
    uint8_t *base = NULL;

    if (pool->nr_slabs < pool->most_slabs)
        base = ebpf_map_alloc(pool->map, (size_t)blocks * pool->block_size);
    if (base == NULL)
        return -ENOMEM;
    pool->slabs[pool->nr_slabs].base = base;
    pool->slabs[pool->nr_slabs].blocks = blocks;
    pool->slabs[pool->nr_slabs].used = 0;
    pool->nr_slabs++;
    pool->capacity += blocks;
    return 0;
}

static size_t slabs_size(const struct ebpf_pool *pool)
{
    return pool->most_slabs * sizeof(pool->slabs[0]);
}

/* A pool of at most `most` blocks, all there from the start or not. 0 or -ENOMEM; ebpf_pool_destroy
 * is for both. */
int ebpf_pool_init(struct ebpf_pool *pool, struct ebpf_map *map, uint32_t block_size, uint32_t most,
                   bool all_now)
{
    *pool = (struct ebpf_pool){.map = map,
                               .block_size = block_size,
                               .most = most,
                               .most_slabs = all_now ? 1 : POOL_SLABS_MAX};
    pool->slabs = ebpf_map_alloc(map, slabs_size(pool));
    if (pool->slabs == NULL)
        return -ENOMEM;
    return all_now ? add_slab(pool, most) : 0;
}

void ebpf_pool_destroy(struct ebpf_pool *pool)
{
    for (uint32_t i = 0; i < pool->nr_slabs; i++)
        ebpf_map_free(pool->map, pool->slabs[i].base,
                      (size_t)pool->slabs[i].blocks * pool->block_size);
    if (pool->slabs != NULL)
        ebpf_map_free(pool->map, pool->slabs, slabs_size(pool));
}

/* Blocks of the next slab; 0: all that may be are there. */
static uint32_t next_slab(const struct ebpf_pool *pool)
{
    uint32_t blocks = pool->capacity != 0 ? pool->capacity : FIRST_SLAB;
    uint32_t room = pool->most - pool->capacity;

    if (pool->nr_slabs < POOL_SLABS_MAX - 32 && blocks > SLAB_BYTES / pool->block_size)
        blocks = SLAB_BYTES / pool->block_size + 1;
    return blocks < room ? blocks : room;
}

/* A block, its bytes as its last owner left them. NULL: no memory, or all are taken. */
void *ebpf_pool_take(struct ebpf_pool *pool)
{
    void *block = pool->free;
    uint32_t last;

    if (block != NULL) {
        __builtin_memcpy(&pool->free, block, sizeof(pool->free));
        return block;
    }
    if (pool->nr_slabs == 0 ||
        pool->slabs[pool->nr_slabs - 1].used == pool->slabs[pool->nr_slabs - 1].blocks) {
        uint32_t blocks = next_slab(pool);

        if (blocks == 0 || add_slab(pool, blocks) != 0)
            return NULL;
    }
    last = pool->nr_slabs - 1;
    return pool->slabs[last].base + (size_t)pool->slabs[last].used++ * pool->block_size;
}

/* Only the first 8 bytes change: a program that still looks at a value there sees it. */
void ebpf_pool_give(struct ebpf_pool *pool, void *block)
{
    __builtin_memcpy(block, &pool->free, sizeof(pool->free));
    pool->free = block;
}

/* The block with this index, from 0 up, in or out of use; NULL beyond the last one ever used. */
void *ebpf_pool_block(const struct ebpf_pool *pool, uint32_t index)
{
    for (uint32_t i = 0; i < pool->nr_slabs; i++) {
        if (index < pool->slabs[i].blocks)
            return index < pool->slabs[i].used
                       ? pool->slabs[i].base + (size_t)index * pool->block_size
                       : NULL;
        index -= pool->slabs[i].blocks;
    }
    return NULL;
}

/* True when addr lies in the pool; *offset is then its place within its block. */
bool ebpf_pool_offset(const struct ebpf_pool *pool, uintptr_t addr, uint64_t *offset)
{
    for (uint32_t i = 0; i < pool->nr_slabs; i++) {
        uint64_t at = addr - (uintptr_t)pool->slabs[i].base; /* huge when addr is below */

        if (at < (uint64_t)pool->slabs[i].blocks * pool->block_size) {
            *offset = at % pool->block_size;
            return true;
        }
    }
    return false;
}
