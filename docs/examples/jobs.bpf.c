/*
 * Example of chapter 15: counts the application's jobs, and stops nothing else.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct job_record {
    __u64 common;
    __u32 job;
    __u32 bytes;
};

__u64 jobs, bytes;

SEC("tracepoint/app/job_done")
int count_job(struct job_record *record)
{
    __sync_fetch_and_add(&jobs, 1);
    __sync_fetch_and_add(&bytes, record->bytes);
    return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
