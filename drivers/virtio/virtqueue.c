/*
 * The split virtqueue (virtio 1.2, 2.7). See virtqueue.h.
 *
 * Layout of the memory: descriptor table, available ring, used ring, each at its alignment
 * (2.7: 16, 2 and 4), with the two event words at the rings' ends. The order of memory accesses
 * follows 2.7.13 and 2.7.14; the fences keep it on any CPU.
 */
#include "drivers/virtio/virtqueue.h"

#include <linux/errno.h>

static size_t avail_offset(uint16_t size)
{
    return sizeof(struct virtq_desc) * size;
}

static size_t used_offset(uint16_t size)
{
    size_t end = avail_offset(size) + sizeof(struct virtq_avail) + sizeof(uint16_t) * (size + 1u);

    return (end + 3) & ~(size_t)3;
}

/* Bytes that the three parts take together. Place them at a multiple of 16. */
size_t virtqueue_memory_size(uint16_t size)
{
    return used_offset(size) + sizeof(struct virtq_used) + sizeof(struct virtq_used_elem) * size +
           sizeof(uint16_t);
}

/* used_event: the device interrupts when it has used the element of this index (2.7.7). */
static uint16_t *used_event(struct virtqueue *vq)
{
    return &vq->avail->ring[vq->size];
}

/* avail_event: the device asks for a notification at this index (2.7.10). */
static const uint16_t *avail_event(const struct virtqueue *vq)
{
    return (const uint16_t *)&vq->used->ring[vq->size];
}

/*
 * Makes an empty queue of size entries (a power of two, at most VIRTQUEUE_MAX_SIZE) in memory,
 * which it zeroes, and chains, an array of size entries. Both are borrowed for the queue's life.
 * Interrupts are on.
 */
void virtqueue_init(struct virtqueue *vq, uint16_t size, bool event_idx, void *memory,
                    struct virtqueue_chain *chains)
{
    uint8_t *bytes = memory;
    size_t i;

    for (i = 0; i < virtqueue_memory_size(size); i++)
        bytes[i] = 0;
    for (i = 0; i < size; i++)
        chains[i] = (struct virtqueue_chain){.next = (uint16_t)(i + 1)};
    *vq = (struct virtqueue){
        .size = size,
        .nr_free = size,
        .event_idx = event_idx,
        .desc = memory,
        .avail = (struct virtq_avail *)(bytes + avail_offset(size)),
        .used = (struct virtq_used *)(bytes + used_offset(size)),
        .chains = chains,
    };
}

/*
 * Publishes one chain (2.7.13): nr_readable buffers that the device reads, then nr_writable that it
 * writes. The buffers belong to the device until virtqueue_take gives token (not NULL) back. The
 * caller asks virtqueue_kick_needed afterwards. 0, -ENOSPC when descriptors are short, -EINVAL for
 * no buffers, -EIO when the queue is broken.
 */
int virtqueue_add(struct virtqueue *vq, const struct virtq_buffer *buffers, unsigned nr_readable,
                  unsigned nr_writable, void *token)
{
    unsigned count = nr_readable + nr_writable;
    uint16_t head = vq->free_head, at = head;
    uint32_t writable = 0;
    unsigned i;

    if (vq->broken)
        return -EIO;
    if (count == 0 || count > vq->size || token == NULL)
        return -EINVAL;
    if (count > vq->nr_free)
        return -ENOSPC;
    for (i = 0; i < count; i++) {
        uint16_t flags = i + 1 < count ? VIRTQ_DESC_F_NEXT : 0;

        if (i >= nr_readable) {
            flags |= VIRTQ_DESC_F_WRITE;
            writable += buffers[i].len;
        }
        vq->desc[at] = (struct virtq_desc){
            .addr = (uintptr_t)buffers[i].data,
            .len = buffers[i].len,
            .flags = flags,
            .next = i + 1 < count ? vq->chains[at].next : 0,
        };
        at = vq->chains[at].next;
    }
    vq->chains[head].token = token;
    vq->chains[head].writable = writable;
    vq->chains[head].count = (uint16_t)count;
    vq->free_head = at;
    vq->nr_free = (uint16_t)(vq->nr_free - count);
    vq->nr_chains++;
    vq->avail->ring[vq->avail_idx & (vq->size - 1u)] = head;
    vq->avail_idx++;
    __atomic_store_n(&vq->avail->idx, vq->avail_idx, __ATOMIC_RELEASE);
    return 0;
}

/* Puts the chain at head back in front of the free list. */
static void release_chain(struct virtqueue *vq, uint16_t head)
{
    struct virtqueue_chain *chain = &vq->chains[head];
    uint16_t last = head;
    unsigned i;

    for (i = 1; i < chain->count; i++)
        last = vq->chains[last].next;
    vq->chains[last].next = vq->free_head;
    vq->free_head = head;
    vq->nr_free = (uint16_t)(vq->nr_free + chain->count);
    vq->nr_chains--;
    chain->token = NULL;
}

/*
 * Takes the next chain that the device is done with (2.7.14): its token, and in *len how many bytes
 * the device says it wrote, never more than it was allowed to. NULL when there is none. An element
 * that names no chain in flight is skipped and counted in bad_used; a used index that is ahead of
 * all chains in flight sets broken.
 */
void *virtqueue_take(struct virtqueue *vq, uint32_t *len)
{
    for (;;) {
        uint16_t ready;
        struct virtq_used_elem elem;
        void *token;

        if (vq->broken)
            return NULL;
        ready = (uint16_t)(__atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE) - vq->last_used);
        if (ready == 0)
            return NULL;
        if (ready > vq->nr_chains) {
            vq->broken = true;
            vq->bad_used++;
            return NULL;
        }
        elem = vq->used->ring[vq->last_used & (vq->size - 1u)];
        vq->last_used++;
        if (elem.id >= vq->size || vq->chains[elem.id].token == NULL) {
            vq->bad_used++;
            continue;
        }
        token = vq->chains[elem.id].token;
        *len = elem.len;
        if (elem.len > vq->chains[elem.id].writable) {
            vq->bad_used++;
            *len = vq->chains[elem.id].writable;
        }
        release_chain(vq, (uint16_t)elem.id);
        return token;
    }
}

/* True when idx lies in the last `new - old` indices before new (2.7.7.1). */
static bool event_passed(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
    return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

/* True when the device wants to be told of the chains added since the last call (2.7.13.4). */
bool virtqueue_kick_needed(struct virtqueue *vq)
{
    uint16_t old_idx = vq->kicked_idx;

    if (old_idx == vq->avail_idx)
        return false;
    vq->kicked_idx = vq->avail_idx;
    /* The index must be visible before the device's wish is read, or both sides may sleep. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (vq->event_idx)
        return event_passed(__atomic_load_n(avail_event(vq), __ATOMIC_RELAXED), vq->avail_idx,
                            old_idx);
    return !(__atomic_load_n(&vq->used->flags, __ATOMIC_RELAXED) & VIRTQ_USED_F_NO_NOTIFY);
}

/*
 * Asks the device not to interrupt; it may still do so. With event indices: asks for the element
 * just behind, which comes only after the ring's index has wrapped. Any context.
 */
void virtqueue_interrupt_off(struct virtqueue *vq)
{
    if (vq->event_idx)
        __atomic_store_n(used_event(vq), (uint16_t)(vq->last_used - 1), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&vq->avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

/* Asks for an interrupt at the next used element. True when one is there already, for which no
 * interrupt may come: the caller goes on taking. */
bool virtqueue_interrupt_on(struct virtqueue *vq)
{
    if (vq->event_idx)
        __atomic_store_n(used_event(vq), vq->last_used, __ATOMIC_RELAXED);
    else
        __atomic_store_n(&vq->avail->flags, 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !vq->broken && __atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE) != vq->last_used;
}
