/*
 * Stands in for arch/x86_64/arch.h when portable kernel code is compiled for the host (unit
 * tests, skep-vm): found first because of -Iuser/vm/host. The declarations are those of the real
 * header; user/vm/arch_host.c implements what makes sense in a process. What does not (page
 * tables, interrupts, context switches, devices) is left out, so using it does not link.
 * The functions host_... steer the stand-in from tests.
 */
#ifndef SKEP_ARCH_H
#define SKEP_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_PAGE_SIZE 4096u
#define ARCH_NR_CPUS   1u

struct arch_context {
    uint64_t rsp;
};

struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* ---- as in the guest's header ------------------------------------------------------------- */

/* A flag of the process only: nothing interrupts, but a test can see that calls balance. */
uint64_t arch_irq_save(void);
void arch_irq_restore(uint64_t flags);
bool arch_irq_enabled(void);
void arch_irq_enable(void);
void arch_irq_disable(void);
bool arch_in_interrupt(void);

uint64_t arch_read_tsc(void);
uint32_t arch_cpu_id(void);
bool arch_cpu_has_rdrand(void);
bool arch_cpu_has_bmi2(void);
bool arch_cpu_has_movbe(void);
bool arch_rdrand(uint64_t *out);

uint64_t arch_time_ns(void);
uint64_t arch_tsc_hz(void);
uint64_t arch_wall_clock_seconds(void);
void arch_timer_arm(uint64_t deadline_ns);

enum arch_prot {
    ARCH_PROT_NONE,
    ARCH_PROT_R,
    ARCH_PROT_RW,
    ARCH_PROT_RX,
};

int arch_protect(uintptr_t addr, size_t len, enum arch_prot prot);
int arch_read_safe(void *dst, const void *src, size_t n);
int arch_write_safe(void *dst, const void *src, size_t n);
bool arch_is_text(uintptr_t addr);

void arch_console_write(const char *text, size_t len);

_Noreturn void arch_poweroff(void);
_Noreturn void arch_exit(uint8_t code);

#define ARCH_EXIT_PANIC 0x31

/* Declared for kernel/thread.c and sched.c; implemented by tests/unit/test_sched.c alone. */
void arch_wait_for_interrupt(void);
void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg);
void arch_context_switch(struct arch_context *from, struct arch_context *to);
void kernel_timer_interrupt(void);
void kernel_interrupt_exit(void);

/* ---- for tests ---------------------------------------------------------------------------- */

/* Stops arch_time_ns at ns until the next call; UINT64_MAX goes back to the real clock. */
void host_time_set(uint64_t ns);
/* The deadline last given to arch_timer_arm; UINT64_MAX when disarmed. */
uint64_t host_timer_deadline(void);
/* What arch_in_interrupt answers. */
void host_set_in_interrupt(bool in_interrupt);
/* Whether arch_rdrand works; it does from the start. */
void host_set_rdrand(bool works);

/* Console output is kept (the last HOST_CONSOLE_SIZE - 1 bytes) instead of printed unless
 * host_console_echo(true). host_console_take returns the text so far and starts afresh; the
 * string lives until the next take. */
#define HOST_CONSOLE_SIZE 65536
void host_console_echo(bool echo);
const char *host_console_take(void);

#endif
