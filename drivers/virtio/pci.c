/*
 * The modern virtio PCI transport (virtio 1.2, 4.1): maps the structures that the capabilities
 * name, negotiates features, hands out MSI-X vectors and sets up queues. The order of
 * initialisation is 3.1.1; each step is one function that a driver calls in turn. Thread context,
 * at boot.
 */
#include "drivers/virtio/device.h"

#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/printk.h"

#define PCI_COMMAND            0x04
#define PCI_COMMAND_MEMORY     (1u << 1)
#define PCI_COMMAND_BUS_MASTER (1u << 2)
#define PCI_COMMAND_NO_INTX    (1u << 10)
#define PCI_MSIX_ENABLE        (1u << 31) /* of the dword that holds the control word */
#define PCI_MSIX_FUNCTION_MASK (1u << 30)
#define MSIX_ENTRY_WORDS       4
#define MSIX_ENTRY_MASKED      1u

/* struct virtio_pci_common_cfg (4.1.4.3). */
struct virtio_pci_common {
    uint32_t device_feature_select;
    uint32_t device_feature;
    uint32_t driver_feature_select;
    uint32_t driver_feature;
    uint16_t config_msix_vector;
    uint16_t num_queues;
    uint8_t device_status;
    uint8_t config_generation;
    uint16_t queue_select;
    uint16_t queue_size;
    uint16_t queue_msix_vector;
    uint16_t queue_enable;
    uint16_t queue_notify_off;
    /* 64-bit registers, which 4.1.3.1 lets a driver write only as two halves. */
    uint32_t queue_desc[2];
    uint32_t queue_driver[2];
    uint32_t queue_device[2];
};
_Static_assert(offsetof(struct virtio_pci_common, device_status) == 20, "virtio 1.2, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common, queue_select) == 22, "virtio 1.2, 4.1.4.3");
_Static_assert(sizeof(struct virtio_pci_common) == 56, "virtio 1.2, 4.1.4.3");

static volatile void *map_region(const struct virtio_pci_region *region)
{
    return region->address == 0 ? NULL : arch_map_mmio(region->address, region->length);
}

/* Maps everything that the capabilities point to, MSI-X table included. */
static int map_structures(struct virtio_device *dev, const struct virtio_pci_caps *caps)
{
    const struct virtio_pci_region *regions = caps->regions;

    if (regions[VIRTIO_PCI_CAP_COMMON].length < sizeof(struct virtio_pci_common))
        return -EINVAL;
    dev->common = map_region(&regions[VIRTIO_PCI_CAP_COMMON]);
    dev->notify = map_region(&regions[VIRTIO_PCI_CAP_NOTIFY]);
    dev->notify_length = regions[VIRTIO_PCI_CAP_NOTIFY].length;
    dev->notify_multiplier = caps->notify_multiplier;
    dev->config = map_region(&regions[VIRTIO_PCI_CAP_DEVICE]);
    dev->config_length = dev->config == NULL ? 0 : regions[VIRTIO_PCI_CAP_DEVICE].length;
    dev->msix_cap = caps->msix_cap;
    dev->msix_vectors = caps->msix_vectors;
    dev->msix_table = arch_map_mmio(caps->msix_table, caps->msix_vectors * 16u);
    if (dev->common == NULL || dev->notify == NULL || dev->msix_table == NULL)
        return -ENOMEM;
    return 0;
}

/* Status 0 resets; the device is done when it reads back 0 (4.1.4.3.2), which we await for 100 ms.
 */
static int reset(struct virtio_device *dev)
{
    uint64_t deadline = arch_time_ns() + 100 * 1000000ull;

    dev->common->device_status = 0;
    while (dev->common->device_status != 0) {
        if (arch_time_ns() > deadline)
            return -ETIMEDOUT;
    }
    dev->common->device_status = VIRTIO_STATUS_ACKNOWLEDGE;
    dev->common->device_status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
    return 0;
}

/* Opens the function at bdf: enables its memory and bus mastering, maps its structures, resets it
 * and says that a driver is there. name is borrowed for ever. 0, or a negative errno and the
 * reason was logged. */
int virtio_device_open(struct virtio_device *dev, uint16_t bdf, const char *name)
{
    struct virtio_pci_caps caps;
    uint32_t command;
    int error;

    *dev = (struct virtio_device){.bdf = bdf, .name = name};
    error = virtio_pci_find_caps(arch_pci_read32, bdf, &caps);
    if (error == -ENODEV) {
        pr_warn("%s: no virtio 1.x capabilities; a legacy device is not supported", name);
        return error;
    }
    if (error != 0) {
        pr_warn("%s: malformed PCI capability list", name);
        return error;
    }
    if (caps.msix_cap == 0) {
        pr_warn("%s: has no MSI-X, which is needed", name);
        return -ENODEV;
    }
    /* Writing the upper half as zero leaves the status bits, which are cleared by ones. */
    command = arch_pci_read32(bdf, PCI_COMMAND) & 0xffff;
    command |= PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER | PCI_COMMAND_NO_INTX;
    arch_pci_write32(bdf, PCI_COMMAND, command);
    error = map_structures(dev, &caps);
    if (error != 0) {
        pr_warn("%s: cannot map its registers (error %d)", name, error);
        return error;
    }
    arch_pci_write32(bdf, dev->msix_cap,
                     (arch_pci_read32(bdf, dev->msix_cap) | PCI_MSIX_ENABLE) &
                         ~PCI_MSIX_FUNCTION_MASK);
    error = reset(dev);
    if (error != 0)
        pr_warn("%s: does not come out of reset", name);
    return error;
}

/* Accepts all of required and what the device has of wanted (3.1.1, steps 4 to 6). -EOPNOTSUPP when
 * the device lacks a required bit or refuses the set. */
int virtio_device_negotiate(struct virtio_device *dev, uint64_t required, uint64_t wanted)
{
    uint64_t offered;

    required |= VIRTIO_F_VERSION_1;
    /* Behind an IOMMU that nobody programmed, addresses are still physical ones (6.1). */
    wanted |= VIRTIO_F_ACCESS_PLATFORM;
    dev->common->device_feature_select = 0;
    offered = dev->common->device_feature;
    dev->common->device_feature_select = 1;
    offered |= (uint64_t)dev->common->device_feature << 32;
    if ((offered & required) != required) {
        pr_warn("%s: lacks features %#llx", dev->name, (unsigned long long)(required & ~offered));
        return -EOPNOTSUPP;
    }
    dev->features = offered & (required | wanted);
    dev->common->driver_feature_select = 0;
    dev->common->driver_feature = (uint32_t)dev->features;
    dev->common->driver_feature_select = 1;
    dev->common->driver_feature = (uint32_t)(dev->features >> 32);
    dev->common->device_status |= VIRTIO_STATUS_FEATURES_OK;
    if (!(dev->common->device_status & VIRTIO_STATUS_FEATURES_OK)) {
        pr_warn("%s: refuses features %#llx", dev->name, (unsigned long long)dev->features);
        return -EOPNOTSUPP;
    }
    return 0;
}

/* Routes an MSI-X entry of the device to handler, which runs in interrupt context. The entry's
 * number, to be given to a queue; or -ENOSPC. */
int virtio_device_interrupt(struct virtio_device *dev, arch_irq_handler handler, void *arg)
{
    volatile uint32_t *words;
    uint64_t address = arch_msi_address();
    int vector;

    if (dev->msix_used >= dev->msix_vectors)
        return -ENOSPC;
    vector = arch_irq_register(handler, arg, dev->name);
    if (vector < 0)
        return vector;
    words = dev->msix_table + dev->msix_used * MSIX_ENTRY_WORDS;
    words[3] = MSIX_ENTRY_MASKED;
    words[0] = (uint32_t)address;
    words[1] = (uint32_t)(address >> 32);
    words[2] = arch_msi_data(vector);
    words[3] = 0;
    return dev->msix_used++;
}

/* Gives MSI-X entry `entry` to configuration changes. -EIO when the device cannot take it. */
int virtio_device_config_interrupt(struct virtio_device *dev, int entry)
{
    dev->common->config_msix_vector = (uint16_t)entry;
    return dev->common->config_msix_vector == (uint16_t)entry ? 0 : -EIO;
}

/* The largest power of two that is at most n (not 0). */
static uint16_t floor_power_of_two(uint16_t n)
{
    uint16_t power = 1;

    while (power <= n / 2)
        power = (uint16_t)(power * 2);
    return power;
}

static void write_address(volatile uint32_t reg[2], const volatile void *address)
{
    reg[0] = (uint32_t)(uintptr_t)address;
    reg[1] = (uint32_t)((uintptr_t)address >> 32);
}

/*
 * Sets up queue `index` with at most max_size entries (a power of two) and enables it (4.1.5.1.3).
 * entry is an MSI-X entry or VIRTIO_MSI_NO_VECTOR. The memory is allocated and lives for ever. 0,
 * -ENOENT when the device has no such queue, -EINVAL, -EIO, -ENOMEM.
 */
int virtio_device_add_queue(struct virtio_device *dev, uint16_t index, uint16_t max_size, int entry,
                            struct virtio_queue *queue)
{
    volatile struct virtio_pci_common *common = dev->common;
    struct virtqueue_chain *chains;
    uint64_t doorbell;
    uint16_t size;
    void *memory;

    common->queue_select = index;
    size = common->queue_size;
    if (index >= common->num_queues || size == 0)
        return -ENOENT;
    size = floor_power_of_two(size < max_size ? size : max_size);
    doorbell = (uint64_t)common->queue_notify_off * dev->notify_multiplier;
    if (doorbell + sizeof(uint16_t) > dev->notify_length)
        return -EINVAL;
    common->queue_size = size;
    common->queue_msix_vector = (uint16_t)entry;
    if (common->queue_msix_vector != (uint16_t)entry)
        return -EIO;
    memory = page_alloc(page_order(virtqueue_memory_size(size)));
    chains = kmalloc(size * sizeof(*chains));
    if (memory == NULL || chains == NULL) {
        kfree(chains);
        if (memory != NULL)
            page_free(memory, page_order(virtqueue_memory_size(size)));
        return -ENOMEM;
    }
    virtqueue_init(&queue->ring, size, dev->features & VIRTIO_F_EVENT_IDX, memory, chains);
    queue->index = index;
    queue->doorbell = (volatile uint16_t *)(dev->notify + doorbell);
    write_address(common->queue_desc, queue->ring.desc);
    write_address(common->queue_driver, queue->ring.avail);
    write_address(common->queue_device, queue->ring.used);
    common->queue_enable = 1;
    return 0;
}

/* The device may use its queues from here on. */
void virtio_device_ready(struct virtio_device *dev)
{
    dev->common->device_status |= VIRTIO_STATUS_DRIVER_OK;
}

/* Tells the device that we gave up on it; it touches no memory of ours any more after the reset. */
void virtio_device_fail(struct virtio_device *dev)
{
    dev->common->device_status = 0;
    dev->common->device_status = VIRTIO_STATUS_FAILED;
}

/* Copies len bytes of the device's configuration, all of one generation (2.5.3). Bytes that the
 * device does not have read as zero. */
void virtio_device_read_config(struct virtio_device *dev, uint32_t offset, void *buf, size_t len)
{
    uint8_t *bytes = buf, generation;
    unsigned tries = 0;
    size_t i;

    do {
        generation = dev->common->config_generation;
        for (i = 0; i < len; i++)
            bytes[i] = offset + i < dev->config_length ? dev->config[offset + i] : 0;
    } while (generation != dev->common->config_generation && ++tries < 16);
}

/* Tells the device of added chains when it wants to know. */
void virtio_queue_kick(struct virtio_queue *queue)
{
    if (virtqueue_kick_needed(&queue->ring))
        *queue->doorbell = queue->index;
}
