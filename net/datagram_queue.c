/*
 * The queue behind a UDP port: a ring of slots, one writer and one reader, no lock. See
 * datagram_queue.h. head - tail is the number of filled slots; both wrap at 2^32.
 */
#include "net/datagram_queue.h"

#include <linux/errno.h>

#include "kernel/heap.h"

#define MAX_DEPTH 4096u

/* Makes an empty queue of at least depth slots. 0, -EINVAL when depth is 0 or over 4,096, -ENOMEM.
 */
int datagram_queue_init(struct datagram_queue *queue, unsigned depth)
{
    uint32_t size = 1;

    if (depth == 0 || depth > MAX_DEPTH)
        return -EINVAL;
    while (size < depth)
        size *= 2;
    *queue = (struct datagram_queue){.depth = size};
    queue->slots = kmalloc(size * sizeof(struct datagram));
    return queue->slots == NULL ? -ENOMEM : 0;
}

void datagram_queue_destroy(struct datagram_queue *queue)
{
    kfree(queue->slots);
    queue->slots = NULL;
}

/* The slot to fill next, or NULL when the queue is full. It is taken by commit; a second reserve
 * without one gives it again. Putting side. */
struct datagram *datagram_queue_reserve(struct datagram_queue *queue)
{
    uint32_t tail = __atomic_load_n(&queue->tail, __ATOMIC_ACQUIRE);

    if (queue->head - tail == queue->depth)
        return NULL;
    return &queue->slots[queue->head & (queue->depth - 1)];
}

/* Makes the reserved slot visible to the taking side. Putting side. */
void datagram_queue_commit(struct datagram_queue *queue)
{
    __atomic_store_n(&queue->head, queue->head + 1, __ATOMIC_RELEASE);
}

/* The oldest datagram, which stays until pop; NULL when there is none. Taking side. */
const struct datagram *datagram_queue_peek(const struct datagram_queue *queue)
{
    uint32_t head = __atomic_load_n(&queue->head, __ATOMIC_ACQUIRE);

    if (head == queue->tail)
        return NULL;
    return &queue->slots[queue->tail & (queue->depth - 1)];
}

/* Drops the datagram that peek gave. Taking side. */
void datagram_queue_pop(struct datagram_queue *queue)
{
    __atomic_store_n(&queue->tail, queue->tail + 1, __ATOMIC_RELEASE);
}
