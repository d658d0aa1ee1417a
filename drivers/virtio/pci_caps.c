/*
 * Walks a PCI function's capability list. See pci_caps.h.
 */
#include "drivers/virtio/pci_caps.h"

#include <linux/errno.h>

#define PCI_COMMAND_STATUS 0x04
#define PCI_STATUS_CAPS    (1u << 20) /* bit 4 of the upper half */
#define PCI_BAR0           0x10
#define PCI_CAP_POINTER    0x34
#define PCI_CAP_ID_VENDOR  0x09
#define PCI_CAP_ID_MSIX    0x11
#define PCI_NR_BARS        6
/* 192 bytes behind the header, at least 4 a capability: a longer list is a loop. */
#define PCI_MAX_CAPS 48

/* Physical address of a memory BAR; 0 when it is an I/O BAR, absent, or has no address. */
static uint64_t bar_address(pci_config_read_fn read, uint16_t bdf, unsigned bar)
{
    uint32_t low, high = 0;

    if (bar >= PCI_NR_BARS)
        return 0;
    low = read(bdf, (uint8_t)(PCI_BAR0 + bar * 4));
    if (low & 1)
        return 0;
    if ((low & 6) == 4) {
        if (bar + 1 >= PCI_NR_BARS)
            return 0;
        high = read(bdf, (uint8_t)(PCI_BAR0 + (bar + 1) * 4));
    }
    return (uint64_t)high << 32 | (low & ~0xfu);
}

/* struct virtio_pci_cap (4.1.4): id, next, len, cfg_type; bar, id, padding; offset; length. */
static int add_virtio_region(pci_config_read_fn read, uint16_t bdf, uint8_t at,
                             struct virtio_pci_caps *out)
{
    uint32_t head = read(bdf, at);
    unsigned cap_len = head >> 16 & 0xff, type = head >> 24;
    unsigned bar = read(bdf, (uint8_t)(at + 4)) & 0xff;
    uint32_t offset = read(bdf, (uint8_t)(at + 8));
    uint32_t length = read(bdf, (uint8_t)(at + 12));
    uint64_t base;

    /* Other types (4.1.4.8 and on) are not used; the first of a type is the preferred one. */
    if (type == 0 || type >= VIRTIO_PCI_NR_REGIONS || out->regions[type].address != 0)
        return 0;
    if (cap_len < 16 || length == 0 || length > UINT32_MAX - offset)
        return -EINVAL;
    base = bar_address(read, bdf, bar);
    if (base == 0)
        return -EINVAL;
    if (type == VIRTIO_PCI_CAP_NOTIFY) {
        if (cap_len < 20)
            return -EINVAL;
        out->notify_multiplier = read(bdf, (uint8_t)(at + 16));
    }
    out->regions[type] = (struct virtio_pci_region){base + offset, length};
    return 0;
}

static int add_msix(pci_config_read_fn read, uint16_t bdf, uint8_t at, struct virtio_pci_caps *out)
{
    uint32_t table = read(bdf, (uint8_t)(at + 4));
    uint64_t base = bar_address(read, bdf, table & 7);

    if (base == 0)
        return -EINVAL;
    out->msix_cap = at;
    out->msix_vectors = (uint16_t)((read(bdf, at) >> 16 & 0x7ff) + 1);
    out->msix_table = base + (table & ~7u);
    return 0;
}

int virtio_pci_find_caps(pci_config_read_fn read, uint16_t bdf, struct virtio_pci_caps *out)
{
    uint8_t at;
    unsigned seen;

    *out = (struct virtio_pci_caps){0};
    if (!(read(bdf, PCI_COMMAND_STATUS) & PCI_STATUS_CAPS))
        return -ENODEV;
    at = read(bdf, PCI_CAP_POINTER) & 0xfc;
    for (seen = 0; at != 0; seen++) {
        uint32_t head = read(bdf, at);
        int error = 0;

        if (seen == PCI_MAX_CAPS || at < 0x40)
            return -EINVAL;
        if ((head & 0xff) == PCI_CAP_ID_VENDOR)
            error = add_virtio_region(read, bdf, at, out);
        else if ((head & 0xff) == PCI_CAP_ID_MSIX)
            error = add_msix(read, bdf, at, out);
        if (error != 0)
            return error;
        at = head >> 8 & 0xfc;
    }
    if (out->regions[VIRTIO_PCI_CAP_COMMON].address == 0 ||
        out->regions[VIRTIO_PCI_CAP_NOTIFY].address == 0)
        return -ENODEV;
    return 0;
}
