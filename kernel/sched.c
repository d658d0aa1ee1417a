/*
 * The scheduler. The ready thread with the lowest priority number runs; threads of one priority
 * take turns of SLICE_NS, measured by a timer that is armed only while another of the same priority
 * is ready. Interrupt handlers wake threads and leave through kernel_interrupt_exit(), where a
 * better thread takes over. Called by thread.c and waitq.c.
 */
#include "kernel/sched.h"

#include "kernel/panic.h"
#include "kernel/trace_events.h"

_Static_assert(THREAD_PRIO_IDLE < 32, "cpu.ready has a bit a priority");

static struct cpu the_cpu;

/* The state of the CPU that runs this. With a second CPU, this is where it is found. */
struct cpu *this_cpu(void)
{
    return &the_cpu;
}

/* The running thread; in an interrupt, the one that was interrupted. NULL before thread_init(). */
struct thread *thread_current(void)
{
    return this_cpu()->current;
}

/* ---- queues ------------------------------------------------------------------------------- */

/* Puts a thread, which is in no queue, at the end of one. Interrupts off. */
void sched_queue_push(struct waitq *queue, struct thread *thread)
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

/* Takes a thread out of the queue that it is in. Interrupts off. */
void sched_queue_remove(struct waitq *queue, struct thread *thread)
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
        sched_queue_push(queue, thread);
    cpu->ready |= 1u << thread->priority;
}

/* The idle thread is ready whenever nothing else is, so there always is one. */
static struct thread *ready_pop(struct cpu *cpu)
{
    unsigned priority = (unsigned)__builtin_ctz(cpu->ready);
    struct waitq *queue = &cpu->queues[priority];
    struct thread *thread = queue->head;

    sched_queue_remove(queue, thread);
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

/* Puts a thread that is in no queue into its run queue, and notes when it is to run before the
 * current one; the switch itself is up to sched_preempt_if_due(). Interrupts off. */
void sched_make_ready(struct thread *thread)
{
    struct cpu *cpu = this_cpu();

    ready_push(cpu, thread, false);
    if (thread->priority < cpu->current->priority)
        cpu->resched = true;
    else if (thread->priority == cpu->current->priority)
        slice_update(cpu);
}

/* The first thing that a thread does after a switch to it: a thread cannot free its own stack. */
void sched_finish_switch(void)
{
    uint64_t flags = arch_irq_save();
    struct cpu *cpu = this_cpu();

    if (cpu->dead) {
        thread_free(cpu->dead);
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
void sched_switch(void)
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
    sched_finish_switch();
}

/* The interrupt alone is what matters: it ends in kernel_interrupt_exit. */
static void kicked(struct timer *timer, void *arg)
{
    (void)timer;
    (void)arg;
}

/* Makes first, the code that runs this, the current thread. Start-up only. */
void sched_init(struct thread *first)
{
    struct cpu *cpu = this_cpu();

    cpu->slice_timer = (struct timer){.fire = slice_ended, .arg = cpu};
    cpu->kick_timer = (struct timer){.fire = kicked};
    first->state = THREAD_RUNNING;
    first->running_since = arch_time_ns();
    first->slice_left_ns = SLICE_NS;
    cpu->current = first;
}

/* Switches when that is due and allowed here; otherwise makes sure that it happens soon.
 * irqs_enabled: interrupts were on before the caller turned them off. Interrupts off. */
void sched_preempt_if_due(bool irqs_enabled)
{
    struct cpu *cpu = this_cpu();

    if (!cpu->resched || cpu->preempt_depth || arch_in_interrupt())
        return;
    if (irqs_enabled)
        sched_switch();
    else
        timer_set(&cpu->kick_timer, arch_time_ns());
}

/* Called by arch/ at the end of every interrupt, on the interrupted thread's stack, interrupts
 * off: a better thread takes over here. Returns when the interrupted one is to go on. */
void kernel_interrupt_exit(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->current && cpu->resched && cpu->preempt_depth == 0 && !arch_in_interrupt())
        sched_switch();
}

/* Lets the other ready threads of this priority run first. Thread context, preemption on. */
void thread_yield(void)
{
    uint64_t flags = arch_irq_save();
    this_cpu()->current->slice_left_ns = 0;
    sched_switch();
    arch_irq_restore(flags);
}

/* Keeps the CPU until preempt_enable(); nests. Interrupts still happen. Any context. */
void preempt_disable(void)
{
    this_cpu()->preempt_depth++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* the compiler moves nothing out of the section */
}

/* Undoes one preempt_disable(); a switch that became due meanwhile happens now. */
void preempt_enable(void)
{
    struct cpu *cpu = this_cpu();
    bool irqs_enabled = arch_irq_enabled();
    uint64_t flags = arch_irq_save();

    ASSERT(cpu->preempt_depth > 0, "preempt_enable without preempt_disable");
    cpu->preempt_depth--;
    sched_preempt_if_due(irqs_enabled);
    arch_irq_restore(flags);
}

/* True outside of preempt_disable() and preempt_enable(). */
bool preempt_enabled(void)
{
    return this_cpu()->preempt_depth == 0;
}
