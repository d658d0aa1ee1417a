/*
 * Threads and the scheduler. The ready thread with the lowest priority number runs; threads of
 * one priority take turns of SLICE_NS, measured by a timer that is armed only while another of the
 * same priority is ready. Interrupt handlers wake threads and leave through
 * kernel_interrupt_exit(), where a better thread takes over.
 *
 * Everything here is guarded by interrupts off. What would be per CPU is in struct cpu, reached
 * through this_cpu().
 */
#include "kernel/thread.h"

#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/string.h"
#include "kernel/trace_events.h"

#define NR_PRIORITIES (THREAD_PRIO_IDLE + 1)
#define SLICE_NS      10000000u /* 10 ms */
#define STACK_ORDER   4         /* 64 KiB, of which the lowest page is the guard */

struct cpu {
    struct thread *current;
    unsigned preempt_depth;
    bool resched;        /* a switch is due as soon as it is allowed */
    struct thread *dead; /* ended, and still to be freed by whoever runs next */
    struct timer slice_timer;
    struct timer kick_timer;
    uint32_t ready; /* a bit a priority: its queue is not empty */
    struct waitq queues[NR_PRIORITIES];
};
_Static_assert(NR_PRIORITIES <= 32, "a bit a priority");

static struct cpu the_cpu;
static struct thread main_thread = {.tid = 1, .name = "main", .priority = THREAD_PRIO_NORMAL};
static struct thread *all_threads; /* newest first */
static uint32_t next_tid = 2;

static struct cpu *this_cpu(void)
{
    return &the_cpu;
}

/* ---- queues ------------------------------------------------------------------------------- */

static void queue_push_back(struct waitq *queue, struct thread *thread)
{
    thread->next = NULL;
    if (queue->tail)
        queue->tail->next = thread;
    else
        queue->head = thread;
    queue->tail = thread;
}

static void queue_push_front(struct waitq *queue, struct thread *thread)
{
    thread->next = queue->head;
    queue->head = thread;
    if (!queue->tail)
        queue->tail = thread;
}

static void queue_remove(struct waitq *queue, struct thread *thread)
{
    struct thread *before = NULL;

    for (struct thread *at = queue->head; at != thread; at = at->next)
        before = at;
    if (before)
        before->next = thread->next;
    else
        queue->head = thread->next;
    if (queue->tail == thread)
        queue->tail = before;
    thread->next = NULL;
}

static void ready_push(struct cpu *cpu, struct thread *thread, bool front)
{
    struct waitq *queue = &cpu->queues[thread->priority];

    thread->state = THREAD_READY;
    if (front)
        queue_push_front(queue, thread);
    else
        queue_push_back(queue, thread);
    cpu->ready |= 1u << thread->priority;
}

/* The idle thread is ready whenever nothing else is, so there always is one. */
static struct thread *ready_pop(struct cpu *cpu)
{
    unsigned priority = (unsigned)__builtin_ctz(cpu->ready);
    struct waitq *queue = &cpu->queues[priority];
    struct thread *thread = queue->head;

    queue_remove(queue, thread);
    if (!queue->head)
        cpu->ready &= ~(1u << priority);
    return thread;
}

/* ---- switching ---------------------------------------------------------------------------- */

static void slice_ended(struct timer *timer, void *arg)
{
    struct cpu *cpu = arg;

    (void)timer;
    cpu->current->slice_left_ns = 0;
    cpu->resched = true;
}

/* Starts or stops the time slice of the running thread. */
static void slice_update(struct cpu *cpu)
{
    const struct thread *current = cpu->current;

    if (!cpu->queues[current->priority].head)
        timer_cancel(&cpu->slice_timer);
    else if (!cpu->slice_timer.armed)
        timer_set(&cpu->slice_timer, arch_time_ns() + current->slice_left_ns);
}

static void free_thread(struct thread *thread)
{
    struct thread **link = &all_threads;
    uint8_t *guard = (uint8_t *)thread->stack - PAGE_SIZE;

    while (*link != thread)
        link = &(*link)->all_next;
    *link = thread->all_next;
    int error = arch_protect((uintptr_t)guard, PAGE_SIZE, ARCH_PROT_RW);
    ASSERT(!error, "guard page %p of thread %u: %d", (void *)guard, thread->tid, error);
    page_free(guard, STACK_ORDER);
    kfree(thread);
}

/* The first thing that a thread does after a switch to it: a thread cannot free its own stack. */
static void finish_switch(void)
{
    uint64_t flags = arch_irq_save();
    struct cpu *cpu = this_cpu();

    if (cpu->dead) {
        free_thread(cpu->dead);
        cpu->dead = NULL;
    }
    arch_irq_restore(flags);
}

static void account(struct thread *thread, uint64_t now)
{
    uint64_t ran = now - thread->running_since;

    thread->runtime_ns += ran;
    thread->slice_left_ns -= ran < thread->slice_left_ns ? ran : thread->slice_left_ns;
    thread->running_since = now;
}

/* Gives the CPU to the best ready thread, which may be the running one. A thread that was preempted
 * within its slice goes on with the rest of it before others of its priority. Interrupts off. */
static void schedule(void)
{
    struct cpu *cpu = this_cpu();
    struct thread *prev = cpu->current;
    uint64_t now = arch_time_ns();
    bool preempt = prev->state == THREAD_RUNNING;

    ASSERT(cpu->preempt_depth == 0, "switch of %s with preemption off", prev->name);
    cpu->resched = false;
    account(prev, now);
    if (preempt)
        ready_push(cpu, prev, prev->slice_left_ns > 0);
    struct thread *next = ready_pop(cpu);
    if (next->slice_left_ns == 0)
        next->slice_left_ns = SLICE_NS;
    next->state = THREAD_RUNNING;
    next->running_since = now;
    timer_cancel(&cpu->slice_timer);
    timer_cancel(&cpu->kick_timer);
    if (next != prev) {
        next->switches++;
        trace_sched_switch(preempt, prev, next); /* prev is still the current thread, as on Linux */
    }
    cpu->current = next;
    slice_update(cpu);
    if (cpu->ready & ((1u << next->priority) - 1)) { /* woken by what runs at the tracepoint */
        cpu->resched = true;
        timer_set(&cpu->kick_timer, now);
    }
    if (next == prev)
        return;
    arch_context_switch(&prev->context, &next->context);
    finish_switch();
}

static void kicked(struct timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
}

/* Switches now if it is allowed. In an interrupt, kernel_interrupt_exit does it; with preemption
 * off, preempt_enable. A caller that holds interrupts off gets an interrupt as soon as it lets them
 * in again. */
static void preempt_if_due(struct cpu *cpu, bool irqs_enabled)
{
    if (!cpu->resched || cpu->preempt_depth || arch_in_interrupt())
        return;
    if (irqs_enabled)
        schedule();
    else
        timer_set(&cpu->kick_timer, arch_time_ns());
}

void kernel_interrupt_exit(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->current && cpu->resched && cpu->preempt_depth == 0 && !arch_in_interrupt())
        schedule();
}

void preempt_disable(void)
{
    this_cpu()->preempt_depth++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler moves nothing out of the section */
}

void preempt_enable(void)
{
    struct cpu *cpu = this_cpu();
    bool irqs_enabled = arch_irq_enabled();
    uint64_t flags = arch_irq_save();

    ASSERT(cpu->preempt_depth > 0, "preempt_enable without preempt_disable");
    cpu->preempt_depth--;
    preempt_if_due(cpu, irqs_enabled);
    arch_irq_restore(flags);
}

bool preempt_enabled(void)
{
    return this_cpu()->preempt_depth == 0;
}

/* ---- life of a thread --------------------------------------------------------------------- */

static void thread_start(void *arg)
{
    struct thread *thread = arg;

    finish_switch();
    thread->entry(thread->arg);
    thread_exit();
}

/* A thread that is not ready yet. The stack ends at a page that must not be touched, so running out
 * of stack is a page fault and not silent damage. */
static struct thread *make_thread(const char *name, enum thread_priority priority,
                                  void (*entry)(void *), void *arg)
{
    struct thread *thread = kzalloc(sizeof(*thread));
    uint8_t *guard = page_alloc(STACK_ORDER);

    if (!thread || !guard || arch_protect((uintptr_t)guard, PAGE_SIZE, ARCH_PROT_NONE) != 0) {
        if (guard)
            page_free(guard, STACK_ORDER);
        kfree(thread);
        return NULL;
    }
    string_copy(thread->name, name, sizeof(thread->name));
    thread->priority = priority;
    thread->stack = guard + PAGE_SIZE;
    thread->stack_size = ((size_t)PAGE_SIZE << STACK_ORDER) - PAGE_SIZE;
    thread->wake_at = UINT64_MAX;
    thread->entry = entry;
    thread->arg = arg;
    arch_context_init(&thread->context, (uint8_t *)thread->stack + thread->stack_size, thread_start,
                      thread);
    return thread;
}

static void add_to_all(struct thread *thread)
{
    thread->all_next = all_threads;
    all_threads = thread;
}

static void make_ready(struct thread *thread)
{
    struct cpu *cpu = this_cpu();

    ready_push(cpu, thread, false);
    if (thread->priority < cpu->current->priority)
        cpu->resched = true;
    else if (thread->priority == cpu->current->priority)
        slice_update(cpu);
}

struct thread *thread_create(const char *name, enum thread_priority priority, void (*entry)(void *),
                             void *arg)
{
    ASSERT(priority < THREAD_PRIO_IDLE, "thread %s with priority %d", name, priority);
    struct thread *thread = make_thread(name, priority, entry, arg);
    if (!thread)
        return NULL;
    bool irqs_enabled = arch_irq_enabled();
    uint64_t flags = arch_irq_save();
    thread->tid = next_tid++;
    add_to_all(thread);
    make_ready(thread);
    preempt_if_due(this_cpu(), irqs_enabled);
    arch_irq_restore(flags);
    return thread;
}

static void idle(void *arg)
{
    (void)arg;
    for (;;)
        arch_wait_for_interrupt();
}

void thread_init(void)
{
    struct cpu *cpu = this_cpu();

    cpu->slice_timer.fire = slice_ended;
    cpu->slice_timer.arg = cpu;
    cpu->kick_timer.fire = kicked;
    main_thread.state = THREAD_RUNNING;
    main_thread.wake_at = UINT64_MAX;
    main_thread.running_since = arch_time_ns();
    main_thread.slice_left_ns = SLICE_NS;
    add_to_all(&main_thread);

    struct thread *idle_thread = make_thread("idle", THREAD_PRIO_IDLE, idle, NULL);
    ASSERT(idle_thread, "no memory for the idle thread");
    add_to_all(idle_thread);
    uint64_t flags = arch_irq_save();
    cpu->current = &main_thread;
    make_ready(idle_thread);
    arch_irq_restore(flags);
}

struct thread *thread_current(void)
{
    return this_cpu()->current;
}

_Noreturn void thread_exit(void)
{
    struct cpu *cpu = this_cpu();

    arch_irq_disable();
    cpu->current->state = THREAD_DEAD;
    /* The main thread's stack and struct belong to the image: it just never runs again. */
    if (cpu->current != &main_thread)
        cpu->dead = cpu->current;
    schedule();
    panic("thread %s ran after its end", cpu->current->name);
}

void thread_yield(void)
{
    uint64_t flags = arch_irq_save();
    this_cpu()->current->slice_left_ns = 0;
    schedule();
    arch_irq_restore(flags);
}

uint64_t thread_runtime_ns(const struct thread *thread)
{
    uint64_t flags = arch_irq_save();
    uint64_t runtime = thread->runtime_ns;

    if (thread->state == THREAD_RUNNING)
        runtime += arch_time_ns() - thread->running_since;
    arch_irq_restore(flags);
    return runtime;
}

void thread_for_each(void (*visit)(const struct thread *thread, void *arg), void *arg)
{
    preempt_disable();
    for (const struct thread *thread = all_threads; thread; thread = thread->all_next)
        if (thread->state != THREAD_DEAD)
            visit(thread, arg);
    preempt_enable();
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void wake(struct thread *thread, bool timed_out)
{
    queue_remove(thread->waiting_on, thread);
    thread->waiting_on = NULL;
    thread->timed_out = timed_out;
    thread->wake_at = UINT64_MAX;
    timer_cancel(&thread->wake_timer);
    make_ready(thread);
}

static void wait_timed_out(struct timer *timer, void *arg)
{
    (void)timer;
    wake(arg, true);
}

int waitq_wait(struct waitq *queue, uint64_t deadline_ns)
{
    struct thread *current = this_cpu()->current;

    ASSERT(!arch_irq_enabled(), "%s waits with interrupts on", current->name);
    ASSERT(!arch_in_interrupt(), "an interrupt handler on %s waits", current->name);
    current->state = THREAD_SLEEPING;
    current->waiting_on = queue;
    current->timed_out = false;
    current->wake_at = deadline_ns;
    queue_push_back(queue, current);
    if (deadline_ns != UINT64_MAX) {
        current->wake_timer.fire = wait_timed_out;
        current->wake_timer.arg = current;
        timer_set(&current->wake_timer, deadline_ns);
    }
    schedule();
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
    preempt_if_due(this_cpu(), irqs_enabled);
    arch_irq_restore(flags);
}

void waitq_wake_one(struct waitq *queue)
{
    waitq_wake(queue, false);
}

void waitq_wake_all(struct waitq *queue)
{
    waitq_wake(queue, true);
}

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
