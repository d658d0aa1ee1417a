/*
 * For test_events.py: every openat puts a sample into a perf event array and its kernel stack into
 * a map of stack traces, whose ids are counted.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
    __uint(max_entries, 1);
} samples SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(key_size, 4);
    __uint(value_size, 16 * sizeof(__u64));
    __uint(max_entries, 64);
} stacks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 64);
} counts SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int on_open(void *ctx)
{
    const char sample[11] = "openat seen";
    __u32 id = (__u32)bpf_get_stackid(ctx, &stacks, BPF_F_REUSE_STACKID);
    __u64 one = 1, *count = bpf_map_lookup_elem(&counts, &id);

    if (count)
        __sync_fetch_and_add(count, 1);
    else
        bpf_map_update_elem(&counts, &id, &one, BPF_ANY);
    bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, (void *)sample, sizeof(sample));
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
