/*
 * The scheduler on the host: kernel/thread.c, sched.c, waitq.c and timer.c over ucontext and a
 * clock that only the test moves, so that a run is the same each time. "Interrupts" happen where a
 * thread or the idle loop calls interrupt(). The tracepoint sched_switch sees every switch and
 * checks the rules there.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <errno.h>
#include <sanitizer/common_interface_defs.h>

#include "arch/x86_64/arch.h"
#include "kernel/page.h"
#include "kernel/sched.h"
#include "kernel/thread.h"
#include "kernel/trace_events.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/kernel_host.h"

#define MS 1000000ull

/* ---- the machine ---------------------------------------------------------------------------- */

/* Lies at the top of a thread's own stack; arch_context.rsp points to it. */
struct fiber {
    ucontext_t context;
    void (*entry)(void *);
    void *arg;
    const void *stack; /* NULL: the process's own */
    size_t size;
};

static struct fiber main_fiber;
static struct fiber *running = &main_fiber;
static uint64_t now_ns;

static void fiber_start(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)((uintptr_t)high << 32 | low);

    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    arch_irq_enable();
    fiber->entry(fiber->arg);
    cr_assert_fail("a thread's entry returned to nowhere");
}

void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    struct fiber *fiber = (struct fiber *)(((uintptr_t)stack_top - sizeof(*fiber)) & ~63ull);
    const size_t size = 60 * 1024 - 2 * sizeof(*fiber);

    getcontext(&fiber->context);
    fiber->entry = entry;
    fiber->arg = arg;
    fiber->stack = (uint8_t *)fiber - size;
    fiber->size = size;
    fiber->context.uc_stack.ss_sp = (uint8_t *)fiber - size;
    fiber->context.uc_stack.ss_size = size;
    makecontext(&fiber->context, (void (*)(void))fiber_start, 2, (unsigned)((uintptr_t)fiber >> 32),
                (unsigned)(uintptr_t)fiber);
    ctx->rsp = (uintptr_t)fiber;
}

void arch_context_switch(struct arch_context *from, struct arch_context *to)
{
    struct fiber *self = running, *next = to->rsp ? (struct fiber *)to->rsp : &main_fiber;
    void *fake_stack;

    cr_assert_not(arch_irq_enabled(), "a switch with interrupts on");
    from->rsp = (uintptr_t)self;
    running = next;
    __sanitizer_start_switch_fiber(&fake_stack, next->stack, next->size);
    swapcontext(&self->context, &next->context);
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
}

/* Time passes, and what is due by then interrupts. */
static void interrupt(uint64_t pass_ns)
{
    uint64_t flags = arch_irq_save();

    now_ns += pass_ns;
    host_time_set(now_ns);
    if (host_timer_deadline() <= now_ns) {
        arch_timer_arm(UINT64_MAX);
        host_set_in_interrupt(true);
        kernel_timer_interrupt();
        host_set_in_interrupt(false);
    }
    kernel_interrupt_exit();
    arch_irq_restore(flags);
}

/* The idle loop: nothing happens until the next timer. */
void arch_wait_for_interrupt(void)
{
    cr_assert_neq(host_timer_deadline(), UINT64_MAX, "all threads wait for ever");
    arch_irq_enable();
    interrupt(host_timer_deadline() > now_ns ? host_timer_deadline() - now_ns : 0);
}

/* ---- the rules, checked at every switch ------------------------------------------------------ */

struct tracepoint tracepoint_sched_switch;
static unsigned nr_switches;

static void check_thread(const struct thread *thread, void *arg)
{
    const struct thread *next = arg;
    bool waits = thread->waiting_on != NULL;

    cr_assert_eq(waits, thread->state == THREAD_SLEEPING, "%s: state %d", thread->name,
                 thread->state);
    if (thread->state == THREAD_READY)
        cr_assert_geq(thread->priority, next->priority, "%s is ready, and better than %s",
                      thread->name, next->name);
    cr_assert_eq(thread->state == THREAD_RUNNING, thread == next, "%s: state %d", thread->name,
                 thread->state);
    cr_assert_eq(thread->wake_timer.armed, thread->wake_at != UINT64_MAX, "%s", thread->name);
}

void trace_emit_sched_switch(bool preempt, const struct thread *prev, const struct thread *next)
{
    cr_assert_neq(prev, next);
    cr_assert_eq(thread_current(), prev, "at the event the old thread is current, as on Linux");
    cr_assert_eq(preempt, prev->state == THREAD_READY);
    nr_switches++;
    thread_for_each(check_thread, (void *)(uintptr_t)next);
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static volatile unsigned ended;
static struct waitq queue;

static void set_up(void)
{
    const size_t size = 16u << 20;
    void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(arena, MAP_FAILED);
    page_add_region((uintptr_t)arena, (uintptr_t)arena + size);
    host_time_set(0);
    static_key_set(&tracepoint_sched_switch.key, true);
    thread_init();
}

TestSuite(sched, .init = set_up, .fini = leakcheck);

static void start(const char *name, unsigned priority, void (*entry)(void *), void *arg)
{
    cr_assert_not_null(thread_create(name, (enum thread_priority)priority, entry, arg));
}

static int wait_until(uint64_t deadline)
{
    uint64_t flags = arch_irq_save();
    int result = waitq_wait(&queue, deadline);
    cr_assert_not(arch_irq_enabled());
    arch_irq_restore(flags);
    return result;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void count(void *arg)
{
    (void)arg;
    ended++;
}

Test(sched, a_better_thread_runs_before_create_returns)
{
    start("above", 10, count, NULL);
    cr_assert_eq(ended, 1);
    start("equal", 20, count, NULL);
    start("below", 25, count, NULL);
    cr_assert_eq(ended, 1);
    thread_yield();
    cr_assert_eq(ended, 2, "the equal one, not the worse");
    thread_sleep_ns(1);
    cr_assert_eq(ended, 3);
}

static void wait_once(void *arg)
{
    *(int *)arg = wait_until(50 * MS);
    ended++;
}

Test(sched, a_wait_ends_by_waking_or_by_its_deadline_and_says_which)
{
    int first = 1, second = 1;

    start("first", 10, wait_once, &first);
    start("second", 10, wait_once, &second);
    cr_assert_eq(ended, 0);
    waitq_wake_one(&queue);
    cr_assert_eq(ended, 1);
    cr_assert_eq(first, 0);
    interrupt(50 * MS - 1);
    cr_assert_eq(ended, 1);
    interrupt(1);
    cr_assert_eq(ended, 2);
    cr_assert_eq(second, -ETIMEDOUT);
    cr_assert_null(queue.head);
    cr_assert_null(queue.tail);
    cr_assert_eq(host_timer_deadline(), UINT64_MAX, "the first one's timer is gone too");
}

static uint64_t turns[2];

static void take_turns(void *arg)
{
    for (unsigned i = 0; i < 100; i++) {
        ++*(uint64_t *)arg;
        interrupt(MS);
    }
    ended++;
}

Test(sched, equal_threads_get_equal_slices_of_10_ms)
{
    start("one", 22, take_turns, &turns[0]);
    start("two", 22, take_turns, &turns[1]);
    thread_sleep_ns(100 * MS);
    cr_assert_eq(turns[0] + turns[1], 100);
    cr_assert_eq(turns[0], 50);
    thread_sleep_ns(200 * MS);
    cr_assert_eq(ended, 2);
}

Test(sched, a_thread_alone_in_its_priority_needs_no_slice_timer)
{
    start("below", 25, count, NULL);
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
    start("equal", 20, count, NULL);
    cr_assert_eq(host_timer_deadline(), 10 * MS);
    thread_yield();
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
}

/* Often preempted, a thread must not get a whole slice anew each time. */
static void disturb(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 60; i++)
        thread_sleep_ns(3 * MS);
    ended++;
}

Test(sched, preemption_does_not_renew_a_slice)
{
    start("disturber", 10, disturb, NULL);
    start("one", 22, take_turns, &turns[0]);
    start("two", 22, take_turns, &turns[1]);
    thread_sleep_ns(100 * MS);
    cr_assert_geq(turns[0], 40);
    cr_assert_geq(turns[1], 40);
    thread_sleep_ns(500 * MS);
    cr_assert_eq(ended, 3);
}

Test(sched, preemption_off_delays_a_switch_and_interrupts_off_make_a_timer_due)
{
    int result;

    start("waiter", 10, wait_once, &result);
    preempt_disable();
    waitq_wake_all(&queue);
    interrupt(MS);
    cr_assert_eq(ended, 0);
    preempt_enable();
    cr_assert_eq(ended, 1);
    start("waiter", 10, wait_once, &result);
    uint64_t flags = arch_irq_save();
    waitq_wake_all(&queue);
    cr_assert_eq(ended, 1);
    arch_irq_restore(flags);
    cr_assert_leq(host_timer_deadline(), now_ns, "an interrupt will come at once");
    interrupt(0);
    cr_assert_eq(ended, 2);
}

Test(sched, waiting_in_the_wrong_place_panics)
{
    cr_assert(PANICS(waitq_wait(&queue, 1)));
    cr_assert(strstr(host_panic_message, "with interrupts on"), "%s", host_panic_message);
    arch_irq_disable();
    host_set_in_interrupt(true);
    cr_assert(PANICS(waitq_wait(&queue, 1)));
    cr_assert(strstr(host_panic_message, "interrupt handler"), "%s", host_panic_message);
}

Test(sched, sleeping_with_preemption_off_panics)
{
    preempt_disable();
    cr_assert(PANICS(thread_sleep_ns(1)));
    cr_assert(strstr(host_panic_message, "preemption off"), "%s", host_panic_message);
}

Test(sched, out_of_memory_gives_no_thread_and_loses_nothing)
{
    struct page_stats before, after;
    unsigned made = 0;

    page_get_stats(&before);
    while (thread_create("sleeper", THREAD_PRIO_SERVER, count, NULL))
        made++;
    cr_assert_gt(made, 200);
    page_get_stats(&after);
    cr_assert_lt(after.free_pages, 16);
    thread_sleep_ns(1);
    cr_assert_eq(ended, made);
    page_get_stats(&after);
    cr_assert_geq(after.free_pages + 24, before.free_pages, "but for spare slabs");
}

/* Everything that threads do, at random. */
static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

static void live(void *arg)
{
    unsigned depth = (unsigned)(uintptr_t)arg;

    for (unsigned step = 0; step < 200; step++) {
        uint64_t flags;
        switch (pick(9)) {
        case 0:
            thread_sleep_ns(pick(5) * MS);
            break;
        case 1:
            wait_until(now_ns + pick(10) * MS);
            break;
        case 2:
            waitq_wake_one(&queue);
            break;
        case 3:
            waitq_wake_all(&queue);
            break;
        case 4:
            thread_yield();
            break;
        case 5:
            preempt_disable();
            waitq_wake_one(&queue);
            interrupt(pick(3) * MS);
            preempt_enable();
            break;
        case 6:
            flags = arch_irq_save();
            waitq_wake_one(&queue);
            arch_irq_restore(flags);
            break;
        case 7:
            if (depth < 3 && pick(8) == 0)
                start("child", 10 + pick(15), live, (void *)(uintptr_t)(depth + 1));
            break;
        default:
            interrupt(pick(4) * MS);
        }
        cr_assert(arch_irq_enabled());
        cr_assert(preempt_enabled());
        cr_assert_eq(thread_current()->state, THREAD_RUNNING);
    }
    ended++;
}

static void count_thread(const struct thread *thread, void *arg)
{
    (void)thread;
    ++*(unsigned *)arg;
}

Test(sched, random_lives_keep_the_rules)
{
    struct page_stats before, after;
    unsigned alive = 0;

    page_get_stats(&before);
    for (unsigned i = 0; i < 10; i++)
        start("random", 10 + pick(15), live, NULL);
    for (unsigned i = 0; i < 100000 && alive != 2; i++) {
        thread_sleep_ns(100 * MS);
        alive = 0;
        thread_for_each(count_thread, &alive);
    }
    cr_assert_eq(alive, 2, "main and idle are left");
    cr_assert_gt(ended, 20);
    cr_assert_gt(nr_switches, 5000);
    page_get_stats(&after);
    cr_assert_geq(after.free_pages + 8, before.free_pages);
}
