/*
 * What a lookup in a hash table costs when the table is small and when it is large: the same
 * programs over both. tests/bench/guest/maps.py fills the tables with fill_*, and compares
 * lookup_* of each, less `nothing`, which does all but the lookups.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define ENTRIES_SMALL 1000
#define ENTRIES_LARGE 1000000
#define STEPS         64 /* operations in one run */

#define TABLE(name, entries)                                                                       \
    struct {                                                                                       \
        __uint(type, BPF_MAP_TYPE_HASH);                                                           \
        __uint(max_entries, entries);                                                              \
        __type(key, __u64);                                                                        \
        __type(value, __u64);                                                                      \
    } name SEC(".maps")

TABLE(small, ENTRIES_SMALL);
TABLE(large, ENTRIES_LARGE);

__u32 next_small, next_large, random;

/* Keys as programs have them: addresses, 64 bytes apart. */
static __always_inline __u64 key_number(__u32 n)
{
    return 0xffff888000000000 + n * 64ull;
}

static __always_inline int fill(void *map, __u32 *next, __u32 entries)
{
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEPS; i++) {
        __u64 key = key_number(*next), value = *next;

        if (*next >= entries)
            break;
        if (bpf_map_update_elem(map, &key, &value, BPF_NOEXIST))
            return 0;
        ++*next;
    }
    return XDP_PASS;
}

/* A key of the table, anywhere. */
static __always_inline __u64 any_key(__u32 entries)
{
    random = random * 1664525 + 1013904223;
    return key_number((__u64)random * entries >> 32);
}

static __always_inline int look_up(void *map, __u32 entries)
{
    int hits = 0;

#pragma clang loop unroll(disable)
    for (int i = 0; i < STEPS; i++) {
        __u64 key = any_key(entries);

        hits += bpf_map_lookup_elem(map, &key) != 0;
    }
    return hits;
}

SEC("xdp")
int fill_small(struct xdp_md *ctx)
{
    (void)ctx;
    return fill(&small, &next_small, ENTRIES_SMALL);
}

SEC("xdp")
int fill_large(struct xdp_md *ctx)
{
    (void)ctx;
    return fill(&large, &next_large, ENTRIES_LARGE);
}

SEC("xdp")
int lookup_small(struct xdp_md *ctx)
{
    (void)ctx;
    return look_up(&small, ENTRIES_SMALL);
}

SEC("xdp")
int lookup_large(struct xdp_md *ctx)
{
    (void)ctx;
    return look_up(&large, ENTRIES_LARGE);
}

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
    int hits = 0;

    (void)ctx;
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEPS; i++) {
        volatile __u64 key = any_key(ENTRIES_LARGE);

        hits += key != 0;
    }
    return hits;
}

char LICENSE[] SEC("license") = "GPL";
