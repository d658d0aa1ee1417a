/*
 * skepctl map lookup, update, delete, getnext: keys and values on the command line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/map_data.h"

static int parse_bytes(struct args *args, const char *what, uint8_t *out, uint32_t size)
{
    int base = args_match(args, "hex") ? 16 : 0;
    uint32_t count = 0;

    for (; count < size && args->left > 0; count++) {
        char *end;
        unsigned long byte = strtoul(args->next[0], &end, base);

        if (*end || byte > UINT8_MAX) {
            p_err("error parsing byte: %s", args->next[0]);
            return -1;
        }
        out[count] = (uint8_t)byte;
        args_take(args);
    }
    if (count == size)
        return 0;
    p_err("%s expected %u bytes got %u", what, size, count);
    return -1;
}

/* Where a map holds objects, the value is one: its descriptor. */
static int parse_value(struct args *args, struct map *map, int *value_fd)
{
    bool maps = map_is_map_of_maps(map->info.type);

    if (!maps && map->info.type != BPF_MAP_TYPE_PROG_ARRAY) {
        if (parse_bytes(args, "value", map->value, map->info.value_size))
            return -1;
        map_spread_value(map);
        return 0;
    }
    *value_fd = handle_parse(args, maps ? EBPF_MAP : EBPF_PROG);
    if (*value_fd < 0)
        return -1;
    memcpy(map->value, value_fd, sizeof(*value_fd));
    return 0;
}

/* key DATA, and for an update value VALUE and flags, in any order. */
static int parse_entry(struct args *args, struct map *map, bool with_value, uint64_t *flags,
                       int *value_fd)
{
    bool key = map->info.key_size == 0, value = !with_value, flag = false;

    while (args->left > 0) {
        if (!key && args_match(args, "key")) {
            key = true;
            if (parse_bytes(args, "key", map->key, map->info.key_size))
                return -1;
        } else if (!value && args_match(args, "value")) {
            value = true;
            if (parse_value(args, map, value_fd))
                return -1;
        } else if (with_value && !flag && args_match(args, "any")) {
            flag = true;
        } else if (with_value && !flag && args_match(args, "noexist")) {
            flag = true;
            *flags = BPF_NOEXIST;
        } else if (with_value && !flag && args_match(args, "exist")) {
            flag = true;
            *flags = BPF_EXIST;
        } else {
            p_err("expected %s, got: %s", with_value ? "key or value" : "key", args->next[0]);
            return -1;
        }
    }
    if (key && value)
        return 0;
    p_err("did not find %s", key ? "value" : "key");
    return -1;
}

static int parse_map_and_key(struct args *args, struct map *map)
{
    if (map_open(handle_parse(args, EBPF_MAP), map))
        return -1;
    if (parse_entry(args, map, false, NULL, NULL) == 0)
        return 0;
    map_close(map);
    return -1;
}

int do_map_update(struct args *args)
{
    struct map map;
    uint64_t flags = BPF_ANY;
    int value_fd = -1, error;

    if (map_open(handle_parse(args, EBPF_MAP), &map))
        return -1;
    error = parse_entry(args, &map, true, &flags, &value_fd);
    if (!error && bpf_map_update_elem(map.fd, map.key, map.value, flags)) {
        p_err("update failed: %s", strerror(errno));
        error = -1;
    }
    if (value_fd >= 0)
        close(value_fd);
    map_close(&map);
    return error ? -1 : done();
}

int do_map_lookup(struct args *args)
{
    struct json formatted = {.out = stdout, .pretty = true};
    struct map map;
    int error = 0;

    if (parse_map_and_key(args, &map))
        return -1;
    if (bpf_map_lookup_elem(map.fd, map.key, map.value) == 0) {
        if (json) {
            map_print_json(&map, map.key);
        } else if (map.btf) {
            map_print_formatted(&formatted, &map, map.key, true);
            printf("\n");
        } else {
            map_print_plain(&map, map.key);
        }
    } else {
        error = -1;
        if (errno != ENOENT) {
            p_err("lookup failed: %s", strerror(errno));
        } else if (json) {
            jsonw_null(json, NULL);
        } else {
            printf("key:\n");
            print_hex(map.key, map.info.key_size, " ");
            printf("\n\nNot found\n");
        }
    }
    map_close(&map);
    return error;
}

int do_map_delete(struct args *args)
{
    struct map map;
    int error = 0;

    if (parse_map_and_key(args, &map))
        return -1;
    if (bpf_map_delete_elem(map.fd, map.key)) {
        p_err("delete failed: %s", strerror(errno));
        error = -1;
    }
    map_close(&map);
    return error ? -1 : done();
}

int do_map_getnext(struct args *args)
{
    struct map map;
    bool first;
    int error = -1;

    if (map_open(handle_parse(args, EBPF_MAP), &map))
        return -1;
    first = args->left == 0;
    if (!first && parse_entry(args, &map, false, NULL, NULL))
        goto out;
    if (bpf_map_get_next_key(map.fd, first ? NULL : map.key, map.next_key)) {
        p_err("can't get next key: %s", strerror(errno));
        goto out;
    }
    error = 0;
    if (json) {
        jsonw_begin(json, NULL, '{');
        if (first)
            jsonw_null(json, "key");
        else
            jsonw_bytes(json, "key", map.key, map.info.key_size);
        jsonw_bytes(json, "next_key", map.next_key, map.info.key_size);
        jsonw_end(json, '}');
        goto out;
    }
    if (first) {
        printf("key: None\n");
    } else {
        printf("key:\n");
        print_hex(map.key, map.info.key_size, " ");
        printf("\n");
    }
    printf("next key:\n");
    print_hex(map.next_key, map.info.key_size, " ");
    printf("\n");
out:
    map_close(&map);
    return error;
}
