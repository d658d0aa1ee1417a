/*
 * The client library against the server in a process of its own (user/vm/serve.c), over real
 * sockets on 127.0.0.1: commands work, also over a network that loses and repeats datagrams, and
 * every failure of the way there is told apart in its sentence (user/lib/skep.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebpf/commands.h"
#include "ebpf/marshal.h"
#include "net/channel.h"
#include "tests/unit/leakcheck.h"
#include "user/lib/skep.h"
#include "user/vm/serve.h"

/* A test that hangs ends by a signal. (Criterion's own time limit leaks.) */
static void set_up(void)
{
    alarm(60);
}

TestSuite(libskep, .init = set_up, .fini = leakcheck);

static char error[400];

/* ---- a server to talk to ------------------------------------------------------------------- */

static pid_t server_pid;

#define KEY   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WRONG "00112233445566778899aabbccddeeff00112233445566778899aabbccddeefe"

/* Starts serve in a child on a port (0: a free one), sealed with key, or in plain without one;
 * returns the port. */
static unsigned start_server_with(unsigned port, char *key)
{
    char port_text[16], line[64] = "";
    char *argv[] = {"serve", "--port", port_text, key ? "--key" : "--insecure", key, NULL};
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    snprintf(port_text, sizeof(port_text), "%u", port);
    server_pid = fork();
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
        dup2(ends[1], STDOUT_FILENO);
        int status = serve_main(key ? 5 : 4, argv);
        _exit(__lsan_do_recoverable_leak_check() ? 9 : status);
    }
    close(ends[1]);
    cr_assert_gt(read(ends[0], line, sizeof(line) - 1), 0);
    close(ends[0]);
    cr_assert_eq(sscanf(line, "listening on 127.0.0.1:%u", &port), 1, "%s", line);
    return port;
}

static unsigned start_server(unsigned port)
{
    return start_server_with(port, KEY);
}

/* Runs something for ever in a child: a thread would have to be cancelled, which AddressSanitizer
 * takes ill. */
static pid_t in_child(void (*run)(void *), void *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(arg);
    }
    return pid;
}

static void end_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The exit status; the server is told to end. */
static int stop_server(void)
{
    int status;

    kill(server_pid, SIGTERM);
    waitpid(server_pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Sealed with key, or in plain without one. */
static struct skep *open_with(unsigned port, unsigned timeout_ms, const char *key)
{
    char target[64];
    struct skep_options options = {
        .target = target, .timeout_ms = timeout_ms, .key = key, .insecure = !key};

    snprintf(target, sizeof(target), "127.0.0.1:%u", port);
    errno = 0;
    error[0] = '\0';
    return skep_open(&options, error, sizeof(error));
}

static struct skep *open_at(unsigned port, unsigned timeout_ms)
{
    return open_with(port, timeout_ms, KEY);
}

static long make_hash(struct skep *skep, uint32_t value_size)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = value_size, .max_entries = 16};
    return skep_command(skep, BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* ---- what works ---------------------------------------------------------------------------- */

Test(libskep, commands_and_goodbye)
{
    unsigned port = start_server(0);
    struct skep *skep = open_at(port, 3000);
    struct skep_sys_info_attr info;
    uint32_t key = 3;
    uint64_t value[2] = {11, 12}, back[2] = {0};

    cr_assert_not_null(skep, "%s", error);
    long map = make_hash(skep, sizeof(value));
    cr_assert_gt(map, 0);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};
    attr.value = (uintptr_t)value;
    cr_assert_eq(skep_command(skep, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
    attr.value = (uintptr_t)back;
    cr_assert_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_arr_eq(back, value, sizeof(value));

    struct skep *other = open_at(port, 3000);
    cr_assert_not_null(other, "%s", error);
    cr_assert_eq(skep_command(other, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.sessions, 2);
    cr_assert_eq(info.maps, 1);
    skep_close(skep);
    cr_assert_eq(skep_command(other, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.sessions, 1);
    cr_assert_eq(info.maps, 0);
    skep_close(other);
    cr_assert_eq(stop_server(), 0);
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
}

/* No reply holds such a value: it comes by parts, and the caller does not see them. */
Test(libskep, values_of_any_length_arrive_whole)
{
    static const uint32_t sizes[] = {60000, 64512, 64520, 65536, 120000, 120001, 1000003};
    static uint8_t value[1000003], back[1000004];
    struct skep *skep = open_at(start_server(0), 10000);
    uint32_t key = 2;

    cr_assert_not_null(skep, "%s", error);
    fill(value, sizeof(value));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        long map = make_hash(skep, sizes[i]);
        union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};

        cr_assert_gt(map, 0);
        attr.value = (uintptr_t)back;
        memset(back, 0xee, sizeof(back));
        cr_expect_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), -ENOENT);
        attr.value = (uintptr_t)value;
        cr_assert_eq(skep_command(skep, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
        attr.value = (uintptr_t)back;
        cr_assert_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
        cr_expect_eq(memcmp(back, value, sizes[i]), 0, "%u bytes", sizes[i]);
        cr_expect_eq(back[sizes[i]], 0xee, "and no byte more");
        cr_expect_eq(attr.value, (uintptr_t)back);
        attr.flags = 1;
        cr_expect_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), -EINVAL);
    }
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

#define LONG_CODE 20000u

/* r0 = 0, 1, 2 ...; exit */
static long load_long_program(struct skep *skep, struct bpf_insn *insns)
{
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                           .insn_cnt = LONG_CODE,
                           .insns = (uintptr_t)insns,
                           .license = (uintptr_t) "GPL"};

    for (uint32_t i = 0; i < LONG_CODE; i++)
        insns[i] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (int32_t)i};
    insns[LONG_CODE - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
    return skep_command(skep, BPF_PROG_LOAD, &attr, sizeof(attr));
}

Test(libskep, a_long_programs_code_arrives_whole)
{
    static struct bpf_insn insns[LONG_CODE], back[LONG_CODE + 1];
    struct skep *skep = open_at(start_server(0), 10000);
    struct bpf_prog_info info;
    uint8_t tag[BPF_TAG_SIZE] = {0};

    cr_assert_not_null(skep, "%s", error);
    long prog = load_long_program(skep, insns);
    cr_assert_gt(prog, 0);
    for (uint32_t room = LONG_CODE - 1; room <= LONG_CODE + 1; room++) {
        union bpf_attr attr = {
            .info = {.bpf_fd = (uint32_t)prog, .info_len = sizeof(info), .info = (uintptr_t)&info}};

        memset(back, 0, sizeof(back));
        info = (struct bpf_prog_info){.xlated_prog_len = room * 8,
                                      .xlated_prog_insns = (uintptr_t)back,
                                      .nr_prog_tags = 1,
                                      .prog_tags = (uintptr_t)tag};
        cr_assert_eq(skep_command(skep, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
        cr_expect_eq(info.xlated_prog_len, sizeof(insns), "all that there is");
        cr_expect_eq(info.xlated_prog_insns, (uintptr_t)back);
        cr_expect_eq(info.type, BPF_PROG_TYPE_SOCKET_FILTER);
        cr_expect_eq(memcmp(tag, info.tag, sizeof(tag)), 0);
        cr_expect_eq(memcmp(back, insns, (room < LONG_CODE ? room : LONG_CODE) * 8), 0);
        cr_expect_eq(back[LONG_CODE].code, 0);
        cr_expect_eq(back[LONG_CODE - 1].code, room < LONG_CODE ? 0 : BPF_JMP | BPF_EXIT);
    }
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

/* A handle that comes by id has sizes that only the guest knows; a number used again has others. */
Test(libskep, sizes_of_handles_are_asked_for_and_forgotten)
{
    struct skep *skep = open_at(start_server(0), 3000);
    struct bpf_map_info info = {0};
    uint32_t key = 1;
    uint8_t value[40] = {1, 2, 3}, back[40] = {0};

    cr_assert_not_null(skep, "%s", error);
    long map = make_hash(skep, sizeof(value));
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)map, .info_len = sizeof(info), .info = (uintptr_t)&info}};
    cr_assert_eq(skep_command(skep, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
    cr_assert_eq(info.value_size, sizeof(value));

    attr = (union bpf_attr){.map_id = info.id};
    long again = skep_command(skep, BPF_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
    cr_assert_gt(again, 0);
    attr = (union bpf_attr){.map_fd = (uint32_t)again, .key = (uintptr_t)&key};
    attr.value = (uintptr_t)value;
    cr_assert_eq(skep_command(skep, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
    attr.map_fd = (uint32_t)map;
    attr.value = (uintptr_t)back;
    cr_assert_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
    cr_assert_arr_eq(back, value, sizeof(value));

    struct skep_close_attr close_attr = {.handle = (uint32_t)again};
    cr_assert_eq(skep_command(skep, SKEP_CLOSE, &close_attr, sizeof(close_attr)), 0);
    attr.map_fd = (uint32_t)again;
    cr_assert_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), -EBADF);
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

Test(libskep, a_held_read_waits)
{
    struct skep *skep = open_at(start_server(0), 3000);
    char buf[100];
    struct skep_read_attr attr = {
        .buf = (uintptr_t)buf, .size = sizeof(buf), .cursor = UINT64_MAX, .timeout_ms = 300};
    struct timespec before, after;

    cr_assert_not_null(skep, "%s", error);
    clock_gettime(CLOCK_MONOTONIC, &before);
    cr_assert_eq(skep_command(skep, SKEP_TRACE_PIPE_READ, &attr, sizeof(attr)), 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_assert_eq(attr.size, 0);
    cr_assert_geq(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, 290);
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

Test(libskep, power_off_ends_the_server)
{
    struct skep *skep = open_at(start_server(0), 3000);
    struct skep_power_attr power = {0};
    int status;

    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(skep_command(skep, SKEP_POWER, &power, sizeof(power)), 0);
    waitpid(server_pid, &status, 0);
    cr_assert_eq(WEXITSTATUS(status), 0);
    skep_close(skep);
}

/* ---- a network that loses and repeats ------------------------------------------------------ */

struct proxy {
    int client_side, server_side;
    struct sockaddr_in client;
    unsigned seed, port;
};

static int udp_socket(unsigned *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

/* 20 % are lost, 5 % come twice. */
static unsigned copies(struct proxy *proxy)
{
    unsigned die = (unsigned)rand_r(&proxy->seed) % 100;
    return die < 20 ? 0 : die < 25 ? 2 : 1;
}

static void run_proxy(void *arg)
{
    struct proxy *proxy = arg;
    uint8_t datagram[2000];

    for (;;) {
        struct pollfd fds[2] = {{.fd = proxy->client_side, .events = POLLIN},
                                {.fd = proxy->server_side, .events = POLLIN}};
        socklen_t len = sizeof(proxy->client);
        ssize_t n;

        poll(fds, 2, -1);
        if (fds[0].revents) {
            n = recvfrom(proxy->client_side, datagram, sizeof(datagram), 0,
                         (struct sockaddr *)&proxy->client, &len);
            for (unsigned i = copies(proxy); n > 0 && i > 0; i--)
                send(proxy->server_side, datagram, (size_t)n, 0);
        }
        if (fds[1].revents) {
            n = recv(proxy->server_side, datagram, sizeof(datagram), 0);
            for (unsigned i = copies(proxy); n > 0 && i > 0; i--)
                sendto(proxy->client_side, datagram, (size_t)n, 0,
                       (struct sockaddr *)&proxy->client, sizeof(proxy->client));
        }
    }
}

Test(libskep, commands_survive_loss_and_repetition)
{
    unsigned port = start_server(0), unused;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct proxy proxy = {.seed = 11};
    struct skep_sys_info_attr info;
    static uint8_t value[50000], back[50000];
    pid_t child;
    uint32_t key;

    proxy.client_side = udp_socket(&proxy.port);
    proxy.server_side = udp_socket(&unused);
    cr_assert_eq(connect(proxy.server_side, (struct sockaddr *)&to, sizeof(to)), 0);
    child = in_child(run_proxy, &proxy);

    struct skep *skep = open_at(proxy.port, 20000);
    cr_assert_not_null(skep, "%s", error);
    long map = make_hash(skep, sizeof(value));
    cr_assert_gt(map, 0);
    union bpf_attr attr = {.map_fd = (uint32_t)map, .key = (uintptr_t)&key};
    for (key = 0; key < 8; key++) {
        for (size_t i = 0; i < sizeof(value); i++)
            value[i] = (uint8_t)rand_r(&proxy.seed);
        attr.value = (uintptr_t)value;
        attr.flags = BPF_NOEXIST; /* executed twice, it would fail */
        cr_assert_eq(skep_command(skep, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)), 0);
        attr.value = (uintptr_t)back;
        attr.flags = 0;
        cr_assert_eq(skep_command(skep, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)), 0);
        cr_assert_arr_eq(back, value, sizeof(value));
    }
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.requests, 18, "each command was executed once");
    cr_assert_eq(info.maps, 1);
    skep_close(skep);
    end_child(child);
    close(proxy.client_side);
    close(proxy.server_side);
    cr_assert_eq(stop_server(), 0);
}

/* ---- what fails, and how it is said -------------------------------------------------------- */

#define SAYS(text, words)                                                                          \
    cr_assert_not_null(strstr(text, words), "\"%s\" lacks \"%s\"", text, words)

Test(libskep, nothing_listens)
{
    unsigned port;

    close(udp_socket(&port));
    cr_assert_null(open_at(port, 3000));
    cr_assert_eq(errno, ECONNREFUSED);
    SAYS(error, "nothing listens");
    SAYS(error, "make run");
}

Test(libskep, no_answer)
{
    unsigned port;
    int silent = udp_socket(&port);

    cr_assert_null(open_at(port, 500));
    cr_assert_eq(errno, ETIMEDOUT);
    SAYS(error, "no answer");
    SAYS(error, "0.5 s");
    close(silent);
}

Test(libskep, bad_targets)
{
    static const char *const targets[] = {"",        "host:0",  "host:65536", "host:http",
                                          "host:",   "1:2:3:4", "[::1:99",    "[::1]99",
                                          "host:-5", "host: 7"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct skep_options options = {.target = targets[i], .key = KEY};
        cr_assert_null(skep_open(&options, error, sizeof(error)), "%s", targets[i]);
        cr_assert_eq(errno, EINVAL, "%s", targets[i]);
        SAYS(error, "HOST:PORT");
    }
    struct skep_options options = {.target = "no-such-host.invalid:1", .key = KEY};
    cr_assert_null(skep_open(&options, error, sizeof(error)));
    SAYS(error, "does not resolve");
}

Test(libskep, the_server_stops)
{
    unsigned port = start_server(0);
    struct skep *skep = open_at(port, 3000);
    struct skep_sys_info_attr info;

    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(stop_server(), 0);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), -ECONNRESET);
    SAYS(skep_last_error(skep), "nothing listens");
    SAYS(skep_last_error(skep), "any more");
    skep_close(skep);
}

Test(libskep, the_guest_restarts)
{
    unsigned port = start_server(0);
    struct skep *skep = open_at(port, 3000);
    struct skep_sys_info_attr info;

    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(stop_server(), 0);
    start_server(port);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), -ECONNRESET);
    SAYS(skep_last_error(skep), "restarted");
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), -ECONNRESET);
    SAYS(skep_last_error(skep), "restarted");
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

/* ---- keys ---------------------------------------------------------------------------------- */

Test(libskep, a_wrong_key_gets_no_answer)
{
    unsigned port = start_server(0);

    cr_assert_null(open_with(port, 700, WRONG));
    cr_assert_eq(errno, ETIMEDOUT);
    SAYS(error, "no answer");
    SAYS(error, "the key (--key) is not the guest's");
    struct skep *skep = open_at(port, 3000);
    struct skep_sys_info_attr info;
    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.sealed, 1);
    cr_assert_gt(info.datagrams_unopened, 0);
    cr_assert_gt(info.datagrams_opened, 0);
    skep_close(skep);
    cr_assert_eq(stop_server(), 0);
}

Test(libskep, without_a_key_nothing_is_sent)
{
    struct skep_options options = {.target = "127.0.0.1:9"};

    unsetenv("SKEP_KEY");
    unsetenv("SKEP_INSECURE");
    errno = 0;
    cr_assert_null(skep_open(&options, error, sizeof(error)));
    cr_assert_eq(errno, ENOKEY);
    SAYS(error, "--key FILE");
    SAYS(error, "console");
    options.key = KEY;
    options.insecure = 1;
    cr_assert_null(skep_open(&options, error, sizeof(error)));
    cr_assert_eq(errno, EINVAL);
    SAYS(error, "exclude each other");
}

static void write_file(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "w");

    cr_assert_eq(fwrite(text, 1, size, file), size);
    fclose(file);
}

Test(libskep, keys_come_from_files_and_the_environment)
{
    char folder[] = "/tmp/skep-key-XXXXXX", path[64];
    unsigned port = start_server(0);
    struct skep *skep;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/key", folder);
    write_file(path, KEY "\n", 65);
    skep = open_with(port, 3000, path);
    cr_assert_not_null(skep, "%s", error);
    skep_close(skep);

    struct skep_options options = {.timeout_ms = 3000};
    char target[32];
    snprintf(target, sizeof(target), "127.0.0.1:%u", port);
    options.target = target;
    setenv("SKEP_KEY", KEY, 1);
    setenv("SKEP_INSECURE", "0", 1);
    skep = skep_open(&options, error, sizeof(error));
    cr_assert_not_null(skep, "%s", error);
    skep_close(skep);
    setenv("SKEP_KEY", path, 1);
    skep = skep_open(&options, error, sizeof(error));
    cr_assert_not_null(skep, "%s", error);
    skep_close(skep);

    write_file(path, KEY, 63);
    cr_assert_null(skep_open(&options, error, sizeof(error)));
    cr_assert_eq(errno, EINVAL);
    SAYS(error, "holds no key");
    remove(path);
    cr_assert_null(skep_open(&options, error, sizeof(error)));
    cr_assert_eq(errno, ENOENT);
    SAYS(error, "cannot be read");
    remove(folder);
    cr_assert_eq(stop_server(), 0);
}

Test(libskep, in_plain_only_when_both_ends_are_told)
{
    unsigned plain = start_server_with(0, NULL);
    pid_t plain_pid = server_pid;
    unsigned sealed = start_server(0);
    struct skep_sys_info_attr info;

    struct skep *skep = open_with(plain, 3000, NULL);
    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), 0);
    cr_assert_eq(info.sealed, 0);
    skep_close(skep);

    cr_assert_null(open_at(plain, 5000));
    cr_assert_eq(errno, EPROTONOSUPPORT);
    SAYS(error, "skep.insecure=1");
    SAYS(error, "--insecure");
    cr_assert_null(open_with(sealed, 700, NULL));
    cr_assert_eq(errno, ETIMEDOUT);
    SAYS(error, "wants a key");

    setenv("SKEP_INSECURE", "1", 1);
    char target[32];
    snprintf(target, sizeof(target), "127.0.0.1:%u", plain);
    struct skep_options options = {.target = target, .timeout_ms = 3000};
    skep = skep_open(&options, error, sizeof(error));
    cr_assert_not_null(skep, "%s", error);
    skep_close(skep);
    options.key = KEY;
    cr_assert_null(skep_open(&options, error, sizeof(error)), "a key is meant to be used");
    kill(plain_pid, SIGTERM);
    waitpid(plain_pid, NULL, 0);
    cr_assert_eq(stop_server(), 0);
}

/* ---- a server that says what a test tells it ----------------------------------------------- */

struct script {
    int fd;
    uint8_t version;
    uint64_t boot_ids[4]; /* one a hello */
};

/* Answers hellos with boot ids by turn, in plain; it knows of no session, and answers nothing else.
 */
static void run_script(void *arg)
{
    struct script *script = arg;
    unsigned hellos = 0;

    for (;;) {
        uint8_t datagram[WIRE_DATAGRAM_MAX];
        struct wire_header *header = (struct wire_header *)datagram;
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        struct marshal_plan plan = {
            .cmd = SKEP_HELLO, .kind = -1, .attr_size = sizeof(struct skep_hello_attr)};
        ssize_t n =
            recvfrom(script->fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&from, &len);

        if (n < (ssize_t)sizeof(*header) || header->kind != WIRE_REQUEST ||
            header->command != SKEP_HELLO)
            continue;
        struct skep_hello_attr asked;
        memcpy(&asked, datagram + sizeof(*header) + sizeof(struct marshal_head), sizeof(asked));
        plan.attr.hello = (struct skep_hello_attr){.session = asked.session ? 0 : 5,
                                                   .lease_seconds = 15,
                                                   .boot_id = script->boot_ids[hellos++ % 4]};
        header->kind = WIRE_REPLY;
        header->version = script->version;
        header->total = (uint32_t)marshal_encode_reply(&plan, 0, datagram + sizeof(*header),
                                                       WIRE_FRAGMENT_SIZE);
        sendto(script->fd, datagram, sizeof(*header) + header->total, 0, (struct sockaddr *)&from,
               len);
    }
}

Test(libskep, another_wire_version)
{
    struct script script = {.version = WIRE_VERSION_PLAIN + 1};
    unsigned port;
    pid_t child;

    script.fd = udp_socket(&port);
    child = in_child(run_script, &script);
    cr_assert_null(open_with(port, 3000, NULL));
    cr_assert_eq(errno, EPROTONOSUPPORT);
    SAYS(error, "wire version 2");
    end_child(child);
    close(script.fd);
}

Test(libskep, a_lease_that_ran_out_is_no_restart)
{
    struct script script = {.version = WIRE_VERSION_PLAIN, .boot_ids = {7, 7, 7, 8}};
    struct skep_sys_info_attr info;
    unsigned port;
    pid_t child;

    script.fd = udp_socket(&port);
    child = in_child(run_script, &script);
    struct skep *skep = open_with(port, 3000, NULL);
    cr_assert_not_null(skep, "%s", error);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), -ECONNRESET);
    SAYS(skep_last_error(skep), "heard nothing for 15 s");
    skep_close(skep);

    skep = open_with(port, 3000, NULL);
    cr_assert_eq(skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)), -ECONNRESET);
    SAYS(skep_last_error(skep), "restarted");
    skep_close(skep);
    end_child(child);
    close(script.fd);
}
