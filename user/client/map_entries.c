/*
 * Every entry of a map in print. Called by map dump and by skep-vm.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/client/map_data.h"

/* A key whose value could not be had. */
static void print_missing(const struct map *map, const uint8_t *key, int error)
{
    uint32_t key_size = map->info.key_size;
    const char *text = error == ENOENT ? "<no entry>" : strerror(error);
    bool wide = key_size > 16 || strlen(text) > 16;

    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_bytes(json, "key", key, key_size);
        jsonw_begin(json, "value", '{');
        jsonw_string(json, "error", strerror(error));
        jsonw_end(json, '}');
        jsonw_end(json, '}');
        return;
    }
    printf("key:%c", wide ? '\n' : ' ');
    print_hex(key, key_size, " ");
    printf(!wide && key_size + strlen(text) <= 24 ? "  " : "\n");
    printf("value:%c%s\n", wide ? '\n' : ' ', text);
}

static int dump_entry(const struct map *map, struct json *formatted)
{
    uint32_t type = map->info.type;

    if (bpf_map_lookup_elem(map->fd, map->next_key, map->value)) {
        /* A slot without a map or program in it is no entry. */
        if (errno != ENOENT || !(map_is_map_of_maps(type) || type == BPF_MAP_TYPE_PROG_ARRAY))
            print_missing(map, map->next_key, errno);
        return 0;
    }
    if (json)
        map_print_json(map, map->next_key);
    else if (formatted)
        map_print_formatted(formatted, map, map->next_key, true);
    else
        map_print_plain(map, map->next_key);
    return 1;
}

static void dump_header(const struct bpf_map_info *info, struct json *out)
{
    const char *type = libbpf_bpf_map_type_str(info->type);

    if (!out) {
        printf("%u: %s  ", info->id, type ? type : "?");
        if (*info->name)
            printf("name %s  ", info->name);
        printf("flags 0x%x\n", info->map_flags);
        return;
    }
    jsonw_begin(out, NULL, '{');
    jsonw_uint(out, "id", info->id);
    jsonw_string(out, "type", type ? type : "?");
    if (*info->name)
        jsonw_string(out, "name", info->name);
    jsonw_uint(out, "flags", info->map_flags);
    jsonw_name(out, "elements");
}

/* One of several maps gets a header. out: where entries go as JSON; NULL: plain lines. 0, or -1
 * after saying what is wrong. */
int map_print_entries(const struct map *map, struct json *out, bool header)
{
    unsigned count = 0;
    const void *previous = NULL;
    int error = 0;

    if (header)
        dump_header(&map->info, out);
    if (out)
        jsonw_begin(out, NULL, '[');
    while (bpf_map_get_next_key(map->fd, previous, map->next_key) == 0) {
        count += (unsigned)dump_entry(map, out == json ? NULL : out);
        memcpy(map->key, map->next_key, map->info.key_size);
        previous = map->key;
    }
    if (errno != ENOENT)
        error = errno;
    if (out)
        jsonw_end(out, ']');
    else
        printf("Found %u element%s\n", count, count == 1 ? "" : "s");
    if (header && out)
        jsonw_end(out, '}');
    if (error)
        p_err("can't get next key: %s", strerror(error));
    return error ? -1 : 0;
}
