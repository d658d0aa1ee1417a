/*
 * The maps of one request of `skep-vm batch`: made anew for each, with their entries in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "user/vm/batch.h"
#include "user/vm/vm.h"

#define MAP_TYPES_MAX 64u

static bool holds_maps(const struct ebpf_map *map)
{
    return map->ops->update_object && map->ops->holds == EBPF_MAP;
}

static bool read_type(struct batch_request *r, const json_t *value, const char *where,
                      uint32_t *type)
{
    if (json_is_integer(value))
        return batch_u32(r, value, where, type);
    if (!json_is_string(value))
        return batch_bad(r, "%s must be a map type's name or number", where);
    for (*type = 0; *type < MAP_TYPES_MAX; ++*type) {
        const struct ebpf_map_ops *ops = ebpf_map_ops_for(*type);

        if (ops && strcmp(ops->name, json_string_value(value)) == 0)
            return true;
    }
    return batch_bad(r, "%s: there is no map type '%.64s'", where, json_string_value(value));
}

/* The earlier map of the list that a number names. */
static struct ebpf_map *earlier(struct batch_request *r, uint32_t index, const char *where)
{
    if (index < r->nr_maps)
        return r->maps[index];
    batch_bad(r, "%s is map %u, must be one before it in the list", where, index);
    return NULL;
}

static bool read_definition(struct batch_request *r, const json_t *map, const char *where,
                            union bpf_attr *attr, const struct ebpf_map **inner)
{
    const struct {
        const char *name;
        uint32_t *value;
    } members[] = {{"key", &attr->key_size},
                   {"value", &attr->value_size},
                   {"max_entries", &attr->max_entries},
                   {"flags", &attr->map_flags}};
    const json_t *inner_index = json_object_get(map, "inner");
    char path[64];
    uint32_t index;

    snprintf(path, sizeof(path), "%s.type", where);
    if (!read_type(r, json_object_get(map, "type"), path, &attr->map_type))
        return false;
    for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *value = json_object_get(map, members[i].name);

        snprintf(path, sizeof(path), "%s.%s", where, members[i].name);
        if (value && !batch_u32(r, value, path, members[i].value))
            return false;
    }
    *inner = NULL;
    snprintf(path, sizeof(path), "%s.inner", where);
    return !inner_index ||
           (batch_u32(r, inner_index, path, &index) && (*inner = earlier(r, index, path)) != NULL);
}

/* A value that is a map's number in the list, as four bytes. */
static int write_inner(struct batch_request *r, struct ebpf_map *map, const void *key,
                       const struct batch_data *value, const char *where)
{
    struct ebpf_map *inner;
    uint32_t index;

    memcpy(&index, value->bytes, sizeof(index));
    inner = earlier(r, index, where);
    return inner ? ebpf_map_write_object(map, key, &inner->object, 0) : -1;
}

static bool write_entry(struct batch_request *r, struct ebpf_map *map, const char *where,
                        const struct batch_data *key, const struct batch_data *value)
{
    uint32_t value_size = ebpf_map_value_size(map);
    uint8_t *padded;
    int err;

    if (key->size != map->key_size)
        return batch_bad(r, "%s: the key has %zu bytes, must have %u", where, key->size,
                         map->key_size);
    if (value->size != map->value_size)
        return batch_bad(r, "%s: the value has %zu bytes, must have %u", where, value->size,
                         map->value_size);
    padded = calloc(1, value_size + 1);
    if (!padded)
        return batch_bad(r, "out of memory");
    memcpy(padded, value->bytes, value->size);
    if (holds_maps(map))
        err = write_inner(r, map, key->bytes, value, where);
    else
        err = ebpf_map_write(map, map->key_size ? key->bytes : NULL, padded, 0);
    free(padded);
    if (err && !r->error[0])
        batch_bad(r, "%s cannot be written: %s", where, vm_error_text(err));
    return err == 0;
}

static bool read_entry(struct batch_request *r, struct ebpf_map *map, const json_t *entry,
                       const char *where)
{
    struct batch_data key = {.size = 0}, value = {.size = 0};
    char path[96];
    bool good;

    if (json_array_size(entry) != 2)
        return batch_bad(r, "%s must be a list of a key and a value", where);
    snprintf(path, sizeof(path), "%s[0]", where);
    good = batch_hex(r, json_array_get(entry, 0), path, &key);
    snprintf(path, sizeof(path), "%s[1]", where);
    good = good && batch_hex(r, json_array_get(entry, 1), path, &value) &&
           write_entry(r, map, where, &key, &value);
    free(key.bytes);
    free(value.bytes);
    return good;
}

static bool fill(struct batch_request *r, struct ebpf_map *map, const json_t *definition,
                 const char *where)
{
    const json_t *entries = json_object_get(definition, "entries");
    const json_t *frozen = json_object_get(definition, "frozen");
    char path[80];

    if (entries && !json_is_array(entries))
        return batch_bad(r, "%s.entries must be a list", where);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        snprintf(path, sizeof(path), "%s.entries[%zu]", where, i);
        if (!read_entry(r, map, json_array_get(entries, i), path))
            return false;
    }
    if (frozen && !json_is_boolean(frozen))
        return batch_bad(r, "%s.frozen must be true or false", where);
    map->frozen = json_is_true(frozen);
    return true;
}

static bool make_map(struct batch_request *r, const json_t *definition)
{
    const struct ebpf_map *inner;
    struct ebpf_map *map;
    union bpf_attr attr;
    char where[32];
    int err;

    snprintf(where, sizeof(where), "maps[%u]", r->nr_maps);
    if (!json_is_object(definition))
        return batch_bad(r, "%s must be an object", where);
    memset(&attr, 0, sizeof(attr));
    if (!read_definition(r, definition, where, &attr, &inner))
        return false;
    snprintf(attr.map_name, sizeof(attr.map_name), "map%u", r->nr_maps);
    err = ebpf_map_create_outer(&attr, NULL, inner, &map);
    if (err)
        return batch_bad(r, "%s cannot be made: %s", where, vm_error_text(err));
    r->maps[r->nr_maps++] = map;
    snprintf(where, sizeof(where), "maps[%u]", r->nr_maps - 1);
    return fill(r, map, definition, where);
}

/* Makes the maps of a list (NULL: none); they are the request's. */
bool batch_make_maps(const json_t *list, struct batch_request *request)
{
    if (!list)
        return true;
    if (!json_is_array(list))
        return batch_bad(request, "maps must be a list");
    if (json_array_size(list) > BATCH_MAPS_MAX)
        return batch_bad(request, "there are %zu maps, must be at most %u", json_array_size(list),
                         BATCH_MAPS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!make_map(request, json_array_get(list, i)))
            return false;
    return true;
}
