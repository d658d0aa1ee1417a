/*
 * A map's keys and values: opening, and printing them, as raw bytes or by BTF where the map has
 * it. Used by map_dump.c and map_entry.c.
 */
#include "user/client/map_data.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/port.h" /* PORT_NR_CPUS */

bool map_is_per_cpu(uint32_t type)
{
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool map_is_map_of_maps(uint32_t type)
{
    return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* Per-CPU values stand one after another, each on a multiple of 8 bytes. */
static size_t value_step(const struct map *map)
{
    return (map->info.value_size + 7u) & ~7u;
}

void map_close(struct map *map)
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
int map_open(int fd, struct map *out)
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
    out->value = calloc(map_is_per_cpu(out->info.type) ? PORT_NR_CPUS : 1, value_step(out) + 8);
    if (!out->key || !out->next_key || !out->value) {
        p_err("out of memory");
        map_close(out);
        return -1;
    }
    load_btf(out);
    return 0;
}

/* Gives a per-CPU map's value to every CPU. */
void map_spread_value(struct map *map)
{
    for (unsigned cpu = 1; map_is_per_cpu(map->info.type) && cpu < PORT_NR_CPUS; cpu++)
        memcpy(map->value + cpu * value_step(map), map->value, map->info.value_size);
}

/* ---- printing ----------------------------------------------------------------------------- */

int map_print_formatted(struct json *out, const struct map *map, const uint8_t *key, bool plain)
{
    const struct bpf_map_info *info = &map->info;
    int error = 0;

    jsonw_begin(out, NULL, '{');
    if (info->btf_key_type_id) {
        jsonw_name(out, "key");
        error = btf_print(out, map->btf, info->btf_key_type_id, key, plain);
    }
    if (!error && !map_is_per_cpu(info->type)) {
        jsonw_name(out, "value");
        error = btf_print(out, map->btf, info->btf_value_type_id, map->value, plain);
    } else if (!error) {
        jsonw_begin(out, "values", '[');
        for (unsigned cpu = 0; cpu < PORT_NR_CPUS && !error; cpu++) {
            jsonw_begin(out, NULL, '{');
            jsonw_uint(out, "cpu", cpu);
            jsonw_name(out, "value");
            error = btf_print(out, map->btf, info->btf_value_type_id,
                              map->value + cpu * value_step(map), plain);
            jsonw_end(out, '}');
        }
        jsonw_end(out, ']');
    }
    jsonw_end(out, '}');
    return error;
}

void map_print_json(const struct map *map, const uint8_t *key)
{
    const struct bpf_map_info *info = &map->info;

    jsonw_begin(json, NULL, '{');
    jsonw_bytes(json, "key", key, info->key_size);
    if (!map_is_per_cpu(info->type)) {
        jsonw_bytes(json, "value", map->value, info->value_size);
    } else {
        jsonw_begin(json, "values", '[');
        for (unsigned cpu = 0; cpu < PORT_NR_CPUS; cpu++) {
            jsonw_begin(json, NULL, '{');
            jsonw_uint(json, "cpu", cpu);
            jsonw_bytes(json, "value", map->value + cpu * value_step(map), info->value_size);
            jsonw_end(json, '}');
        }
        jsonw_end(json, ']');
    }
    if (map->btf) {
        jsonw_name(json, "formatted");
        map_print_formatted(json, map, key, false);
    }
    jsonw_end(json, '}');
}

void map_print_plain(const struct map *map, const uint8_t *key)
{
    uint32_t key_size = map->info.key_size, value_size = map->info.value_size;
    bool wide = key_size > 16 || value_size > 16;
    bool one_line = !wide && key_size + value_size <= 24;

    if (map_is_per_cpu(map->info.type)) {
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
    printf("%s:%c", map_is_map_of_maps(map->info.type) ? "inner_map_id" : "value",
           wide ? '\n' : ' ');
    print_hex(map->value, value_size, " ");
    printf("\n");
}
