/*
 * The ways to end: ACPI soft-off, reset, and QEMU's isa-debug-exit. Called by the command server
 * (power off), panic and tests.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"

#define DEBUG_EXIT_PORT  0xf4
#define DEBUG_EXIT_OFF   0x10 /* QEMU's exit status is 33 when ACPI did not do it */
#define DELAY_PORT       0x80 /* a read takes about 1 us and does nothing */
#define POWER_OFF_WAITS  1000000
#define RESET_CONTROL    0xcf9
#define RESET_COLD       0x06
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET   0xfe

#define PCI_PM_BASE      0x40   /* both chips keep the ACPI block's I/O address here */
#define PM1_CONTROL      4      /* PM1a_CNT_BLK inside that block */
#define PM1_SLEEP_ENABLE 0x2000 /* with sleep type 0: S5, as QEMU's DSDT says */

/* The functions that hold the power management block on QEMU's two PC machines. */
static const struct pm_function {
    uint32_t id; /* device << 16 | vendor */
    uint16_t bdf;
} pm_functions[] = {
    {0x71138086, 1 << 3 | 3},  /* PIIX4 (pc) */
    {0x29188086, 31 << 3 | 0}, /* ICH9 LPC (q35) */
};

static _Noreturn void halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Ends QEMU through isa-debug-exit with status (code << 1) | 1, else halts for good. */
_Noreturn void arch_exit(uint8_t code)
{
    port_out8(DEBUG_EXIT_PORT, code);
    halt();
}

/* Soft-off (ACPI 4.8.3.2), falling back to arch_exit(). */
_Noreturn void arch_poweroff(void)
{
    arch_irq_disable();
    for (size_t i = 0; i < sizeof(pm_functions) / sizeof(pm_functions[0]); i++) {
        if (arch_pci_read32(pm_functions[i].bdf, 0) != pm_functions[i].id)
            continue;
        uint16_t base = arch_pci_read32(pm_functions[i].bdf, PCI_PM_BASE) & 0xff80;
        if (!base)
            continue;
        port_out16(base + PM1_CONTROL, PM1_SLEEP_ENABLE);
        /* The machine goes off a little later, in QEMU's other thread. */
        for (int wait = 0; wait < POWER_OFF_WAITS; wait++)
            port_in8(DELAY_PORT);
    }
    arch_exit(DEBUG_EXIT_OFF);
}

/* Cold reset through the chip set, then through the keyboard controller. */
_Noreturn void arch_reboot(void)
{
    arch_irq_disable();
    port_out8(RESET_CONTROL, RESET_COLD);
    port_out8(KEYBOARD_COMMAND, KEYBOARD_RESET);
    halt();
}
