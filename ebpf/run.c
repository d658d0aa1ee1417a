/*
 * Running programs: the runs under way on a CPU, what they count, and what a fault says. Runs nest
 * like the interrupts that start them: the last one begun is the first to end, since a program runs
 * with preemption off. Called by links, test runs and tools.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/disasm.h"
#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/helpers.h"
#include "ebpf/interp_checked.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define BATCH_NS 50000u /* repetitions with preemption off take twice this at most, or one run */
#define RUNS_MAX 4u     /* a thread's, an interrupt's, and what their helpers' own events start */

/* One CPU's runs; touched by that CPU alone, with preemption off. An interrupt may come between
 * any two steps, but has put everything back when it ends. */
struct cpu_runs {
    struct ebpf_run *current;
    uint32_t depth;
    struct checked runs[RUNS_MAX];
};

static struct cpu_runs cpus[PORT_NR_CPUS];
static struct ebpf_stats totals; /* runs, faults, budget_exceeded, recursion_misses */

/* The innermost run on this CPU; NULL outside of programs. */
struct ebpf_run *ebpf_run_current(void)
{
    return cpus[port_cpu_id()].current;
}

void ebpf_prog_get_stats(struct ebpf_stats *out)
{
    out->runs = totals.runs;
    out->faults = totals.faults;
    out->budget_exceeded = totals.budget_exceeded;
    out->recursion_misses = totals.recursion_misses;
}

/* Counts and describes; the first fault, and then ever fewer, is told in the trace pipe too. */
static void note_fault(struct ebpf_prog *prog, const struct checked *c)
{
    const struct ebpf_prog *at = c->run.prog;
    char text[DISASM_MAX], line[sizeof(prog->last_fault) + 64];
    int n;

    prog->faults++;
    totals.faults++;
    totals.budget_exceeded += c->error == -ELOOP;
    ebpf_disasm(&at->insns[c->pc], at->nr_insns - c->pc, text, sizeof(text));
    port_format(prog->last_fault, sizeof(prog->last_fault), "insn %u: %s: %s", c->pc, text,
                c->reason);
    if (!is_power_of_two(prog->faults))
        return;
    n = port_format(line, sizeof(line), "program %s (id %u) stopped: %s", prog->name,
                    prog->object.id, prog->last_fault);
    if (n > 0)
        port_trace_printk(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* In the engine that the program has. *done counts the runs, one that failed included. */
static int run_times(struct checked *c, struct ebpf_prog *prog, uint32_t times, uint32_t *done,
                     uint64_t *result)
{
    int err = 0;

    *done = times;
    if (ebpf_engine_takes(prog, c->run.ctx, c->ctx_size)) {
        *result = ebpf_engine_run(&c->run, c->stack + sizeof(c->stack), times);
        return 0;
    }
    for (*done = 0; *done < times && !err; ++*done) {
        c->run.prog = prog;
        err = checked_run(c, result);
        ebpf_ringbuf_discard_all(&c->run);
    }
    return err;
}

/* The innermost run from now on. */
static struct checked *begin_run(struct cpu_runs *cpu, const struct ebpf_run *run)
{
    struct checked *c = &cpu->runs[cpu->depth++];

    c->run = *run;
    c->run.outer = cpu->current;
    c->context = ebpf_context_get(run->prog->type);
    cpu->current = &c->run;
    return c;
}

static void end_run(struct cpu_runs *cpu)
{
    cpu->current = cpu->current->outer;
    cpu->depth--;
}

static int run_on_cpu(struct cpu_runs *cpu, struct ebpf_prog *prog, void *ctx, uint32_t ctx_size,
                      uint64_t cookie, uint32_t times, uint64_t *result)
{
    struct checked *c = begin_run(cpu, &(struct ebpf_run){.prog = prog,
                                                          .ctx = ctx,
                                                          .ctx_size = ctx_size,
                                                          .cookie = cookie,
                                                          .frame = __builtin_frame_address(0)});
    uint64_t start;
    uint32_t done;
    int err;

    c->ctx_size = ctx_size;
    start = port_time_ns();
    err = run_times(c, prog, times, &done, result);
    prog->run_time_ns += port_time_ns() - start;
    if (err)
        note_fault(prog, c);
    end_run(cpu);
    prog->run_cnt += done;
    totals.runs += done;
    return err;
}

static int run_guarded(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint64_t cookie,
                       uint32_t times, uint64_t *result)
{
    struct cpu_runs *cpu;
    int err = -EBUSY;

    *result = 0;
    port_preempt_disable();
    cpu = &cpus[port_cpu_id()];
    if (prog->running || cpu->depth == RUNS_MAX) {
        prog->recursion_misses++;
        totals.recursion_misses++;
    } else {
        prog->running = true;
        err = run_on_cpu(cpu, prog, ctx, ctx_size, cookie, times, result);
        prog->running = false;
    }
    port_preempt_enable();
    return err;
}

int ebpf_prog_run(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint64_t cookie,
                  uint64_t *result)
{
    return run_guarded(prog, ctx, ctx_size, cookie, 1, result);
}

/* Preemption comes in between batches, which grow while they are short. */
int ebpf_prog_run_repeated(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint32_t times,
                           uint64_t limit_ns, uint64_t *result, uint64_t *ns)
{
    uint64_t first = prog->run_time_ns;
    uint32_t batch = 1;
    int err = 0;

    for (uint32_t left = times; left && !err;) {
        uint64_t before = prog->run_time_ns;
        uint32_t now = left < batch ? left : batch;

        err = run_guarded(prog, ctx, ctx_size, 0, now, result);
        left -= now;
        if (!err && left && limit_ns && prog->run_time_ns - first > limit_ns)
            err = -EINTR;
        if (prog->run_time_ns - before < BATCH_NS)
            batch *= 2;
    }
    *ns = prog->run_time_ns - first;
    return err;
}

/* Calls one function of a program, by its slot; the program may be under way itself: a timer's.
 * lent (may be NULL) is
 * what the function may read of the caller's. 0; -EBUSY when no more runs fit on this CPU; -EFAULT
 * or -ELOOP as ebpf_prog_run. Interrupt context. */
int ebpf_prog_call(struct ebpf_prog *prog, uint32_t function, const uint64_t args[5],
                   const struct ebpf_lent *lent)
{
    struct cpu_runs *cpu = &cpus[port_cpu_id()];
    struct checked *c;
    uint64_t start = port_time_ns(), result;
    int err = 0;

    if (cpu->depth == RUNS_MAX)
        return -EBUSY;
    c = begin_run(
        cpu, &(struct ebpf_run){.prog = prog, .lent = lent, .frame = __builtin_frame_address(0)});
    c->ctx_size = 0;
    if (prog->engine == EBPF_CHECKED)
        err = checked_call(c, function, args, &result);
    else
        ebpf_engine_call(&c->run, function, args, c->stack + sizeof(c->stack));
    ebpf_ringbuf_discard_all(&c->run);
    if (err)
        note_fault(prog, c);
    end_run(cpu);
    prog->run_time_ns += port_time_ns() - start;
    totals.runs++;
    return err;
}
