/*
 * The machine under skep-vm's engine: memory, tracepoints and the trace pipe of the guest's own
 * kernel code in this process, and one session, to which libbpf's bpf(2) is led.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "kernel/page.h"
#include "kernel/trace_pipe.h"
#include "kernel/tracepoint.h"
#include "user/lib/bpf_transport.h"
#include "user/vm/vm.h"

#define MEMORY_SIZE   (1u << 30) /* reserved; only what is touched is used */
#define CODE_DISTANCE (1u << 28)
#define MAP_LIMIT     (MEMORY_SIZE / 2)

static struct ebpf_session *session;

static long command(void *arg, uint32_t cmd, void *attr, uint32_t attr_size)
{
    (void)arg;
    if (cmd == SKEP_CLOSE)
        return ebpf_close(session, (int)((struct skep_close_attr *)attr)->handle);
    return ebpf_sys(session, cmd, attr, attr_size);
}

/* Makes the engine ready and leads libbpf to it. 0, or -1 after saying why not. */
int vm_start(void)
{
    static const struct bpf_backend backend = {.command = command};
    int err;
    /* Not far from our own code, as in the guest: machine code there reaches helpers by calls of 32
     * bits. */
    void *near = (void *)(((uintptr_t)vm_start & ~(uintptr_t)0xfff) + CODE_DISTANCE);
    void *memory =
        mmap(near, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return vm_error("no memory for the machine");
    page_add_region((uintptr_t)memory, (uintptr_t)memory + MEMORY_SIZE);
    tracepoint_init();
    err = trace_pipe_init();
    if (!err)
        err = ebpf_init(MAP_LIMIT);
    if (err)
        return vm_error("the engine does not start: %s", strerror(-err));
    session = ebpf_session_create();
    if (!session)
        return vm_error("the engine does not start: out of memory");
    bpf_transport_set(&backend);
    return 0;
}

void vm_stop(void)
{
    ebpf_session_destroy(session);
    bpf_transport_set(NULL);
}

/* The engine's program behind libbpf's descriptor; borrowed while the descriptor is open. */
struct ebpf_prog *vm_prog(int fd)
{
    int handle = bpf_transport_handle(fd);

    return handle < 0 ? NULL : ebpf_session_prog(session, handle);
}

/* Likewise the map. */
struct ebpf_map *vm_map(int fd)
{
    int handle = bpf_transport_handle(fd);

    return handle < 0 ? NULL : ebpf_session_map(session, handle);
}

/* What programs have printed since the last call, as much of it as there is room for; how long it
 * is. *lost: bytes that nobody took in time. */
size_t vm_take_trace(char *text, size_t room, uint64_t *lost)
{
    static uint64_t cursor;

    *lost = 0;
    return trace_pipe_read(&cursor, text, room, lost);
}

/* Likewise all of it, to stderr. */
void vm_print_trace(void)
{
    char text[4096];
    uint64_t lost;
    size_t n;

    while ((n = vm_take_trace(text, sizeof(text), &lost)) > 0)
        fwrite(text, 1, n, stderr);
    if (lost)
        fprintf(stderr, "(%lu bytes of trace lost)\n", (unsigned long)lost);
}
