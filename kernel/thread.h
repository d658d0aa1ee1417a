/*
 * Preemptive threads on one CPU: fixed priorities, round robin within one, names, stacks with a
 * guard page. A thread sleeps on a wait queue or until a time; nothing polls.
 */
#ifndef SKEP_KERNEL_THREAD_H
#define SKEP_KERNEL_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/arch.h"
#include "kernel/timer.h"

#define THREAD_NAME_SIZE 16 /* with the terminator, as Linux's comm */

/* Lower number runs first. */
enum thread_priority {
    THREAD_PRIO_NET = 10,    /* the network thread */
    THREAD_PRIO_NORMAL = 20, /* the application */
    THREAD_PRIO_SERVER = 25, /* the command server */
    THREAD_PRIO_IDLE = 31,
};

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD };

struct thread {
    struct arch_context context;
    uint32_t tid; /* from 1; the idle thread is 0 */
    char name[THREAD_NAME_SIZE];
    enum thread_priority priority;
    enum thread_state state;
    void *stack; /* lowest usable byte, above the guard page */
    size_t stack_size;
    uint64_t runtime_ns; /* time on the CPU, up to the last switch */
    uint64_t switches;
    uint64_t wake_at;        /* arch_time_ns deadline while sleeping with one, else UINT64_MAX */
    struct thread *next;     /* in a run queue or wait queue */
    struct thread *all_next; /* in the list of all threads */
    void (*entry)(void *);
    void *arg;
    struct waitq *waiting_on;
    struct timer wake_timer; /* armed for wake_at */
    bool timed_out;          /* the last wait ended by wake_timer */
    uint64_t running_since;  /* arch_time_ns of the last switch to this thread */
    uint64_t slice_left_ns;  /* until others of the same priority get their turn */
};

/* Threads that wait for one condition, first in first out. */
struct waitq {
    struct thread *head, *tail;
};

/* Makes the running code the first thread ("main") and starts the idle thread. */
void thread_init(void);
/* Starts entry(arg); the thread ends when entry returns. name is copied. NULL when out of memory.
 */
struct thread *thread_create(const char *name, enum thread_priority priority, void (*entry)(void *),
                             void *arg);
struct thread *thread_current(void);
_Noreturn void thread_exit(void);
void thread_yield(void);
void thread_sleep_ns(uint64_t ns);
/* Calls visit for every live thread, preemption off. */
void thread_for_each(void (*visit)(const struct thread *thread, void *arg), void *arg);

/* Nanoseconds the thread has run, including the current stretch. Any context. */
uint64_t thread_runtime_ns(const struct thread *thread);

/* No switch to another thread between the two; they nest. Interrupts still happen. */
void preempt_disable(void);
void preempt_enable(void);
bool preempt_enabled(void);

/* Sleeps until woken or until deadline_ns (arch_time_ns units; UINT64_MAX: for ever). Call with
 * interrupts off after testing the condition, so that no wake-up is lost; returns with
 * interrupts off. 0, or -ETIMEDOUT. Thread context. */
int waitq_wait(struct waitq *queue, uint64_t deadline_ns);
/* Wakes one waiter (the first), or all. Any context. */
void waitq_wake_one(struct waitq *queue);
void waitq_wake_all(struct waitq *queue);

#endif
