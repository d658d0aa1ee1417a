/*
 * The PCI capability list of a virtio device (virtio 1.2, 4.1.4): a well-formed one as QEMU makes
 * it, and lists that are missing pieces, loop, or point nowhere.
 */
#include <errno.h>
#include <string.h>

#include "drivers/virtio/pci_caps.h"
#include "tests/unit/leakcheck.h"

#define BDF 0x18

static uint8_t config[256];

static uint32_t read_config(uint16_t bdf, uint8_t offset)
{
    uint32_t value;

    cr_assert_eq(bdf, BDF);
    cr_assert_eq(offset % 4, 0, "reads are whole dwords");
    memcpy(&value, config + offset, 4);
    return value;
}

static void put32(uint8_t offset, uint32_t value)
{
    memcpy(config + offset, &value, 4);
}

static void put_virtio(uint8_t at, uint8_t next, uint8_t len, uint8_t type, uint8_t bar,
                       uint32_t offset, uint32_t length)
{
    put32(at, 0x09u | (uint32_t)next << 8 | (uint32_t)len << 16 | (uint32_t)type << 24);
    put32((uint8_t)(at + 4), bar);
    put32((uint8_t)(at + 8), offset);
    put32((uint8_t)(at + 12), length);
}

/* As QEMU's virtio-net-pci: MSI-X in BAR 1, the rest in the 64-bit BAR 4. */
static void set_up(void)
{
    memset(config, 0, sizeof(config));
    put32(0x04, 0x00100000); /* capability list present */
    put32(0x10, 0x0000c001); /* BAR 0: I/O */
    put32(0x14, 0xfebd1000); /* BAR 1: memory, 32 bits */
    put32(0x20, 0xfe00000c); /* BAR 4: memory, 64 bits, prefetchable */
    put32(0x24, 0x00000001); /* its upper half */
    config[0x34] = 0x98;
    put32(0x98, 0x80020011 | 0x84 << 8); /* MSI-X, 3 vectors, enabled */
    put32(0x9c, 0x00000001);             /* table in BAR 1 at 0 */
    put32(0xa0, 0x00000801);
    put_virtio(0x84, 0x70, 20, 5, 0, 0, 0); /* PCI access window: not used */
    put_virtio(0x70, 0x60, 20, VIRTIO_PCI_CAP_NOTIFY, 4, 0x3000, 0x1000);
    put32(0x80, 4);
    put_virtio(0x60, 0x50, 16, VIRTIO_PCI_CAP_DEVICE, 4, 0x2000, 0x1000);
    put_virtio(0x50, 0x40, 16, VIRTIO_PCI_CAP_ISR, 4, 0x1000, 0x1000);
    put_virtio(0x40, 0x00, 16, VIRTIO_PCI_CAP_COMMON, 4, 0, 0x1000);
}

static int find(struct virtio_pci_caps *caps)
{
    return virtio_pci_find_caps(read_config, BDF, caps);
}

static struct virtio_pci_caps caps;

TestSuite(pci_caps, .init = set_up, .fini = leakcheck);

Test(pci_caps, finds_everything)
{
    cr_assert_eq(find(&caps), 0);
    cr_expect_eq(caps.regions[VIRTIO_PCI_CAP_COMMON].address, 0x1fe000000);
    cr_expect_eq(caps.regions[VIRTIO_PCI_CAP_COMMON].length, 0x1000);
    cr_expect_eq(caps.regions[VIRTIO_PCI_CAP_NOTIFY].address, 0x1fe003000);
    cr_expect_eq(caps.regions[VIRTIO_PCI_CAP_DEVICE].address, 0x1fe002000);
    cr_expect_eq(caps.notify_multiplier, 4);
    cr_expect_eq(caps.msix_cap, 0x98);
    cr_expect_eq(caps.msix_vectors, 3);
    cr_expect_eq(caps.msix_table, 0xfebd1000);
}

Test(pci_caps, legacy_device)
{
    put32(0x98, 0x80020011); /* only MSI-X */
    cr_expect_eq(find(&caps), -ENODEV);
    put32(0x04, 0);
    cr_expect_eq(find(&caps), -ENODEV);
}

Test(pci_caps, first_of_a_type_is_taken)
{
    put_virtio(0x40, 0xb0, 16, VIRTIO_PCI_CAP_COMMON, 4, 0, 0x1000);
    put_virtio(0xb0, 0x00, 16, VIRTIO_PCI_CAP_COMMON, 4, 0x8000, 0x1000);
    cr_assert_eq(find(&caps), 0);
    cr_expect_eq(caps.regions[VIRTIO_PCI_CAP_COMMON].address, 0x1fe000000);
}

Test(pci_caps, loop)
{
    put_virtio(0x40, 0x98, 16, VIRTIO_PCI_CAP_COMMON, 4, 0, 0x1000);
    cr_expect_eq(find(&caps), -EINVAL);
}

Test(pci_caps, pointer_into_the_header)
{
    put_virtio(0x40, 0x10, 16, VIRTIO_PCI_CAP_COMMON, 4, 0, 0x1000);
    cr_expect_eq(find(&caps), -EINVAL);
}

Test(pci_caps, bars_that_are_no_memory)
{
    static const uint8_t bars[] = {0, 2, 6, 255}; /* I/O, absent, not a BAR */
    size_t i;

    for (i = 0; i < sizeof(bars); i++) {
        put_virtio(0x40, 0x00, 16, VIRTIO_PCI_CAP_COMMON, bars[i], 0, 0x1000);
        cr_expect_eq(find(&caps), -EINVAL, "BAR %u", bars[i]);
    }
    put32(0x24, 0);
    put_virtio(0x40, 0x00, 16, VIRTIO_PCI_CAP_COMMON, 5, 0, 0x1000);
    cr_expect_eq(find(&caps), -EINVAL);
    put32(0x24, 0xfe00000c); /* BAR 5 claims 64 bits; there is no BAR 6 */
    cr_expect_eq(find(&caps), -EINVAL);
}

Test(pci_caps, lengths)
{
    put_virtio(0x40, 0x00, 15, VIRTIO_PCI_CAP_COMMON, 4, 0, 0x1000);
    cr_expect_eq(find(&caps), -EINVAL, "capability too short");
    put_virtio(0x40, 0x00, 16, VIRTIO_PCI_CAP_COMMON, 4, 0, 0);
    cr_expect_eq(find(&caps), -EINVAL, "empty region");
    put_virtio(0x40, 0x00, 16, VIRTIO_PCI_CAP_COMMON, 4, 0xfffff000, 0x2000);
    cr_expect_eq(find(&caps), -EINVAL, "region past 4 GiB of the BAR");
    set_up();
    put_virtio(0x70, 0x60, 16, VIRTIO_PCI_CAP_NOTIFY, 4, 0x3000, 0x1000);
    cr_expect_eq(find(&caps), -EINVAL, "notify without its multiplier");
}

Test(pci_caps, random_bytes_end)
{
    unsigned round, i;

    srand(2);
    for (round = 0; round < 20000; round++) {
        set_up();
        for (i = 0; i < 1 + round % 24; i++)
            config[rand() % 256] = (uint8_t)rand();
        find(&caps); /* ends, and reads only inside the 256 bytes */
    }
    cr_expect_eq(round, 20000);
}
