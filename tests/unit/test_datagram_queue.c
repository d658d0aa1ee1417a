/*
 * The bounded queue behind a UDP port: order, bounds, wrap-around of its counters, and the two
 * sides on two threads.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/heap.h"
#include "net/datagram_queue.h"
#include "tests/unit/leakcheck.h"

/* The C library's heap, so that the leak check sees every block. */
void *kmalloc(size_t size)
{
    return malloc(size);
}

void kfree(void *block)
{
    free(block);
}

static struct datagram_queue queue;

static void tear_down(void)
{
    datagram_queue_destroy(&queue);
    leakcheck();
}

static bool put(uint32_t value)
{
    struct datagram *slot = datagram_queue_reserve(&queue);

    if (slot == NULL)
        return false;
    slot->length = sizeof(value);
    memcpy(slot->data, &value, sizeof(value));
    datagram_queue_commit(&queue);
    return true;
}

static bool take(uint32_t *value)
{
    const struct datagram *slot = datagram_queue_peek(&queue);

    if (slot == NULL)
        return false;
    cr_assert_eq(slot->length, sizeof(*value));
    memcpy(value, slot->data, sizeof(*value));
    datagram_queue_pop(&queue);
    return true;
}

TestSuite(datagram_queue, .fini = tear_down);

Test(datagram_queue, depth_is_rounded_up_and_bounded)
{
    cr_expect_eq(datagram_queue_init(&queue, 0), -EINVAL);
    cr_expect_eq(datagram_queue_init(&queue, 4097), -EINVAL);
    cr_assert_eq(datagram_queue_init(&queue, 5), 0);
    cr_expect_eq(queue.depth, 8);
}

Test(datagram_queue, first_in_first_out_until_full)
{
    uint32_t i, value;

    cr_assert_eq(datagram_queue_init(&queue, 4), 0);
    cr_expect(!take(&value), "empty");
    for (i = 0; i < 4; i++)
        cr_assert(put(i));
    cr_expect(!put(4), "full");
    for (i = 0; i < 4; i++) {
        cr_assert(take(&value));
        cr_expect_eq(value, i);
    }
    cr_expect(!take(&value));
}

Test(datagram_queue, reserve_without_commit_shows_nothing)
{
    uint32_t value;

    cr_assert_eq(datagram_queue_init(&queue, 2), 0);
    cr_expect_eq(datagram_queue_reserve(&queue), datagram_queue_reserve(&queue));
    cr_expect(!take(&value));
}

Test(datagram_queue, counters_wrap)
{
    uint32_t i, value;

    cr_assert_eq(datagram_queue_init(&queue, 4), 0);
    queue.head = queue.tail = UINT32_MAX - 5;
    for (i = 0; i < 40; i++) {
        cr_assert(put(2 * i));
        cr_assert(put(2 * i + 1));
        cr_assert(take(&value));
        cr_expect_eq(value, 2 * i);
        cr_assert(take(&value));
        cr_expect_eq(value, 2 * i + 1);
    }
    cr_expect_lt(queue.head, 100, "the counters wrapped");
}

#define MANY 200000u

static void *putter(void *arg)
{
    uint32_t i;

    for (i = 0; i < MANY; i++) {
        while (!put(i))
            sched_yield();
    }
    return arg;
}

Test(datagram_queue, two_threads)
{
    pthread_t thread;
    uint32_t i, value;

    cr_assert_eq(datagram_queue_init(&queue, 16), 0);
    cr_assert_eq(pthread_create(&thread, NULL, putter, NULL), 0);
    for (i = 0; i < MANY; i++) {
        while (!take(&value))
            sched_yield();
        cr_assert_eq(value, i);
    }
    pthread_join(thread, NULL);
}
