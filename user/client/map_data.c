/*
 * skepctl map dump, lookup, update, delete, getnext: keys and values on the command line, and in
 * print: raw bytes, or by BTF where the map has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/port.h" /* PORT_NR_CPUS */
#include "user/client/client.h"

/* A map and room for one entry of it. */
struct map {
    int fd;
    struct bpf_map_info info;
    uint8_t *key, *next_key, *value;
    struct btf *btf; /* NULL: none, or not of the entry's sizes */
};

static bool is_per_cpu(uint32_t type)
{
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

static bool is_map_of_maps(uint32_t type)
{
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* Per-CPU values stand one after another, each on a multiple of 8 bytes. */
static size_t value_step(const struct map *map)
{
    return (map->info.value_size + 7u) & ~7u;
}

static void map_close(struct map *map)
{
    free(map->key);
    free(map->next_key);
    free(map->value);
    btf__free(map->btf);
    if (map->fd >= 0)
        close(map->fd);
}

/* BTF is only used when it describes exactly the bytes that the map has. */
static void load_btf(struct map *map)
{
    const struct bpf_map_info *info = &map->info;
    struct btf *btf =
        info->btf_id && info->btf_value_type_id ? btf__load_from_kernel_by_id(info->btf_id) : NULL;

    if (!btf)
        return;
    if (btf__resolve_size(btf, info->btf_value_type_id) == (int64_t)info->value_size &&
        (!info->btf_key_type_id ||
         btf__resolve_size(btf, info->btf_key_type_id) == (int64_t)info->key_size))
        map->btf = btf;
    else
        btf__free(btf);
}

/* Takes the descriptor, whatever happens. */
static int map_open(int fd, struct map *out)
{
    *out = (struct map){.fd = fd};
    if (fd < 0)
        return -1;
    if (handle_info(EBPF_MAP, fd, &out->info, sizeof(out->info))) {
        map_close(out);
        return -1;
    }
    out->key = calloc(1, out->info.key_size + 1);
    out->next_key = calloc(1, out->info.key_size + 1);
    out->value = calloc(is_per_cpu(out->info.type) ? PORT_NR_CPUS : 1, value_step(out) + 8);
    if (!out->key || !out->next_key || !out->value) {
        p_err("out of memory");
        map_close(out);
        return -1;
    }
    load_btf(out);
    return 0;
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static int print_formatted(struct json *out, const struct map *map, const uint8_t *key, bool plain)
{
    const struct bpf_map_info *info = &map->info;
    int error = 0;

    json_begin(out, NULL, '{');
    if (info->btf_key_type_id) {
        json_name(out, "key");
        error = btf_print(out, map->btf, info->btf_key_type_id, key, plain);
    }
    if (!error && !is_per_cpu(info->type)) {
        json_name(out, "value");
        error = btf_print(out, map->btf, info->btf_value_type_id, map->value, plain);
    } else if (!error) {
        json_begin(out, "values", '[');
        for (unsigned cpu = 0; cpu < PORT_NR_CPUS && !error; cpu++) {
            json_begin(out, NULL, '{');
            json_uint(out, "cpu", cpu);
            json_name(out, "value");
            error = btf_print(out, map->btf, info->btf_value_type_id,
                              map->value + cpu * value_step(map), plain);
            json_end(out, '}');
        }
        json_end(out, ']');
    }
    json_end(out, '}');
    return error;
}

static void print_json(const struct map *map, const uint8_t *key)
{
    const struct bpf_map_info *info = &map->info;

    json_begin(json, NULL, '{');
    json_bytes(json, "key", key, info->key_size);
    if (!is_per_cpu(info->type)) {
        json_bytes(json, "value", map->value, info->value_size);
    } else {
        json_begin(json, "values", '[');
        for (unsigned cpu = 0; cpu < PORT_NR_CPUS; cpu++) {
            json_begin(json, NULL, '{');
            json_uint(json, "cpu", cpu);
            json_bytes(json, "value", map->value + cpu * value_step(map), info->value_size);
            json_end(json, '}');
        }
        json_end(json, ']');
    }
    if (map->btf) {
        json_name(json, "formatted");
        print_formatted(json, map, key, false);
    }
    json_end(json, '}');
}

static void print_plain(const struct map *map, const uint8_t *key)
{
    uint32_t key_size = map->info.key_size, value_size = map->info.value_size;
    bool wide = key_size > 16 || value_size > 16;
    bool one_line = !wide && key_size + value_size <= 24;

    if (is_per_cpu(map->info.type)) {
        printf("key:\n");
        print_hex(key, key_size, " ");
        printf("\n");
        for (unsigned cpu = 0; cpu < PORT_NR_CPUS; cpu++) {
            printf("value (CPU %02u):%c", cpu, value_size > 16 ? '\n' : ' ');
            print_hex(map->value + cpu * value_step(map), value_size, " ");
            printf("\n");
        }
        return;
    }
    if (key_size) {
        printf("key:%c", wide ? '\n' : ' ');
        print_hex(key, key_size, " ");
        printf(one_line ? "  " : "\n");
    }
    printf("%s:%c", is_map_of_maps(map->info.type) ? "inner_map_id" : "value", wide ? '\n' : ' ');
    print_hex(map->value, value_size, " ");
    printf("\n");
}

/* A key whose value could not be had. */
static void print_missing(const struct map *map, const uint8_t *key, int error)
{
    uint32_t key_size = map->info.key_size;
    const char *text = error == ENOENT ? "<no entry>" : strerror(error);
    bool wide = key_size > 16 || strlen(text) > 16;

    if (json) {
        json_begin(json, NULL, '{');
        json_bytes(json, "key", key, key_size);
        json_begin(json, "value", '{');
        json_string(json, "error", strerror(error));
        json_end(json, '}');
        json_end(json, '}');
        return;
    }
    printf("key:%c", wide ? '\n' : ' ');
    print_hex(key, key_size, " ");
    printf(!wide && key_size + strlen(text) <= 24 ? "  " : "\n");
    printf("value:%c%s\n", wide ? '\n' : ' ', text);
}

/* ---- dump -------------------------------------------------------------------------------------
 */

static int dump_entry(const struct map *map, struct json *formatted)
{
    uint32_t type = map->info.type;

    if (bpf_map_lookup_elem(map->fd, map->next_key, map->value)) {
        /* A slot without a map or program in it is no entry. */
        if (errno != ENOENT || !(is_map_of_maps(type) || type == BPF_MAP_TYPE_PROG_ARRAY))
            print_missing(map, map->next_key, errno);
        return 0;
    }
    if (json)
        print_json(map, map->next_key);
    else if (formatted)
        print_formatted(formatted, map, map->next_key, true);
    else
        print_plain(map, map->next_key);
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
    json_begin(out, NULL, '{');
    json_uint(out, "id", info->id);
    json_string(out, "type", type ? type : "?");
    if (*info->name)
        json_string(out, "name", info->name);
    json_uint(out, "flags", info->map_flags);
    json_name(out, "elements");
}

/* One of several maps gets a header. out: where entries go as JSON; NULL: plain lines. */
static int dump(const struct map *map, struct json *out, bool header)
{
    unsigned count = 0;
    const void *previous = NULL;
    int error = 0;

    if (header)
        dump_header(&map->info, out);
    if (out)
        json_begin(out, NULL, '[');
    while (bpf_map_get_next_key(map->fd, previous, map->next_key) == 0) {
        count += (unsigned)dump_entry(map, out == json ? NULL : out);
        memcpy(map->key, map->next_key, map->info.key_size);
        previous = map->key;
    }
    if (errno != ENOENT)
        error = errno;
    if (out)
        json_end(out, ']');
    else
        printf("Found %u element%s\n", count, count == 1 ? "" : "s");
    if (header && out)
        json_end(out, '}');
    if (error)
        p_err("can't get next key: %s", strerror(error));
    return error ? -1 : 0;
}

int do_map_dump(struct args *args)
{
    struct json formatted = {.out = stdout, .pretty = true}, *out = json;
    struct fds fds;
    struct map *maps;
    unsigned opened = 0;
    bool all_btf = true;
    int error = 0;

    if (handles_parse(args, EBPF_MAP, &fds))
        return -1;
    maps = calloc(fds.count, sizeof(*maps));
    if (!maps || args_none(args))
        error = -1;
    for (; opened < fds.count && !error; opened += error ? 0 : 1) {
        error = map_open(fds.fd[opened], &maps[opened]);
        fds.fd[opened] = -1;
        all_btf = all_btf && !error && maps[opened].btf;
    }
    if (!out && all_btf)
        out = &formatted;
    if (out && fds.count > 1 && !error)
        json_begin(out, NULL, '[');
    for (unsigned i = 0; i < opened && !error; i++) {
        error = dump(&maps[i], out, fds.count > 1);
        if (!out && i + 1 < opened)
            printf("\n");
    }
    if (out && fds.count > 1 && !error)
        json_end(out, ']');
    if (out == &formatted)
        printf("\n");
    while (opened > 0)
        map_close(&maps[--opened]);
    free(maps);
    handles_close(&fds);
    return error;
}

/* ---- keys and values on the command line --------------------------------------------------------
 */

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
    bool maps = is_map_of_maps(map->info.type);

    if (!maps && map->info.type != BPF_MAP_TYPE_PROG_ARRAY) {
        if (parse_bytes(args, "value", map->value, map->info.value_size))
            return -1;
        for (unsigned cpu = 1; is_per_cpu(map->info.type) && cpu < PORT_NR_CPUS; cpu++)
            memcpy(map->value + cpu * value_step(map), map->value, map->info.value_size);
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
            print_json(&map, map.key);
        } else if (map.btf) {
            print_formatted(&formatted, &map, map.key, true);
            printf("\n");
        } else {
            print_plain(&map, map.key);
        }
    } else {
        error = -1;
        if (errno != ENOENT) {
            p_err("lookup failed: %s", strerror(errno));
        } else if (json) {
            json_null(json, NULL);
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
        json_begin(json, NULL, '{');
        if (first)
            json_null(json, "key");
        else
            json_bytes(json, "key", map.key, map.info.key_size);
        json_bytes(json, "next_key", map.next_key, map.info.key_size);
        json_end(json, '}');
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
