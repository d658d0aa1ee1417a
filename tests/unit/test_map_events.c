/*
 * Perf event arrays and stack traces: what programs put in through ebpf_perf_output and
 * ebpf_stack_id, what clients read, and Linux's rules at the edges.
 */
#include <errno.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

static struct ebpf_session *session;

static void set_up(void)
{
    cr_assert_eq(ebpf_init(64u << 20), 0);
    session = ebpf_session_create();
}

static void tear_down(void)
{
    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left");
    cr_assert_eq(ebpf_map_bytes(NULL), 0, "map memory is left");
    cr_assert_eq(host_port_blocks(), 0, "blocks are left");
    leakcheck();
}

TestSuite(map_events, .init = set_up, .fini = tear_down);

#define CALL(cmd, ...)                                                                             \
    ({                                                                                             \
        union bpf_attr attr_ = {__VA_ARGS__};                                                      \
        ebpf_sys(session, cmd, &attr_, sizeof(attr_));                                             \
    })

static int create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags)
{
    return (int)CALL(BPF_MAP_CREATE, .map_type = type, .key_size = key, .value_size = value,
                     .max_entries = entries, .map_flags = flags);
}

static uint64_t ptr(const void *p)
{
    return (uintptr_t)p;
}

static long lookup(int map, uint32_t key, void *value)
{
    return CALL(BPF_MAP_LOOKUP_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key),
                .value = ptr(value));
}

static long remove_key(int map, uint32_t key)
{
    return CALL(BPF_MAP_DELETE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key));
}

static long update(int map, uint32_t key, const void *value, uint64_t flags)
{
    return CALL(BPF_MAP_UPDATE_ELEM, .map_fd = (uint32_t)map, .key = ptr(&key), .value = ptr(value),
                .flags = flags);
}

/* ---- perf event arrays ------------------------------------------------------------------- */

#define CURRENT (uint32_t) BPF_F_CURRENT_CPU

static int perf_array(uint32_t entries)
{
    return create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, entries, 0);
}

static long output(int map, uint32_t index, const void *data, uint64_t size)
{
    return ebpf_perf_output(ebpf_session_map(session, map), index, data, size, NULL, 0);
}

Test(map_events, a_sample_is_a_perf_record_with_its_data_padded_to_8)
{
    int map = perf_array(4);
    uint8_t buf[256];
    uint64_t lost = 1;
    struct skep_perf_sample sample;

    for (uint32_t size = 0; size <= 17; size++) {
        cr_assert_eq(output(map, CURRENT, "abcdefghijklmnopq", size), 0);
        long n = ebpf_ringbuf_read(ebpf_session_map(session, map), buf, sizeof(buf), &lost);
        memcpy(&sample, buf, sizeof(sample));
        cr_assert_eq(n, (sizeof(sample) + size + 7) / 8 * 8);
        cr_assert_eq(sample.header.type, 9, "PERF_RECORD_SAMPLE");
        cr_assert_eq(sample.header.size, n);
        cr_assert_eq(sample.cpu, 0);
        cr_assert_gt(sample.time_ns, 0);
        cr_assert_eq(sample.size, n - (long)sizeof(sample), "the padding counts, as on Linux");
        cr_assert_eq(memcmp(buf + sizeof(sample), "abcdefghijklmnopq", size), 0);
        for (size_t i = sizeof(sample) + size; i < (size_t)n; i++)
            cr_assert_eq(buf[i], 0);
        cr_assert_eq(lost, 0);
    }
}

Test(map_events, a_sample_may_have_a_second_part)
{
    int map = perf_array(1);
    uint8_t buf[64];
    uint64_t lost;

    cr_assert_eq(ebpf_perf_output(ebpf_session_map(session, map), 0, "head", 4, "packet", 6), 0);
    cr_assert_eq(ebpf_ringbuf_read(ebpf_session_map(session, map), buf, sizeof(buf), &lost), 40);
    cr_assert_eq(memcmp(buf + 28, "headpacket\0\0", 12), 0);
}

Test(map_events, a_sample_goes_to_this_cpus_ring_or_to_none)
{
    int map = perf_array(2), small = perf_array(1);

    cr_expect_eq(output(map, 0, "x", 1), 0);
    cr_expect_eq(output(map, 1, "x", 1), -ENOENT, "no CPU has this index");
    cr_expect_eq(output(map, 2, "x", 1), -E2BIG, "beyond max_entries");
    cr_expect_eq(output(small, 1, "x", 1), -E2BIG);
    cr_expect_eq(output(map, 0, "x", 65536), -E2BIG, "no record holds so much");
    cr_expect_eq(output(map, 0, "x", UINT64_MAX), -E2BIG);
}

/* One record after the other in what a read gave; counts samples, and what records say is lost. */
static void count_records(const uint8_t *buf, long n, uint64_t *samples, uint64_t *lost)
{
    while (n > 0) {
        struct skep_perf_header header;
        struct skep_perf_lost record;

        memcpy(&header, buf, sizeof(header));
        cr_assert(header.size >= 8 && header.size <= n);
        if (header.type == SKEP_PERF_LOST) {
            memcpy(&record, buf, sizeof(record));
            *lost += record.lost;
        } else {
            ++*samples;
        }
        buf += header.size;
        n -= header.size;
    }
}

Test(map_events, a_full_ring_drops_samples_and_says_how_many_before_the_next)
{
    static uint8_t buf[60000], data[1000];
    int map = perf_array(1);
    struct ebpf_map *impl = ebpf_session_map(session, map);
    uint64_t good = 0, bad = 0, samples = 0, said = 0, total = 0;

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++) {
            long err = output(map, 0, data, (uint64_t)(round * 7 + i * 13) % sizeof(data));

            cr_assert(err == 0 || err == -ENOSPC);
            good += err == 0;
            bad += err != 0;
        }
        for (int i = 0; i < 1 + round % 3; i++)
            count_records(buf, ebpf_ringbuf_read(impl, buf, sizeof(buf), &total), &samples, &said);
    }
    for (long n; (n = ebpf_ringbuf_read(impl, buf, sizeof(buf), &total)) > 0;)
        count_records(buf, n, &samples, &said);
    cr_assert_gt(bad, 0);
    cr_expect_eq(samples, good);
    cr_expect_eq(total, bad);
    cr_assert_eq(output(map, 0, data, 8), 0);
    count_records(buf, ebpf_ringbuf_read(impl, buf, sizeof(buf), &total), &samples, &said);
    cr_expect_eq(said, bad, "every loss was said");
}

Test(map_events, a_read_takes_whole_records)
{
    static uint8_t data[500];
    int map = perf_array(1);
    uint8_t buf[1000];
    uint64_t lost;

    cr_assert_eq(output(map, 0, data, 500), 0);
    cr_assert_eq(output(map, 0, data, 500), 0);
    struct ebpf_map *impl = ebpf_session_map(session, map);
    cr_expect_eq(ebpf_ringbuf_read(impl, buf, 400, &lost), -EMSGSIZE);
    cr_expect_eq(ebpf_ringbuf_read(impl, buf, sizeof(buf), &lost), 528);
    cr_expect_eq(ebpf_ringbuf_read(impl, buf, sizeof(buf), &lost), 528);
    cr_expect_eq(ebpf_ringbuf_read(impl, buf, sizeof(buf), &lost), 0);
}

Test(map_events, no_client_puts_events_in_or_takes_them_out)
{
    int map = perf_array(2);
    uint32_t value = (uint32_t)map, key = 0;

    cr_expect_eq(lookup(map, 0, &value), -EBPF_ENOTSUPP);
    cr_expect_eq(update(map, 0, &value, BPF_ANY), -EBADF, "a map is no perf event");
    value = 99;
    cr_expect_eq(update(map, 0, &value, BPF_ANY), -EBADF);
    cr_expect_eq(remove_key(map, 1), -ENOENT);
    cr_expect_eq(remove_key(map, 2), -E2BIG);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .next_key = ptr(&key)),
                 0);
    cr_expect_eq(key, 1);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(&key),
                      .next_key = ptr(&key)),
                 -ENOENT);
}

Test(map_events, perf_event_array_refuses_what_linux_refuses)
{
    const uint32_t type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;

    cr_expect_eq(create(type, 8, 4, 1, 0), -EINVAL, "keys are indices");
    cr_expect_eq(create(type, 4, 8, 1, 0), -EINVAL, "values are descriptors");
    cr_expect_eq(create(type, 4, 4, 0, 0), -EINVAL, "no entries");
    cr_expect_eq(create(type, 4, 4, 1, BPF_F_RDONLY_PROG), -EINVAL, "program flags");
    cr_expect_eq(create(type, 4, 4, 1, BPF_F_MMAPABLE), -EINVAL, "arrays only");
    cr_expect_geq(create(type, 4, 4, 1, BPF_F_PRESERVE_ELEMS), 0);
}

/* ---- stack traces ------------------------------------------------------------------------ */

#define DEPTH 4

static int stacks(uint32_t entries)
{
    return create(BPF_MAP_TYPE_STACK_TRACE, 4, DEPTH * 8, entries, 0);
}

static long stack_id(int map, const uint64_t *ips, uint32_t count, uint64_t flags)
{
    return ebpf_stack_id(ebpf_session_map(session, map), ips, count, flags);
}

Test(map_events, equal_traces_have_one_id_and_lookup_gives_them_back)
{
    const uint64_t a[] = {1, 2, 3}, b[] = {1, 2, 4}, longer[] = {1, 2, 3, 4, 5, 6};
    uint64_t value[DEPTH];
    int map = stacks(4096);
    long id = stack_id(map, a, 3, 0);

    cr_assert_geq(id, 0);
    cr_assert_lt(id, 4096);
    cr_expect_eq(stack_id(map, a, 3, 0), id);
    cr_expect_eq(lookup(map, (uint32_t)id, value), 0);
    cr_expect(value[0] == 1 && value[1] == 2 && value[2] == 3 && value[3] == 0, "zeros follow");
    cr_expect_neq(stack_id(map, b, 3, BPF_F_REUSE_STACKID), id);
    id = stack_id(map, longer, 6, BPF_F_REUSE_STACKID);
    cr_expect_eq(lookup(map, (uint32_t)id, value), 0);
    cr_expect(value[0] == 1 && value[3] == 4, "cut to what a value holds");
}

Test(map_events, a_trace_begins_behind_the_frames_that_flags_skip)
{
    const uint64_t ips[] = {10, 11, 12};
    uint64_t value[DEPTH];
    int map = stacks(64);
    long id = stack_id(map, ips, 3, 2);

    cr_assert_eq(lookup(map, (uint32_t)id, value), 0);
    cr_expect(value[0] == 12 && value[1] == 0);
    cr_expect_eq(stack_id(map, ips, 3, 3), -EFAULT, "nothing is left");
    cr_expect_eq(stack_id(map, ips, 0, 0), -EFAULT);
    cr_expect_eq(stack_id(map, ips, 3, 1u << 12), -EINVAL, "unknown flag");
}

/* With one bucket every trace has id 0. */
Test(map_events, another_trace_on_the_same_id_is_refused_or_replaced)
{
    const uint64_t a[] = {1}, b[] = {2};
    uint64_t value[DEPTH];
    int map = stacks(1);

    cr_assert_eq(stack_id(map, a, 1, 0), 0);
    cr_expect_eq(stack_id(map, b, 1, 0), -EEXIST);
    cr_expect_eq(stack_id(map, b, 1, BPF_F_FAST_STACK_CMP), -EEXIST, "the hash is another");
    cr_expect_eq(stack_id(map, b, 1, BPF_F_REUSE_STACKID), 0);
    cr_expect_eq(lookup(map, 0, value), 0);
    cr_expect_eq(value[0], 2);
    cr_expect_eq(stack_id(map, b, 1, BPF_F_FAST_STACK_CMP), 0);
}

/* There are as many traces as max_entries, though there are more buckets. */
Test(map_events, a_full_map_answers_ENOMEM_until_a_trace_is_deleted)
{
    int map = stacks(5);
    long id = -1, err = 0;
    uint32_t live = 0;

    for (uint64_t ip = 1; ip < 10000 && err != -ENOMEM; ip++) {
        err = stack_id(map, &ip, 1, 0);
        cr_assert(err >= 0 || err == -EEXIST || err == -ENOMEM);
        id = err >= 0 ? err : id;
        live += err >= 0;
    }
    cr_expect_eq(err, -ENOMEM);
    cr_expect_eq(live, 5);
    cr_assert_eq(remove_key(map, (uint32_t)id), 0);
    for (uint64_t ip = 20000; (err = stack_id(map, &ip, 1, 0)) == -EEXIST; ip++)
        ;
    cr_expect_geq(err, 0);
}

Test(map_events, clients_walk_read_and_delete_traces)
{
    int map = stacks(64);
    uint32_t key, seen = 0, made = 0;
    uint64_t value[DEPTH];
    bool there[64] = {false};

    for (uint64_t ip = 1; ip <= 40; ip++) {
        long id = stack_id(map, &ip, 1, 0);

        made += id >= 0;
        if (id >= 0)
            there[id] = true;
    }
    for (long err = CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(&key));
         err == 0; err = CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .key = ptr(&key),
                                                    .next_key = ptr(&key))) {
        cr_assert(key < 64 && there[key]);
        cr_assert_eq(lookup(map, key, value), 0);
        seen++;
    }
    cr_assert_eq(seen, made);
    for (key = 0; key < 64; key++)
        cr_assert_eq(remove_key(map, key), there[key] ? 0 : -ENOENT);
    cr_expect_eq(remove_key(map, 64), -E2BIG);
    cr_expect_eq(lookup(map, 3, value), -ENOENT);
    cr_expect_eq(lookup(map, 64, value), -ENOENT);
    cr_expect_eq(update(map, 3, value, 0), -EINVAL);
    cr_expect_eq(CALL(BPF_MAP_GET_NEXT_KEY, .map_fd = (uint32_t)map, .next_key = ptr(&key)),
                 -ENOENT);
}

Test(map_events, stack_trace_refuses_what_linux_refuses)
{
    const uint32_t type = BPF_MAP_TYPE_STACK_TRACE;

    cr_expect_eq(create(type, 8, 8, 1, 0), -EINVAL, "keys are ids");
    cr_expect_eq(create(type, 4, 12, 1, 0), -EINVAL, "values are addresses");
    cr_expect_eq(create(type, 4, 0, 1, 0), -EINVAL);
    cr_expect_eq(create(type, 4, 8, 0, 0), -EINVAL, "no entries");
    cr_expect_eq(create(type, 4, 128 * 8, 1, 0), -EINVAL, "kernel.perf_event_max_stack is 127");
    cr_expect_geq(create(type, 4, 127 * 8, 1, 0), 0);
    cr_expect_eq(create(type, 4, 32, 1, BPF_F_STACK_BUILD_ID), -EINVAL, "no files, no build ids");
    cr_expect_eq(create(type, 4, 8, 1, BPF_F_RDONLY_PROG), -EINVAL);
}
