/*
 * The server's rules about datagrams, sessions and time: a request is executed once, however often
 * its datagrams come; a session belongs to one address and ends with its lease; what is not a
 * session's is counted and dropped; one client's memory or waiting is not the others' trouble
 * (net/server.c, ebpf/wire.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/trace_pipe.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/server_test.h"
#include "user/vm/kernel_host.h"

TestSuite(server, .init = server_test_init, .fini = server_test_fini);

static struct ebpf_stats engine(void)
{
    struct ebpf_stats stats;
    ebpf_get_stats(&stats);
    return stats;
}

static struct server_stats stats(void)
{
    struct server_stats out;
    server_get_stats(server, &out);
    return out;
}

/* ---- hello and sessions -------------------------------------------------------------------- */

Test(server, a_repeated_hello_finds_its_session)
{
    struct client a = client_open(1), again = client_open(1);
    struct client other = client_open(2);

    cr_assert_neq(a.session, 0);
    cr_assert_eq(a.session, again.session);
    cr_assert_neq(a.session, other.session);
    cr_assert_eq(a.boot_id, other.boot_id);
    cr_assert_eq(stats().sessions, 2);
}

Test(server, goodbye_drops_what_the_session_held)
{
    struct client client = client_open(1);
    struct skep_power_attr nothing = {0};

    cr_assert_gt(make_map(&client, BPF_MAP_TYPE_ARRAY, 4, 8, 16), 0);
    cr_assert_eq(engine().maps, 1);
    cr_assert_eq(client_command(&client, SKEP_GOODBYE, &nothing, sizeof(nothing)), 0);
    cr_assert_eq(engine().maps, 0);
    cr_assert_eq(engine().map_bytes, 0);
    cr_assert_eq(stats().sessions, 0);
}

/* What a hello that asks about the client's session is told: its number, or 0. */
static uint64_t ask(const struct client *client)
{
    struct skep_hello_attr hello = {.wire_version = WIRE_VERSION_PLAIN, .session = client->session};
    struct client asking = client_at(client->from.port);

    cr_assert_eq(client_command(&asking, SKEP_HELLO, &hello, sizeof(hello)), 0);
    cr_assert_eq(hello.boot_id, client->boot_id);
    return hello.session;
}

Test(server, a_session_ends_with_its_lease)
{
    struct client client = client_open(1);
    struct ebpf_stats before = engine();

    cr_assert_gt(make_map(&client, BPF_MAP_TYPE_ARRAY, 4, 8, 16), 0);
    now += WIRE_LEASE_SECONDS * SECOND - 1;
    server_tick(server, now);
    cr_assert_eq(stats().sessions, 1);
    cr_assert_eq(server_tick(server, now), now + 1, "the server asks to be called in time");
    now += 1;
    server_tick(server, now);
    cr_assert_eq(stats().sessions, 0);
    cr_assert_eq(stats().sessions_expired, 1);
    cr_assert_eq(engine().maps, 0);
    cr_assert_eq(engine().sessions, before.sessions - 1);

    /* What comes later gets no answer; who asks is told that the session is gone. */
    uint8_t message[8] = {0};
    client.sequence++;
    client_send(&client, SKEP_SYS_INFO, message, sizeof(message), 0);
    cr_assert_eq(nr_sent, 0);
    cr_assert_eq(ask(&client), 0);
}

Test(server, who_asks_is_told_whether_the_session_is_known)
{
    struct client client = client_open(1), thief = client;
    struct server_stats before = stats();

    cr_assert_eq(ask(&client), client.session);
    thief.from.port = 2;
    cr_assert_eq(ask(&thief), 0, "it belongs to its address");
    client.session++;
    cr_assert_eq(ask(&client), 0);
    cr_assert_eq(stats().sessions, before.sessions);
}

Test(server, any_valid_datagram_renews_the_lease)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info;

    for (int i = 0; i < 5; i++) {
        now += 10 * SECOND;
        cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
        server_tick(server, now);
    }
    cr_assert_eq(stats().sessions, 1);
}

Test(server, the_table_of_sessions_is_bounded)
{
    for (uint16_t i = 0; i < WIRE_SESSIONS_MAX; i++)
        client_open(100 + i);

    struct client one_more = client_at(99);
    struct skep_hello_attr hello;
    cr_assert_eq(client_hello(&one_more, NULL, &hello), -EAGAIN);
    cr_assert_eq(client_hello(&one_more, hello.cookie, &hello), -EUSERS);
    cr_assert_eq(stats().sessions_refused, 1);
    now += WIRE_LEASE_SECONDS * SECOND;
    server_tick(server, now);
    cr_assert_eq(stats().sessions, 0);
    client_open(99);
}

Test(server, a_session_is_bound_to_its_address)
{
    struct client client = client_open(1), thief = client;
    uint8_t message[8] = {0};

    thief.from.port = 2;
    thief.sequence++;
    client_send(&thief, SKEP_SYS_INFO, message, sizeof(message), 0);
    cr_assert_eq(nr_sent, 0);
    cr_assert_eq(stats().datagrams_foreign, 1);
    cr_assert_eq(stats().requests, 0);
}

/* ---- exactly once -------------------------------------------------------------------------- */

Test(server, a_repeated_request_is_answered_again_and_not_executed)
{
    struct client client = client_open(1);
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4};
    struct marshal_plan plan;
    uint32_t size;
    long first, second;
    uint8_t *message = client_encode(&client, BPF_MAP_CREATE, &attr, sizeof(attr), &plan, &size);

    client_send(&client, BPF_MAP_CREATE, message, size, 0);
    cr_assert_eq(count_sent(&client, WIRE_ACK), 1);
    cr_assert(client_take_reply(&client, &plan, &attr, &first));
    client_send(&client, BPF_MAP_CREATE, message, size, 0);
    cr_assert(client_take_reply(&client, &plan, &attr, &second));
    free(message);
    cr_assert_gt(first, 0);
    cr_assert_eq(first, second);
    cr_assert_eq(engine().maps, 1);
    cr_assert_eq(stats().requests, 1);
    cr_assert_eq(stats().replays, 1);
}

Test(server, an_older_request_is_ignored)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info;
    uint8_t message[8] = {0};

    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    client.sequence--;
    client_send(&client, SKEP_SYS_INFO, message, sizeof(message), 0);
    cr_assert_eq(nr_sent, 0);
    cr_assert_eq(stats().requests, 2);
}

Test(server, an_unacknowledged_reply_is_sent_again_then_given_up)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info = {0};
    struct marshal_plan plan;
    uint32_t size;
    long status;
    uint8_t *message = client_encode(&client, SKEP_SYS_INFO, &info, sizeof(info), &plan, &size);

    client_send(&client, SKEP_SYS_INFO, message, size, 0);
    cr_assert_eq(count_sent(&client, WIRE_REPLY), 1);
    uint64_t next = server_tick(server, now);
    cr_assert_eq(next, now + 250 * MS);
    cr_assert_eq(count_sent(&client, WIRE_REPLY), 1, "not before its time");
    unsigned ticks = 0;
    uint64_t end = now + WIRE_LEASE_SECONDS * SECOND;
    while ((now = next) < end) {
        next = server_tick(server, now);
        cr_assert_lt(++ticks, 20);
    }
    cr_assert_geq(count_sent(&client, WIRE_REPLY), 5);
    cr_assert_leq(count_sent(&client, WIRE_REPLY), 10);

    /* Given up is not forgotten. */
    now = end - 1;
    nr_sent = 0;
    client_send(&client, SKEP_SYS_INFO, message, size, 0);
    cr_assert(client_take_reply(&client, &plan, &info, &status));
    cr_assert_eq(status, 0);
    nr_sent = 0;
    cr_assert_eq(server_tick(server, now), now + WIRE_LEASE_SECONDS * SECOND,
                 "acknowledged: only the lease is left to wait for");
    cr_assert_eq(nr_sent, 0);
    free(message);
}

Test(server, a_new_request_abandons_an_unfinished_one)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info;
    static uint8_t half[3 * WIRE_FRAGMENT_SIZE];

    client.sequence++;
    client_send(&client, BPF_BTF_LOAD, half, sizeof(half), 0);
    cr_assert_gt(stats().request_bytes, 0);
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(stats().request_bytes, 0);
}

/* ---- bad input ----------------------------------------------------------------------------- */

Test(server, random_datagrams_are_counted_and_dropped)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info;
    unsigned seed = 1;

    for (unsigned i = 0; i < 1000; i++) {
        size_t len = (size_t)rand_r(&seed) % 1600;
        uint8_t *noise = malloc(len ? len : 1);
        for (size_t k = 0; k < len; k++)
            noise[k] = (uint8_t)rand_r(&seed);
        server_receive(server, &client.from, noise, len, now);
        free(noise);
    }
    cr_assert_eq(stats().datagrams_bad, 1000);
    cr_assert_eq(nr_sent, 0);
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.datagrams_bad, 1000);
}

/* A session's own client may send what it likes: whole messages of noise for every command. */
Test(server, random_messages_for_every_command_are_answered)
{
    static const uint32_t commands[] = {
#define COMMAND(number, ...) number,
#include "ebpf/commands.def"
#undef COMMAND
    };
    struct client client = client_open(1);
    unsigned seed = 7;

    for (unsigned i = 0; i < 4000; i++) {
        uint32_t command = commands[i % (sizeof(commands) / sizeof(commands[0]))];
        uint8_t message[256] = {0};
        uint32_t size = (uint32_t)rand_r(&seed) % sizeof(message);

        if (command == SKEP_GOODBYE || command == SKEP_POWER)
            continue;
        for (uint32_t k = 8; k < size; k++)
            message[k] = rand_r(&seed) % 3 ? 0 : (uint8_t)rand_r(&seed);
        /* Often a whole first part, so that the attributes themselves are looked at. */
        if (size >= 8 && rand_r(&seed) % 4) {
            size &= ~7u;
            message[0] = (uint8_t)(size - 8);
        }
        client.sequence++;
        client_send(&client, command, message, size, 0);
        bool parked = (command == SKEP_RINGBUF_READ || command == SKEP_TRACE_PIPE_READ ||
                       command == SKEP_KLOG_READ);
        cr_assert(parked || count_sent(&client, WIRE_REPLY) >= 1, "command %u", command);
        nr_sent = 0;
    }
    cr_assert_eq(stats().request_bytes, 0);
}

Test(server, another_wire_version_is_told_ours)
{
    struct client client = client_at(1);
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = 9,
                                 .kind = WIRE_REQUEST,
                                 .sequence = 1,
                                 .command = SKEP_HELLO,
                                 .fragments = 1};

    server_receive(server, &client.from, &header, sizeof(header), now);
    cr_assert_eq(nr_sent, 1);
    cr_assert_eq(sent[0].header.kind, WIRE_REPLY);
    cr_assert_eq(sent[0].header.status, -EPROTONOSUPPORT);
    cr_assert_eq(sent[0].header.version, WIRE_VERSION_PLAIN);
    cr_assert_eq(stats().datagrams_bad, 1);
    cr_assert_eq(stats().sessions, 0);
}

/* One whose form is right, but which says another version inside: it is told who it talks to. */
Test(server, a_hello_of_another_version_is_told_ours)
{
    struct client client = client_at(1);
    struct skep_hello_attr hello = {.wire_version = 9};

    cr_assert_eq(client_command(&client, SKEP_HELLO, &hello, sizeof(hello)), -EPROTONOSUPPORT);
    cr_assert_eq(hello.wire_version, WIRE_VERSION_PLAIN);
    cr_assert_str_eq(hello.build, "test build");
}

/* ---- cookies ------------------------------------------------------------------------------- */

Test(server, a_session_takes_a_cookie)
{
    struct client client = client_at(1), other = client_at(2);
    struct skep_hello_attr hello;
    uint8_t cookie[16];

    cr_assert_eq(client_hello(&client, NULL, &hello), -EAGAIN);
    cr_assert_eq(stats().sessions, 0);
    memcpy(cookie, hello.cookie, sizeof(cookie));
    cr_assert_eq(client_hello(&other, cookie, &hello), -EAGAIN, "a forged source has no use of it");
    for (unsigned bit = 0; bit < sizeof(cookie) * 8; bit++) {
        cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(client_hello(&client, cookie, &hello), -EAGAIN);
        cookie[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(stats().sessions, 0);
    cr_assert_eq(client_hello(&client, cookie, &hello), 0);
    cr_assert_eq(stats().sessions, 1);
}

/* A cookie of a client's nonce is no cookie for another of the same address. */
Test(server, a_cookie_belongs_to_its_nonce)
{
    struct client client = client_at(1);
    struct skep_hello_attr hello;

    cr_assert_eq(client_hello(&client, NULL, &hello), -EAGAIN);
    hello.wire_version = WIRE_VERSION_PLAIN;
    hello.client_nonce[31] ^= 1;
    cr_assert_eq(client_command(&client, SKEP_HELLO, &hello, sizeof(hello)), -EAGAIN);
}

Test(server, a_cookie_is_good_for_8_to_16_seconds)
{
    struct client client = client_at(1);
    struct skep_hello_attr hello;
    uint8_t cookie[16];

    now = 8000 * SECOND; /* a slot begins */
    cr_assert_eq(client_hello(&client, NULL, &hello), -EAGAIN);
    memcpy(cookie, hello.cookie, sizeof(cookie));
    now += 16 * SECOND;
    cr_assert_eq(client_hello(&client, cookie, &hello), -EAGAIN);
    now -= 1;
    cr_assert_eq(client_hello(&client, cookie, &hello), 0);
}

Test(server, hellos_are_limited)
{
    struct client client = client_at(1);
    struct skep_hello_attr hello;
    unsigned answered = 0;

    for (unsigned i = 0; i < 3000; i++) {
        struct skep_hello_attr attr = {.wire_version = WIRE_VERSION_PLAIN};
        struct marshal_plan plan;
        uint32_t size;
        uint8_t *message = client_encode(&client, SKEP_HELLO, &attr, sizeof(attr), &plan, &size);
        client_send(&client, SKEP_HELLO, message, size, 0);
        free(message);
        answered += nr_sent;
        nr_sent = 0;
    }
    cr_assert_eq(answered, 1024, "at once");
    cr_assert_eq(stats().hellos_limited, 3000 - 1024);
    now += SECOND / 2000;
    cr_assert_eq(client_hello(&client, NULL, &hello), -EAGAIN, "and 2,000 a second");
}

Test(server, replies_and_strange_sessions_are_foreign)
{
    struct client client = client_open(1);
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .version = WIRE_VERSION_PLAIN,
                                 .kind = WIRE_REPLY,
                                 .session = client.session,
                                 .sequence = 2,
                                 .fragments = 1};

    server_receive(server, &client.from, &header, sizeof(header), now);
    header.kind = WIRE_ACK;
    header.session ^= 1;
    server_receive(server, &client.from, &header, sizeof(header), now);
    cr_assert_eq(nr_sent, 0);
    cr_assert_eq(stats().datagrams_foreign, 2);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Sends all of a request but its last fragment. */
static void upload(struct client *client, const uint8_t *message, uint32_t size)
{
    client->sequence++;
    for (uint16_t i = 0; i + 1 < channel_fragments(size); i++) {
        nr_sent = 0;
        client_send(client, BPF_BTF_LOAD, message, size, i);
        if (count_sent(client, WIRE_REPLY))
            return;
    }
}

Test(server, uploads_are_bounded_in_all)
{
    struct client clients[3] = {client_open(10), client_open(11), client_open(12)};
    uint8_t *message = calloc(1, WIRE_MESSAGE_MAX);
    uint16_t last = channel_fragments(WIRE_MESSAGE_MAX) - 1;

    for (unsigned i = 0; i < 2; i++) {
        upload(&clients[i], message, WIRE_MESSAGE_MAX);
        cr_expect_eq(count_sent(&clients[i], WIRE_REPLY), 0);
    }
    cr_expect_leq(stats().request_bytes, SERVER_REQUEST_BYTES_MAX);
    upload(&clients[2], message, WIRE_MESSAGE_MAX);
    cr_expect_eq(count_sent(&clients[2], WIRE_REPLY), 1);
    cr_expect_eq(sent[nr_sent - 1].header.status, -ENOMEM);
    cr_expect_eq(stats().out_of_memory, 1);

    /* The refused one goes on with what is small, the others finish. */
    upload(&clients[2], message, SERVER_REQUEST_SMALL);
    cr_expect_eq(count_sent(&clients[2], WIRE_REPLY), 0);
    client_send(&clients[2], BPF_BTF_LOAD, message, SERVER_REQUEST_SMALL,
                channel_fragments(SERVER_REQUEST_SMALL) - 1);
    cr_expect_eq(count_sent(&clients[2], WIRE_REPLY), 1);
    cr_expect_neq(sent[nr_sent - 1].header.status, -ENOMEM);
    for (unsigned i = 0; i < 2; i++) {
        nr_sent = 0;
        client_send(&clients[i], BPF_BTF_LOAD, message, WIRE_MESSAGE_MAX, last);
        cr_expect_eq(count_sent(&clients[i], WIRE_REPLY), 1);
    }
    cr_expect_eq(stats().request_bytes, 0);
    free(message);
}

Test(server, without_memory_for_a_reply_the_status_says_so)
{
    struct client client = client_open(1);
    struct skep_sys_info_attr info;

    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    host_heap_fail_in = 2; /* the request's memory, then the kept reply's */
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), -ENOMEM);
    host_heap_fail_in = 1;
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), -ENOMEM);
    cr_assert_eq(client_command(&client, SKEP_SYS_INFO, &info, sizeof(info)), 0);
}

/* ---- held answers -------------------------------------------------------------------------- */

static void begin_pipe_read(struct client *client, uint64_t cursor, struct skep_read_attr *attr,
                            char *buf, uint32_t size, uint32_t timeout_ms,
                            struct marshal_plan *plan)
{
    uint32_t message_size;

    *attr = (struct skep_read_attr){
        .cursor = cursor, .buf = (uintptr_t)buf, .size = size, .timeout_ms = timeout_ms};
    uint8_t *message =
        client_encode(client, SKEP_TRACE_PIPE_READ, attr, sizeof(*attr), plan, &message_size);
    client_send(client, SKEP_TRACE_PIPE_READ, message, message_size, 0);
    free(message);
}

Test(server, a_held_read_is_answered_when_there_is_something)
{
    struct client reader = client_open(1), other = client_open(2);
    struct trace_common common = {.pid = 1};
    struct skep_read_attr attr;
    struct skep_sys_info_attr info;
    struct marshal_plan plan;
    char buf[200] = {0};
    long status;

    cr_assert_not(server_waits(server));
    begin_pipe_read(&reader, 0, &attr, buf, sizeof(buf), 800, &plan);
    cr_assert_eq(count_sent(&reader, WIRE_ACK), 1);
    cr_assert_eq(count_sent(&reader, WIRE_REPLY), 0);
    cr_assert_eq(server_tick(server, now), now + 800 * MS);
    cr_assert(server_waits(server));

    /* Meanwhile others are served. */
    cr_assert_eq(client_command(&other, SKEP_SYS_INFO, &info, sizeof(info)), 0);

    now += 100 * MS;
    trace_pipe_write(&common, "", "an event", 8);
    server_tick(server, now);
    cr_assert(client_take_reply(&reader, &plan, &attr, &status));
    cr_assert_eq(status, 0);
    cr_assert(strstr(buf, "an event"));
    cr_assert_eq(attr.size, strlen(buf));
    cr_assert_gt(attr.cursor, 0);
    cr_assert_not(server_waits(server));
}

/* "From now on" is when the request came, not when the event did. */
Test(server, a_held_read_of_what_is_new_gets_it)
{
    struct client reader = client_open(1);
    struct trace_common common = {.pid = 1};
    struct skep_read_attr attr;
    struct marshal_plan plan;
    char buf[200] = {0};
    long status;

    trace_pipe_write(&common, "", "before", 6);
    begin_pipe_read(&reader, UINT64_MAX, &attr, buf, sizeof(buf), 800, &plan);
    server_tick(server, now);
    trace_pipe_write(&common, "", "after", 5);
    server_tick(server, now);
    cr_assert(client_take_reply(&reader, &plan, &attr, &status));
    cr_assert_not_null(strstr(buf, "after"));
    cr_assert_null(strstr(buf, "before"));
}

Test(server, a_held_read_is_answered_when_its_time_is_up)
{
    struct client reader = client_open(1);
    struct skep_read_attr attr;
    struct marshal_plan plan;
    char buf[200];
    long status;

    begin_pipe_read(&reader, 0, &attr, buf, sizeof(buf), 800, &plan);
    now += 800 * MS - 1;
    server_tick(server, now);
    cr_assert_eq(count_sent(&reader, WIRE_REPLY), 0);
    now += 1;
    server_tick(server, now);
    cr_assert(client_take_reply(&reader, &plan, &attr, &status));
    cr_assert_eq(status, 0);
    cr_assert_eq(attr.size, 0);

    /* Longer than a second is not held, and no time at all is answered at once. */
    begin_pipe_read(&reader, 0, &attr, buf, sizeof(buf), 60000, &plan);
    now += SECOND;
    server_tick(server, now);
    cr_assert(client_take_reply(&reader, &plan, &attr, &status));
    begin_pipe_read(&reader, 0, &attr, buf, sizeof(buf), 0, &plan);
    cr_assert(client_take_reply(&reader, &plan, &attr, &status));
    cr_assert_eq(attr.size, 0);
}
