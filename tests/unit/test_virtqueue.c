/*
 * The split virtqueue against a device made for the test (virtio 1.2, 2.7): it reads descriptors
 * and the available ring as a device would, answers in any order, and lies when it is told to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/virtio/virtqueue.h"
#include "tests/unit/leakcheck.h"

#define MAX_SIZE 64

/* ---- the device --------------------------------------------------------------------------- */

struct device {
    struct virtqueue *vq;
    uint16_t next_avail;
    uint16_t taken[MAX_SIZE]; /* heads that it holds, in the order taken */
    unsigned nr_taken;
};

static struct virtqueue vq;
static struct virtqueue_chain *chains;
static void *memory;
static struct device device;

static void make_queue(uint16_t size, bool event_idx)
{
    memory = aligned_alloc(16, (virtqueue_memory_size(size) + 15) & ~(size_t)15);
    chains = malloc(size * sizeof(*chains));
    memset(memory, 0xa5, virtqueue_memory_size(size));
    virtqueue_init(&vq, size, event_idx, memory, chains);
    device = (struct device){.vq = &vq};
}

static void free_queue(void)
{
    free(memory);
    free(chains);
    memory = chains = NULL;
    leakcheck();
}

/* Takes over everything in the available ring. */
static void device_poll(void)
{
    while (device.next_avail != vq.avail->idx) {
        uint16_t head = vq.avail->ring[device.next_avail % vq.size];

        cr_assert_lt(head, vq.size);
        cr_assert_lt(device.nr_taken, MAX_SIZE);
        device.taken[device.nr_taken++] = head;
        device.next_avail++;
    }
}

static void device_put_used(uint32_t id, uint32_t len)
{
    vq.used->ring[vq.used->idx % vq.size] = (struct virtq_used_elem){id, len};
    vq.used->idx++;
}

/* Completes the index-th held chain. */
static uint16_t device_complete(unsigned index, uint32_t len)
{
    uint16_t head = device.taken[index];

    device.taken[index] = device.taken[--device.nr_taken];
    device_put_used(head, len);
    return head;
}

static uint16_t *used_event_word(void)
{
    return &vq.avail->ring[vq.size];
}

static uint16_t *avail_event_word(void)
{
    return (uint16_t *)&vq.used->ring[vq.size];
}

/* ---- tests -------------------------------------------------------------------------------- */

TestSuite(virtqueue, .fini = free_queue);

Test(virtqueue, layout)
{
    uint16_t size;

    /* 2.7: descriptors 16, available 6 + 2 n, used 6 + 8 n, used ring aligned to 4. */
    for (size = 1; size <= MAX_SIZE; size = (uint16_t)(size * 2)) {
        make_queue(size, true);
        cr_expect_eq((uint8_t *)vq.avail - (uint8_t *)vq.desc, 16 * size);
        cr_expect_geq((uint8_t *)vq.used - (uint8_t *)vq.avail, 6 + 2 * size);
        cr_expect_eq((uintptr_t)vq.used % 4, 0);
        cr_expect_eq((uint8_t *)memory + virtqueue_memory_size(size) - (uint8_t *)vq.used,
                     6 + 8 * size);
        cr_expect_eq(vq.avail->idx, 0);
        cr_expect_eq(vq.used->idx, 0);
        free(memory);
        free(chains);
    }
    memory = chains = NULL;
}

Test(virtqueue, chain_as_the_device_sees_it)
{
    char a[10], b[20], c[30];
    struct virtq_buffer buffers[] = {{a, 10}, {b, 20}, {c, 30}};
    struct virtq_desc *desc;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, buffers, 1, 2, a), 0);
    device_poll();
    cr_assert_eq(device.nr_taken, 1);
    desc = &vq.desc[device.taken[0]];
    cr_expect_eq(desc->addr, (uintptr_t)a);
    cr_expect_eq(desc->len, 10);
    cr_expect_eq(desc->flags, VIRTQ_DESC_F_NEXT);
    desc = &vq.desc[desc->next];
    cr_expect_eq(desc->addr, (uintptr_t)b);
    cr_expect_eq(desc->flags, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE);
    desc = &vq.desc[desc->next];
    cr_expect_eq(desc->addr, (uintptr_t)c);
    cr_expect_eq(desc->len, 30);
    cr_expect_eq(desc->flags, VIRTQ_DESC_F_WRITE, "the last has no NEXT");
}

Test(virtqueue, full_ring)
{
    char bytes[MAX_SIZE];
    struct virtq_buffer one = {bytes, 1}, many[MAX_SIZE];
    uint32_t len;
    unsigned i;

    make_queue(16, false);
    for (i = 0; i < 16; i++)
        cr_assert_eq(virtqueue_add(&vq, &one, 1, 0, &bytes[i]), 0);
    cr_expect_eq(virtqueue_add(&vq, &one, 1, 0, bytes), -ENOSPC);
    device_poll();
    device_complete(3, 0);
    cr_expect_eq(virtqueue_take(&vq, &len), &bytes[3]);
    for (i = 0; i < 17; i++)
        many[i] = one;
    cr_expect_eq(virtqueue_add(&vq, many, 2, 0, bytes), -ENOSPC, "one descriptor is free");
    cr_expect_eq(virtqueue_add(&vq, many, 17, 0, bytes), -EINVAL, "never fits");
    cr_expect_eq(virtqueue_add(&vq, many, 0, 0, bytes), -EINVAL, "a chain has a buffer");
    cr_expect_eq(virtqueue_add(&vq, many, 1, 0, bytes), 0);
}

/* Random adds, takes and completions, past several wraps of the 16-bit index, against a model. */
static void random_walk(uint16_t size, bool event_idx, unsigned steps)
{
    static char tokens[MAX_SIZE];
    static char data[MAX_SIZE][64];
    uint32_t expected_len[MAX_SIZE];
    void *expected[MAX_SIZE]; /* completed, in the order the driver must see them */
    unsigned nr_expected = 0, in_use = 0, next_token = 0;
    bool token_used[MAX_SIZE] = {false};
    uint16_t start = 65536 - 100; /* the index wraps early in the walk */
    unsigned i;

    make_queue(size, event_idx);
    vq.avail_idx = vq.kicked_idx = vq.last_used = start;
    vq.avail->idx = vq.used->idx = device.next_avail = start;
    for (i = 0; i < steps; i++) {
        struct virtq_buffer buffers[MAX_SIZE];
        unsigned j, count = 1 + (unsigned)rand() % 4, writable = (unsigned)rand() % (count + 1);
        uint32_t len = 0;
        void *token;
        int error;

        switch (rand() % 3) {
        case 0:
            while (token_used[next_token])
                next_token = (next_token + 1) % MAX_SIZE;
            for (j = 0; j < count; j++)
                buffers[j] = (struct virtq_buffer){data[next_token], 16};
            error = virtqueue_add(&vq, buffers, count - writable, writable, &tokens[next_token]);
            if (count > size) {
                cr_assert_eq(error, -EINVAL);
            } else if (in_use + count > size) {
                cr_assert_eq(error, -ENOSPC);
            } else {
                cr_assert_eq(error, 0);
                token_used[next_token] = true;
                in_use += count;
            }
            break;
        case 1:
            device_poll();
            if (device.nr_taken != 0) {
                unsigned pick = (unsigned)rand() % device.nr_taken;
                struct virtqueue_chain *chain = &chains[device.taken[pick]];

                expected[nr_expected] = chain->token;
                expected_len[nr_expected] =
                    chain->writable == 0 ? 0 : (uint32_t)rand() % (chain->writable + 1);
                device_complete(pick, expected_len[nr_expected]);
                nr_expected++;
            }
            break;
        default:
            token = virtqueue_take(&vq, &len);
            if (nr_expected == 0) {
                cr_assert_null(token);
                break;
            }
            cr_assert_eq(token, expected[0]);
            cr_assert_eq(len, expected_len[0]);
            token_used[(char *)token - tokens] = false;
            nr_expected--;
            memmove(expected, expected + 1, nr_expected * sizeof(expected[0]));
            memmove(expected_len, expected_len + 1, nr_expected * sizeof(expected_len[0]));
            in_use = (unsigned)(vq.size - vq.nr_free);
            break;
        }
    }
    cr_expect_eq(vq.bad_used, 0);
    cr_expect(!vq.broken);
    cr_expect_lt(vq.avail_idx, start, "the walk passed the index's wrap");
    free(memory);
    free(chains);
    memory = chains = NULL;
}

Test(virtqueue, random_walk)
{
    srand(1);
    random_walk(1, false, 20000);
    random_walk(2, true, 20000);
    random_walk(8, false, 20000);
    random_walk(64, true, 20000);
}

Test(virtqueue, descriptors_all_come_back)
{
    char byte;
    struct virtq_buffer buffers[] = {{&byte, 1}, {&byte, 1}, {&byte, 1}};
    bool seen[16] = {false};
    uint16_t at;
    uint32_t len;
    unsigned i;

    make_queue(16, false);
    for (i = 0; i < 100; i++) {
        cr_assert_eq(virtqueue_add(&vq, buffers, 2, 1, &byte), 0);
        cr_assert_eq(virtqueue_add(&vq, buffers, 1, 0, &byte), 0);
        device_poll();
        device_complete(i & 1, 0);
        device_complete(0, 0);
        cr_assert_not_null(virtqueue_take(&vq, &len));
        cr_assert_not_null(virtqueue_take(&vq, &len));
        cr_assert_eq(vq.nr_free, 16);
    }
    for (i = 0, at = vq.free_head; i < 16; i++, at = chains[at].next) {
        cr_assert_lt(at, 16);
        cr_assert(!seen[at], "each descriptor is free once");
        seen[at] = true;
    }
}

Test(virtqueue, impossible_used_index_stops_the_queue)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};
    uint32_t len;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &byte), 0);
    vq.used->idx = 2; /* one chain is in flight */
    cr_expect_null(virtqueue_take(&vq, &len));
    cr_expect(vq.broken);
    cr_expect_eq(vq.bad_used, 1);
    vq.used->idx = 1;
    cr_expect_null(virtqueue_take(&vq, &len), "it stays stopped");
    cr_expect_eq(virtqueue_add(&vq, &buffer, 0, 1, &byte), -EIO);
    cr_expect(!virtqueue_interrupt_on(&vq), "nothing to take, so the caller does not spin");
}

Test(virtqueue, used_index_that_runs_backwards_stops_the_queue)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};
    uint32_t len;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &byte), 0);
    vq.used->idx = 0xffff;
    cr_expect_null(virtqueue_take(&vq, &len));
    cr_expect(vq.broken);
}

Test(virtqueue, element_that_names_no_chain_is_refused)
{
    static const uint32_t bad[] = {8, 0xffff, 0x10000, 0xffffffff};
    char first, second;
    struct virtq_buffer buffer = {&first, 1};
    uint32_t len;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_queue(8, false);
        cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &first), 0);
        cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &second), 0);
        device_poll();
        device_put_used(bad[i], 1);
        device_complete(1, 1);
        cr_expect_eq(virtqueue_take(&vq, &len), &second, "the good one behind it is taken");
        cr_expect_eq(vq.bad_used, 1);
        cr_expect(!vq.broken);
        free(memory);
        free(chains);
    }
    memory = chains = NULL;
}

Test(virtqueue, chain_completed_twice_is_refused)
{
    char first, second;
    struct virtq_buffer buffer = {&first, 1};
    uint16_t head;
    uint32_t len;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &first), 0);
    cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &second), 0);
    device_poll();
    head = device_complete(0, 1);
    cr_expect_eq(virtqueue_take(&vq, &len), &first);
    device_put_used(head, 1);
    cr_expect_null(virtqueue_take(&vq, &len));
    cr_expect_eq(vq.bad_used, 1);
    cr_expect_eq(vq.nr_free, 7, "the free list did not grow");
}

Test(virtqueue, middle_of_a_chain_is_no_chain)
{
    char byte;
    struct virtq_buffer buffers[] = {{&byte, 1}, {&byte, 1}};
    uint32_t len;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, buffers, 1, 1, &byte), 0);
    device_poll();
    device_put_used(vq.desc[device.taken[0]].next, 1);
    cr_expect_null(virtqueue_take(&vq, &len));
    cr_expect_eq(vq.bad_used, 1);
}

Test(virtqueue, length_beyond_the_buffer_is_cut)
{
    char bytes[32];
    struct virtq_buffer buffers[] = {{bytes, 16}, {bytes + 16, 16}};
    uint32_t len;

    make_queue(8, false);
    cr_assert_eq(virtqueue_add(&vq, buffers, 1, 1, bytes), 0);
    device_poll();
    device_complete(0, 17); /* 16 are writable */
    cr_expect_eq(virtqueue_take(&vq, &len), bytes);
    cr_expect_eq(len, 16);
    cr_expect_eq(vq.bad_used, 1);
}

Test(virtqueue, kick_by_flags)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};

    make_queue(8, false);
    cr_expect(!virtqueue_kick_needed(&vq), "nothing was added");
    cr_assert_eq(virtqueue_add(&vq, &buffer, 1, 0, &byte), 0);
    cr_expect(virtqueue_kick_needed(&vq));
    cr_expect(!virtqueue_kick_needed(&vq), "the device was told");
    vq.used->flags = VIRTQ_USED_F_NO_NOTIFY;
    cr_assert_eq(virtqueue_add(&vq, &buffer, 1, 0, &byte), 0);
    cr_expect(!virtqueue_kick_needed(&vq));
}

Test(virtqueue, kick_by_event_index)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};
    unsigned i;

    make_queue(8, true);
    *avail_event_word() = 2; /* wants to hear of the third chain */
    for (i = 0; i < 5; i++) {
        cr_assert_eq(virtqueue_add(&vq, &buffer, 1, 0, &byte), 0);
        cr_expect_eq(virtqueue_kick_needed(&vq), i == 2, "chain %u", i);
    }
    *avail_event_word() = 6; /* inside the next batch */
    for (i = 0; i < 3; i++)
        cr_assert_eq(virtqueue_add(&vq, &buffer, 1, 0, &byte), 0);
    cr_expect(virtqueue_kick_needed(&vq), "a batch that passes the event");
}

Test(virtqueue, interrupts_by_flags)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};

    make_queue(8, false);
    cr_expect_eq(vq.avail->flags, 0, "on from the start");
    virtqueue_interrupt_off(&vq);
    cr_expect_eq(vq.avail->flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
    cr_expect(!virtqueue_interrupt_on(&vq));
    cr_expect_eq(vq.avail->flags, 0);
    cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &byte), 0);
    device_poll();
    device_complete(0, 1);
    cr_expect(virtqueue_interrupt_on(&vq), "came while they were off: no interrupt will follow");
}

/* Whether a device interrupts for the element that takes used->idx from old to old + 1. */
static bool device_interrupts(uint16_t old)
{
    return (uint16_t)(old + 1 - *used_event_word() - 1) < 1;
}

Test(virtqueue, interrupts_by_event_index)
{
    char byte;
    struct virtq_buffer buffer = {&byte, 1};
    uint32_t len;
    unsigned i;

    make_queue(8, true);
    for (i = 0; i < 3; i++) {
        cr_assert_eq(virtqueue_add(&vq, &buffer, 0, 1, &byte), 0);
        device_poll();
        device_complete(0, 1);
        cr_assert_not_null(virtqueue_take(&vq, &len));
    }
    cr_expect(!virtqueue_interrupt_on(&vq));
    cr_expect(device_interrupts(vq.used->idx), "the next element interrupts");
    virtqueue_interrupt_off(&vq);
    for (i = 0; i < 8; i++)
        cr_expect(!device_interrupts((uint16_t)(vq.used->idx + i)), "none of a ring's worth does");
}
