/*
 * Tracepoints: the format text against Linux's to the letter (as Debian 12's Linux 6.1 prints it),
 * record layout, the registry, what listens, and the system call events.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/probe.h"
#include "kernel/syscall_define.h"
#include "kernel/thread.h"
#include "kernel/trace_events.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/trace_test.h"
#include "user/vm/kernel_host.h"

/* Ends every test: nothing that listens is left, nor the memory it took. */
static void tear_down(void)
{
    struct heap_stats heap;

    for (const struct tracepoint *tp = tracepoint_next(0); tp; tp = tracepoint_next(tp->id)) {
        cr_assert_eq(tracepoint_programs(tp), 0, "%s has programs left", tp->name);
        cr_assert_eq(tp->key.enabled, tp->to_pipe, "%s: the key is wrong", tp->name);
    }
    heap_get_stats(&heap);
    cr_assert_eq(heap.allocations, 0);
    cr_assert(arch_irq_enabled() && preempt_enabled());
    leakcheck();
}

TestSuite(tracepoint, .init = trace_test_init, .fini = tear_down);

#define COMMON_FIELDS                                                                              \
    "format:\n"                                                                                    \
    "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"                         \
    "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"                         \
    "\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n"                 \
    "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n"                                     \
    "\n"

static void assert_format(const char *system, const char *name, const char *rest)
{
    char expected[4096], text[4096];
    const struct tracepoint *tp = tracepoint_by_name(system, name);

    cr_assert_not_null(tp);
    snprintf(expected, sizeof(expected), "name: %s\nID: %u\n" COMMON_FIELDS "%s", name, tp->id,
             rest);
    cr_assert_eq(tracepoint_format(tp, text, sizeof(text)), (int)strlen(expected));
    cr_assert_str_eq(text, expected);
}

Test(tracepoint, sched_switch_has_linux_format)
{
    assert_format(
        "sched", "sched_switch",
        "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:1;\n"
        "\tfield:pid_t prev_pid;\toffset:24;\tsize:4;\tsigned:1;\n"
        "\tfield:int prev_prio;\toffset:28;\tsize:4;\tsigned:1;\n"
        "\tfield:long prev_state;\toffset:32;\tsize:8;\tsigned:1;\n"
        "\tfield:char next_comm[16];\toffset:40;\tsize:16;\tsigned:1;\n"
        "\tfield:pid_t next_pid;\toffset:56;\tsize:4;\tsigned:1;\n"
        "\tfield:int next_prio;\toffset:60;\tsize:4;\tsigned:1;\n"
        "\n"
        "print fmt: \"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s%s ==> next_comm=%s "
        "next_pid=%d next_prio=%d\", REC->prev_comm, REC->prev_pid, REC->prev_prio, "
        "(REC->prev_state & ((((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | "
        "0x00000010 | 0x00000020 | 0x00000040) + 1) << 1) - 1)) ? __print_flags(REC->prev_state & "
        "((((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | 0x00000010 | "
        "0x00000020 | 0x00000040) + 1) << 1) - 1), \"|\", { 0x00000001, \"S\" }, { 0x00000002, "
        "\"D\" }, { 0x00000004, \"T\" }, { 0x00000008, \"t\" }, { 0x00000010, \"X\" }, { "
        "0x00000020, \"Z\" }, { 0x00000040, \"P\" }, { 0x00000080, \"I\" }) : \"R\", "
        "REC->prev_state & (((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | "
        "0x00000010 | 0x00000020 | 0x00000040) + 1) << 1) ? \"+\" : \"\", REC->next_comm, "
        "REC->next_pid, REC->next_prio\n");
}

Test(tracepoint, sys_enter_openat_has_linux_format)
{
    assert_format("syscalls", "sys_enter_openat",
                  "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
                  "\tfield:int dfd;\toffset:16;\tsize:8;\tsigned:0;\n"
                  "\tfield:const char * filename;\toffset:24;\tsize:8;\tsigned:0;\n"
                  "\tfield:int flags;\toffset:32;\tsize:8;\tsigned:0;\n"
                  "\tfield:umode_t mode;\toffset:40;\tsize:8;\tsigned:0;\n"
                  "\n"
                  "print fmt: \"dfd: 0x%08lx, filename: 0x%08lx, flags: 0x%08lx, mode: 0x%08lx\", "
                  "((unsigned long)(REC->dfd)), ((unsigned long)(REC->filename)), "
                  "((unsigned long)(REC->flags)), ((unsigned long)(REC->mode))\n");
}

Test(tracepoint, sys_exit_openat_has_linux_format)
{
    assert_format("syscalls", "sys_exit_openat",
                  "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
                  "\tfield:long ret;\toffset:16;\tsize:8;\tsigned:1;\n"
                  "\n"
                  "print fmt: \"0x%lx\", REC->ret\n");
}

Test(tracepoint, a_call_without_arguments_has_linux_format)
{
    assert_format("syscalls", "sys_enter_getpid",
                  "\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
                  "\n"
                  "print fmt: \"\"\n");
}

Test(tracepoint, netif_receive_skb_has_linux_format)
{
    assert_format("net", "netif_receive_skb",
                  "\tfield:void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
                  "\tfield:unsigned int len;\toffset:16;\tsize:4;\tsigned:0;\n"
                  "\tfield:__data_loc char[] name;\toffset:20;\tsize:4;\tsigned:1;\n"
                  "\n"
                  "print fmt: \"dev=%s skbaddr=%p len=%u\", __get_str(name), REC->skbaddr, "
                  "REC->len\n");
}

Test(tracepoint, receive_packet_has_the_documented_format)
{
    assert_format("virtio_net", "receive_packet",
                  "\tfield:void * packet_ptr;\toffset:8;\tsize:8;\tsigned:0;\n"
                  "\tfield:u32 packet_len;\toffset:16;\tsize:4;\tsigned:0;\n"
                  "\n"
                  "print fmt: \"packet_ptr=%px packet_len=%u\", REC->packet_ptr, "
                  "REC->packet_len\n");
}

Test(tracepoint, format_is_cut_to_the_buffer_and_says_its_whole_length)
{
    char whole[4096], part[4096];
    const struct tracepoint *tp = tracepoint_by_name("syscalls", "sys_enter_openat");
    int len = tracepoint_format(tp, whole, sizeof(whole));

    for (int size = 1; size <= len + 1; size++) {
        memset(part, 'x', sizeof(part));
        cr_assert_eq(tracepoint_format(tp, part, (size_t)size), len);
        cr_assert_eq(strlen(part), (size_t)size - 1);
        cr_assert_eq(strncmp(part, whole, (size_t)size - 1), 0);
        cr_assert_eq(part[size], 'x');
    }
    cr_assert_eq(tracepoint_format(tp, NULL, 0), len);
}

/* ---- registry ------------------------------------------------------------------------------ */

Test(tracepoint, ids_count_from_1_and_the_cursor_meets_each_once)
{
    uint32_t id = 0;

    for (const struct tracepoint *tp = tracepoint_next(0); tp; tp = tracepoint_next(tp->id)) {
        cr_assert_eq(tp->id, ++id);
        cr_assert_eq(tracepoint_by_id(id), tp);
        cr_assert_eq(tracepoint_by_name(tp->system, tp->name), tp);
    }
    cr_assert_eq(id, tracepoint_count());
    cr_assert_eq(id, 3 + 2 * 2, "tracepoints.def, and two for each of two system calls");
}

Test(tracepoint, system_calls_have_ids_by_their_numbers)
{
    uint32_t getpid = tracepoint_by_name("syscalls", "sys_enter_getpid")->id; /* 39 */
    uint32_t openat = tracepoint_by_name("syscalls", "sys_enter_openat")->id; /* 257 */

    cr_assert_eq(tracepoint_by_name("syscalls", "sys_exit_getpid")->id, getpid + 1);
    cr_assert_eq(openat, getpid + 2);
}

Test(tracepoint, what_is_not_there_is_not_found)
{
    cr_assert_null(tracepoint_by_id(0));
    cr_assert_null(tracepoint_by_id(tracepoint_count() + 1));
    cr_assert_null(tracepoint_by_id(UINT32_MAX));
    cr_assert_null(tracepoint_next(UINT32_MAX));
    cr_assert_null(tracepoint_by_name("sched", "receive_packet"));
    cr_assert_null(tracepoint_by_name("", ""));
    cr_assert_null(tracepoint_by_raw_name("sys_enter_openat"), "has no raw arguments");
    cr_assert_eq(tracepoint_by_raw_name("sched_switch"), &tracepoint_sched_switch);
}

Test(tracepoint, registering_twice_panics)
{
    cr_assert(PANICS(tracepoint_register(&tracepoint_sched_switch)));
    cr_assert(strstr(host_panic_message, "sched:sched_switch"));
}

Test(tracepoint, context_ends_with_the_last_field)
{
    cr_assert_eq(tracepoint_receive_packet.ctx_size, 20);
    cr_assert_eq(tracepoint_netif_receive_skb.ctx_size, 24);
    cr_assert_eq(tracepoint_sched_switch.ctx_size, 64);
    cr_assert_eq(tracepoint_by_name("syscalls", "sys_enter_openat")->ctx_size, 48);
    cr_assert_eq(tracepoint_by_name("syscalls", "sys_exit_openat")->ctx_size, 24);
    cr_assert_eq(tracepoint_by_name("syscalls", "sys_enter_getpid")->ctx_size, 12);
}

/* ---- what listens -------------------------------------------------------------------------- */

Test(tracepoint, the_key_is_on_while_anything_listens)
{
    struct tracepoint *tp = &tracepoint_receive_packet;
    struct ebpf_link a = {0}, b = {0};

    cr_assert(!tp->key.enabled);
    tracepoint_enable(tp);
    cr_assert(tp->key.enabled);
    cr_assert_eq(tracepoint_attach(tp, TRACE_RECORD, &a), 0);
    tracepoint_disable(tp);
    cr_assert(tp->key.enabled, "a program is still there");
    cr_assert_eq(tracepoint_attach(tp, TRACE_RAW, &b), 0);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &a), 0);
    cr_assert(tp->key.enabled, "a raw program is still there");
    cr_assert_eq(tracepoint_detach(tp, TRACE_RAW, &b), 0);
    cr_assert(!tp->key.enabled);
}

Test(tracepoint, nothing_runs_while_the_key_is_off)
{
    trace_receive_packet("frame", 5);
    cr_assert_eq(tracepoint_receive_packet.hits, 0);
}

Test(tracepoint, several_links_run_in_the_order_they_came)
{
    enum { NR = 20 };
    static struct ebpf_link links[NR];
    struct tracepoint *tp = &tracepoint_receive_packet;

    for (unsigned i = 0; i < NR; i++) {
        cr_assert_eq(tracepoint_attach(tp, TRACE_RECORD, &links[i]), 0);
        cr_assert_eq(tracepoint_programs(tp), i + 1);
    }
    for (unsigned i = 0; i < NR; i++)
        cr_assert_eq(tp->links[TRACE_RECORD]->links[i], &links[i]);
    trace_receive_packet("frame", 5);
    for (unsigned i = 0; i < NR; i += 2)
        cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &links[i]), 0);
    trace_receive_packet("frame", 5);
    for (unsigned i = 0; i < NR; i++)
        cr_assert_eq(links[i].runs, i % 2 ? 2 : 1);
    for (unsigned i = 1; i < NR; i += 2)
        cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &links[i]), 0);
    cr_assert_eq(tp->hits, 2);
}

Test(tracepoint, one_link_may_be_on_several_tracepoints)
{
    struct ebpf_link link = {0};

    cr_assert_eq(tracepoint_attach(&tracepoint_receive_packet, TRACE_RECORD, &link), 0);
    cr_assert_eq(tracepoint_attach(&tracepoint_netif_receive_skb, TRACE_RECORD, &link), 0);
    trace_receive_packet("frame", 5);
    trace_netif_receive_skb("skb", 5, "eth0");
    cr_assert_eq(link.runs, 2);
    cr_assert_eq(tracepoint_detach(&tracepoint_receive_packet, TRACE_RECORD, &link), 0);
    cr_assert_eq(tracepoint_detach(&tracepoint_netif_receive_skb, TRACE_RECORD, &link), 0);
}

Test(tracepoint, detaching_what_is_not_attached_is_refused)
{
    struct ebpf_link a = {0}, b = {0};
    struct tracepoint *tp = &tracepoint_receive_packet;

    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &a), -ENOENT);
    cr_assert_eq(tracepoint_attach(tp, TRACE_RECORD, &a), 0);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &b), -ENOENT);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RAW, &a), -ENOENT);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &a), 0);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &a), -ENOENT);
}

/* ---- records ------------------------------------------------------------------------------- */

/* The last record as a copy, since it lives on the stack of the event. */
static union {
    struct trace_common common;
    struct trace_record_receive_packet receive_packet;
    struct trace_record_netif_receive_skb netif_receive_skb;
    struct trace_record_sched_switch sched_switch;
    uint8_t bytes[64];
    uint64_t words[8];
} seen;
static size_t seen_size;

static uint64_t keep(struct ebpf_link *link, void *ctx)
{
    (void)link;
    memcpy(&seen, ctx, seen_size);
    return 0;
}

static void attach_keeper(struct tracepoint *tp, enum trace_context context, size_t size)
{
    static struct ebpf_link keeper = {.run = keep};

    seen_size = size;
    cr_assert_eq(tracepoint_attach(tp, context, &keeper), 0);
}

static void detach_keeper(struct tracepoint *tp, enum trace_context context)
{
    cr_assert_eq(tracepoint_detach(tp, context, tp->links[context]->links[0]), 0);
}

Test(tracepoint, record_of_receive_packet)
{
    static const uint8_t frame[60];

    attach_keeper(&tracepoint_receive_packet, TRACE_RECORD, sizeof(seen.receive_packet));
    trace_receive_packet(frame, sizeof(frame));
    cr_assert_eq(seen.words[1], (uintptr_t)frame);
    cr_assert_eq((uint32_t)seen.words[2], 60);
    cr_assert_eq(seen.common.type, tracepoint_receive_packet.id);
    cr_assert_eq(seen.common.pid, 1);
    cr_assert_eq(seen.common.flags, 0);
    cr_assert_eq(seen.common.preempt_count, 0);
    detach_keeper(&tracepoint_receive_packet, TRACE_RECORD);
}

Test(tracepoint, common_fields_say_what_context_the_event_was_in)
{
    uint64_t flags;

    attach_keeper(&tracepoint_receive_packet, TRACE_RECORD, sizeof(seen.receive_packet));
    preempt_disable();
    trace_receive_packet("frame", 5);
    preempt_enable();
    cr_assert_eq(seen.common.preempt_count, 1);
    cr_assert_eq(seen.common.flags, 0);
    flags = arch_irq_save();
    host_set_in_interrupt(true);
    trace_receive_packet("frame", 5);
    host_set_in_interrupt(false);
    arch_irq_restore(flags);
    cr_assert_eq(seen.common.preempt_count, 0);
    cr_assert_eq(seen.common.flags, TRACE_FLAG_IRQS_OFF | TRACE_FLAG_HARDIRQ);
    detach_keeper(&tracepoint_receive_packet, TRACE_RECORD);
}

Test(tracepoint, a_string_lies_behind_the_record_and_is_cut_to_its_room)
{
    static const struct {
        const char *name, *in_record;
    } cases[] = {
        {"eth0", "eth0"}, {"", ""}, {"a-name-of-20-letters", "a-name-of-20-le"}, {NULL, "(null)"}};

    attach_keeper(&tracepoint_netif_receive_skb, TRACE_RECORD, 24 + 16);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        trace_netif_receive_skb(&seen, 60, cases[i].name);
        uint32_t loc = seen.netif_receive_skb.__data_loc_name;
        cr_assert_eq(loc & 0xffff, 24);
        cr_assert_eq(loc >> 16, strlen(cases[i].in_record) + 1);
        cr_assert_str_eq((char *)seen.bytes + 24, cases[i].in_record);
        cr_assert_eq(seen.netif_receive_skb.len, 60);
    }
    detach_keeper(&tracepoint_netif_receive_skb, TRACE_RECORD);
}

static const struct thread net = {.tid = 3, .name = "net", .priority = THREAD_PRIO_NET};
static const struct thread idle = {.tid = 0, .name = "idle", .priority = THREAD_PRIO_IDLE};

Test(tracepoint, record_of_sched_switch)
{
    attach_keeper(&tracepoint_sched_switch, TRACE_RECORD, sizeof(seen.sched_switch));
    trace_sched_switch(false, &net, &idle);
    cr_assert_str_eq((char *)seen.bytes + 8, "net");
    cr_assert_eq(*(int *)(seen.bytes + 24), 3);
    cr_assert_eq(*(int *)(seen.bytes + 28), THREAD_PRIO_NET);
    cr_assert_eq(*(long *)(seen.bytes + 32), 0);
    cr_assert_str_eq((char *)seen.bytes + 40, "idle");
    cr_assert_eq(*(int *)(seen.bytes + 56), 0);
    cr_assert_eq(*(int *)(seen.bytes + 60), THREAD_PRIO_IDLE);
    detach_keeper(&tracepoint_sched_switch, TRACE_RECORD);
}

Test(tracepoint, sched_switch_prints_the_state_as_linux)
{
    static const struct {
        bool preempt;
        enum thread_state state;
        const char *text;
    } cases[] = {
        {true, THREAD_READY, "R+"},
        {false, THREAD_READY, "R"},
        {false, THREAD_SLEEPING, "S"},
        {false, THREAD_DEAD, "X"},
    };
    char text[256], expected[256];

    attach_keeper(&tracepoint_sched_switch, TRACE_RECORD, sizeof(seen.sched_switch));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thread prev = net;
        prev.state = cases[i].state;
        trace_sched_switch(cases[i].preempt, &prev, &idle);
        tracepoint_sched_switch.print(&tracepoint_sched_switch, &seen, text, sizeof(text));
        snprintf(expected, sizeof(expected),
                 "sched_switch: prev_comm=net prev_pid=3 prev_prio=10 prev_state=%s ==> "
                 "next_comm=idle next_pid=0 next_prio=31",
                 cases[i].text);
        cr_assert_str_eq(text, expected);
    }
    detach_keeper(&tracepoint_sched_switch, TRACE_RECORD);
}

Test(tracepoint, raw_programs_get_the_arguments_as_words)
{
    attach_keeper(&tracepoint_sched_switch, TRACE_RAW, 3 * sizeof(uint64_t));
    trace_sched_switch(true, &net, &idle);
    cr_assert_eq(seen.words[0], 1);
    cr_assert_eq(seen.words[1], (uintptr_t)&net);
    cr_assert_eq(seen.words[2], (uintptr_t)&idle);
    detach_keeper(&tracepoint_sched_switch, TRACE_RAW);
}

/* ---- recursion ----------------------------------------------------------------------------- */

static uint64_t cause_another_event(struct ebpf_link *link, void *ctx)
{
    (void)link;
    (void)ctx;
    cr_assert(!preempt_enabled(), "programs run with preemption off");
    trace_receive_packet("inner", 5);
    return 0;
}

Test(tracepoint, an_event_caused_by_a_program_is_counted_and_not_run)
{
    struct ebpf_link link = {.run = cause_another_event};
    struct tracepoint *tp = &tracepoint_receive_packet;

    cr_assert_eq(tracepoint_attach(tp, TRACE_RECORD, &link), 0);
    trace_receive_packet("outer", 5);
    trace_receive_packet("outer", 5);
    cr_assert_eq(link.runs, 2);
    cr_assert_eq(tp->hits, 2);
    cr_assert_eq(tp->missed, 2);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &link), 0);
}

static uint64_t be_interrupted(struct ebpf_link *link, void *ctx)
{
    (void)ctx;
    if (link->runs > 1)
        return 0;
    host_set_in_interrupt(true);
    trace_receive_packet("from an interrupt", 5);
    host_set_in_interrupt(false);
    return 0;
}

Test(tracepoint, an_interrupt_during_a_run_has_events_of_its_own)
{
    struct ebpf_link link = {.run = be_interrupted};
    struct tracepoint *tp = &tracepoint_receive_packet;

    cr_assert_eq(tracepoint_attach(tp, TRACE_RECORD, &link), 0);
    trace_receive_packet("outer", 5);
    cr_assert_eq(link.runs, 2);
    cr_assert_eq(tp->missed, 0);
    cr_assert_eq(tracepoint_detach(tp, TRACE_RECORD, &link), 0);
}

/* ---- system calls -------------------------------------------------------------------------- */

static const struct syscall_desc *find_syscall(const char *name)
{
    for (const struct syscall_desc *desc = __start_syscalls; desc < __stop_syscalls; desc++)
        if (strcmp(desc->name, name) == 0)
            return desc;
    return NULL;
}

Test(tracepoint, a_system_call_gets_its_arguments_whether_traced_or_not)
{
    const struct syscall_desc *openat = find_syscall("openat");
    const uint64_t args[] = {5, (uintptr_t) "/hello", 0, 0644};

    cr_assert_eq(openat->nr, 257);
    cr_assert_eq(openat->call(args), 3);
    tracepoint_enable(openat->enter);
    tracepoint_enable(openat->exit);
    cr_assert_eq(openat->call(args), 3);
    cr_assert_eq(openat->enter->hits, 1);
    cr_assert_eq(openat->exit->hits, 1);
    cr_assert_eq(find_syscall("getpid")->call(NULL), 77);
    cr_assert_eq(find_syscall("getpid")->enter->hits, 0);
}

Test(tracepoint, records_of_a_system_call)
{
    const struct syscall_desc *openat = find_syscall("openat");
    const uint64_t args[] = {5, (uintptr_t) "/hello", 0, 0644};
    char text[128], expected[128];

    attach_keeper(openat->enter, TRACE_RECORD, 48);
    openat->call(args);
    cr_assert_eq(*(int *)(seen.bytes + 8), 257);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(seen.words[2 + i], args[i]);
    openat->enter->print(openat->enter, &seen, text, sizeof(text));
    snprintf(expected, sizeof(expected), "sys_openat(dfd: 5, filename: %lx, flags: 0, mode: 1a4)",
             (unsigned long)args[1]);
    cr_assert_str_eq(text, expected);
    detach_keeper(openat->enter, TRACE_RECORD);

    attach_keeper(openat->exit, TRACE_RECORD, 24);
    openat->call(args);
    cr_assert_eq(*(int *)(seen.bytes + 8), 257);
    cr_assert_eq(seen.words[2], 3);
    openat->exit->print(openat->exit, &seen, text, sizeof(text));
    cr_assert_str_eq(text, "sys_openat -> 0x3");
    detach_keeper(openat->exit, TRACE_RECORD);
}
