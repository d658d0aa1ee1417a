/*
 * The registry of tracepoints, and what listens to each: the trace pipe and attached programs.
 * Called at start-up (kernel/main.c), by the command server (list, enable) and by
 * kernel/ebpf_port.c (attach, detach). The events themselves go through kernel/probe.c; the
 * format text is made in kernel/tracepoint_format.c.
 *
 * What listens is read at every event, in any context, and changed in thread context with
 * interrupts off. There is one CPU, and a run ends before the code that it interrupted goes on, so
 * whoever changes it knows that no run is under way. A second CPU would have to wait here until
 * the others have left their runs.
 */
#include <asm/errno.h>

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/string.h"
#include "kernel/syscall_define.h"
#include "kernel/trace_events.h"

#define ALIGN_UP(value, align) (((value) + (align)-1) / (align) * (align))

static struct tracepoint *first, *last;
static uint32_t count;

/* Every tracepoint of tracepoints.def. */
static struct tracepoint *const declared[] = {
#define TRACEPOINT(system_, name_, ...) &tracepoint_##name_,
#include "kernel/tracepoints.def"
#undef TRACEPOINT
};

/* Start-up only. */
void tracepoint_register(struct tracepoint *tp)
{
    uint32_t offset = sizeof(struct trace_common);

    ASSERT(tp->id == 0, "%s:%s is registered already", tp->system, tp->name);
    for (unsigned i = 0; i < tp->nr_fields; i++)
        offset = ALIGN_UP(offset, tp->fields[i].align) + tp->fields[i].size;
    tp->ctx_size = offset;
    tp->id = ++count;
    if (last)
        last->next = tp;
    else
        first = tp;
    last = tp;
}

/* The system call with the smallest number above nr; NULL after the last. */
static const struct syscall_desc *next_syscall(int nr)
{
    const struct syscall_desc *next = NULL;

    for (const struct syscall_desc *desc = __start_syscalls; desc != __stop_syscalls; desc++)
        if (desc->nr > nr && (!next || desc->nr < next->nr))
            next = desc;
    return next;
}

/* System calls go by their numbers: the compiler and the linker order their section as they like,
 * and ids should stay the same from build to build. */
void tracepoint_init(void)
{
    const struct syscall_desc *desc;

    for (size_t i = 0; i < sizeof(declared) / sizeof(declared[0]); i++)
        tracepoint_register(declared[i]);
    for (desc = next_syscall(-1); desc; desc = next_syscall(desc->nr)) {
        tracepoint_register(desc->enter);
        tracepoint_register(desc->exit);
    }
}

struct tracepoint *tracepoint_next(uint32_t id)
{
    struct tracepoint *tp = first;

    while (tp && tp->id <= id)
        tp = tp->next;
    return tp;
}

struct tracepoint *tracepoint_by_id(uint32_t id)
{
    struct tracepoint *tp = id ? tracepoint_next(id - 1) : NULL;

    return tp && tp->id == id ? tp : NULL;
}

struct tracepoint *tracepoint_by_name(const char *system, const char *name)
{
    struct tracepoint *tp = first;

    while (tp && (strcmp(tp->name, name) != 0 || strcmp(tp->system, system) != 0))
        tp = tp->next;
    return tp;
}

/* A raw tracepoint is named without its system, as with BPF_RAW_TRACEPOINT_OPEN on Linux. */
struct tracepoint *tracepoint_by_raw_name(const char *name)
{
    struct tracepoint *tp = first;

    while (tp && (tp->nr_args == 0 || strcmp(tp->name, name) != 0))
        tp = tp->next;
    return tp;
}

uint32_t tracepoint_count(void)
{
    return count;
}

/* The key follows what listens. Interrupts off. */
static void update_key(struct tracepoint *tp)
{
    static_key_set(&tp->key, tp->to_pipe || tp->links[TRACE_RECORD] || tp->links[TRACE_RAW]);
}

static void set_to_pipe(struct tracepoint *tp, bool on)
{
    uint64_t flags = arch_irq_save();

    tp->to_pipe = on;
    update_key(tp);
    arch_irq_restore(flags);
}

void tracepoint_enable(struct tracepoint *tp)
{
    set_to_pipe(tp, true);
}

void tracepoint_disable(struct tracepoint *tp)
{
    set_to_pipe(tp, false);
}

static size_t links_size(uint32_t nr)
{
    return nr * sizeof(struct ebpf_link *);
}

int tracepoint_attach(struct tracepoint *tp, enum trace_context context, struct ebpf_link *link)
{
    struct trace_links *old = tp->links[context];
    uint32_t nr = old ? old->count : 0;
    struct trace_links *new = kmalloc(sizeof(*new) + links_size(nr + 1));
    uint64_t flags;

    if (!new)
        return -ENOMEM;
    new->count = nr + 1;
    if (old)
        memcpy(new->links, old->links, links_size(nr));
    new->links[nr] = link;

    flags = arch_irq_save();
    tp->links[context] = new;
    update_key(tp);
    arch_irq_restore(flags);
    kfree(old);
    return 0;
}

/* Takes link out in place, so that detaching cannot fail for want of memory. Returns the array
 * when that was its last entry, for the caller to free. Interrupts off. */
static struct trace_links *remove_link(struct tracepoint *tp, enum trace_context context,
                                       uint32_t index)
{
    struct trace_links *links = tp->links[context];

    links->count--;
    memmove(&links->links[index], &links->links[index + 1], links_size(links->count - index));
    if (links->count)
        return NULL;
    tp->links[context] = NULL;
    update_key(tp);
    return links;
}

int tracepoint_detach(struct tracepoint *tp, enum trace_context context, struct ebpf_link *link)
{
    uint64_t flags = arch_irq_save();
    struct trace_links *links = tp->links[context], *empty = NULL;
    int err = -ENOENT;

    for (uint32_t i = 0; err && links && i < links->count; i++) {
        if (links->links[i] != link)
            continue;
        empty = remove_link(tp, context, i);
        err = 0;
    }
    arch_irq_restore(flags);
    kfree(empty);
    return err;
}

unsigned tracepoint_programs(const struct tracepoint *tp)
{
    uint64_t flags = arch_irq_save();
    unsigned total = 0;

    for (unsigned context = 0; context < TRACE_NR_CONTEXTS; context++)
        total += tp->links[context] ? tp->links[context]->count : 0;
    arch_irq_restore(flags);
    return total;
}
