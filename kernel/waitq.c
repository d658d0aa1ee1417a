/*
 * Wait queues and sleeping. A waiting thread is in no run queue; a wake-up, or the timer of its
 * deadline, puts it back into one. Called from everywhere above; uses sched.c.
 */
#include <linux/errno.h>

#include "kernel/panic.h"
#include "kernel/sched.h"

static void wake(struct thread *thread, bool timed_out)
{
    sched_queue_remove(thread->waiting_on, thread);
    thread->waiting_on = NULL;
    thread->timed_out = timed_out;
    thread->wake_at = UINT64_MAX;
    timer_cancel(&thread->wake_timer);
    sched_make_ready(thread);
}

static void wait_timed_out(struct timer *timer, void *arg)
{
    (void)timer;
    wake(arg, true);
}

/* Sleeps until woken (0) or until deadline_ns (-ETIMEDOUT; UINT64_MAX: no deadline). The caller
 * has tested its condition with interrupts off, as they are on return, so no wake-up is lost
 * between. Thread context, preemption on. */
int waitq_wait(struct waitq *queue, uint64_t deadline_ns)
{
    struct thread *current = this_cpu()->current;

    ASSERT(!arch_irq_enabled(), "%s waits with interrupts on", current->name);
    ASSERT(!arch_in_interrupt(), "an interrupt handler on %s waits", current->name);
    current->state = THREAD_SLEEPING;
    current->waiting_on = queue;
    current->timed_out = false;
    current->wake_at = deadline_ns;
    sched_queue_push(queue, current);
    if (deadline_ns != UINT64_MAX) {
        current->wake_timer.fire = wait_timed_out;
        current->wake_timer.arg = current;
        timer_set(&current->wake_timer, deadline_ns);
    }
    sched_switch();
    return current->timed_out ? -ETIMEDOUT : 0;
}

static void waitq_wake(struct waitq *queue, bool all)
{
    bool irqs_enabled = arch_irq_enabled();
    uint64_t flags = arch_irq_save();

    while (queue->head) {
        wake(queue->head, false);
        if (!all)
            break;
    }
    sched_preempt_if_due(irqs_enabled);
    arch_irq_restore(flags);
}

/* Wakes the thread that has waited longest, if there is one. Any context; when it is better than
 * the caller it runs at once, or as soon as interrupts and preemption are on. */
void waitq_wake_one(struct waitq *queue)
{
    waitq_wake(queue, false);
}

/* Wakes every waiting thread. Otherwise as waitq_wake_one(). */
void waitq_wake_all(struct waitq *queue)
{
    waitq_wake(queue, true);
}

/* Sleeps for at least ns nanoseconds. Thread context, preemption on. */
void thread_sleep_ns(uint64_t ns)
{
    struct waitq nobody = {0};
    uint64_t deadline;

    if (__builtin_add_overflow(arch_time_ns(), ns, &deadline))
        deadline = UINT64_MAX;
    uint64_t flags = arch_irq_save();
    waitq_wait(&nobody, deadline);
    arch_irq_restore(flags);
}
