/*
 * The IDT and what happens behind it (SDM 3A chapter 6): exceptions go to their fixup or to
 * kernel_trap_fatal(), the timer's vector to time.c, device vectors to the handler that took them.
 * Called by trap_entry.S. Everything runs with interrupts off; handlers do not nest.
 */
#include "arch/x86_64/internal.h"

#include <linux/errno.h>

struct idt_gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist; /* 0: stay on the current stack */
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "SDM 3A figure 6-8");

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8e /* present, ring 0, 64-bit interrupt gate: interrupts go off */

#define EXCEPTION_NMI           2
#define EXCEPTION_DOUBLE_FAULT  8
#define EXCEPTION_STACK_SEGMENT 12
#define EXCEPTION_PROTECTION    13
#define EXCEPTION_PAGE_FAULT    14
#define EXCEPTION_MACHINE_CHECK 18

/* An instruction that may fault, and where to go on when it did; filled by safe_copy.S. */
struct fixup {
    uint64_t instruction;
    uint64_t resume;
};

struct device_irq {
    arch_irq_handler handler; /* NULL: free */
    void *arg;
    const char *name;
    uint64_t count;
};

extern const uint8_t trap_stubs[256][16];
extern const struct fixup __start_fixups[], __stop_fixups[];
void trap_dispatch(struct trap_frame *frame);

static struct idt_gate idt[256];
static struct device_irq device_irqs[VECTOR_LAST_DEVICE + 1 - VECTOR_FIRST_DEVICE];
static unsigned interrupt_depth;

static void set_gate(unsigned vector, uint8_t ist)
{
    uint64_t entry = (uintptr_t)trap_stubs[vector];
    idt[vector] = (struct idt_gate){
        .offset_low = entry & 0xffff,
        .selector = GDT_CODE,
        .ist = ist,
        .type = GATE_INTERRUPT,
        .offset_middle = entry >> 16 & 0xffff,
        .offset_high = entry >> 32,
    };
}

/* Fills and loads the IDT. Start-up only, after gdt_init(). */
void idt_init(void)
{
    for (unsigned i = 0; i < 256; i++)
        set_gate(i, 0);
    set_gate(EXCEPTION_DOUBLE_FAULT, IST_DOUBLE_FAULT + 1);
    set_gate(EXCEPTION_NMI, IST_NMI + 1);
    set_gate(EXCEPTION_MACHINE_CHECK, IST_MACHINE_CHECK + 1);
    struct table_pointer pointer = {.limit = sizeof(idt) - 1, .base = (uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

/* A non-canonical address raises #GP, or #SS through the stack, in place of #PF. */
static bool apply_fixup(struct trap_frame *frame)
{
    if (frame->vector != EXCEPTION_PAGE_FAULT && frame->vector != EXCEPTION_PROTECTION &&
        frame->vector != EXCEPTION_STACK_SEGMENT)
        return false;
    for (const struct fixup *fixup = __start_fixups; fixup != __stop_fixups; fixup++) {
        if (fixup->instruction == frame->rip) {
            frame->rip = fixup->resume;
            return true;
        }
    }
    return false;
}

/* A vector that nobody took is acknowledged and forgotten: a device may raise one that was just
 * unregistered. The 8259s' and the APIC's own spurious vectors must not be acknowledged. */
static void dispatch_interrupt(unsigned vector)
{
    if (vector == VECTOR_TIMER) {
        apic_eoi();
        time_timer_interrupt();
    } else if (vector >= VECTOR_FIRST_DEVICE && vector <= VECTOR_LAST_DEVICE) {
        struct device_irq *irq = &device_irqs[vector - VECTOR_FIRST_DEVICE];
        irq->count++;
        if (irq->handler)
            irq->handler(irq->arg);
        apic_eoi();
    }
}

/* Everything that interrupts the CPU comes through here. The depth is back to what it was before
 * kernel_interrupt_exit(), which may go on in another thread. */
void trap_dispatch(struct trap_frame *frame)
{
    if (frame->vector < VECTOR_NR_EXCEPTIONS && apply_fixup(frame))
        return;
    interrupt_depth++;
    if (frame->vector < VECTOR_NR_EXCEPTIONS)
        kernel_trap_fatal(frame);
    dispatch_interrupt(frame->vector);
    interrupt_depth--;
    kernel_interrupt_exit();
}

/* True while an interrupt or exception handler runs. */
bool arch_in_interrupt(void)
{
    return interrupt_depth != 0;
}

/* Takes a free device vector for handler (borrowed for as long as it is registered, as are arg and
 * name). The vector, or -ENOSPC. */
int arch_irq_register(arch_irq_handler handler, void *arg, const char *name)
{
    int vector = -ENOSPC;
    uint64_t flags = arch_irq_save();
    for (unsigned i = 0; i < sizeof(device_irqs) / sizeof(device_irqs[0]); i++) {
        if (!device_irqs[i].handler) {
            device_irqs[i] = (struct device_irq){.handler = handler, .arg = arg, .name = name};
            vector = VECTOR_FIRST_DEVICE + i;
            break;
        }
    }
    arch_irq_restore(flags);
    return vector;
}

/* Gives a vector of arch_irq_register() back; the handler does not run any more. */
void arch_irq_unregister(int vector)
{
    uint64_t flags = arch_irq_save();
    device_irqs[vector - VECTOR_FIRST_DEVICE] = (struct device_irq){0};
    arch_irq_restore(flags);
}

/* Who took a vector (NULL: nobody) and how often it came. */
const char *arch_irq_info(int vector, uint64_t *count)
{
    *count = 0;
    if (vector < VECTOR_FIRST_DEVICE || vector > VECTOR_LAST_DEVICE)
        return NULL;
    const struct device_irq *irq = &device_irqs[vector - VECTOR_FIRST_DEVICE];
    *count = irq->count;
    return irq->name;
}
