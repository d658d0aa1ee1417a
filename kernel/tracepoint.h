/*
 * Tracepoints: named places in the kernel where an event can be observed. This file has what all
 * of them share: the description, the registry, enabling to the trace pipe, and attaching
 * programs. The tracepoints themselves are declared in kernel/tracepoints.def (call them through
 * kernel/trace_events.h) and by SYSCALL_DEFINEn (kernel/syscall_define.h).
 *
 * A record is what a tracepoint program sees as its context: eight common bytes, which programs may
 * not read, then the fields, laid out as C lays out a struct. Names, offsets and `format` text
 * are Linux's where Linux has the event (Linux Documentation/trace/events.rst).
 */
#ifndef SKEP_KERNEL_TRACEPOINT_H
#define SKEP_KERNEL_TRACEPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/static_key.h"

struct ebpf_link;

/* Bytes 0..7 of every record: common_type, common_flags, common_preempt_count, common_pid. */
struct trace_common {
    uint16_t type;         /* the tracepoint's id */
    uint8_t flags;         /* TRACE_FLAG_* */
    uint8_t preempt_count; /* 1: preemption was off at the event */
    int32_t pid;           /* the running thread */
};
_Static_assert(sizeof(struct trace_common) == 8, "the common fields are the first 8 bytes");

/* Linux's values (include/linux/trace_events.h). */
#define TRACE_FLAG_IRQS_OFF 0x01
#define TRACE_FLAG_HARDIRQ  0x08

struct trace_field {
    const char *type; /* as `format` prints it: "pid_t", "__data_loc char[]" */
    const char *name;
    uint16_t size;  /* bytes */
    uint16_t count; /* elements of an array; 0: not an array */
    uint8_t align;
    bool is_signed;
};

/* The programs attached to one tracepoint, in the order they came. */
struct trace_links {
    uint32_t count;
    struct ebpf_link *links[];
};

/* What an attached program gets: the record, or the raw arguments as 64-bit words. */
enum trace_context { TRACE_RECORD, TRACE_RAW, TRACE_NR_CONTEXTS };

struct tracepoint {
    struct static_key key; /* on while anything listens */
    const char *system, *name;
    const struct trace_field *fields; /* after the common ones */
    uint8_t nr_fields;
    uint8_t nr_args;       /* words that a raw tracepoint program gets; 0: cannot be had raw */
    const char *print_fmt; /* `print fmt:` of the format text; NULL: of a sys_enter, by field */
    /* The event as text, as behind the time stamp of a trace pipe line. Like snprintf. */
    int (*print)(const struct tracepoint *tp, const void *record, char *buf, size_t size);

    /* Set by tracepoint_register. */
    uint32_t id;
    uint32_t ctx_size; /* end of the last field: programs may read [8, ctx_size) */
    struct tracepoint *next;

    /* Changed with interrupts off. */
    bool to_pipe;
    struct trace_links *links[TRACE_NR_CONTEXTS]; /* NULL: none */
    uint64_t hits;                                /* events while enabled */
    uint64_t missed; /* events that fell into a run of their own making */
};

/* ---- registry: filled at start-up, then read only ---------------------------------------- */

/* Registers every tracepoint of tracepoints.def, then those of the system calls. */
void tracepoint_init(void);
/* Gives tp its id, the next one from 1 on, and its offsets. tp lives for ever. Start-up only. */
void tracepoint_register(struct tracepoint *tp);
/* NULL when there is none. Any context. */
struct tracepoint *tracepoint_by_id(uint32_t id);
struct tracepoint *tracepoint_by_name(const char *system, const char *name);
/* The tracepoint that a raw tracepoint program means by name; NULL: none. */
struct tracepoint *tracepoint_by_raw_name(const char *name);
/* The one with the smallest id above `id`; NULL after the last. */
struct tracepoint *tracepoint_next(uint32_t id);
uint32_t tracepoint_count(void);

/* ---- what listens ------------------------------------------------------------------------ */

/* To the trace pipe, or no longer. Thread context. */
void tracepoint_enable(struct tracepoint *tp);
void tracepoint_disable(struct tracepoint *tp);
/* Attaches a link behind those already there; the same program may come through several links.
 * link is borrowed until detached. 0, or -ENOMEM. Thread context. */
int tracepoint_attach(struct tracepoint *tp, enum trace_context context, struct ebpf_link *link);
/* After it returns the link's program is not running from here and will not. 0, or -ENOENT when
 * the link is not attached. Thread context. */
int tracepoint_detach(struct tracepoint *tp, enum trace_context context, struct ebpf_link *link);
unsigned tracepoint_programs(const struct tracepoint *tp);

/* ---- text -------------------------------------------------------------------------------- */

/* The `format` text, as Linux's events/SYSTEM/NAME/format. Like snprintf: the length of the whole
 * text; at most size bytes are written, always terminated. */
int tracepoint_format(const struct tracepoint *tp, char *buf, size_t size);

/* ---- system calls (kernel/syscall_define.h) ---------------------------------------------- */

/* Called when the key of a system call's tracepoint is on. args: as many as tp has fields after
 * __syscall_nr. */
void trace_syscall_enter(struct tracepoint *tp, int nr, const uint64_t *args);
void trace_syscall_exit(struct tracepoint *tp, int nr, long ret);
/* print of sys_enter_NAME and sys_exit_NAME. */
int trace_print_syscall_enter(const struct tracepoint *tp, const void *record, char *buf,
                              size_t size);
int trace_print_syscall_exit(const struct tracepoint *tp, const void *record, char *buf,
                             size_t size);

#endif
