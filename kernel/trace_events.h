/*
 * trace_NAME(...) for every tracepoint in kernel/tracepoints.def: what the code that an event
 * happens in calls. While nothing listens the call is one 5-byte NOP; arguments should be free of
 * side effects and cheap to have. A contract header: drivers/ and net/ include it.
 * Any context; what listens runs with preemption off.
 */
#ifndef SKEP_KERNEL_TRACE_EVENTS_H
#define SKEP_KERNEL_TRACE_EVENTS_H

#include "kernel/tracepoint.h"

struct thread;

/* Types by Linux's names, because `format` prints them. */
typedef int pid_t;
typedef uint32_t u32;

/* (3, int, a, long, b, char, c) as a parameter list, and as a list of arguments. */
#define TRACE_PARAMETERS(n, ...)           TRACE_PARAMETERS_##n(__VA_ARGS__)
#define TRACE_PARAMETERS_2(t1, a1, t2, a2) t1 a1, t2 a2
#define TRACE_PARAMETERS_3(t1, a1, ...)    t1 a1, TRACE_PARAMETERS_2(__VA_ARGS__)
#define TRACE_ARGUMENTS(n, ...)            TRACE_ARGUMENTS_##n(__VA_ARGS__)
#define TRACE_ARGUMENTS_2(t1, a1, t2, a2)  a1, a2
#define TRACE_ARGUMENTS_3(t1, a1, ...)     a1, TRACE_ARGUMENTS_2(__VA_ARGS__)

/* struct trace_record_NAME; tracepoint_NAME; trace_NAME(). */
#define FIELD(type, field, value) type field;
#define TEXT(field, size, value)  char field[size];
#define STRING(field, max, value) uint32_t __data_loc_##field;
#define TRACEPOINT(system_, name_, parameters, fields_, ...)                                       \
    struct trace_record_##name_ {                                                                  \
        struct trace_common common;                                                                \
        fields_                                                                                    \
    };                                                                                             \
    extern struct tracepoint tracepoint_##name_;                                                   \
    void trace_emit_##name_(TRACE_PARAMETERS parameters);                                          \
    static inline void trace_##name_(TRACE_PARAMETERS parameters)                                  \
    {                                                                                              \
        if (static_key_branch(&tracepoint_##name_.key))                                            \
            trace_emit_##name_(TRACE_ARGUMENTS parameters);                                        \
    }

#include "kernel/tracepoints.def"

#undef TRACEPOINT
#undef STRING
#undef TEXT
#undef FIELD

/* The layouts that programs are compiled against. */
_Static_assert(offsetof(struct trace_record_receive_packet, packet_ptr) == 8, "as documented");
_Static_assert(offsetof(struct trace_record_receive_packet, packet_len) == 16, "as documented");
_Static_assert(offsetof(struct trace_record_netif_receive_skb, len) == 16, "as Linux");
_Static_assert(offsetof(struct trace_record_netif_receive_skb, __data_loc_name) == 20, "as Linux");
_Static_assert(offsetof(struct trace_record_sched_switch, prev_pid) == 24, "as Linux");
_Static_assert(offsetof(struct trace_record_sched_switch, prev_state) == 32, "as Linux");
_Static_assert(offsetof(struct trace_record_sched_switch, next_comm) == 40, "as Linux");
_Static_assert(offsetof(struct trace_record_sched_switch, next_pid) == 56, "as Linux");

#endif
