/*
 * For test_programs.py: every thread switch, as a record in a ring buffer and counted, from the
 * tracepoint; and counted from the raw tracepoint. Runs inside the scheduler.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sched_switch_record {
    __u64 common;
    char prev_comm[16];
    int prev_pid;
    int prev_prio;
    long prev_state;
    char next_comm[16];
    int next_pid;
    int next_prio;
};

struct event {
    int prev_pid;
    int next_pid;
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} events SEC(".maps");

__u64 switches, raw_switches, other_pid;

SEC("tracepoint/sched/sched_switch")
int on_switch(struct sched_switch_record *record)
{
    struct event event = {.prev_pid = record->prev_pid, .next_pid = record->next_pid};

    __sync_fetch_and_add(&switches, 1);
    /* The event comes while the thread that gives up the CPU is still the current one. */
    if ((__u32)bpf_get_current_pid_tgid() != (__u32)record->prev_pid)
        __sync_fetch_and_add(&other_pid, 1);
    bpf_ringbuf_output(&events, &event, sizeof(event), 0);
    return 0;
}

/* Linux's arguments: preempt, prev, next. */
SEC("raw_tracepoint/sched_switch")
int on_raw_switch(struct bpf_raw_tracepoint_args *raw)
{
    if (raw->args[0] <= 1 && raw->args[1] && raw->args[2] && raw->args[1] != raw->args[2])
        __sync_fetch_and_add(&raw_switches, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
