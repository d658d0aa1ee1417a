/*
 * The local APIC (SDM 3A chapter 11): end of interrupt, the one-shot timer, message-signalled
 * interrupts. The 8259s are moved out of the exceptions' way and masked; the I/O APIC stays as
 * reset leaves it, all masked: every device we drive uses MSI-X.
 */
#include "arch/x86_64/internal.h"
#include "arch/x86_64/registers.h"

#define MSR_APIC_BASE     0x1b
#define APIC_BASE_X2APIC  (1ull << 10)
#define APIC_BASE_ENABLE  (1ull << 11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull
#define MSR_X2APIC        0x800 /* register at MMIO offset n is MSR 0x800 + n / 16 */
#define CPUID_ECX_X2APIC  (1u << 21)

#define APIC_ID            0x20
#define APIC_TASK_PRIORITY 0x80
#define APIC_EOI           0xb0
#define APIC_SPURIOUS      0xf0
#define APIC_LVT_TIMER     0x320
#define APIC_LVT_LINT0     0x350
#define APIC_LVT_ERROR     0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE  0x3e0

#define APIC_SOFT_ENABLE (1u << 8)
#define LVT_MASKED       (1u << 16)
#define DIVIDE_BY_16     3u

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1

#define MSI_ADDRESS 0xfee00000u

static volatile uint32_t *registers; /* NULL: x2APIC mode, through MSRs */

static uint32_t apic_read(uint32_t reg)
{
    return registers ? registers[reg / 4] : (uint32_t)msr_read(MSR_X2APIC + reg / 16);
}

static void apic_write(uint32_t reg, uint32_t value)
{
    if (registers)
        registers[reg / 4] = value;
    else
        msr_write(MSR_X2APIC + reg / 16, value);
}

/* The 8259's four initialisation words (Intel 8259A data sheet), then all lines masked. */
static void pic_disable(void)
{
    port_out8(PIC1_COMMAND, 0x11);
    port_out8(PIC2_COMMAND, 0x11);
    port_out8(PIC1_DATA, VECTOR_PIC);
    port_out8(PIC2_DATA, VECTOR_PIC + 8);
    port_out8(PIC1_DATA, 4);
    port_out8(PIC2_DATA, 2);
    port_out8(PIC1_DATA, 1);
    port_out8(PIC2_DATA, 1);
    port_out8(PIC1_DATA, 0xff);
    port_out8(PIC2_DATA, 0xff);
}

/* Enables the local APIC, x2APIC mode where there is one. Start-up only; after
 * arch_paging_init(). */
void arch_apic_init(void)
{
    pic_disable();
    uint64_t base = msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    if (cpuid(1).ecx & CPUID_ECX_X2APIC)
        base |= APIC_BASE_X2APIC;
    msr_write(MSR_APIC_BASE, base);
    if (!(base & APIC_BASE_X2APIC)) {
        registers = arch_map_mmio(base & APIC_BASE_ADDRESS, ARCH_PAGE_SIZE);
        if (!registers)
            kernel_fatal("no memory to map the local APIC");
    }
    apic_write(APIC_TASK_PRIORITY, 0);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_16);
    apic_write(APIC_SPURIOUS, APIC_SOFT_ENABLE | VECTOR_SPURIOUS);
}

/* Tells the APIC that the interrupt in service is done. */
void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

void apic_timer_start_unarmed(void)
{
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t apic_timer_elapsed(void)
{
    return UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_start(uint32_t count)
{
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (count ? 0 : LVT_MASKED));
    apic_write(APIC_TIMER_INITIAL, count);
}

/* What a PCI function must write to raise a vector on this CPU: fixed delivery, edge triggered,
 * physical destination (SDM 3A 11.11). */
uint64_t arch_msi_address(void)
{
    uint32_t id = registers ? apic_read(APIC_ID) >> 24 : apic_read(APIC_ID);
    return MSI_ADDRESS | (id & 0xff) << 12;
}

uint32_t arch_msi_data(int vector)
{
    return (uint32_t)vector;
}
