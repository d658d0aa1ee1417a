/*
 * PCI configuration space through mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2). Called by
 * drivers/virtio and power.c.
 */
#include "arch/x86_64/arch.h"
#include "arch/x86_64/registers.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

static void select_register(uint16_t bdf, uint8_t offset)
{
    port_out32(CONFIG_ADDRESS, CONFIG_ENABLE | (uint32_t)bdf << 8 | (offset & 0xfcu));
}

/* Reads the aligned 32 bits at offset. All ones where there is no function. Any context. */
uint32_t arch_pci_read32(uint16_t bdf, uint8_t offset)
{
    uint64_t flags = arch_irq_save();
    select_register(bdf, offset);
    uint32_t value = port_in32(CONFIG_DATA);
    arch_irq_restore(flags);
    return value;
}

/* Writes the aligned 32 bits at offset. Any context. */
void arch_pci_write32(uint16_t bdf, uint8_t offset, uint32_t value)
{
    uint64_t flags = arch_irq_save();
    select_register(bdf, offset);
    port_out32(CONFIG_DATA, value);
    arch_irq_restore(flags);
}
