/*
 * What kernel/tracepoints.def generates: for each tracepoint its description and the function
 * that makes the record of one event and hands it to kernel/probe.c. Called by the trace_NAME() of
 * kernel/trace_events.h while the tracepoint's key is on.
 */
#include "kernel/trace_events.h"

#include "kernel/printk.h"
#include "kernel/probe.h"
#include "kernel/string.h"
#include "kernel/thread.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what the values and prints in tracepoints.def use ------------------------------------ */

/* A thread's state in Linux's numbers: 0 runnable, 1 sleeping, 0x10 dead (TASK_DEAD shows as X);
 * a thread that was preempted while runnable has 0x100 and shows as R+. */
static long trace_thread_state(bool preempt, const struct thread *thread)
{
    if (preempt)
        return 0x100;
    switch (thread->state) {
    case THREAD_SLEEPING:
        return 0x01;
    case THREAD_DEAD:
        return 0x10;
    case THREAD_READY:
    case THREAD_RUNNING:
        break;
    }
    return 0;
}

/* Puts a string behind the record, cut to max bytes with its terminator; *used: bytes of the record
 * so far. Returns the __data_loc word. */
static uint32_t put_string(void *record, uint32_t *used, uint32_t max, const char *text)
{
    uint32_t offset = *used;
    uint32_t len;

    string_copy((char *)record + offset, text ? text : "(null)", max);
    len = (uint32_t)strlen((char *)record + offset) + 1;
    *used += len;
    return len << 16 | offset;
}

struct flag_name {
    unsigned long mask;
    const char *name;
};

/* The names of the flags that are set, with delim between; what has no name as a number. */
static const char *print_flags(char *buf, size_t size, unsigned long flags, const char *delim,
                               const struct flag_name *names, size_t count)
{
    size_t len = 0;

    buf[0] = 0;
    for (size_t i = 0; i < count && flags && len < size; i++) {
        if ((flags & names[i].mask) != names[i].mask)
            continue;
        flags &= ~names[i].mask;
        len += (size_t)format_text(buf + len, size - len, "%s%s", len ? delim : "", names[i].name);
    }
    if (flags && len < size)
        format_text(buf + len, size - len, "%s0x%lx", len ? delim : "", flags);
    return buf;
}

#define __print_flags(flags, delim, ...)                                                           \
    print_flags((char[64]){0}, 64, (unsigned long)(flags), delim,                                  \
                (const struct flag_name[]){__VA_ARGS__},                                           \
                ARRAY_SIZE(((const struct flag_name[]){__VA_ARGS__})))
#define __get_str(field) ((const char *)REC + (REC->__data_loc_##field & 0xffff))

/* ---- parameters as words for raw tracepoint programs -------------------------------------- */

#define RAW_WORDS(n, ...)           RAW_WORDS_##n(__VA_ARGS__)
#define RAW_WORDS_2(t1, a1, t2, a2) (uint64_t)(uintptr_t)(a1), (uint64_t)(uintptr_t)(a2)
#define RAW_WORDS_3(t1, a1, ...)    (uint64_t)(uintptr_t)(a1), RAW_WORDS_2(__VA_ARGS__)
#define NR_ARGS(n, ...)             n

/* ---- room for strings behind a record: STRING_BYTES_name ----------------------------------- */

#define FIELD(type, field, value)
#define TEXT(field, size, value)
#define STRING(field, max, value) +max
#define TRACEPOINT(system_, name_, parameters, fields_, ...)                                       \
    enum { STRING_BYTES_##name_ = 0 fields_ };
#include "kernel/tracepoints.def"
#undef TRACEPOINT
#undef STRING
#undef TEXT
#undef FIELD

/* ---- descriptions --------------------------------------------------------------------------- */

#define IS_SIGNED(type) ((type)-1 < (type)1)

#define FIELD(type_, field, value)                                                                 \
    {                                                                                              \
        .type = #type_,                                                                            \
        .name = #field,                                                                            \
        .size = sizeof(type_),                                                                     \
        .align = _Alignof(type_),                                                                  \
        .is_signed = IS_SIGNED(type_),                                                             \
    },
#define TEXT(field, size_, value)                                                                  \
    {                                                                                              \
        .type = "char",                                                                            \
        .name = #field,                                                                            \
        .size = size_,                                                                             \
        .count = size_,                                                                            \
        .align = 1,                                                                                \
        .is_signed = IS_SIGNED(char),                                                              \
    },
#define STRING(field, max, value)                                                                  \
    {                                                                                              \
        .type = "__data_loc char[]",                                                               \
        .name = #field,                                                                            \
        .size = 4,                                                                                 \
        .align = 4,                                                                                \
        .is_signed = IS_SIGNED(char),                                                              \
    },
#define TRACEPOINT(system_, name_, parameters, fields_, ...)                                       \
    static int print_##name_(const struct tracepoint *tp, const void *record, char *buf,           \
                             size_t size)                                                          \
    {                                                                                              \
        const struct trace_record_##name_ *REC = record;                                           \
        (void)tp;                                                                                  \
        return format_text(buf, size, #name_ ": " __VA_ARGS__);                                    \
    }                                                                                              \
    static const struct trace_field fields_of_##name_[] = {fields_};                               \
    struct tracepoint tracepoint_##name_ = {                                                       \
        .system = #system_,                                                                        \
        .name = #name_,                                                                            \
        .fields = fields_of_##name_,                                                               \
        .nr_fields = ARRAY_SIZE(fields_of_##name_),                                                \
        .nr_args = NR_ARGS parameters,                                                             \
        .print_fmt = #__VA_ARGS__,                                                                 \
        .print = print_##name_,                                                                    \
    };
#include "kernel/tracepoints.def"
#undef TRACEPOINT
#undef STRING
#undef TEXT
#undef FIELD

/* ---- one event ------------------------------------------------------------------------------ */

#define FIELD(type, field, value_) event.record.field = (value_);
#define TEXT(field, size, value_)  string_copy(event.record.field, value_, size);
#define STRING(field, max, value_)                                                                 \
    event.record.__data_loc_##field = put_string(&event, &used, max, value_);
#define TRACEPOINT(system_, name_, parameters, fields_, ...)                                       \
    __attribute__((cold)) void trace_emit_##name_(TRACE_PARAMETERS parameters)                     \
    {                                                                                              \
        struct {                                                                                   \
            struct trace_record_##name_ record;                                                    \
            char strings[STRING_BYTES_##name_];                                                    \
        } event = {0};                                                                             \
        uint32_t used = sizeof(event.record);                                                      \
        const uint64_t args[] = {RAW_WORDS parameters};                                            \
        (void)used;                                                                                \
        fields_;                                                                                   \
        probe_event(&tracepoint_##name_, &event.record.common, args);                              \
    }
#include "kernel/tracepoints.def"
#undef TRACEPOINT
#undef STRING
#undef TEXT
#undef FIELD
