/*
 * kernel/ebpf_port.c: what the engine asks of the kernel, over the kernel's own allocators,
 * registry and pipe. Links are stand-ins that say where they want to be.
 */
#include <errno.h>
#include <string.h>

#include <linux/bpf.h>

#include "arch/x86_64/arch.h"
#include "ebpf/ebpf.h"
#include "ebpf/port.h"
#include "kernel/heap.h"
#include "kernel/netdev.h"
#include "kernel/page.h"
#include "kernel/probe.h"
#include "kernel/thread.h"
#include "kernel/trace_events.h"
#include "kernel/trace_pipe.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/trace_test.h"
#include "user/vm/kernel_host.h"

/* What the stand-ins answer to port_attach; all links of a test are alike. */
static enum ebpf_hook hook;
static void *target;
static uint32_t ifindex;

enum ebpf_hook ebpf_link_hook(const struct ebpf_link *link)
{
    (void)link;
    return hook;
}

void *ebpf_link_target(const struct ebpf_link *link)
{
    (void)link;
    return target;
}

uint32_t ebpf_link_ifindex(const struct ebpf_link *link)
{
    (void)link;
    return ifindex;
}

static struct netdev eth0 = {.name = "eth0"};

static void set_up(void)
{
    trace_test_init();
    cr_assert_eq(trace_pipe_init(), 0);
    netdev_register(&eth0);
}

static void tear_down(void)
{
    struct heap_stats heap;

    heap_get_stats(&heap);
    cr_assert_eq(heap.allocations, 0);
    leakcheck();
}

TestSuite(ebpf_port, .init = set_up, .fini = tear_down);

static uint64_t free_pages(void)
{
    struct page_stats stats;

    page_get_stats(&stats);
    return stats.free_pages;
}

/* ---- memory -------------------------------------------------------------------------------- */

Test(ebpf_port, memory_is_zeroed_even_when_used_before)
{
    for (size_t size = 1; size < 100000; size = size * 3 + 5) {
        for (unsigned round = 0; round < 2; round++) {
            uint8_t *block = port_alloc(size), *pages = port_alloc_pages(size);
            cr_assert_eq((uintptr_t)block % 16, 0);
            cr_assert_eq((uintptr_t)pages % PAGE_SIZE, 0);
            for (size_t i = 0; i < size; i++)
                cr_assert(block[i] == 0 && pages[i] == 0);
            memset(block, 0xff, size);
            memset(pages, 0xff, size);
            port_free(block);
            port_free_pages(pages, size);
        }
    }
    port_free(NULL);
    port_free_pages(NULL, 1);
}

Test(ebpf_port, more_than_there_is_gives_null)
{
    uint64_t before = free_pages();

    cr_assert_null(port_alloc((size_t)1 << 30));
    cr_assert_null(port_alloc_pages((size_t)1 << 30));
    cr_assert_null(port_exec_alloc((size_t)1 << 30));
    cr_assert_eq(free_pages(), before);
}

Test(ebpf_port, sealed_code_runs_and_cannot_be_written)
{
    static const uint8_t return_42[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
    uint64_t before = free_pages();
    size_t size = PAGE_SIZE + 100;
    uint8_t *code = port_exec_alloc(size);
    uint8_t byte = 0x90;

    memcpy(code, return_42, sizeof(return_42));
    cr_assert_eq(port_exec_seal(code, size), 0);
    cr_assert_eq(((int (*)(void))(uintptr_t)code)(), 42);
    cr_assert_eq(port_write_safe(code, &byte, 1), -EFAULT);
    cr_assert_eq(port_write_safe(code + size - 1, &byte, 1), -EFAULT);
    port_exec_free(code, size);
    cr_assert_eq(free_pages(), before);
    code = port_exec_alloc(size);
    memset(code, 0, size); /* writable again for the next owner */
    port_exec_free(code, size);
}

Test(ebpf_port, reading_what_is_not_mapped_fails)
{
    uint64_t value = 5, copy = 0;

    cr_assert_eq(port_read_safe(&copy, &value, sizeof(copy)), 0);
    cr_assert_eq(copy, 5);
    cr_assert_eq(port_read_safe(&copy, (void *)8, sizeof(copy)), -EFAULT);
    cr_assert_eq(port_write_safe((void *)8, &value, sizeof(value)), -EFAULT);
}

/* ---- the rest of the machine --------------------------------------------------------------- */

Test(ebpf_port, random_numbers_differ_with_and_without_the_cpus_generator)
{
    for (unsigned hardware = 0; hardware < 2; hardware++) {
        uint64_t numbers[64];
        host_set_rdrand(hardware);
        for (unsigned i = 0; i < 64; i++) {
            numbers[i] = port_random();
            for (unsigned j = 0; j < i; j++)
                cr_assert_neq(numbers[i], numbers[j]);
        }
    }
}

Test(ebpf_port, the_lock_keeps_interrupts_off_and_gives_back_what_was)
{
    uint64_t outer = port_lock(), inner = port_lock();

    cr_assert(!arch_irq_enabled());
    port_unlock(inner);
    cr_assert(!arch_irq_enabled());
    port_unlock(outer);
    cr_assert(arch_irq_enabled());
}

Test(ebpf_port, the_running_thread)
{
    char comm[16];

    port_comm(comm);
    cr_assert_str_eq(comm, "host");
    cr_assert_eq(port_pid_tgid(), (1ull << 32) | 1);
}

Test(ebpf_port, trace_printk_goes_to_the_pipe)
{
    uint64_t cursor = 0, lost = 0;
    char text[256];

    host_time_set(5000001000);
    port_trace_printk("count 3\n", 8);
    size_t len = trace_pipe_read(&cursor, text, sizeof(text) - 1, &lost);
    text[len] = 0;
    cr_assert_str_eq(text, "            host-1       [000] .....     5.000001: "
                           "bpf_trace_printk: count 3\n");
}

Test(ebpf_port, a_broken_invariant_panics_with_its_text)
{
    cr_assert(PANICS(port_fatal("map %u has %d references", 7, -1)));
    cr_assert_str_eq(host_panic_message, "ebpf: map 7 has -1 references");
}

/* ---- attach points ------------------------------------------------------------------------- */

Test(ebpf_port, tracepoints_are_found_by_id_and_by_raw_name)
{
    uint32_t ctx_size = 0, nargs = 0;

    cr_assert_eq(port_tracepoint_by_id(tracepoint_sched_switch.id, &ctx_size),
                 &tracepoint_sched_switch);
    cr_assert_eq(ctx_size, 64);
    cr_assert_null(port_tracepoint_by_id(999, &ctx_size));
    cr_assert_eq(port_tracepoint_by_name("netif_receive_skb", &nargs),
                 &tracepoint_netif_receive_skb);
    cr_assert_eq(nargs, 3);
    cr_assert_null(port_tracepoint_by_name("no_such", &nargs));
}

Test(ebpf_port, a_link_runs_with_the_context_of_its_hook)
{
    struct ebpf_link record = {0}, raw = {0};
    uint64_t words[2];

    target = &tracepoint_receive_packet;
    hook = EBPF_HOOK_TRACEPOINT;
    cr_assert_eq(port_attach(&record), 0);
    hook = EBPF_HOOK_RAW_TRACEPOINT;
    cr_assert_eq(port_attach(&raw), 0);
    trace_receive_packet((void *)0x1234, 60);
    memcpy(words, record.bytes, sizeof(words));
    cr_assert_eq(words[1], 0x1234, "packet_ptr is at 8 in the record");
    memcpy(words, raw.bytes, sizeof(words));
    cr_assert_eq(words[0], 0x1234);
    cr_assert_eq(words[1], 60);
    port_detach(&raw);
    hook = EBPF_HOOK_TRACEPOINT;
    port_detach(&record);
    trace_receive_packet((void *)0x1234, 60);
    cr_assert_eq(record.runs, 1);
    cr_assert_eq(raw.runs, 1);
}

Test(ebpf_port, detaching_what_is_not_attached_is_a_bug)
{
    struct ebpf_link link = {0};

    target = &tracepoint_receive_packet;
    hook = EBPF_HOOK_TRACEPOINT;
    cr_assert(PANICS(port_detach(&link)));
}

static uint64_t drop(struct ebpf_link *link, void *ctx)
{
    struct ebpf_xdp *xdp = ctx;

    (void)link;
    cr_assert(!preempt_enabled());
    xdp->data++;
    return XDP_DROP;
}

Test(ebpf_port, a_device_has_one_xdp_program)
{
    static uint8_t frame[64];
    struct ebpf_xdp xdp = {.data = frame, .data_end = frame + sizeof(frame)};
    struct ebpf_link first = {.run = drop}, second = {0};

    hook = EBPF_HOOK_XDP;
    ifindex = 9;
    cr_assert(!port_netdev_exists(9));
    cr_assert_eq(port_attach(&first), -ENODEV);
    ifindex = eth0.ifindex;
    cr_assert(port_netdev_exists(ifindex));
    cr_assert_eq(probe_xdp(&eth0, &xdp), XDP_PASS);
    cr_assert_eq(port_attach(&first), 0);
    cr_assert_eq(port_attach(&second), -EBUSY);
    cr_assert_eq(probe_xdp(&eth0, &xdp), XDP_DROP);
    cr_assert_eq(xdp.data, frame + 1);
    port_detach(&first);
    cr_assert_eq(probe_xdp(&eth0, &xdp), XDP_PASS);
    cr_assert_eq(first.runs, 1);
}
