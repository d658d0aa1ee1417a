/*
 * skepctl prog load, loadall: load an object file and pin its program (the first one, or each by
 * its name under DIR), so that it outlives this session. Maps live as long as programs use them;
 * `pinmaps DIR` pins those too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

struct load_options {
    const char *pinmaps;
    enum bpf_prog_type type;
    enum bpf_attach_type attach_type;
    bool has_type;
};

static int parse_type(struct args *args, struct load_options *out)
{
    const char *name = args_take(args);
    char section[64];

    if (out->has_type) {
        p_err("program type already specified");
        return -1;
    }
    /* libbpf knows types by the beginnings of section names: some end with '/'. */
    snprintf(section, sizeof(section), "%s/", name ? name : "");
    if (!name || (libbpf_prog_type_by_name(name, &out->type, &out->attach_type) < 0 &&
                  libbpf_prog_type_by_name(section, &out->type, &out->attach_type) < 0)) {
        p_err("unknown program type '%s'", name ? name : "");
        return -1;
    }
    out->has_type = true;
    return 0;
}

/* map { idx IDX | name NAME } MAP: that map of the object is one that the guest has already. */
static int parse_map(struct args *args, struct bpf_object *object)
{
    bool by_index = args_match(args, "idx");
    struct bpf_map *map = NULL;
    const char *word;
    int fd, error;

    if (!by_index && !args_match(args, "name")) {
        p_err("expected 'idx' or 'name', got: '%s'?", args->left ? args->next[0] : "nothing");
        return -1;
    }
    word = args_take(args);
    if (word && by_index) {
        unsigned long index = strtoul(word, NULL, 0);

        map = bpf_object__next_map(object, NULL);
        while (map && index-- > 0)
            map = bpf_object__next_map(object, map);
    } else if (word) {
        map = bpf_object__find_map_by_name(object, word);
    }
    if (!map) {
        p_err("unable to find map '%s'", word ? word : "");
        return -1;
    }
    fd = handle_parse(args, EBPF_MAP);
    if (fd < 0)
        return -1;
    error = bpf_map__reuse_fd(map, fd);
    close(fd);
    if (error)
        p_err("unable to set up map reuse: %s", error_text(error));
    return error ? -1 : 0;
}

static int parse_options(struct args *args, struct bpf_object *object, struct load_options *out)
{
    while (args->left > 0) {
        if (args_match(args, "type")) {
            if (parse_type(args, out))
                return -1;
        } else if (args_match(args, "map")) {
            if (parse_map(args, object))
                return -1;
        } else if (args_match(args, "pinmaps")) {
            if (!args_require(args, 1))
                return -1;
            out->pinmaps = args_take(args);
        } else {
            p_err("expected no more arguments, 'type', 'map' or 'pinmaps', got: '%s'?",
                  args->next[0]);
            return -1;
        }
    }
    return 0;
}

static int pin_under(int fd, const char *folder, const char *name)
{
    char path[SKEP_PIN_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) {
        p_err("the name '%s/%s' is too long for a pin", folder, name);
        return -1;
    }
    return pin_object(fd, path);
}

static int pin_maps(struct bpf_object *object, const char *folder)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, object)
    {
        if (pin_under(bpf_map__fd(map), folder, bpf_map__name(map)))
            return -1;
    }
    return 0;
}

static int pin_programs(struct bpf_object *object, const char *name, bool all)
{
    struct bpf_program *program = bpf_object__next_program(object, NULL);

    if (!program) {
        p_err("object file doesn't contain any bpf program");
        return -1;
    }
    if (!all)
        return pin_object(bpf_program__fd(program), name);
    bpf_object__for_each_program(program, object)
    {
        if (pin_under(bpf_program__fd(program), name, bpf_program__name(program)))
            return -1;
    }
    return 0;
}

/* Removes the pins of an object's programs, after something else could not be pinned. */
static void unpin_programs(struct bpf_object *object)
{
    struct bpf_program *program;

    bpf_object__for_each_program(program, object)
    {
        struct bpf_prog_info info = {0};

        if (handle_info(EBPF_PROG, bpf_program__fd(program), &info, sizeof(info)) == 0)
            pins_remove(EBPF_PROG, info.id, NULL);
    }
}

static int load(struct args *args, bool all)
{
    struct load_options options = {0};
    struct bpf_program *program;
    struct bpf_object *object;
    const char *path, *name;
    int error = -1;

    if (!args_require(args, 2))
        return -1;
    path = args_take(args);
    name = args_take(args);
    object = object_open(path);
    if (!object)
        return -1;
    if (parse_options(args, object, &options))
        goto out;
    if (options.has_type) {
        bpf_object__for_each_program(program, object)
        {
            bpf_program__set_type(program, options.type);
            bpf_program__set_expected_attach_type(program, options.attach_type);
        }
    }
    if (object_load(path, object) || pin_programs(object, name, all))
        goto out;
    if (options.pinmaps && pin_maps(object, options.pinmaps)) {
        unpin_programs(object);
        goto out;
    }
    error = done();
out:
    bpf_object__close(object);
    return error;
}

int do_prog_load(struct args *args)
{
    return load(args, false);
}

int do_prog_loadall(struct args *args)
{
    return load(args, true);
}
