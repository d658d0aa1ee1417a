/*
 * SYSCALL_DEFINEn(name, type1, argument1, ...) { body } defines one system call, as in Linux: its
 * number (__NR_name), its entry in the table that syscall_dispatch searches, and its tracepoints
 * syscalls:sys_enter_name and sys_exit_name. Write the types as Linux writes them: the format
 * text prints them. Used by kernel/syscalls_*.c; the table is read by kernel/syscall.c and by
 * tracepoint_init().
 *
 * Each description lies in section `syscalls`; the linker gives the table's bounds.
 */
#ifndef SKEP_KERNEL_SYSCALL_DEFINE_H
#define SKEP_KERNEL_SYSCALL_DEFINE_H

#include <stdint.h>

#include <asm/unistd.h>

#include "kernel/tracepoint.h"

#define SYSCALL_ARGS_MAX 6

struct syscall_desc {
    int nr;
    const char *name;                   /* "openat" */
    long (*call)(const uint64_t *args); /* with its events */
    struct tracepoint *enter, *exit;
};

/* Weak: a program (a unit test) may have no system call at all. */
extern const struct syscall_desc __start_syscalls[] __attribute__((weak));
extern const struct syscall_desc __stop_syscalls[] __attribute__((weak));

/* Applies m(left, type, argument) to each pair; left counts down to 1. */
#define SYSCALL_MAP_0(m)
#define SYSCALL_MAP_1(m, t, a)      m(1, t, a)
#define SYSCALL_MAP_2(m, t, a, ...) m(2, t, a), SYSCALL_MAP_1(m, __VA_ARGS__)
#define SYSCALL_MAP_3(m, t, a, ...) m(3, t, a), SYSCALL_MAP_2(m, __VA_ARGS__)
#define SYSCALL_MAP_4(m, t, a, ...) m(4, t, a), SYSCALL_MAP_3(m, __VA_ARGS__)
#define SYSCALL_MAP_5(m, t, a, ...) m(5, t, a), SYSCALL_MAP_4(m, __VA_ARGS__)
#define SYSCALL_MAP_6(m, t, a, ...) m(6, t, a), SYSCALL_MAP_5(m, __VA_ARGS__)

#define SYSCALL_PARAMETER(left, t, a) t a
#define SYSCALL_ARGUMENT(left, t, a)  (t) args[nr_args - (left)]
/* Whatever the type, an argument takes 8 bytes of the record, as on Linux. */
#define SYSCALL_FIELD(left, t, a)                                                                  \
    {                                                                                              \
        .type = #t, .name = #a, .size = 8, .align = 8                                              \
    }
#define SYSCALL_NR_FIELD                                                                           \
    {                                                                                              \
        .type = "int", .name = "__syscall_nr", .size = 4, .align = 4, .is_signed = true            \
    }

#define SYSCALL_TRACEPOINTS(name_, ...)                                                            \
    static const struct trace_field sys_enter_fields_##name_[] = {SYSCALL_NR_FIELD, __VA_ARGS__};  \
    static const struct trace_field sys_exit_fields_##name_[] = {                                  \
        SYSCALL_NR_FIELD,                                                                          \
        {.type = "long", .name = "ret", .size = 8, .align = 8, .is_signed = true},                 \
    };                                                                                             \
    static struct tracepoint sys_enter_##name_ = {                                                 \
        .system = "syscalls",                                                                      \
        .name = "sys_enter_" #name_,                                                               \
        .fields = sys_enter_fields_##name_,                                                        \
        .nr_fields = sizeof(sys_enter_fields_##name_) / sizeof(sys_enter_fields_##name_[0]),       \
        .print = trace_print_syscall_enter,                                                        \
    };                                                                                             \
    static struct tracepoint sys_exit_##name_ = {                                                  \
        .system = "syscalls",                                                                      \
        .name = "sys_exit_" #name_,                                                                \
        .fields = sys_exit_fields_##name_,                                                         \
        .nr_fields = 2,                                                                            \
        .print_fmt = "\"0x%lx\", REC->ret",                                                        \
        .print = trace_print_syscall_exit,                                                         \
    };

/* The call with its two events, from arguments as words. */
#define SYSCALL_ENTRY(name_, n, ...)                                                               \
    static long syscall_entry_##name_(const uint64_t *args)                                        \
    {                                                                                              \
        enum { nr_args = n };                                                                      \
        (void)args;                                                                                \
        if (static_key_branch(&sys_enter_##name_.key))                                             \
            trace_syscall_enter(&sys_enter_##name_, __NR_##name_, args);                           \
        long ret = sys_##name_(__VA_ARGS__);                                                       \
        if (static_key_branch(&sys_exit_##name_.key))                                              \
            trace_syscall_exit(&sys_exit_##name_, __NR_##name_, ret);                              \
        return ret;                                                                                \
    }                                                                                              \
    static const struct syscall_desc syscall_desc_##name_                                          \
        __attribute__((section("syscalls"), used, aligned(8))) = {                                 \
            .nr = __NR_##name_,                                                                    \
            .name = #name_,                                                                        \
            .call = syscall_entry_##name_,                                                         \
            .enter = &sys_enter_##name_,                                                           \
            .exit = &sys_exit_##name_,                                                             \
    };

#define SYSCALL_DEFINE_N(n, name_, ...)                                                            \
    static long sys_##name_(SYSCALL_MAP_##n(SYSCALL_PARAMETER, __VA_ARGS__));                      \
    SYSCALL_TRACEPOINTS(name_, SYSCALL_MAP_##n(SYSCALL_FIELD, __VA_ARGS__))                        \
    SYSCALL_ENTRY(name_, n, SYSCALL_MAP_##n(SYSCALL_ARGUMENT, __VA_ARGS__))                        \
    static long sys_##name_(SYSCALL_MAP_##n(SYSCALL_PARAMETER, __VA_ARGS__))

#define SYSCALL_DEFINE0(name_)                                                                     \
    static long sys_##name_(void);                                                                 \
    SYSCALL_TRACEPOINTS(name_)                                                                     \
    SYSCALL_ENTRY(name_, 0)                                                                        \
    static long sys_##name_(void)
#define SYSCALL_DEFINE1(name_, ...) SYSCALL_DEFINE_N(1, name_, __VA_ARGS__)
#define SYSCALL_DEFINE2(name_, ...) SYSCALL_DEFINE_N(2, name_, __VA_ARGS__)
#define SYSCALL_DEFINE3(name_, ...) SYSCALL_DEFINE_N(3, name_, __VA_ARGS__)
#define SYSCALL_DEFINE4(name_, ...) SYSCALL_DEFINE_N(4, name_, __VA_ARGS__)
#define SYSCALL_DEFINE5(name_, ...) SYSCALL_DEFINE_N(5, name_, __VA_ARGS__)
#define SYSCALL_DEFINE6(name_, ...) SYSCALL_DEFINE_N(6, name_, __VA_ARGS__)

#endif
