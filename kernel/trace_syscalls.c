/*
 * The events of system calls: their records and their text, as Linux's
 * kernel/trace/trace_syscalls.c prints them. Called by the entries that SYSCALL_DEFINEn makes
 * (kernel/syscall_define.h), in the context of the call.
 */
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/string.h"
#include "kernel/syscall_define.h"

struct syscall_enter_record {
    struct trace_common common;
    int32_t nr;
    int32_t pad;
    uint64_t args[SYSCALL_ARGS_MAX];
};
_Static_assert(offsetof(struct syscall_enter_record, nr) == 8, "as Linux");
_Static_assert(offsetof(struct syscall_enter_record, args) == 16, "as Linux");

struct syscall_exit_record {
    struct trace_common common;
    int32_t nr;
    int32_t pad;
    int64_t ret;
};
_Static_assert(offsetof(struct syscall_exit_record, ret) == 16, "as Linux");

/* args: one word for each field after __syscall_nr. */
void trace_syscall_enter(struct tracepoint *tp, int nr, const uint64_t *args)
{
    struct syscall_enter_record record = {.nr = nr};

    ASSERT(tp->nr_fields - 1u <= SYSCALL_ARGS_MAX, "%s has %u fields", tp->name, tp->nr_fields);
    memcpy(record.args, args, (tp->nr_fields - 1u) * sizeof(record.args[0]));
    probe_event(tp, &record.common, NULL);
}

void trace_syscall_exit(struct tracepoint *tp, int nr, long ret)
{
    struct syscall_exit_record record = {.nr = nr, .ret = ret};

    probe_event(tp, &record.common, NULL);
}

/* `sys_openat(dfd: ffffff9c, filename: 10f2a0, flags: 0, mode: 0)` */
int trace_print_syscall_enter(const struct tracepoint *tp, const void *record, char *buf,
                              size_t size)
{
    const struct syscall_enter_record *enter = record;
    const char *name = tp->name + strlen("sys_enter_");
    size_t len = (size_t)format_text(buf, size, "sys_%s(", name);

    for (unsigned i = 1; i < tp->nr_fields && len < size; i++)
        len += (size_t)format_text(buf + len, size - len, "%s%s: %lx", i > 1 ? ", " : "",
                                   tp->fields[i].name, enter->args[i - 1]);
    if (len < size)
        len += (size_t)format_text(buf + len, size - len, ")");
    return (int)len;
}

/* `sys_openat -> 0x3` */
int trace_print_syscall_exit(const struct tracepoint *tp, const void *record, char *buf,
                             size_t size)
{
    const struct syscall_exit_record *exit = record;

    return format_text(buf, size, "sys_%s -> 0x%lx", tp->name + strlen("sys_exit_"), exit->ret);
}
