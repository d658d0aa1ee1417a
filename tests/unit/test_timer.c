/*
 * The timer queue with a clock that the test sets, and the hardware deadline as arch/ sees it.
 */
#include <stdlib.h>

#include "arch/x86_64/arch.h"
#include "kernel/timer.h"
#include "tests/unit/leakcheck.h"

static unsigned fired[8], nr_fired;
static struct timer timers[8];

static void note(struct timer *timer, void *arg)
{
    cr_assert_eq(arg, &timers[timer - timers]);
    cr_assert_not(timer->armed, "a timer that fires is not armed any more");
    fired[nr_fired++] = (unsigned)(timer - timers);
}

static void set_up(void)
{
    host_time_set(1000);
    for (unsigned i = 0; i < 8; i++)
        timers[i] = (struct timer){.fire = note, .arg = &timers[i]};
}

TestSuite(timer, .init = set_up, .fini = leakcheck);

/* What the one-shot does: it is spent, and then the kernel hears of it. */
static void interrupt_at(uint64_t ns)
{
    host_time_set(ns);
    arch_timer_arm(UINT64_MAX);
    kernel_timer_interrupt();
}

Test(timer, the_hardware_is_armed_for_the_nearest)
{
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
    timer_set(&timers[0], 5000);
    cr_assert_eq(host_timer_deadline(), 5000);
    timer_set(&timers[1], 7000);
    cr_assert_eq(host_timer_deadline(), 5000);
    timer_set(&timers[2], 3000);
    cr_assert_eq(host_timer_deadline(), 3000);
    cr_assert(timer_cancel(&timers[2]));
    cr_assert_eq(host_timer_deadline(), 5000);
    cr_assert(timer_cancel(&timers[0]));
    cr_assert(timer_cancel(&timers[1]));
    cr_assert_not(timer_cancel(&timers[1]));
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
}

Test(timer, due_timers_fire_in_order_of_deadline_then_of_setting)
{
    timer_set(&timers[0], 3000);
    timer_set(&timers[1], 2000);
    timer_set(&timers[2], 3000);
    timer_set(&timers[3], 4000);
    interrupt_at(3000);
    cr_assert_eq(nr_fired, 3);
    cr_assert_eq(fired[0], 1);
    cr_assert_eq(fired[1], 0);
    cr_assert_eq(fired[2], 2);
    cr_assert_eq(host_timer_deadline(), 4000);
    interrupt_at(3999);
    cr_assert_eq(nr_fired, 3);
    interrupt_at(4000);
    cr_assert_eq(nr_fired, 4);
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
}

Test(timer, setting_again_moves)
{
    timer_set(&timers[0], 2000);
    timer_set(&timers[0], 6000);
    interrupt_at(2000);
    cr_assert_eq(nr_fired, 0);
    cr_assert_eq(host_timer_deadline(), 6000);
    interrupt_at(6000);
    cr_assert_eq(nr_fired, 1);
}

Test(timer, a_deadline_in_the_past_fires_with_the_next_interrupt)
{
    timer_set(&timers[0], 1);
    cr_assert_eq(host_timer_deadline(), 1);
    interrupt_at(1000);
    cr_assert_eq(nr_fired, 1);
}

static void rearm(struct timer *timer, void *arg)
{
    (void)arg;
    nr_fired++;
    timer_set(timer, timer->deadline_ns + 1000);
}

static void cancel_other(struct timer *timer, void *arg)
{
    (void)timer;
    nr_fired++;
    timer_cancel(arg);
}

Test(timer, a_callback_may_set_its_timer_again)
{
    timers[0].fire = rearm;
    timer_set(&timers[0], 2000);
    interrupt_at(2000);
    cr_assert_eq(nr_fired, 1);
    cr_assert_eq(host_timer_deadline(), 3000);
    interrupt_at(3000);
    cr_assert_eq(nr_fired, 2);
}

Test(timer, a_callback_may_cancel_a_timer_that_is_due)
{
    timers[0] = (struct timer){.fire = cancel_other, .arg = &timers[1]};
    timer_set(&timers[0], 2000);
    timer_set(&timers[1], 2000);
    interrupt_at(2000);
    cr_assert_eq(nr_fired, 1);
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
}

Test(timer, the_wall_clock_goes_with_the_monotonic_one)
{
    uint64_t first = time_wall_ns();

    host_time_set(1000 + 2500000000u);
    cr_assert_eq(time_wall_ns() - first, 2500000000u);
    cr_assert_lt(first / 1000000000u - arch_wall_clock_seconds() + 5, 10, "the CMOS time at boot");
}
