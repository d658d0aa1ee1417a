/*
 * Example of chapter 14: how much do reads give, and to whom?
 *
 * A program for the tracepoint syscalls:sys_exit_read. It sorts the results of read(2) by powers of
 * two, and adds up the bytes that each thread got.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 32

/* As `skepctl tracepoint format syscalls:sys_exit_read` says. */
struct read_record {
    __u64 common;
    int syscall_nr;
    long ret;
};

/* Slot n counts results from 2^n on, below 2^(n+1); slot 0 also the end of a file. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, SLOTS);
    __type(key, __u32);
    __type(value, __u64);
} sizes SEC(".maps");

struct thread {
    char name[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct thread);
    __type(value, __u64);
} bytes SEC(".maps");

/* A global variable: an array map with one element, which the client can show and change. */
__u64 errors;

static __always_inline __u32 slot_of(__u64 size)
{
    __u32 slot = 0;

    for (; size > 1 && slot < SLOTS - 1; slot++)
        size >>= 1;
    return slot;
}

SEC("tracepoint/syscalls/sys_exit_read")
int count_read(struct read_record *record)
{
    struct thread thread = {0};
    long ret = record->ret;
    __u64 *count, size;
    __u32 slot;

    if (ret < 0) {
        __sync_fetch_and_add(&errors, 1);
        return 0;
    }
    size = ret;
    slot = slot_of(size);
    count = bpf_map_lookup_elem(&sizes, &slot);
    if (count)
        __sync_fetch_and_add(count, 1);

    bpf_get_current_comm(thread.name, sizeof(thread.name));
    count = bpf_map_lookup_elem(&bytes, &thread);
    if (count)
        __sync_fetch_and_add(count, size);
    else
        bpf_map_update_elem(&bytes, &thread, &size, BPF_NOEXIST);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
