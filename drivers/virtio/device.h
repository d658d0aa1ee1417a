/*
 * A virtio device on PCI, as its driver sees it: the modern transport (virtio 1.2, 3.1 and 4.1).
 * Filled in by pci.c; used by the drivers of this folder.
 */
#ifndef SKEP_VIRTIO_DEVICE_H
#define SKEP_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64/arch.h"
#include "drivers/virtio/pci_caps.h"
#include "drivers/virtio/virtqueue.h"

#define VIRTIO_F_EVENT_IDX       (1ull << 29)
#define VIRTIO_F_VERSION_1       (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)

/* Device status (2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_FAILED      128u

#define VIRTIO_MSI_NO_VECTOR 0xffffu

struct virtio_pci_common;

struct virtio_device {
    uint16_t bdf;
    const char *name;  /* "virtio-net 00:03.0", for messages */
    uint64_t features; /* negotiated */
    volatile struct virtio_pci_common *common;
    volatile uint8_t *notify;
    uint32_t notify_length;
    uint32_t notify_multiplier;
    volatile uint8_t *config; /* NULL when the device has none */
    uint32_t config_length;
    volatile uint32_t *msix_table;
    uint16_t msix_vectors;
    uint16_t msix_used; /* entries handed out */
    uint8_t msix_cap;
};

/* One queue of a device, set up. */
struct virtio_queue {
    struct virtqueue ring;
    uint16_t index;
    volatile uint16_t *doorbell;
};

int virtio_device_open(struct virtio_device *dev, uint16_t bdf, const char *name);
int virtio_device_negotiate(struct virtio_device *dev, uint64_t required, uint64_t wanted);
int virtio_device_interrupt(struct virtio_device *dev, arch_irq_handler handler, void *arg);
int virtio_device_config_interrupt(struct virtio_device *dev, int entry);
int virtio_device_add_queue(struct virtio_device *dev, uint16_t index, uint16_t max_size, int entry,
                            struct virtio_queue *queue);
void virtio_device_ready(struct virtio_device *dev);
void virtio_device_fail(struct virtio_device *dev);
void virtio_device_read_config(struct virtio_device *dev, uint32_t offset, void *buf, size_t len);
void virtio_queue_kick(struct virtio_queue *queue);

/* The drivers: each takes an opened device. 0, or a negative errno and what failed was logged. */
int virtio_net_probe(const struct virtio_device *dev);
int virtio_rng_probe(const struct virtio_device *dev);

#endif
