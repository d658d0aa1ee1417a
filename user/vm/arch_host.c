/*
 * arch_* for code that runs in a host process: see user/vm/host/arch/x86_64/arch.h. Used by
 * unit tests and skep-vm; single-threaded like the guest's one CPU.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "arch/x86_64/arch.h"

#define FLAG_IF 0x200u /* RFLAGS.IF */

static bool irq_off;
static bool in_interrupt;
static bool rdrand_broken;
static uint64_t fixed_time = UINT64_MAX;
static uint64_t timer_deadline = UINT64_MAX;
static bool console_echo;
static char console[HOST_CONSOLE_SIZE];
static size_t console_len;

uint64_t arch_irq_save(void)
{
    uint64_t flags = irq_off ? 0 : FLAG_IF;
    irq_off = true;
    return flags;
}

void arch_irq_restore(uint64_t flags)
{
    irq_off = !(flags & FLAG_IF);
}

bool arch_irq_enabled(void)
{
    return !irq_off;
}

void arch_irq_enable(void)
{
    irq_off = false;
}

void arch_irq_disable(void)
{
    irq_off = true;
}

bool arch_in_interrupt(void)
{
    return in_interrupt;
}

void host_set_in_interrupt(bool now_in_interrupt)
{
    in_interrupt = now_in_interrupt;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t arch_read_tsc(void)
{
    return arch_time_ns();
}

uint64_t arch_tsc_hz(void)
{
    return 1000000000u;
}

uint64_t arch_time_ns(void)
{
    return fixed_time != UINT64_MAX ? fixed_time : clock_ns(CLOCK_MONOTONIC);
}

uint64_t arch_wall_clock_seconds(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000000u;
}

void arch_timer_arm(uint64_t deadline_ns)
{
    timer_deadline = deadline_ns;
}

void host_time_set(uint64_t ns)
{
    fixed_time = ns;
}

uint64_t host_timer_deadline(void)
{
    return timer_deadline;
}

uint32_t arch_cpu_id(void)
{
    return 0;
}

bool arch_cpu_has_bmi2(void)
{
    return __builtin_cpu_supports("bmi2");
}

bool arch_cpu_has_movbe(void)
{
    unsigned eax, ebx, ecx = 0, edx;

    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_MOVBE);
}

bool arch_cpu_has_rdrand(void)
{
    return !rdrand_broken;
}

bool arch_rdrand(uint64_t *out)
{
    return !rdrand_broken && getrandom(out, sizeof(*out), 0) == sizeof(*out);
}

void host_set_rdrand(bool works)
{
    rdrand_broken = !works;
}

int arch_protect(uintptr_t addr, size_t len, enum arch_prot prot)
{
    static const int host_prot[] = {
        [ARCH_PROT_NONE] = PROT_NONE,
        [ARCH_PROT_R] = PROT_READ,
        [ARCH_PROT_RW] = PROT_READ | PROT_WRITE,
        [ARCH_PROT_RX] = PROT_READ | PROT_EXEC,
    };
    return mprotect((void *)addr, len, host_prot[prot]) == 0 ? 0 : -errno;
}

/* process_vm_readv and writev on our own process answer EFAULT where an access would fault.
 * Unlike the guest's, they may move part of the range before they report. */
int arch_read_safe(void *dst, const void *src, size_t n)
{
    struct iovec local = {dst, n}, remote = {(void *)(uintptr_t)src, n};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

int arch_write_safe(void *dst, const void *src, size_t n)
{
    struct iovec local = {(void *)(uintptr_t)src, n}, remote = {dst, n};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n ? 0 : -EFAULT;
}

bool arch_is_text(uintptr_t addr)
{
    extern const char __executable_start[], etext[];
    return addr >= (uintptr_t)__executable_start && addr < (uintptr_t)etext;
}

void arch_console_write(const char *text, size_t len)
{
    if (console_echo)
        fwrite(text, 1, len, stdout);
    for (size_t i = 0; i < len; i++) {
        if (console_len == sizeof(console) - 1) {
            memmove(console, console + 1, --console_len);
        }
        console[console_len++] = text[i];
    }
    console[console_len] = 0;
}

void host_console_echo(bool echo)
{
    console_echo = echo;
}

const char *host_console_take(void)
{
    static char taken[HOST_CONSOLE_SIZE];
    memcpy(taken, console, console_len + 1);
    console_len = 0;
    console[0] = 0;
    return taken;
}

_Noreturn void arch_poweroff(void)
{
    exit(0);
}

_Noreturn void arch_exit(uint8_t code)
{
    exit(code);
}
