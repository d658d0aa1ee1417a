/*
 * What thread.c (life of a thread), sched.c (who runs) and waitq.c (waiting) share, and nobody
 * else includes. Everything here is guarded by interrupts off.
 */
#ifndef SKEP_KERNEL_SCHED_H
#define SKEP_KERNEL_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/thread.h"

#define SLICE_NS 10000000u /* 10 ms */

/* What there would be of for each CPU. */
struct cpu {
    struct thread *current;
    unsigned preempt_depth;
    bool resched;        /* a switch is due as soon as it is allowed */
    struct thread *dead; /* ended, and still to be freed by whoever runs next */
    struct timer slice_timer;
    struct timer kick_timer;
    uint32_t ready; /* a bit a priority: its queue is not empty */
    struct waitq queues[THREAD_PRIO_IDLE + 1];
};

struct cpu *this_cpu(void);
/* Makes first the running thread. */
void sched_init(struct thread *first);

void sched_queue_push(struct waitq *queue, struct thread *thread);
void sched_queue_remove(struct waitq *queue, struct thread *thread);

/* Puts a thread into its run queue; a switch to it may become due. */
void sched_make_ready(struct thread *thread);
/* Gives the CPU to the best ready thread, which may be the running one. */
void sched_switch(void);
/* The first thing that a thread does after a switch to it. Interrupts on or off. */
void sched_finish_switch(void);
/* Switches now if it is due and allowed. In an interrupt, kernel_interrupt_exit does it; with
 * preemption off, preempt_enable. A caller that holds interrupts off gets an interrupt as soon as
 * it lets them in again. irqs_enabled: they were on before the caller turned them off. */
void sched_preempt_if_due(bool irqs_enabled);

/* Frees a thread that has ended, and its stack (thread.c). */
void thread_free(struct thread *thread);

#endif
