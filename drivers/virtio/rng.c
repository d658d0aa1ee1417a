/*
 * virtio-rng (virtio 1.2, 5.4): a device that fills buffers with random bytes. It is asked once, at
 * boot, for a seed of kernel/random.c; nothing waits for it later, so it has no interrupt.
 */
#include "drivers/virtio/device.h"

#include <linux/errno.h>

#include "kernel/page.h"
#include "kernel/printk.h"
#include "kernel/random.h"
#include "kernel/string.h"

#define VIRTIO_RNG_QUEUE     0
#define VIRTIO_RNG_RING_SIZE 1u
/* The host may be short of randomness itself; the boot does not wait for long. */
#define WAIT_NS (500 * 1000000ull)

/* Has the device write into buffer, which is identity mapped. Bytes that it wrote, at least 1, or
 * -ETIMEDOUT. */
static int request(struct virtio_queue *queue, uint8_t *buffer, uint32_t size, uint64_t deadline)
{
    struct virtq_buffer piece = {buffer, size};
    uint32_t len;
    int error = virtqueue_add(&queue->ring, &piece, 0, 1, buffer);

    if (error != 0)
        return error;
    virtio_queue_kick(queue);
    while (virtqueue_take(&queue->ring, &len) == NULL) {
        if (queue->ring.broken)
            return -EIO;
        if (arch_time_ns() > deadline)
            return -ETIMEDOUT;
    }
    return len == 0 || len > size ? -EIO : (int)len;
}

/* A device may give less than it was asked for (5.4.6.1). */
static int read_seed(struct virtio_queue *queue, uint8_t seed[RANDOM_SEED_SIZE], uint8_t *buffer)
{
    uint64_t deadline = arch_time_ns() + WAIT_NS;

    for (uint32_t have = 0; have < RANDOM_SEED_SIZE;) {
        int got = request(queue, buffer, RANDOM_SEED_SIZE - have, deadline);

        if (got < 0)
            return got;
        memcpy(seed + have, buffer, (size_t)got);
        have += (uint32_t)got;
    }
    return 0;
}

/* Seeds the random numbers from an opened device. On failure the buffer is left to the device,
 * which may still write into it until the caller resets it. Boot, main thread. */
int virtio_rng_probe(const struct virtio_device *opened)
{
    struct virtio_device dev = *opened;
    struct virtio_queue queue;
    uint8_t seed[RANDOM_SEED_SIZE];
    uint8_t *buffer = page_alloc(0);
    int error = buffer == NULL ? -ENOMEM : virtio_device_negotiate(&dev, 0, 0);

    if (error == 0)
        error = virtio_device_add_queue(&dev, VIRTIO_RNG_QUEUE, VIRTIO_RNG_RING_SIZE,
                                        VIRTIO_MSI_NO_VECTOR, &queue);
    if (error == 0) {
        virtio_device_ready(&dev);
        error = read_seed(&queue, seed, buffer);
    }
    if (error != 0) {
        pr_warn("%s: cannot be used (error %d)", dev.name, error);
        return error;
    }
    random_seed(seed);
    memset(seed, 0, sizeof(seed));
    memset(buffer, 0, RANDOM_SEED_SIZE);
    page_free(buffer, 0);
    pr_info("%s: gave %u random bytes", dev.name, RANDOM_SEED_SIZE);
    return 0;
}
