/*
 * The one connection to a guest, made before a verb runs and ended after it. libbpf's bpf(2) and
 * skepctl's own commands both go through it (user/lib/bpf_transport.h).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "user/client/client.h"
#include "user/lib/bpf_transport.h"
#include "user/lib/skep.h"

static struct skep *connection;
static volatile sig_atomic_t stopped;

static long remote_command(void *arg, uint32_t cmd, void *attr, uint32_t attr_size)
{
    long result = skep_command(arg, cmd, attr, attr_size);
    static bool told;

    /* A broken connection gets its sentence once; the verb then says what it could not do. */
    if ((result == -ETIMEDOUT || result == -ECONNRESET) && !told) {
        const char *why = skep_last_error(arg);

        if (why && *why)
            p_info("skepctl: %s", why);
        told = true;
    }
    return result;
}

/* -1 after saying why not. */
int guest_connect(const struct skep_options *options)
{
    char why[512] = "";

    connection = skep_open(options, why, sizeof(why));
    if (!connection) {
        p_err("%s", *why ? why : strerror(errno));
        return -1;
    }
    bpf_transport_set(&(struct bpf_backend){.command = remote_command, .arg = connection});
    return 0;
}

void guest_disconnect(void)
{
    bpf_transport_set(NULL);
    skep_close(connection);
    connection = NULL;
}

/* One of Skep's own commands; 0 or a new descriptor, or negative errno. */
long guest_command(uint32_t cmd, void *attr, uint32_t size)
{
    return bpf_transport_command(cmd, attr, size);
}

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

/* From here on Ctrl-C and SIGTERM end a streaming verb instead of the process. */
void guest_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool guest_stopped(void)
{
    return stopped;
}

/* One read of a guest's text (trace pipe, kernel log) from *cursor, which moves on; print gets
 * what was there. The guest holds its answer up to timeout_ms while there is nothing. Returns
 * bytes read, or negative errno. */
int guest_stream_text(uint32_t cmd, uint64_t *cursor, unsigned timeout_ms, text_fn print)
{
    static char text[SKEP_TEXT_MAX];
    static uint64_t lost;
    struct skep_read_attr attr = {
        .cursor = *cursor,
        .buf = (uintptr_t)text,
        .size = sizeof(text),
        .timeout_ms = timeout_ms,
    };
    long result = guest_command(cmd, &attr, sizeof(attr));

    if (result < 0)
        return (int)result;
    if (attr.lost > lost && *cursor != 0)
        p_info("skepctl: %llu bytes lost, the guest wrote faster than they were read",
               (unsigned long long)(attr.lost - lost));
    lost = attr.lost;
    *cursor = attr.cursor;
    if (print && attr.size > 0)
        print(text, attr.size);
    return (int)attr.size;
}
