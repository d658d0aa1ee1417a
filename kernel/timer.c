/*
 * The timer queue and the wall clock. arch/ calls kernel_timer_interrupt() when the one-shot that
 * was armed for the queue's head fires. Thread timeouts and time slices (thread.c) are timers.
 */
#include "kernel/timer.h"

#include <stddef.h>

#include "arch/x86_64/arch.h"

/* Sorted by deadline, equal ones in the order they were set. Guarded by interrupts off. */
static struct timer *queue;

/* The deadline the hardware was told; UINT64_MAX: none. */
static uint64_t armed_for = UINT64_MAX;

static void arm_hardware(void)
{
    uint64_t nearest = queue ? queue->deadline_ns : UINT64_MAX;

    if (nearest != armed_for) {
        armed_for = nearest;
        arch_timer_arm(nearest);
    }
}

static void queue_insert(struct timer *timer)
{
    struct timer **link = &queue;

    while (*link && (*link)->deadline_ns <= timer->deadline_ns)
        link = &(*link)->next;
    timer->next = *link;
    *link = timer;
    timer->armed = true;
}

static void queue_remove(struct timer *timer)
{
    struct timer **link = &queue;

    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    timer->armed = false;
}

/* Arms a timer for deadline_ns (arch_time_ns units), or moves it there; one in the past fires at
 * once. It is the caller's, who keeps it alive while armed. Any context. */
void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    uint64_t flags = arch_irq_save();

    if (timer->armed)
        queue_remove(timer);
    timer->deadline_ns = deadline_ns;
    queue_insert(timer);
    arm_hardware();
    arch_irq_restore(flags);
}

/* With one CPU and interrupts off, no callback can be under way elsewhere. */
bool timer_cancel(struct timer *timer)
{
    uint64_t flags = arch_irq_save();
    bool was_armed = timer->armed;

    if (was_armed) {
        queue_remove(timer);
        arm_hardware();
    }
    arch_irq_restore(flags);
    return was_armed;
}

/* Fires what is due. A callback that sets a timer for now or earlier gets it with the next
 * interrupt, so one round ends. Interrupt context. */
void kernel_timer_interrupt(void)
{
    uint64_t now = arch_time_ns();

    armed_for = UINT64_MAX; /* the one-shot is spent */
    while (queue && queue->deadline_ns <= now) {
        struct timer *timer = queue;
        queue_remove(timer);
        timer->fire(timer, timer->arg);
    }
    arm_hardware();
}

/* The CMOS clock is read once: reading it takes long, and it counts whole seconds only. */
uint64_t time_wall_ns(void)
{
    static uint64_t wall_at_boot;
    uint64_t flags = arch_irq_save();
    uint64_t now = arch_time_ns();

    if (!wall_at_boot)
        wall_at_boot = arch_wall_clock_seconds() * 1000000000u - now;
    arch_irq_restore(flags);
    return wall_at_boot + now;
}
