/*
 * Life of a thread: its stack, its start and its end, and the list of all. Who runs when is
 * sched.c's business.
 */
#include "kernel/thread.h"

#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/string.h"

#define STACK_ORDER 4 /* 64 KiB, of which the lowest page is the guard */

/* Guarded by interrupts off. */
static struct thread main_thread = {
    .tid = 1, .name = "main", .priority = THREAD_PRIO_NORMAL, .wake_at = UINT64_MAX};
static struct thread *all_threads; /* newest first */
static uint32_t next_tid = 2;

static void thread_start(void *arg)
{
    struct thread *thread = arg;

    sched_finish_switch();
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

/* Frees a thread that has ended and its stack. It is not running: another thread calls this.
 * Interrupts off. */
void thread_free(struct thread *thread)
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

static void add_to_all(struct thread *thread)
{
    thread->all_next = all_threads;
    all_threads = thread;
}

/* Starts entry(arg) in a thread of its own, which ends when entry returns and is freed by then.
 * name is copied. NULL when out of memory. A better thread runs before this returns. Thread
 * context. */
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
    sched_make_ready(thread);
    sched_preempt_if_due(irqs_enabled);
    arch_irq_restore(flags);
    return thread;
}

static void idle(void *arg)
{
    (void)arg;
    for (;;)
        arch_wait_for_interrupt();
}

/* Makes the running code the thread "main", and makes the idle thread. Start-up only, after the
 * heap. */
void thread_init(void)
{
    add_to_all(&main_thread);

    struct thread *idle_thread = make_thread("idle", THREAD_PRIO_IDLE, idle, NULL);
    ASSERT(idle_thread, "no memory for the idle thread");
    add_to_all(idle_thread);
    uint64_t flags = arch_irq_save();
    sched_init(&main_thread);
    sched_make_ready(idle_thread);
    arch_irq_restore(flags);
}

/* Ends the calling thread. Whoever runs next frees it. Thread context, preemption on. */
_Noreturn void thread_exit(void)
{
    struct cpu *cpu = this_cpu();

    arch_irq_disable();
    cpu->current->state = THREAD_DEAD;
    /* The main thread's stack and struct belong to the image: it just never runs again. */
    if (cpu->current != &main_thread)
        cpu->dead = cpu->current;
    sched_switch();
    panic("thread %s ran after its end", cpu->current->name);
}

/* Nanoseconds the thread has run, the current stretch included. Any context. */
uint64_t thread_runtime_ns(const struct thread *thread)
{
    uint64_t flags = arch_irq_save();
    uint64_t runtime = thread->runtime_ns;

    if (thread->state == THREAD_RUNNING)
        runtime += arch_time_ns() - thread->running_since;
    arch_irq_restore(flags);
    return runtime;
}

/* Calls visit for every thread that lives, newest first, with preemption off. Thread context. */
void thread_for_each(void (*visit)(const struct thread *thread, void *arg), void *arg)
{
    preempt_disable();
    for (const struct thread *thread = all_threads; thread; thread = thread->all_next)
        if (thread->state != THREAD_DEAD)
            visit(thread, arg);
    preempt_enable();
}
