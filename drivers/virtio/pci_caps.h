/*
 * Where a PCI function keeps its virtio structures and its MSI-X table, as its capability list
 * says (virtio 1.2, 4.1.4; PCI 3.0, 6.7 and 6.8.2). Reads configuration space through a function,
 * so that it is tested on the host; maps nothing.
 */
#ifndef SKEP_VIRTIO_PCI_CAPS_H
#define SKEP_VIRTIO_PCI_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t (*pci_config_read_fn)(uint16_t bdf, uint8_t offset);

/* cfg_type of a virtio capability (4.1.4). */
enum virtio_pci_region_type {
    VIRTIO_PCI_CAP_COMMON = 1,
    VIRTIO_PCI_CAP_NOTIFY = 2,
    VIRTIO_PCI_CAP_ISR = 3,
    VIRTIO_PCI_CAP_DEVICE = 4,
    VIRTIO_PCI_NR_REGIONS = 5,
};

/* A piece of a BAR. */
struct virtio_pci_region {
    uint64_t address; /* physical; 0 when the capability is absent */
    uint32_t length;
};

struct virtio_pci_caps {
    struct virtio_pci_region regions[VIRTIO_PCI_NR_REGIONS]; /* by cfg_type; 0 is unused */
    uint32_t notify_multiplier;
    uint8_t msix_cap; /* offset of the MSI-X capability; 0 when absent */
    uint16_t msix_vectors;
    uint64_t msix_table; /* physical */
};

/*
 * Fills in *out from the function at bdf. 0; -ENODEV when the common or notify structure is
 * missing, which is how a legacy-only device shows; -EINVAL when the list is malformed (a loop,
 * a BAR that is no memory or that the firmware gave no address).
 */
int virtio_pci_find_caps(pci_config_read_fn read, uint16_t bdf, struct virtio_pci_caps *out);

#endif
