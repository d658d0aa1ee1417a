/*
 * skepctl map: the verb table, and list, create, pin, freeze. What deals in keys and values is in
 * map_dump.c and map_entry.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* What Linux tells in /proc/self/fdinfo. */
static int describe(int fd, struct skep_handle_attr *out)
{
    *out = (struct skep_handle_attr){.handle = (uint32_t)fd};
    long result = guest_command(SKEP_HANDLE_INFO, out, sizeof(*out));

    if (result < 0)
        p_err("can't ask for the map's memory: %s", error_text(result));
    return result < 0 ? -1 : 0;
}

static void show_owner_json(const struct skep_handle_attr *more)
{
    const char *type = libbpf_bpf_prog_type_str(more->owner_type);

    if (more->owner == SKEP_OWNER_NONE)
        return;
    if (type)
        jsonw_string(json, "owner_prog_type", type);
    else
        jsonw_uint(json, "owner_prog_type", more->owner_type);
    jsonw_bool(json, "owner_jited", more->owner == SKEP_OWNER_JITED);
}

static void show_json(const struct bpf_map_info *info, const struct skep_handle_attr *more)
{
    const char *type = libbpf_bpf_map_type_str(info->type);

    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "id", info->id);
    if (type)
        jsonw_string(json, "type", type);
    else
        jsonw_uint(json, "type", info->type);
    if (*info->name)
        jsonw_string(json, "name", info->name);
    jsonw_uint(json, "flags", info->map_flags);
    jsonw_uint(json, "bytes_key", info->key_size);
    jsonw_uint(json, "bytes_value", info->value_size);
    jsonw_uint(json, "max_entries", info->max_entries);
    jsonw_uint(json, "bytes_memlock", more->memory);
    show_owner_json(more);
    jsonw_uint(json, "frozen", more->frozen);
    if (info->btf_id)
        jsonw_uint(json, "btf_id", info->btf_id);
    pins_show(EBPF_MAP, info->id);
    jsonw_end(json, '}');
}

static void show_owner_plain(const struct skep_handle_attr *more)
{
    const char *type = libbpf_bpf_prog_type_str(more->owner_type);

    if (more->owner == SKEP_OWNER_NONE)
        return;
    if (type)
        printf("\n\towner_prog_type %s  ", type);
    else
        printf("\n\towner_prog_type %u  ", more->owner_type);
    printf("owner%s jited", more->owner == SKEP_OWNER_JITED ? "" : " not");
}

static void show_plain(const struct bpf_map_info *info, const struct skep_handle_attr *more)
{
    const char *type = libbpf_bpf_map_type_str(info->type);

    printf("%u: ", info->id);
    if (type)
        printf("%s  ", type);
    else
        printf("type %u  ", info->type);
    if (*info->name)
        printf("name %s  ", info->name);
    printf("flags 0x%x\n", info->map_flags);
    printf("\tkey %uB  value %uB  max_entries %u  memlock %lluB", info->key_size, info->value_size,
           info->max_entries, (unsigned long long)more->memory);
    show_owner_plain(more);
    pins_show(EBPF_MAP, info->id);
    if (info->btf_id)
        printf("\n\tbtf_id %u", info->btf_id);
    if (more->frozen)
        printf("%sfrozen", info->btf_id ? "  " : "\n\t");
    printf("\n");
}

static int show(int fd)
{
    struct bpf_map_info info = {0};
    struct skep_handle_attr more;

    if (handle_info(EBPF_MAP, fd, &info, sizeof(info)) || describe(fd, &more))
        return -1;
    if (json)
        show_json(&info, &more);
    else
        show_plain(&info, &more);
    return 0;
}

static int do_show(struct args *args)
{
    struct fds fds;
    int error = 0;

    if (args->left == 0) {
        if (json)
            jsonw_begin(json, NULL, '[');
        error = each_handle(EBPF_MAP, show);
        if (json)
            jsonw_end(json, ']');
        return error;
    }
    if (handles_parse(args, EBPF_MAP, &fds))
        return -1;
    if (args_none(args)) {
        handles_close(&fds);
        return -1;
    }
    if (json && fds.count > 1)
        jsonw_begin(json, NULL, '[');
    for (unsigned i = 0; i < fds.count && !error; i++)
        error = show(fds.fd[i]);
    if (json && fds.count > 1)
        jsonw_end(json, ']');
    handles_close(&fds);
    return error;
}

static int type_of_word(const char *word)
{
    const char *name;

    for (unsigned type = 0; (name = libbpf_bpf_map_type_str(type)); type++)
        if (word && strcmp(name, word) == 0)
            return (int)type;
    p_err("unrecognized map type: %s; 'skepctl map help' lists them", word ? word : "none given");
    return -1;
}

/* What map create was told. */
struct definition {
    int type;
    uint32_t key_size, value_size, max_entries;
    const char *name;
    struct bpf_map_create_opts options;
};

static int parse_definition(struct args *args, struct definition *out)
{
    while (args->left > 0) {
        int error = 0;

        if (args_match(args, "type")) {
            if (out->type) {
                p_err("map type already specified");
                return -1;
            }
            out->type = type_of_word(args_take(args));
            error = out->type < 0 ? -1 : 0;
        } else if (args_match(args, "name")) {
            out->name = args_take(args);
        } else if (args_match(args, "key")) {
            error = args_u32(args, "key size", &out->key_size);
        } else if (args_match(args, "value")) {
            error = args_u32(args, "value size", &out->value_size);
        } else if (args_match(args, "entries")) {
            error = args_u32(args, "max entries", &out->max_entries);
        } else if (args_match(args, "flags")) {
            error = args_u32(args, "flags", &out->options.map_flags);
        } else if (args_match(args, "inner_map")) {
            int inner = handle_parse(args, EBPF_MAP);

            error = inner < 0 ? -1 : 0;
            out->options.inner_map_fd = inner < 0 ? 0 : (uint32_t)inner;
        } else {
            p_err("unknown arg %s", args->next[0]);
            return -1;
        }
        if (error)
            return -1;
    }
    if (out->name)
        return 0;
    p_err("map name not specified");
    return -1;
}

static int create(const struct definition *map)
{
    int fd = bpf_map_create((enum bpf_map_type)map->type, map->name, map->key_size, map->value_size,
                            map->max_entries, &map->options);

    if (fd >= 0)
        return fd;
    if (errno == E2BIG)
        p_err("map create failed: %s: key, value or number of entries is larger than the guest "
              "takes",
              strerror(errno));
    else if (errno == EINVAL)
        p_err("map create failed: %s: the guest has no such map type, or not with these sizes, "
              "entries and flags",
              strerror(errno));
    else if (errno == ENOMEM || errno == EPERM)
        p_err("map create failed: %s: the guest's memory for maps is used up ('skepctl sys info')",
              strerror(errno));
    else
        p_err("map create failed: %s", strerror(errno));
    return -1;
}

static int do_create(struct args *args)
{
    struct definition map = {.options = {.sz = sizeof(map.options)}};
    const char *pin;
    int fd, error = -1;

    if (!args_require(args, 7))
        return -1;
    pin = args_take(args);
    if (parse_definition(args, &map) == 0 && (fd = create(&map)) >= 0) {
        if (pin_object(fd, pin) == 0)
            error = done();
        close(fd);
    }
    if (map.options.inner_map_fd)
        close((int)map.options.inner_map_fd);
    return error;
}

static int do_freeze(struct args *args)
{
    int fd = handle_parse(args, EBPF_MAP), error;

    if (fd < 0)
        return -1;
    error = args_none(args);
    if (!error && bpf_map_freeze(fd)) {
        p_err("failed to freeze map: %s", strerror(errno));
        error = -1;
    }
    close(fd);
    return error ? -1 : done();
}

static int do_pin(struct args *args)
{
    int fd = handle_parse(args, EBPF_MAP), error = -1;

    if (fd < 0)
        return -1;
    if (args_require(args, 1)) {
        const char *name = args_take(args);

        error = args_none(args) || pin_object(fd, name) ? -1 : done();
    }
    close(fd);
    return error;
}

/* Removes every pin of the map: it goes when no program and no session uses it. */
static int do_unpin(struct args *args)
{
    struct bpf_map_info info = {0};
    int fd = handle_parse(args, EBPF_MAP), error;
    unsigned removed;

    if (fd < 0)
        return -1;
    error = args_none(args) || handle_info(EBPF_MAP, fd, &info, sizeof(info)) ? -1 : 0;
    close(fd);
    if (error || pins_remove(EBPF_MAP, info.id, &removed))
        return -1;
    if (removed > 0)
        return done();
    p_err("map %u is not pinned", info.id);
    return -1;
}

static const struct verb verbs[] = {
    {"show", do_show, "[MAP]", "Maps in the guest; `-f` adds their pins."},
    {"list", do_show, NULL, NULL},
    {"create", do_create,
     "PIN type TYPE key KEY_SIZE value VALUE_SIZE entries MAX_ENTRIES name NAME [flags FLAGS] "
     "[inner_map MAP]",
     "Creates a map and pins it."},
    {"dump", do_map_dump, "MAP", "Every entry: raw bytes, or by BTF where the map has it."},
    {"update", do_map_update, "MAP [key DATA] [value VALUE] [UPDATE_FLAGS]", "Writes one entry."},
    {"lookup", do_map_lookup, "MAP [key DATA]", "One entry."},
    {"getnext", do_map_getnext, "MAP [key DATA]", "The key after a key; the first without one."},
    {"delete", do_map_delete, "MAP  key DATA", "Removes one entry."},
    {"pin", do_pin, "MAP NAME", "Pins a map under one more name."},
    {"unpin", do_unpin, "MAP", "Removes every pin of a map: it goes when no program uses it."},
    {"event_pipe", do_map_event_pipe, "MAP [cpu N index M]",
     "What programs put into a perf event array, until Ctrl-C."},
    {"freeze", do_freeze, "MAP", "Lets no client write to the map from now on."},
    {0},
};

const struct noun noun_map = {
    .name = "map",
    .verbs = verbs,
    .terms = "       MAP := { id MAP_ID | pinned NAME | name MAP_NAME }\n"
             "       DATA := { [hex] BYTES }\n"
             "       VALUE := { DATA | MAP | PROG }\n"
             "       UPDATE_FLAGS := { any | exist | noexist }\n"
             "       TYPE := { hash | array | percpu_hash | percpu_array | lru_hash | ringbuf | "
             "queue | stack |\n"
             "                 prog_array | perf_event_array | stack_trace | array_of_maps |\n"
             "                 hash_of_maps | lpm_trie | ... }\n",
};
