/*
 * skep.test=threads: the scheduler, waiting and timers on the real machine, where alone preemption
 * can be seen. Each check panics with what it measured; called by selftest_run() in the main
 * thread, before anything else runs. The times allow for a slow emulator.
 */
#include "kernel/selftest.h"

#include <linux/errno.h>

#include "arch/x86_64/arch.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

#define MS         1000000ull
#define PRIO_ABOVE ((enum thread_priority)(THREAD_PRIO_NORMAL - 5)) /* than this thread's */
#define PRIO_SAME  THREAD_PRIO_NORMAL
#define PRIO_BELOW ((enum thread_priority)(THREAD_PRIO_NORMAL + 2))

/* What the threads of a check leave behind. */
static volatile unsigned ran;
static volatile bool stop;
static volatile uint64_t ran_at;
static struct waitq queue;

static void start(const char *name, enum thread_priority priority, void (*entry)(void *), void *arg)
{
    ASSERT(thread_create(name, priority, entry, arg), "no memory for %s", name);
}

/* Sleeps until `ran` has come to count; at most 5 s, for a host that does other things meanwhile.
 */
static void sleep_until_ran(unsigned count)
{
    for (unsigned i = 0; i < 500 && ran < count; i++)
        thread_sleep_ns(10 * MS);
}

/* The same without giving up the CPU. */
static void spin_until_ran(unsigned count)
{
    uint64_t until = arch_time_ns() + 5000 * MS;
    while (ran < count && arch_time_ns() < until)
        ;
}

static void count_and_end(void *arg)
{
    (void)arg;
    ran++;
}

static void better_runs_at_once_worse_when_this_sleeps(void)
{
    ran = 0;
    start("above", PRIO_ABOVE, count_and_end, NULL);
    ASSERT(ran == 1, "a better thread ran %u times before thread_create returned", ran);
    start("below", PRIO_BELOW, count_and_end, NULL);
    thread_yield();
    ASSERT(ran == 1, "a worse thread ran although this one is ready: %u", ran);
    sleep_until_ran(2);
    ASSERT(ran == 2, "a worse thread did not run while this one slept: %u", ran);
}

static void spin(void *arg)
{
    volatile uint64_t *count = arg;
    while (!stop)
        (*count)++;
    ran++;
}

/* How many turns fit is up to the host; that each gets some, and not many more than one in 10 ms,
 * is up to us. */
static void equals_take_turns(void)
{
    static volatile uint64_t counts[3];

    ran = 0;
    stop = false;
    for (unsigned i = 0; i < 3; i++)
        start("equal", PRIO_SAME, spin, (void *)(uintptr_t)&counts[i]);
    uint64_t switches = thread_current()->switches, begin = arch_time_ns();
    while (thread_current()->switches < switches + 5 && arch_time_ns() < begin + 5000 * MS)
        ;
    uint64_t turns = thread_current()->switches - switches, took = arch_time_ns() - begin;
    stop = true;
    ASSERT(turns == 5, "%lu turns in %lu ns", (unsigned long)turns, (unsigned long)took);
    ASSERT(took >= 4 * 4 * 10 * MS, "5 turns of 4 threads took %lu ns", (unsigned long)took);
    for (unsigned i = 0; i < 3; i++)
        ASSERT(counts[i] > 0, "equal thread %u never ran", i);
    sleep_until_ran(3);
}

static void sleep_takes_its_time(void)
{
    for (uint64_t ns = MS; ns <= 100 * MS; ns *= 10) {
        uint64_t before = arch_time_ns();
        thread_sleep_ns(ns);
        uint64_t took = arch_time_ns() - before;
        ASSERT(took >= ns && took < ns + 5000 * MS, "slept %lu ns for %lu", (unsigned long)took,
               (unsigned long)ns);
    }
}

static int wait_ms(unsigned ms)
{
    uint64_t flags = arch_irq_save();
    int result = waitq_wait(&queue, ms ? arch_time_ns() + ms * MS : UINT64_MAX);
    arch_irq_restore(flags);
    return result;
}

/* Waits, then notes its place in the order of waking. */
static void wait_and_note(void *arg)
{
    volatile unsigned *place = arg;

    int result = wait_ms(0);
    ASSERT(result == 0, "a wait without deadline: %d", result);
    ran_at = arch_time_ns();
    *place = ++ran;
}

static void waiters_wake_in_order_or_time_out(void)
{
    static volatile unsigned places[4];

    int result = wait_ms(5);
    ASSERT(result == -ETIMEDOUT, "a wait that nobody ends: %d", result);
    ASSERT(!queue.head && !queue.tail, "the queue keeps %p", (void *)queue.head);
    ran = 0;
    for (unsigned i = 0; i < 4; i++)
        start("waiter", PRIO_ABOVE, wait_and_note, (void *)(uintptr_t)&places[i]);
    ASSERT(ran == 0, "%u waiters did not wait", ran);
    waitq_wake_one(&queue);
    ASSERT(ran == 1 && places[0] == 1, "one wake-up: %u ran, the first as number %u", ran,
           places[0]);
    waitq_wake_all(&queue);
    ASSERT(ran == 4, "after waking all: %u of 4", ran);
    for (unsigned i = 0; i < 4; i++)
        ASSERT(places[i] == i + 1, "waiter %u woke as number %u", i, places[i]);
    waitq_wake_all(&queue);
}

static void wake_queue(struct timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
    waitq_wake_all(&queue);
}

/* Nothing here gives up the CPU: the timer's interrupt must take it. */
static void an_interrupt_preempts(void)
{
    static volatile unsigned place;
    struct timer timer = {.fire = wake_queue};
    uint64_t deadline = arch_time_ns() + 10 * MS;

    ran = 0;
    start("preempter", PRIO_ABOVE, wait_and_note, (void *)(uintptr_t)&place);
    timer_set(&timer, deadline);
    spin_until_ran(1);
    ASSERT(ran == 1, "the woken thread did not run within 5 s");
    ASSERT(ran_at >= deadline, "ran %lu ns early", (unsigned long)(deadline - ran_at));
}

static void preemption_can_be_held_off(void)
{
    static volatile unsigned place;

    ran = 0;
    start("held off", PRIO_ABOVE, wait_and_note, (void *)(uintptr_t)&place);
    preempt_disable();
    preempt_disable();
    waitq_wake_all(&queue);
    preempt_enable();
    ASSERT(ran == 0, "a switch with preemption off");
    preempt_enable();
    ASSERT(ran == 1, "no switch when preemption came on again");
}

/* The wake-up cannot switch at once; it must not be forgotten either. */
static void a_wake_up_with_interrupts_off_is_made_up_for(void)
{
    static volatile unsigned place;

    ran = 0;
    start("kicked", PRIO_ABOVE, wait_and_note, (void *)(uintptr_t)&place);
    uint64_t flags = arch_irq_save();
    waitq_wake_all(&queue);
    ASSERT(ran == 0, "a switch with interrupts off");
    arch_irq_restore(flags);
    spin_until_ran(1);
    ASSERT(ran == 1, "the woken thread did not run within 5 s");
}

static void ended_threads_give_everything_back(void)
{
    struct page_stats before, after;

    thread_sleep_ns(MS);
    page_get_stats(&before);
    ran = 0;
    for (unsigned i = 0; i < 300; i++)
        start("short", i % 2 ? PRIO_ABOVE : PRIO_BELOW, count_and_end, NULL);
    sleep_until_ran(300);
    thread_sleep_ns(MS);
    page_get_stats(&after);
    ASSERT(ran == 300, "%u of 300 threads ran", ran);
    ASSERT(after.free_pages + 40 >= before.free_pages, "%lu pages before, %lu after",
           (unsigned long)before.free_pages, (unsigned long)after.free_pages);
}

static void work_and_sleep(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < 60; i++) {
        seed = seed * 1103515245u + 12345u;
        if (seed & 0x10000)
            wait_ms(1 + (seed >> 20) % 4);
        else
            waitq_wake_one(&queue);
    }
    ran++;
}

static void wakers_and_sleepers_all_end(void)
{
    ran = 0;
    for (unsigned i = 0; i < 12; i++)
        start("stress", (enum thread_priority)(PRIO_ABOVE + i % 8), work_and_sleep,
              (void *)(uintptr_t)(i + 1));
    sleep_until_ran(12);
    ASSERT(ran == 12, "%u of 12 threads came to their end", ran);
    ASSERT(!queue.head && !queue.tail, "the queue keeps %p", (void *)queue.head);
}

void selftest_threads(void)
{
    static void (*const checks[])(void) = {
        better_runs_at_once_worse_when_this_sleeps,
        equals_take_turns,
        sleep_takes_its_time,
        waiters_wake_in_order_or_time_out,
        an_interrupt_preempts,
        preemption_can_be_held_off,
        a_wake_up_with_interrupts_off_is_made_up_for,
        ended_threads_give_everything_back,
        wakers_and_sleepers_all_end,
    };
    unsigned count = sizeof(checks) / sizeof(checks[0]);

    for (unsigned i = 0; i < count; i++)
        checks[i]();
    pr_notice("selftest: threads: %u checks good", count);
}
