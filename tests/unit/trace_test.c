/*
 * See trace_test.h. The system calls that it defines are compiled as the kernel's are; they give
 * the suites sys_enter and sys_exit events to look at.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "ebpf/ebpf.h"
#include "kernel/page.h"
#include "kernel/syscall_define.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/trace_test.h"

#define ARENA_SIZE (4u << 20)

typedef unsigned short umode_t;

SYSCALL_DEFINE4(openat, int, dfd, const char *, filename, int, flags, umode_t, mode)
{
    return dfd == 5 && strcmp(filename, "/hello") == 0 && flags == 0 && mode == 0644 ? 3 : -2;
}

SYSCALL_DEFINE0(getpid)
{
    return 77;
}

uint64_t ebpf_link_run(struct ebpf_link *link, void *ctx)
{
    link->runs++;
    link->last_ctx = ctx;
    memcpy(link->bytes, ctx, 16);
    return link->run ? link->run(link, ctx) : 0;
}

void trace_test_init(void)
{
    void *arena =
        mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(arena, MAP_FAILED);
    page_add_region((uintptr_t)arena, (uintptr_t)arena + ARENA_SIZE);
    tracepoint_init();
}
