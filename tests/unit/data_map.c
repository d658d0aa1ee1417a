/*
 * A line of a case's section maps, and the BTF of a map whose values hold a lock or a timer: for
 * whoever makes the map, in Skep's engine or in Linux.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <linux/btf.h>

#include "tests/unit/data_case.h"

/* ` NAME=NUMBER` within the line; -1: not there. */
static long option(const char *line, size_t len, const char *name)
{
    const char *found = strstr(line, name);
    long value = -1;

    if (!found || found >= line + len)
        return -1;
    sscanf(found + strlen(name), "%ld", &value);
    return value;
}

static int read_text(const char *line, size_t len, struct data_map *map)
{
    const char *open = memchr(line, '"', len), *close;
    size_t size;

    if (!open)
        return 0;
    close = memchr(open + 1, '"', len - (size_t)(open + 1 - line));
    size = close ? (size_t)(close - open) - 1 : sizeof(map->text);
    if (size >= map->value_size || size >= sizeof(map->text))
        return -1;
    memcpy(map->text, open + 1, size);
    map->has_text = true;
    return 0;
}

int data_map_parse(const char **text, struct data_map *map)
{
    const char *line = *text;
    size_t len = strcspn(line, "\n");
    char alone[512]; /* white space is all alike to sscanf, the line's end too */

    memset(map, 0, sizeof(*map));
    snprintf(alone, sizeof(alone), "%.*s", (int)len, line);
    if (sscanf(alone, "%31s %u %u %u %x", map->type, &map->key_size, &map->value_size,
               &map->max_entries, &map->flags) < 4)
        return -1;
    map->lock = option(line, len, " lock=");
    map->timer = option(line, len, " timer=");
    map->inner = option(line, len, " inner=");
    *text = line + len + (line[len] == '\n');
    return read_text(line, len, map);
}

/* ---- BTF ------------------------------------------------------------------------------------- */

static const char names[] = "\0u32\0bpf_spin_lock\0bpf_timer\0value";

enum { NAME_U32 = 1, NAME_LOCK = 5, NAME_TIMER = 19, NAME_VALUE = 29 };
enum { TYPE_U32 = 1, TYPE_LOCK, TYPE_TIMER, TYPE_VALUE };

struct blob {
    struct btf_header header;
    struct {
        struct btf_type type;
        uint32_t bits;
    } u32;
    struct btf_type lock, timer, value;
    struct btf_member members[2];
    char names[sizeof(names)];
};

uint32_t data_map_btf(const struct data_map *map, uint8_t out[DATA_BTF_MAX])
{
    struct blob btf = {
        .header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(btf.header)},
        .u32 = {{NAME_U32, BTF_KIND_INT << 24, {4}}, 32},
        .lock = {NAME_LOCK, BTF_KIND_STRUCT << 24, {4}},
        .timer = {NAME_TIMER, BTF_KIND_STRUCT << 24, {16}},
        .value = {NAME_VALUE, BTF_KIND_STRUCT << 24, {map->value_size}},
    };
    uint32_t members = 0, cut;

    _Static_assert(sizeof(btf) <= DATA_BTF_MAX, "there is room");
    if (map->lock >= 0)
        btf.members[members++] = (struct btf_member){0, TYPE_LOCK, (uint32_t)map->lock * 8};
    if (map->timer >= 0)
        btf.members[members++] = (struct btf_member){0, TYPE_TIMER, (uint32_t)map->timer * 8};
    if (members == 0)
        return 0;
    btf.value.info |= members;
    cut = (2 - members) * (uint32_t)sizeof(btf.members[0]);
    btf.header.type_len = btf.header.str_off =
        (uint32_t)(offsetof(struct blob, names) - offsetof(struct blob, u32)) - cut;
    btf.header.str_len = sizeof(names);
    memcpy(out, &btf, offsetof(struct blob, names) - cut);
    memcpy(out + offsetof(struct blob, names) - cut, names, sizeof(names));
    return (uint32_t)(offsetof(struct blob, names) - cut + sizeof(names));
}
