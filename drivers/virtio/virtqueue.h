/*
 * A split virtqueue (virtio 1.2, 2.7): the driver's side of one ring, pure over memory. It knows no
 * device and no interrupt; pci.c tells the device where it lies, net.c fills and empties it. The
 * device is not trusted: what it writes is checked before use, and an impossible used index
 * stops the queue. One context at a time, except where a function says otherwise.
 */
#ifndef SKEP_VIRTIO_VIRTQUEUE_H
#define SKEP_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTQUEUE_MAX_SIZE 1024u

/* Descriptor flags (2.7.5). */
#define VIRTQ_DESC_F_NEXT  1u
#define VIRTQ_DESC_F_WRITE 2u /* the device writes into it */
/* Ring flags (2.7.6, 2.7.8): a hint not to interrupt, not to notify. */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_USED_F_NO_NOTIFY     1u

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "virtio 1.2, 2.7.5");

struct virtq_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[]; /* size entries, then used_event */
};
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "virtio 1.2, 2.7.6");

struct virtq_used_elem {
    uint32_t id;
    uint32_t len;
};
_Static_assert(sizeof(struct virtq_used_elem) == 8, "virtio 1.2, 2.7.8");

struct virtq_used {
    uint16_t flags;
    uint16_t idx;
    struct virtq_used_elem ring[]; /* size entries, then avail_event */
};
_Static_assert(offsetof(struct virtq_used, ring) == 4, "virtio 1.2, 2.7.8");

/* One piece of memory lent to the device. */
struct virtq_buffer {
    void *data;
    uint32_t len;
};

/* What the driver remembers of a chain, by its first descriptor; never read back from the ring. */
struct virtqueue_chain {
    void *token;       /* NULL when the descriptor heads no chain in flight */
    uint32_t writable; /* bytes that the device may write */
    uint16_t count;    /* descriptors */
    uint16_t next;     /* of this descriptor: in its chain, or in the free list */
};

struct virtqueue {
    uint16_t size; /* power of two */
    uint16_t free_head, nr_free;
    uint16_t avail_idx;  /* the next to publish */
    uint16_t kicked_idx; /* avail_idx at the last virtqueue_kick_needed */
    uint16_t last_used;  /* the next to take */
    uint16_t nr_chains;  /* in flight */
    bool event_idx;      /* VIRTIO_F_EVENT_IDX was negotiated */
    bool broken;         /* the used index was impossible: nothing is taken any more */
    uint64_t bad_used;   /* used elements refused */
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    struct virtqueue_chain *chains; /* size entries */
};

size_t virtqueue_memory_size(uint16_t size);
void virtqueue_init(struct virtqueue *vq, uint16_t size, bool event_idx, void *memory,
                    struct virtqueue_chain *chains);
int virtqueue_add(struct virtqueue *vq, const struct virtq_buffer *buffers, unsigned nr_readable,
                  unsigned nr_writable, void *token);
void *virtqueue_take(struct virtqueue *vq, uint32_t *len);
bool virtqueue_kick_needed(struct virtqueue *vq);
void virtqueue_interrupt_off(struct virtqueue *vq);
bool virtqueue_interrupt_on(struct virtqueue *vq);

#endif
