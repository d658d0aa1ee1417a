/*
 * The helper functions themselves, for the table in helper.c: one declaration for each line of
 * helpers.def. Every one takes r1 to r5 and gives r0; arguments have been checked against the table
 * (or proven by the verifier). They run in the program's context: preemption off, interrupts maybe.
 */
#ifndef SKEP_EBPF_HELPERS_H
#define SKEP_EBPF_HELPERS_H

#include <stdint.h>

#include "ebpf/helper.h"

#define HELPER(name, ret, a1, a2, a3, a4, a5, licence, types)                                      \
    uint64_t helper_##name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5);
#include "ebpf/helpers.def"

/* Errors travel in r0 sign-extended. */
static inline uint64_t helper_error(long value)
{
    return (uint64_t)value;
}

/* helpers_callback.c: calls a function of the running program. False: the run was stopped in it,
 * and the helper must return at once, whatever it returns. */
bool ebpf_call_back(uint64_t function, const uint64_t args[5], uint64_t *r0);

/* What struct bpf_dynptr holds: Linux's struct bpf_dynptr_kern. data is NULL in one that could not
 * be made. */
struct ebpf_dynptr {
    uint8_t *data;
    uint32_t size, reserved;
};

/* helpers_lock.c: gives back the lock that the run holds, if any. */
void ebpf_lock_release(struct ebpf_run *run);

/* Formats as bpf_trace_printk does (format.c). */
#define EBPF_FORMAT_MAX 1024u
long ebpf_format(char *out, uint32_t size, const char *fmt, uint32_t fmt_size, const uint64_t *args,
                 unsigned nr_args);
long ebpf_format_check(const char *fmt, uint32_t room, unsigned nr_args);
/* helpers_probe.c: bytes with the final NUL, or -EFAULT and an empty string. */
long ebpf_read_string(char *dst, uint32_t size, const char *src);
/* helpers_ringbuf.c: gives back what the run reserved and neither submitted nor discarded. */
void ebpf_ringbuf_discard_all(struct ebpf_run *run);

#endif
