/*
 * skepctl prog attach, detach, unload. An attachment is a link, made by LINK_CREATE (on a handle
 * from TRACEPOINT_OPEN, or on the network card) or RAW_TRACEPOINT_OPEN; a pin keeps it after this
 * session ends. The pin's name is links/PROG_ID/TARGET, so a target has each program once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

#define IFINDEX_FIRST 1 /* the guest's network card */

static int attach_tracepoint(int prog_fd, const char *name)
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
    else if (link < 0)
        p_err("can't attach to %s: %s", name, strerror(errno));
    close(target);
    return link;
}

static int attach_raw_tracepoint(int prog_fd, const char *name)
{
    int link = bpf_raw_tracepoint_open(name, prog_fd);

    if (link < 0 && errno == ENOENT)
        p_err("unknown raw tracepoint: '%s'; 'skepctl tracepoint list' shows the events there are, "
              "and a raw tracepoint's name is what follows ':'",
              name);
    else if (link < 0)
        p_err("can't attach to raw tracepoint %s: %s", name, strerror(errno));
    return link;
}

static int attach_xdp(int prog_fd, const char *name)
{
    int link = bpf_link_create(prog_fd, IFINDEX_FIRST, BPF_XDP, NULL);

    (void)name;
    if (link < 0 && errno == EINVAL)
        p_err("can't attach to the network card: the guest has none");
    else if (link < 0 && errno == EBUSY)
        p_err("can't attach to the network card: it has a program already, and takes one; "
              "'skepctl link list' shows it");
    else if (link < 0)
        p_err("can't attach to the network card: %s", strerror(errno));
    return link;
}

/* What a program may be attached to, and which type of program can. */
static const struct target {
    const char *word;
    enum bpf_prog_type type;
    bool has_name;
    int (*attach)(int prog_fd, const char *name);
} targets[] = {
    {"tracepoint", BPF_PROG_TYPE_TRACEPOINT, true, attach_tracepoint},
    {"raw_tracepoint", BPF_PROG_TYPE_RAW_TRACEPOINT, true, attach_raw_tracepoint},
    {"xdp", BPF_PROG_TYPE_XDP, false, attach_xdp},
};

#define NR_TARGETS (sizeof(targets) / sizeof(targets[0]))

/* Attaches a program to the target of its type. A link's descriptor that the caller closes, or
 * -1 after saying why not. */
int attach_program(enum bpf_prog_type type, int prog_fd, const char *name)
{
    const char *word = libbpf_bpf_prog_type_str(type);

    for (unsigned i = 0; i < NR_TARGETS; i++)
        if (targets[i].type == type)
            return targets[i].attach(prog_fd, name);
    p_err("a program of type %s cannot be attached; 'skepctl prog run' can run it",
          word ? word : "unknown");
    return -1;
}

/* TARGET on the command line, as taken by parse_target. */
struct destination {
    const struct target *target;
    const char *name;
};

static int parse_target(struct args *args, struct destination *out)
{
    *out = (struct destination){.name = ""};
    /* Whole words only, since each begins like another noun. */
    for (unsigned i = 0; i < NR_TARGETS && args->left > 0; i++)
        if (strcmp(args->next[0], targets[i].word) == 0)
            out->target = &targets[i];
    if (!out->target) {
        p_err("expected 'tracepoint', 'raw_tracepoint' or 'xdp', got: '%s'?",
              args->left ? args->next[0] : "nothing");
        return -1;
    }
    args_take(args);
    if (out->target->has_name) {
        if (!args_require(args, 1))
            return -1;
        out->name = args_take(args);
    }
    return args_none(args);
}

/* What a destination is called within a pin's name: "SYSTEM:NAME", "raw_tracepoint:NAME", "xdp". */
static void describe(const struct destination *to, char *out, size_t size)
{
    if (to->target->type == BPF_PROG_TYPE_TRACEPOINT)
        snprintf(out, size, "%s", to->name);
    else
        snprintf(out, size, "%s%s%s", to->target->word, *to->name ? ":" : "", to->name);
    for (char *slash = strchr(out, '/'); slash; slash = strchr(slash, '/'))
        *slash = ':';
}

int do_prog_attach(struct args *args)
{
    struct bpf_prog_info info = {0};
    char text[128], name[SKEP_PIN_MAX];
    struct destination to;
    int fd = handle_parse(args, EBPF_PROG), link = -1, error = -1;

    if (fd < 0)
        return -1;
    if (parse_target(args, &to) || handle_info(EBPF_PROG, fd, &info, sizeof(info)))
        goto out;
    describe(&to, text, sizeof(text));
    snprintf(name, sizeof(name), "links/%u/%s", info.id, text);
    if (info.type != to.target->type) {
        const char *type = libbpf_bpf_prog_type_str(info.type);

        p_err("can't attach to %s: the program is of type %s and must be of type %s, which its "
              "section's name decides",
              text, type ? type : "unknown", libbpf_bpf_prog_type_str(to.target->type));
        goto out;
    }
    link = to.target->attach(fd, to.name);
    if (link < 0)
        goto out;
    if (bpf_obj_pin(link, name) == 0)
        error = done();
    else if (errno == EEXIST)
        p_err("the program is attached to %s already", text);
    else
        p_err("can't keep the link: %s", strerror(errno));
    close(link);
out:
    close(fd);
    return error;
}

/* Unpins the links of a program: those on one target, or (NULL) all. *count: how many. */
static int remove_links(uint32_t prog_id, const char *target, unsigned *count)
{
    char ending[SKEP_PIN_MAX] = "";
    struct pins pins;
    int error = pins_read(&pins);

    *count = 0;
    if (target)
        snprintf(ending, sizeof(ending), "/%s", target);
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
    struct destination to;
    char text[128] = "";
    uint32_t id;
    unsigned count;

    if (parse_prog_id(args, &id))
        return -1;
    if (args->left > 0) {
        if (parse_target(args, &to))
            return -1;
        describe(&to, text, sizeof(text));
    }
    if (remove_links(id, *text ? text : NULL, &count))
        return -1;
    if (count > 0)
        return done();
    p_err("the program is not attached%s%s by 'prog attach'; 'skepctl link list' shows every link",
          *text ? " to " : "", text);
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
