/*
 * The one public header of arch/x86_64: everything that touches a hardware register or needs
 * inline assembly. Nothing above this folder contains asm. The host build of portable kernel
 * code (unit tests, skep-vm) gets user/vm/host/arch/x86_64/arch.h in its place.
 *
 * Memory model: one address space, identity mapped (virtual = physical), W^X by page
 * attributes; page 0 is unmapped. One CPU.
 */
#ifndef SKEP_ARCH_H
#define SKEP_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_PAGE_SIZE 4096u
#define ARCH_NR_CPUS   1u

struct boot_info;

/* ---- interrupts and the CPU ------------------------------------------------------------- */

static inline uint64_t arch_irq_save(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void arch_irq_restore(uint64_t flags)
{
    if (flags & 0x200)
        __asm__ volatile("sti" : : : "memory");
}

static inline bool arch_irq_enabled(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    return flags & 0x200;
}

static inline void arch_irq_enable(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void arch_irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* Enables interrupts and waits for one; returns with interrupts enabled. */
static inline void arch_wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt" : : : "memory");
}

static inline uint64_t arch_read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint32_t arch_cpu_id(void)
{
    return 0;
}

/* Address of the caller's frame (rbp), for backtraces. */
static inline const uint64_t *arch_frame_pointer(void)
{
    const uint64_t *fp;
    __asm__ volatile("movq %%rbp, %0" : "=r"(fp));
    return fp;
}

/* The address that the last page fault was about (CR2). */
static inline uint64_t arch_fault_address(void)
{
    uint64_t addr;
    __asm__ volatile("movq %%cr2, %0" : "=r"(addr));
    return addr;
}

/* Registers at an exception or interrupt, in the order the entry stub pushes them. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* GDT, TSS with IST stacks, IDT, control registers. First call of kernel_main. */
void arch_cpu_init(void);
/* LAPIC, spurious vector, PIC masked. After page_init (maps MMIO). */
void arch_apic_init(void);
/* One line for the boot log: vendor, model, features that matter. Writes at most size bytes. */
void arch_cpu_describe(char *buf, size_t size);
bool arch_cpu_has_rdrand(void);
bool arch_cpu_has_bmi2(void);
bool arch_cpu_has_movbe(void);
/* A hardware random number; false when the CPU has none or it failed ten times. */
bool arch_rdrand(uint64_t *out);

/* Runs in interrupt context, interrupts off. */
typedef void (*arch_irq_handler)(void *arg);

/* Takes a free device vector and routes it to handler. Returns the vector, or -ENOSPC. */
int arch_irq_register(arch_irq_handler handler, void *arg, const char *name);
void arch_irq_unregister(int vector);
/* Who took a vector (NULL: nobody) and how often it came, for listings. */
const char *arch_irq_info(int vector, uint64_t *count);
/* What a PCI function must write to raise `vector` on this CPU (SDM 3A 11.11). */
uint64_t arch_msi_address(void);
uint32_t arch_msi_data(int vector);
/* True while an interrupt or exception handler runs. */
bool arch_in_interrupt(void);

/* ---- time ------------------------------------------------------------------------------- */

/* Calibrates the TSC (against the PIT) and the LAPIC timer. */
void arch_time_init(void);
/* Nanoseconds since boot, monotonic. Any context. */
uint64_t arch_time_ns(void);
uint64_t arch_tsc_hz(void);
/* Nanoseconds from the machine's start to kernel entry: firmware and loader. */
uint64_t arch_time_before_boot_ns(void);
/* Seconds since 1970-01-01 UTC from the CMOS clock. */
uint64_t arch_wall_clock_seconds(void);
/* One-shot: raises kernel_timer_interrupt() at or soon after deadline (arch_time_ns units).
 * A later call replaces an earlier one; UINT64_MAX disarms. */
void arch_timer_arm(uint64_t deadline_ns);

/* ---- memory ----------------------------------------------------------------------------- */

enum arch_prot {
    ARCH_PROT_NONE, /* unmapped: any access faults */
    ARCH_PROT_R,
    ARCH_PROT_RW,
    ARCH_PROT_RX,
};

/* Builds the final page tables: kernel sections with their rights, all RAM of `info` RW+NX,
 * page 0 and guard pages unmapped. alloc_page gives pages for the tables, now and later, in any
 * context. Until then only the first 4 GiB are mapped. */
void arch_paging_init(const struct boot_info *info, void *(*alloc_page)(void));
/* Changes the rights of [addr, addr + len), page aligned. 0, -EINVAL, -ENOMEM. */
int arch_protect(uintptr_t addr, size_t len, enum arch_prot prot);
/* Maps device memory uncached at its own address. NULL when out of page tables. */
volatile void *arch_map_mmio(uint64_t phys, size_t len);
/* Reads n bytes that may be unmapped. 0, or -EFAULT and dst partly written. Any context. */
int arch_read_safe(void *dst, const void *src, size_t n);
/* Writes n bytes that may be unmapped or read-only. 0, or -EFAULT. Any context. */
int arch_write_safe(void *dst, const void *src, size_t n);
/* Replaces n (at most 16) bytes of kernel text through a writable alias; W^X holds. */
void arch_text_patch(void *where, const void *bytes, size_t n);
/* True when addr lies in kernel text. */
bool arch_is_text(uintptr_t addr);

/* ---- threads ---------------------------------------------------------------------------- */

struct arch_context {
    uint64_t rsp; /* callee-saved registers and the return address lie on the stack */
};

/* Prepares a context that starts entry(arg) on the stack ending at stack_top, interrupts on. */
void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg);
/* Saves into *from and continues *to. Interrupts off. */
void arch_context_switch(struct arch_context *from, struct arch_context *to);

/* ---- devices ---------------------------------------------------------------------------- */

void arch_console_init(void);
void arch_console_write(const char *text, size_t len);

/* PCI configuration space, mechanism 1. bdf = bus << 8 | device << 3 | function. */
uint32_t arch_pci_read32(uint16_t bdf, uint8_t offset);
void arch_pci_write32(uint16_t bdf, uint8_t offset, uint32_t value);

/* QEMU's fw_cfg: copies item `name` into buf. Bytes copied (truncated to size), or -ENOENT. */
int arch_fw_cfg_read(const char *name, void *buf, size_t size);

_Noreturn void arch_poweroff(void);
_Noreturn void arch_reboot(void);
/* Ends QEMU through isa-debug-exit with status (code << 1) | 1, else halts for good. */
_Noreturn void arch_exit(uint8_t code);

#define ARCH_EXIT_PANIC 0x31 /* QEMU's exit status is 99 */

/* ---- what the kernel provides to arch --------------------------------------------------- */

/* The LAPIC timer fired. Interrupt context. */
void kernel_timer_interrupt(void);
/* The last thing before an interrupt returns, on the interrupted thread's stack, interrupts
 * off: preempts when a better thread is ready. */
void kernel_interrupt_exit(void);
/* An exception without a fixup. */
_Noreturn void kernel_trap_fatal(const struct trap_frame *frame);
/* arch cannot go on, at start-up or by a caller's mistake. */
_Noreturn void kernel_fatal(const char *why);

#endif
