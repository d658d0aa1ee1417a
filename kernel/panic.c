/*
 * The end of the line: says what broke, where every register points, how the code got there, and
 * ends QEMU with ARCH_EXIT_PANIC. Reached through panic() and ASSERT (our own bugs) and through
 * kernel_trap_fatal() (an exception without a fixup). Uses nothing that could be what broke: no
 * heap, no locks, every memory access fault-safe.
 */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stddef.h>

#include "arch/x86_64/arch.h"
#include "kernel/printk.h"
#include "kernel/symbols.h"
#include "kernel/thread.h"

#define BACKTRACE_MAX 32
#define NR_EXCEPTIONS 32
#define NR_VECTORS    256
#define STACK_WORDS   8

#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_PAGE_FAULT   14

/* SDM 3A table 6-1. */
static const char *const exception_names[NR_EXCEPTIONS] = {
    [0] = "divide error",
    [1] = "debug exception",
    [2] = "non-maskable interrupt",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range exceeded",
    [6] = "invalid opcode",
    [7] = "no floating-point unit",
    [8] = "double fault",
    [10] = "invalid TSS",
    [11] = "segment not present",
    [12] = "stack-segment fault",
    [13] = "general protection fault",
    [14] = "page fault",
    [16] = "x87 floating-point error",
    [17] = "alignment check",
    [18] = "machine check",
    [19] = "SIMD floating-point error",
    [20] = "virtualization exception",
    [21] = "control protection exception",
};

/* The bits of a page fault's error code that are set by us, SDM 3A 4.7. */
#define PF_PRESENT     (1u << 0)
#define PF_WRITE       (1u << 1)
#define PF_RESERVED    (1u << 3)
#define PF_INSTRUCTION (1u << 4)

static bool panicking;

/* A panic inside a panic says so by the shortest way. */
static void begin(void)
{
    arch_irq_disable();
    if (panicking) {
        static const char text[] = "\npanic within panic\n";
        arch_console_write(text, sizeof(text) - 1);
        arch_exit(ARCH_EXIT_PANIC);
    }
    panicking = true;
    printk_set_console_level(LOG_DEBUG);
}

/* Which interrupts came tells a machine that hangs waiting from one that drowns in work. */
static void print_interrupts(void)
{
    for (int vector = 0; vector < NR_VECTORS; vector++) {
        uint64_t count;
        const char *name = arch_irq_info(vector, &count);
        if (name)
            pr_err("interrupt %d (%s): %lu", vector, name, (unsigned long)count);
    }
}

/* Whose stack all this was about. */
static void print_thread(void)
{
    struct thread thread;
    if (arch_read_safe(&thread, thread_current(), sizeof(thread)) != 0)
        return; /* before thread_init(), or badly broken */
    thread.name[THREAD_NAME_SIZE - 1] = '\0';
    pr_err("thread: %s (%u), stack %p", thread.name, thread.tid, thread.stack);
}

static _Noreturn void end(void)
{
    print_thread();
    print_interrupts();
    pr_err("---- end of panic ----");
    arch_exit(ARCH_EXIT_PANIC);
}

/* Follows saved frame pointers: at fp lies the caller's, above it the return address. A chain that
 * does not lead upwards is broken. */
static void print_backtrace(uintptr_t fp)
{
    for (int i = 0; i < BACKTRACE_MAX && fp && !(fp % 8); i++) {
        uint64_t link[2];
        if (arch_read_safe(link, (const void *)fp, sizeof(link)) != 0) {
            pr_err("  (frame pointer 0x%lx is not readable)", (unsigned long)fp);
            return;
        }
        if (!link[1])
            return;
        /* A return address may be the first byte behind a function that never returns. */
        pr_err("  %016lx %pS", (unsigned long)link[1], (void *)(link[1] - 1));
        if (link[0] <= fp)
            return;
        fp = link[0];
    }
}

static void print_page_fault(const struct trap_frame *frame)
{
    unsigned long addr = arch_fault_address();
    unsigned code = (unsigned)frame->error_code;
    const char *access = code & PF_INSTRUCTION ? "execution of"
                         : code & PF_WRITE     ? "write to"
                                               : "read of";
    const char *why = code & PF_RESERVED     ? "malformed page table entry"
                      : !(code & PF_PRESENT) ? "page not present"
                                             : "page present, its rights forbid that";
    pr_err("page fault: %s 0x%lx, %s (error code 0x%x)%s", access, addr, why, code,
           addr < ARCH_PAGE_SIZE ? "; a null pointer?" : "");
}

static void print_reason(const struct trap_frame *frame)
{
    const char *name = frame->vector < NR_EXCEPTIONS ? exception_names[frame->vector] : NULL;
    if (frame->vector == VECTOR_PAGE_FAULT)
        print_page_fault(frame);
    else
        pr_err("%s (vector %u, error code 0x%x)", name ? name : "reserved exception",
               (unsigned)frame->vector, (unsigned)frame->error_code);
    if (frame->vector == VECTOR_DOUBLE_FAULT)
        pr_err("a stack that ran into its guard page does this; last faulting address 0x%lx",
               (unsigned long)arch_fault_address());
}

/* A function that faults before its frame is linked would be left out, with its caller shown as
 * itself. Its return address is still on top of the stack: alone, at its first instruction or where
 * no code is; under the saved frame pointer, just after the push. */
static void print_unlinked_caller(const struct trap_frame *frame)
{
    uint64_t top[2];
    uintptr_t offset;
    if (arch_read_safe(top, (const void *)frame->rsp, sizeof(top)) != 0)
        return;
    bool at_start = !symbol_find(frame->rip, &offset) || offset == 0;
    if (!at_start && top[0] != frame->rbp)
        return;
    uint64_t caller = top[at_start ? 0 : 1];
    if (arch_is_text(caller))
        pr_err("  %016lx %pS", (unsigned long)caller, (void *)(caller - 1));
}

static void print_registers(const struct trap_frame *frame)
{
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {
        {"rax", frame->rax}, {"rbx", frame->rbx}, {"rcx", frame->rcx}, {"rdx", frame->rdx},
        {"rsi", frame->rsi}, {"rdi", frame->rdi}, {"rbp", frame->rbp}, {"rsp", frame->rsp},
        {"r8 ", frame->r8},  {"r9 ", frame->r9},  {"r10", frame->r10}, {"r11", frame->r11},
        {"r12", frame->r12}, {"r13", frame->r13}, {"r14", frame->r14}, {"r15", frame->r15},
    };
    pr_err("rip %016lx %pS", (unsigned long)frame->rip, (void *)frame->rip);
    pr_err("rflags %08lx cs %02x ss %02x", (unsigned long)frame->rflags, (unsigned)frame->cs,
           (unsigned)frame->ss);
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (arch_is_text(registers[i].value))
            pr_err("%s %016lx %pS", registers[i].name, (unsigned long)registers[i].value,
                   (void *)registers[i].value);
        else
            pr_err("%s %016lx", registers[i].name, (unsigned long)registers[i].value);
    }
}

static void print_stack(uintptr_t rsp)
{
    uint64_t words[STACK_WORDS];
    if (arch_read_safe(words, (const void *)rsp, sizeof(words)) != 0)
        return;
    pr_err("stack:");
    for (int i = 0; i < STACK_WORDS; i += 4)
        pr_err("  %016lx %016lx %016lx %016lx", (unsigned long)words[i],
               (unsigned long)words[i + 1], (unsigned long)words[i + 2],
               (unsigned long)words[i + 3]);
}

/* Prints the message and the way here, and ends. Any context. */
_Noreturn void panic(const char *fmt, ...)
{
    char message[256];
    va_list args;
    begin();
    va_start(args, fmt);
    format_text_va(message, sizeof(message), fmt, args);
    va_end(args);
    pr_err("PANIC: %s", message);
    pr_err("backtrace:");
    print_backtrace((uintptr_t)arch_frame_pointer());
    end();
}

/* An exception without a fixup: prints the reason, the registers and the way there, and ends. */
_Noreturn void kernel_trap_fatal(const struct trap_frame *frame)
{
    begin();
    pr_err("PANIC: exception at %pS", (void *)frame->rip);
    print_reason(frame);
    print_registers(frame);
    print_stack(frame->rsp);
    pr_err("backtrace:");
    print_unlinked_caller(frame);
    print_backtrace(frame->rbp);
    end();
}

/* What arch calls when it cannot go on. */
_Noreturn void kernel_fatal(const char *why)
{
    panic("%s", why);
}
