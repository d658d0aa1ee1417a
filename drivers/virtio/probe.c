/*
 * Finds virtio devices on PCI and starts their drivers. Buses behind bridges are followed in the
 * order the firmware numbered them.
 */
#include "drivers/virtio/virtio.h"

#include "drivers/virtio/device.h"
#include "kernel/heap.h"
#include "kernel/printk.h"

#define PCI_VENDOR_VIRTIO    0x1af4u
#define PCI_HEADER_TYPE      0x0c /* byte 2 of this dword */
#define PCI_BUS_NUMBERS      0x18
#define PCI_CLASS            0x08
#define PCI_CLASS_PCI_BRIDGE 0x0604u
#define VIRTIO_MODERN_BASE   0x1040u /* plus the device type (virtio 1.2, 4.1.2) */

/* A driver by virtio device type (5) and by its transitional PCI device id (4.1.2.1). */
static const struct virtio_driver {
    uint16_t type;
    uint16_t transitional_id;
    const char *name;
    int (*probe)(const struct virtio_device *dev);
} drivers[] = {
    {1, 0x1000, "virtio-net", virtio_net_probe},
    {4, 0x1005, "virtio-rng", virtio_rng_probe},
};

static const struct virtio_driver *find_driver(uint16_t device_id)
{
    size_t i;

    for (i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (device_id == VIRTIO_MODERN_BASE + drivers[i].type ||
            device_id == drivers[i].transitional_id)
            return &drivers[i];
    }
    return NULL;
}

static void start_device(uint16_t bdf, uint16_t device_id)
{
    const struct virtio_driver *driver = find_driver(device_id);
    unsigned bus = bdf >> 8, slot = bdf >> 3 & 31, function = bdf & 7;
    struct virtio_device dev;
    char *name;

    if (driver == NULL) {
        pr_info("virtio: device %02x:%02x.%x (id %#x) has no driver here", bus, slot, function,
                device_id);
        return;
    }
    name = kmalloc(32); /* kept by the device for its messages */
    if (name == NULL)
        return;
    format_text(name, 32, "%s %02x:%02x.%x", driver->name, bus, slot, function);
    if (virtio_device_open(&dev, bdf, name) != 0)
        return;
    if (driver->probe(&dev) != 0)
        virtio_device_fail(&dev);
}

static void scan_bus(unsigned bus)
{
    unsigned devfn, secondary;

    for (devfn = 0; devfn < 256; devfn++) {
        uint16_t bdf = (uint16_t)(bus << 8 | devfn);
        uint32_t id = arch_pci_read32(bdf, 0);

        if ((id & 0xffff) == 0xffff) {
            if ((devfn & 7) == 0)
                devfn |= 7; /* no function 0: no device */
            continue;
        }
        if ((id & 0xffff) == PCI_VENDOR_VIRTIO)
            start_device(bdf, (uint16_t)(id >> 16));
        if (arch_pci_read32(bdf, PCI_CLASS) >> 16 == PCI_CLASS_PCI_BRIDGE) {
            secondary = arch_pci_read32(bdf, PCI_BUS_NUMBERS) >> 8 & 0xff;
            if (secondary > bus)
                scan_bus(secondary);
        }
        if ((devfn & 7) == 0 && !(arch_pci_read32(bdf, PCI_HEADER_TYPE) & 0x800000))
            devfn |= 7; /* a single function */
    }
}

void virtio_init(void)
{
    scan_bus(0);
}
