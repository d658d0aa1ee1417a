/*
 * skepctl prog attach, detach, unload. An attachment is a link: TRACEPOINT_OPEN gives a handle,
 * LINK_CREATE joins it with the program, and a pin keeps the link after this session ends. The
 * pin's name is links/PROG_ID/SYSTEM:NAME, so a tracepoint has each program once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* A link of the program on the tracepoint: a descriptor that the caller closes, or -1. */
int attach_tracepoint(int prog_fd, const char *name)
{
    int target = tracepoint_open(name);
    int link;

    if (target < 0)
        return -1;
    link = bpf_link_create(prog_fd, target, BPF_PERF_EVENT, NULL);
    if (link < 0 && errno == EACCES)
        p_err("can't attach to %s: the program reads past the end of the event's record; 'skepctl "
              "tracepoint format %s' shows what there is",
              name, name);
    else if (link < 0 && errno == EINVAL)
        p_err("can't attach to %s: the program is not of type tracepoint; load it from a section "
              "\"tracepoint/SYSTEM/NAME\"",
              name);
    else if (link < 0)
        p_err("can't attach to %s: %s", name, strerror(errno));
    close(target);
    return link;
}

static int pin_name(int prog_fd, const char *tracepoint, char *out, size_t size)
{
    struct bpf_prog_info info = {0};

    if (handle_info(EBPF_PROG, prog_fd, &info, sizeof(info)))
        return -1;
    if (snprintf(out, size, "links/%u/%s", info.id, tracepoint) < (int)size)
        return 0;
    p_err("unknown tracepoint: '%s'", tracepoint);
    return -1;
}

/* "tracepoint SYSTEM:NAME", what may follow PROG. NULL after saying what is wrong. */
static const char *parse_target(struct args *args)
{
    if (!args_match(args, "tracepoint")) {
        p_err("expected 'tracepoint', got: '%s'?", args->left ? args->next[0] : "nothing");
        return NULL;
    }
    if (!args_require(args, 1))
        return NULL;
    const char *name = args_take(args);
    return args_none(args) ? NULL : name;
}

int do_prog_attach(struct args *args)
{
    int fd = handle_parse(args, EBPF_PROG);
    const char *tracepoint = fd < 0 ? NULL : parse_target(args);
    char name[SKEP_PIN_MAX];
    int link = -1, error = -1;

    if (tracepoint && pin_name(fd, tracepoint, name, sizeof(name)) == 0)
        link = attach_tracepoint(fd, tracepoint);
    if (link >= 0 && bpf_obj_pin(link, name) == 0)
        error = done();
    else if (link >= 0 && errno == EEXIST)
        p_err("the program is attached to %s already", tracepoint);
    else if (link >= 0)
        p_err("can't keep the link: %s", strerror(errno));
    if (link >= 0)
        close(link);
    if (fd >= 0)
        close(fd);
    return error;
}

/* Unpins the links of a program: those of one tracepoint, or (NULL) all. *count: how many. */
static int remove_links(uint32_t prog_id, const char *tracepoint, unsigned *count)
{
    char ending[SKEP_PIN_MAX] = "";
    struct pins pins;
    int error = pins_read(&pins);

    *count = 0;
    if (tracepoint)
        snprintf(ending, sizeof(ending), "/%s", tracepoint);
    for (unsigned i = 0; !error && i < pins.count; i++) {
        struct bpf_link_info info = {0};
        const char *name = pins.pin[i].name;
        size_t length = strlen(name), tail = strlen(ending);
        int fd;

        if (pins.pin[i].kind != EBPF_LINK || length < tail ||
            strcmp(name + length - tail, ending) != 0)
            continue;
        fd = handle_by_id(EBPF_LINK, pins.pin[i].id);
        if (fd < 0)
            continue; /* gone meanwhile */
        error = handle_info(EBPF_LINK, fd, &info, sizeof(info));
        close(fd);
        if (!error && info.prog_id == prog_id) {
            error = pins_remove(EBPF_LINK, info.id, NULL);
            *count += 1;
        }
    }
    free(pins.pin);
    return error;
}

/* The id of the one program that the next words name; no handle is kept. */
static int parse_prog_id(struct args *args, uint32_t *id)
{
    struct bpf_prog_info info = {0};
    int fd = handle_parse(args, EBPF_PROG), error;

    if (fd < 0)
        return -1;
    error = handle_info(EBPF_PROG, fd, &info, sizeof(info));
    close(fd);
    *id = info.id;
    return error;
}

int do_prog_detach(struct args *args)
{
    const char *tracepoint = NULL;
    uint32_t id;
    unsigned count;

    if (parse_prog_id(args, &id))
        return -1;
    if (args->left > 0 && !(tracepoint = parse_target(args)))
        return -1;
    if (remove_links(id, tracepoint, &count))
        return -1;
    if (count > 0)
        return done();
    p_err("the program is not attached%s%s by 'prog attach'; 'skepctl link list' shows every link",
          tracepoint ? " to " : "", tracepoint ? tracepoint : "");
    return -1;
}

/* Detaches the program and removes its pins: it goes when nobody else holds it. */
int do_prog_unload(struct args *args)
{
    unsigned links, pins;
    uint32_t id;

    if (parse_prog_id(args, &id) || args_none(args))
        return -1;
    if (remove_links(id, NULL, &links) || pins_remove(EBPF_PROG, id, &pins))
        return -1;
    if (links > 0 || pins > 0)
        return done();
    p_err("program %u has no pin and no pinned link: it belongs to a session that is still open",
          id);
    return -1;
}
