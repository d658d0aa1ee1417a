/*
 * Skep's side of the comparison: a client, whose every bpf(2) is carried to a guest as skepctl's
 * are. Usage: skep-side HOST:PORT FOLDER-OF-OBJECTS, from the top of the tree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/commands.h"
#include "tests/linux/probe.h"
#include "user/lib/bpf_transport.h"
#include "user/lib/skep.h"

static struct skep *guest;
static uint64_t trace_cursor;

/* A guest that is gone would answer every question alike. */
static long command(void *arg, uint32_t cmd, void *attr, uint32_t size)
{
    long result = skep_command(arg, cmd, attr, size);

    if (result == -ETIMEDOUT || result == -ECONNRESET) {
        fflush(stdout);
        fprintf(stderr, "skep-side: %s\n", skep_last_error(arg));
        exit(1);
    }
    return result;
}

void side_write(const char *text, size_t size)
{
    fwrite(text, 1, size, stdout);
}

void side_trace_clear(void)
{
    struct skep_read_attr attr = {.cursor = ~0ull};

    if (skep_command(guest, SKEP_TRACE_PIPE_READ, &attr, sizeof(attr)) >= 0)
        trace_cursor = attr.cursor;
}

size_t side_trace_take(char *buf, size_t size)
{
    struct skep_read_attr attr = {
        .cursor = trace_cursor, .buf = (uintptr_t)buf, .size = (uint32_t)size};

    if (skep_command(guest, SKEP_TRACE_PIPE_READ, &attr, sizeof(attr)) < 0)
        return 0;
    trace_cursor = attr.cursor;
    return attr.size;
}

/* compare.py asks skepctl for the disassembly. */
void side_loaded(const char *id, int fd)
{
    (void)id;
    (void)fd;
}

int main(int argc, char **argv)
{
    struct bpf_backend backend = {.command = command};
    struct skep_options options = {0};
    char why[256] = "";

    if (argc != 3) {
        fputs("usage: skep-side HOST:PORT FOLDER-OF-OBJECTS\n", stderr);
        return 2;
    }
    options.target = argv[1];
    options.timeout_ms = 200000; /* random programs: the verifier may walk all it is allowed to */
    guest = skep_open(&options, why, sizeof(why));
    if (!guest) {
        fprintf(stderr, "skep-side: %s\n", why[0] ? why : strerror(errno));
        return 1;
    }
    backend.arg = guest;
    bpf_transport_set(&backend);
    probe_data();
    probe_maps("tests/linux/maps.table");
    probe_objects(argv[2]);
    probe_random();
    probe_say("note", "end", "end", "end");
    bpf_transport_set(NULL);
    skep_close(guest);
    return 0;
}
