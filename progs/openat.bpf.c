/*
 * Lesson: which files does the machine open, and how often?
 *
 * A program for the tracepoint syscalls:sys_enter_openat. The kernel runs it each time that
 * openat(2) is entered, before the file is looked for: a name that does not exist counts too.
 *
 *     skepctl run openat.bpf.o
 *     skepctl prog load openat.bpf.o openat
 *     skepctl prog attach pinned openat tracepoint syscalls:sys_enter_openat
 *     skepctl map dump name opens
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NAME_SIZE 64

/* What the kernel hands to the program: the event's record, laid out as
 * `skepctl tracepoint format syscalls:sys_enter_openat` says. The first 8 bytes are common to all
 * events and not for programs to read; each argument takes 8 bytes, however small it is. */
struct openat_record {
    __u64 common;
    int syscall_nr;
    long dfd;
    const char *filename;
    long flags;
    long mode;
};

/* The key is the name itself: 64 bytes, the rest zero. Two equal names must be equal in every
 * byte of the key, since a hash map knows nothing of strings. */
struct file {
    char name[NAME_SIZE];
};

/* Names -> how often. The map outlives each run of the program; it is the program's memory, and
 * the client reads it while the program goes on counting. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct file);
    __type(value, __u64);
} opens SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_openat")
int count_open(struct openat_record *record)
{
    struct file file = {0};
    __u64 one = 1;
    __u64 *count;

    /* The name lies in the caller's memory: a pointer that the program may not follow by itself.
     * The helper copies as much as fits and fails, rather than faults, on a bad address. */
    if (bpf_probe_read_user_str(file.name, sizeof(file.name), record->filename) < 0)
        return 0;

    /* To the trace pipe: `skepctl prog tracelog`. Handy to look with, too slow to count with. */
    bpf_printk("openat %s", file.name);

    /* A lookup gives the address of the value in the map, or NULL: the test is not optional, the
     * verifier refuses a program that could follow NULL. */
    count = bpf_map_lookup_elem(&opens, &file);
    if (count)
        __sync_fetch_and_add(count, 1); /* one instruction: no update between read and write */
    else
        bpf_map_update_elem(&opens, &file, &one, BPF_NOEXIST);
    return 0;
}

/* bpf_printk is for programs under the GPL only, on Linux as here. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
