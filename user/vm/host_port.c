/*
 * ebpf/port.h for a host process: skep-vm and the unit tests. One thread, so the lock and
 * preemption only check that calls balance. What is attached to events is host_events.c's.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ebpf/port.h"
#include "user/vm/host_port.h"

#define TRACEPOINTS_MAX 32u
#define CODE_DISTANCE   (1u << 28)
#define TRACE_SIZE      65536u

struct tracepoint {
    const char *name;
    uint32_t record_size, nargs;
};

static struct tracepoint tracepoints[TRACEPOINTS_MAX];
static uint32_t nr_tracepoints;
static char trace[TRACE_SIZE];
static size_t trace_len;
static void (*trace_print)(const char *text, size_t len);
static uint64_t lock_depth, preempt_depth;
static size_t blocks, allocations_left = SIZE_MAX;

/* ---- memory --------------------------------------------------------------------------------- */

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left != SIZE_MAX)
        allocations_left--;
    return true;
}

void host_port_fail_after(size_t n)
{
    allocations_left = n ? n - 1 : SIZE_MAX;
}

size_t host_port_blocks(void)
{
    return blocks;
}

void *port_alloc(size_t size)
{
    void *block = may_allocate() ? calloc(1, size ? size : 1) : NULL;

    blocks += block != NULL;
    return block;
}

void port_free(void *block)
{
    blocks -= block != NULL;
    free(block);
}

void *port_alloc_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) & ~(page - 1);
    void *pages =
        may_allocate() && whole >= size ? aligned_alloc(page, whole ? whole : page) : NULL;

    if (pages)
        memset(pages, 0, whole);
    blocks += pages != NULL;
    return pages;
}

void port_free_pages(void *pages, size_t size)
{
    (void)size;
    port_free(pages);
}

void *port_exec_alloc(size_t size)
{
    static uint8_t anchor; /* near our own code, so that calls from there reach it */
    void *near = (void *)(((uintptr_t)&anchor & ~(uintptr_t)0xfff) + CODE_DISTANCE);
    void *code = mmap(near, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return code == MAP_FAILED ? NULL : code;
}

int port_exec_seal(void *code, size_t size)
{
    return mprotect(code, size, PROT_READ | PROT_EXEC) == 0 ? 0 : -errno;
}

void port_exec_free(void *code, size_t size)
{
    if (code)
        munmap(code, size);
}

/* process_vm_readv and writev on our own process answer EFAULT where an access would fault. */
int port_read_safe(void *dst, const void *src, size_t n)
{
    struct iovec local = {dst, n}, remote = {(void *)(uintptr_t)src, n};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

int port_write_safe(void *dst, const void *src, size_t n)
{
    struct iovec local = {(void *)(uintptr_t)src, n}, remote = {dst, n};

    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

/* ---- the machine ---------------------------------------------------------------------------- */

uint64_t port_time_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t port_cpu_features(void)
{
    unsigned eax, ebx, ecx = 0, edx;

    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    return (__builtin_cpu_supports("bmi2") ? PORT_CPU_BMI2 : 0) |
           (ecx & bit_MOVBE ? PORT_CPU_MOVBE : 0);
}

uint32_t port_cpu_id(void)
{
    return 0;
}

uint64_t port_random(void)
{
    uint64_t value;

    if (getrandom(&value, sizeof(value), 0) != sizeof(value))
        port_fatal("getrandom: %s", strerror(errno));
    return value;
}

uint64_t port_lock(void)
{
    return lock_depth++;
}

void port_unlock(uint64_t saved)
{
    if (lock_depth != saved + 1)
        port_fatal("port_unlock(%lu) at depth %lu", (unsigned long)saved,
                   (unsigned long)lock_depth);
    lock_depth = saved;
}

void port_preempt_disable(void)
{
    preempt_depth++;
}

void port_preempt_enable(void)
{
    if (preempt_depth == 0)
        port_fatal("port_preempt_enable without port_preempt_disable");
    preempt_depth--;
}

uint64_t port_pid_tgid(void)
{
    return (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
}

void port_comm(char comm[16])
{
    memset(comm, 0, 16);
    prctl(PR_GET_NAME, comm);
}

/* A process has no such structure; something stands for it that can be read. */
const void *port_current_task(void)
{
    static const uint32_t task;

    return &task;
}

_Noreturn void port_fatal(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fputs("fatal: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

int port_format(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(buf, size, fmt, args);
    va_end(args);
    return n;
}

int port_vformat(char *buf, size_t size, const char *fmt, va_list args)
{
    return vsnprintf(buf, size, fmt, args);
}

/* ---- the trace pipe ------------------------------------------------------------------------- */

void host_trace_set(void (*print)(const char *text, size_t len))
{
    trace_print = print;
}

static void keep(char c)
{
    if (trace_len == sizeof(trace) - 1)
        memmove(trace, trace + 1, --trace_len);
    trace[trace_len++] = c;
}

void port_trace_printk(const char *text, size_t len)
{
    if (trace_print) {
        trace_print(text, len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        keep(text[i]);
    if (len == 0 || text[len - 1] != '\n')
        keep('\n');
}

const char *host_trace_take(void)
{
    static char taken[TRACE_SIZE];

    memcpy(taken, trace, trace_len);
    taken[trace_len] = 0;
    trace_len = 0;
    return taken;
}

/* ---- tracepoints -------------------------------------------------------------------------- */

uint32_t host_tracepoint_add(const char *name, uint32_t record_size, uint32_t nargs)
{
    if (nr_tracepoints == TRACEPOINTS_MAX)
        return 0;
    tracepoints[nr_tracepoints] = (struct tracepoint){name, record_size, nargs};
    return ++nr_tracepoints;
}

void *port_tracepoint_by_id(uint32_t id, uint32_t *ctx_size)
{
    if (id == 0 || id > nr_tracepoints)
        return NULL;
    *ctx_size = tracepoints[id - 1].record_size;
    return &tracepoints[id - 1];
}

/* The event's name alone, by which a raw tracepoint goes, as on Linux. */
const char *port_tracepoint_name(const void *target)
{
    const struct tracepoint *tp = target;
    const char *event = strchr(tp->name, ':');

    return event ? event + 1 : tp->name;
}

void *port_tracepoint_by_name(const char *name, uint32_t *nargs)
{
    for (uint32_t i = 0; i < nr_tracepoints; i++) {
        if (strcmp(port_tracepoint_name(&tracepoints[i]), name) != 0)
            continue;
        *nargs = tracepoints[i].nargs;
        return &tracepoints[i];
    }
    return NULL;
}

void port_ring_notify(void *map)
{
    (void)map;
}

void host_port_reset(void)
{
    nr_tracepoints = 0;
    trace_len = 0;
    allocations_left = SIZE_MAX;
}
