/*
 * How a program, map or link is named on the command line: `id N`, `name S`, `tag T`, `pinned F`.
 * A name or tag may fit several objects; verbs that act on one say so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* What differs between the kinds of object. */
static const struct kind {
    const char *noun, *plural, *abbreviation;
    const char *words; /* how it may be named */
    int (*next_id)(uint32_t id, uint32_t *next);
    int (*fd_by_id)(uint32_t id);
    bool has_name, has_tag;
} kinds[] = {
    [EBPF_PROG] = {"program", "programs", "prog", "'id', 'tag', 'name' or 'pinned'",
                   bpf_prog_get_next_id, bpf_prog_get_fd_by_id, true, true},
    [EBPF_MAP] = {"map", "maps", "map", "'id', 'name' or 'pinned'", bpf_map_get_next_id,
                  bpf_map_get_fd_by_id, true, false},
    [EBPF_LINK] = {"link", "links", "link", "'id' or 'pinned'", bpf_link_get_next_id,
                   bpf_link_get_fd_by_id, false, false},
    [EBPF_BTF] = {"BTF object", "BTF objects", "btf", "'id'", bpf_btf_get_next_id,
                  bpf_btf_get_fd_by_id, false, false},
};

/* 0; -1 with errno ENOENT after the last. */
int handle_next_id(enum ebpf_kind kind, uint32_t id, uint32_t *next)
{
    return kinds[kind].next_id(id, next);
}

/* A descriptor that the caller closes, or -1 and errno. */
int handle_by_id(enum ebpf_kind kind, uint32_t id)
{
    return kinds[kind].fd_by_id(id);
}

/* Calls show for each object of a kind there is, and closes the descriptor after it. */
int each_handle(enum ebpf_kind kind, int (*show)(int fd))
{
    uint32_t id = 0;

    while (kinds[kind].next_id(id, &id) == 0) {
        int fd = kinds[kind].fd_by_id(id);
        int error;

        if (fd < 0 && errno == ENOENT)
            continue; /* it went away meanwhile */
        if (fd < 0) {
            p_err("can't get %s by id (%u): %s", kinds[kind].abbreviation, id, strerror(errno));
            return -1;
        }
        error = show(fd);
        close(fd);
        if (error)
            return error;
    }
    if (errno == ENOENT)
        return 0;
    p_err("can't get next %s: %s", kinds[kind].noun, strerror(errno));
    return -1;
}

static int add(struct fds *fds, int fd)
{
    int *grown = realloc(fds->fd, (fds->count + 1) * sizeof(*grown));

    if (!grown) {
        p_err("out of memory");
        close(fd);
        return -1;
    }
    fds->fd = grown;
    fds->fd[fds->count++] = fd;
    return 0;
}

void handles_close(struct fds *fds)
{
    for (unsigned i = 0; i < fds->count; i++)
        close(fds->fd[i]);
    free(fds->fd);
    *fds = (struct fds){0};
}

static int by_id(const char *word, enum ebpf_kind kind, struct fds *out)
{
    char *end;
    unsigned long id = word ? strtoul(word, &end, 0) : 0;

    if (!word || *end || end == word || id > UINT32_MAX) {
        p_err("can't parse %s as ID", word ? word : "nothing");
        return -1;
    }
    int fd = kinds[kind].fd_by_id((uint32_t)id);
    if (fd < 0) {
        p_err("get %s by id (%lu): %s", kinds[kind].abbreviation, id, strerror(errno));
        return -1;
    }
    return add(out, fd);
}

static int parse_tag(const char *word, uint8_t tag[BPF_TAG_SIZE])
{
    char rest;

    if (word && sscanf(word, "%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%2hhx%c", tag, tag + 1, tag + 2,
                       tag + 3, tag + 4, tag + 5, tag + 6, tag + 7, &rest) == BPF_TAG_SIZE)
        return 0;
    p_err("can't parse tag");
    return -1;
}

/* Whether an object has this tag, or, where tag is NULL, this name. */
static int fits(enum ebpf_kind kind, int fd, const char *name, const uint8_t *tag, bool *out)
{
    struct bpf_prog_info prog = {0};
    struct bpf_map_info map = {0};
    int error = kind == EBPF_PROG ? handle_info(kind, fd, &prog, sizeof(prog))
                                  : handle_info(kind, fd, &map, sizeof(map));

    if (tag)
        *out = memcmp(prog.tag, tag, BPF_TAG_SIZE) == 0;
    else
        *out = strncmp(kind == EBPF_PROG ? prog.name : map.name, name, BPF_OBJ_NAME_LEN) == 0;
    return error;
}

static int by_name_or_tag(enum ebpf_kind kind, const char *name, const uint8_t *tag,
                          const char *word, struct fds *out)
{
    uint32_t id = 0;

    while (kinds[kind].next_id(id, &id) == 0) {
        int fd = kinds[kind].fd_by_id(id);
        bool found;

        if (fd < 0)
            continue;
        if (fits(kind, fd, name, tag, &found)) {
            close(fd);
            return -1;
        }
        if (!found)
            close(fd);
        else if (add(out, fd))
            return -1;
    }
    if (errno != ENOENT) {
        p_err("can't get next %s: %s", kinds[kind].noun, strerror(errno));
        return -1;
    }
    if (out->count == 0) {
        p_err("no %s has the %s '%s'; 'skepctl %s list' shows those there are", kinds[kind].noun,
              tag ? "tag" : "name", word, kinds[kind].abbreviation);
        return -1;
    }
    return 0;
}

static int parse(struct args *args, enum ebpf_kind kind, struct fds *out)
{
    if (args_match(args, "id"))
        return by_id(args_take(args), kind, out);
    if (kinds[kind].has_tag && args_match(args, "tag")) {
        const char *word = args_take(args);
        uint8_t tag[BPF_TAG_SIZE];

        return parse_tag(word, tag) ? -1 : by_name_or_tag(kind, NULL, tag, word, out);
    }
    if (kinds[kind].has_name && args_match(args, "name")) {
        const char *name = args_take(args);

        if (!name || strlen(name) > BPF_OBJ_NAME_LEN - 1) {
            p_err("can't parse name: %s", name ? "longer than 15 characters" : "none given");
            return -1;
        }
        return by_name_or_tag(kind, name, NULL, name, out);
    }
    if (kind != EBPF_BTF && args_match(args, "pinned")) {
        const char *name = args_take(args);
        int fd = name ? pin_open(name, kind) : -1;

        if (!name)
            p_err("pin's name not given");
        return fd < 0 ? -1 : add(out, fd);
    }
    p_err("expected %s, got: '%s'?", kinds[kind].words, args->left ? args->next[0] : "nothing");
    return -1;
}

/* Every object that the next words name, at least one. The caller ends with handles_close. */
int handles_parse(struct args *args, enum ebpf_kind kind, struct fds *out)
{
    *out = (struct fds){0};
    if (parse(args, kind, out) == 0)
        return 0;
    handles_close(out);
    return -1;
}

/* The one object that the next words name: a descriptor that the caller closes, or -1. */
int handle_parse(struct args *args, enum ebpf_kind kind)
{
    struct fds fds;
    int fd = -1;

    if (handles_parse(args, kind, &fds))
        return -1;
    if (fds.count > 1) {
        p_err("several %s match this handle", kinds[kind].plural);
    } else {
        fd = fds.fd[0];
        fds.count = 0;
    }
    handles_close(&fds);
    return fd;
}
