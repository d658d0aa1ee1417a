/*
 * The table of map operations (tests/linux/maps.table), carried out through bpf(2). A case starts
 * with no maps; each of its lines is one operation and gives one answer:
 *
 *     == name: what it shows
 *     new NAME TYPE KEY VALUE ENTRIES [FLAGS [INNER [EXTRA]]]     INNER: a map, or -
 *     lookup NAME KEY [FLAGS]           value, or error
 *     present NAME KEY                  as lookup, but says only that there is a value
 *     update NAME KEY VALUE [FLAGS]
 *     delete NAME KEY
 *     take NAME KEY [FLAGS]             MAP_LOOKUP_AND_DELETE_ELEM
 *     next NAME KEY                     MAP_GET_NEXT_KEY
 *     walk NAME                         all keys by next, sorted; at most 64
 *     fill NAME COUNT                   update keys 0, 1, ... until one fails
 *     freeze NAME
 *     batch NAME lookup|take COUNT      one batch from the start: elements, sorted
 *     batch NAME update|delete FLAGS KEY... [/ VALUE...]
 *     info NAME                         what OBJ_GET_INFO_BY_FD says of it
 *     close NAME
 *
 * Keys and values are hex, `-` is no pointer at all, `@NAME` the descriptor of a map, `*N` N zero
 * bytes. Names that no map has stand for descriptor -1.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "tests/linux/probe.h"

#define MAPS_MAX  8u
#define WORDS_MAX 48u
#define BYTES_MAX 4096u
#define KEYS_MAX  64u
#define PART      "map"

struct named_map {
    char name[16];
    int fd;
    uint32_t type, key_size, value_size;
};

static struct table {
    struct named_map maps[MAPS_MAX];
    unsigned nr_maps;
    char id[640]; /* of the operation under way */
} t;

static const struct named_map none = {.fd = -1};

static const struct named_map *find(const char *name)
{
    for (unsigned i = 0; i < t.nr_maps; i++)
        if (strcmp(t.maps[i].name, name) == 0)
            return &t.maps[i];
    return &none;
}

/* A word as bytes; NULL for `-`. Exits on a word that is none: the table must not be misread. */
static uint8_t *bytes_of(const char *word, uint8_t *buf, size_t *size)
{
    unsigned byte;
    int fd;

    *size = 0;
    memset(buf, 0, BYTES_MAX);
    if (strcmp(word, "-") == 0)
        return NULL;
    if (word[0] == '@') {
        fd = find(word + 1)->fd;
        memcpy(buf, &fd, sizeof(fd));
        *size = sizeof(fd);
    } else if (word[0] == '*') {
        *size = strtoul(word + 1, NULL, 10);
    } else {
        for (const char *p = word; *p; p += 2) {
            if (sscanf(p, "%2x", &byte) != 1 || !isxdigit((unsigned char)p[1])) {
                fprintf(stderr, "maps.table: not hexadecimal: %s\n", word);
                exit(99);
            }
            buf[(*size)++] = (uint8_t)byte;
        }
    }
    return buf;
}

static void say(int result)
{
    probe_say(PART, t.id, "result", "%s", result < 0 ? probe_error(errno) : "ok");
}

/* A value that a call gave, when it gave one. */
static void say_bytes(int result, const uint8_t *bytes, size_t size)
{
    if (result < 0)
        say(result);
    else
        probe_say_hex(PART, t.id, "result", bytes, size);
}

/* ---- operations: words[0] is the operation, words[1] the map --------------------------------- */

typedef void op_fn(char **words, unsigned n);

static uint64_t number(char **words, unsigned n, unsigned i)
{
    return i < n ? strtoull(words[i], NULL, 0) : 0;
}

static uint32_t map_type_by_name(const char *name)
{
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {
#define MAP(TYPE, name) {TYPE, #name},
#include "ebpf/maps.def"
#undef MAP
    };

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return (uint32_t)strtoul(name, NULL, 0);
}

static void op_new(char **words, unsigned n)
{
    struct named_map *map = &t.maps[t.nr_maps];
    LIBBPF_OPTS(bpf_map_create_opts, opts);

    if (n < 6 || t.nr_maps == MAPS_MAX) {
        fprintf(stderr, "maps.table: new NAME TYPE KEY VALUE ENTRIES: %s\n", t.id);
        exit(99);
    }
    opts.map_flags = (uint32_t)number(words, n, 6);
    if (n > 7 && strcmp(words[7], "-") != 0)
        opts.inner_map_fd = (uint32_t)find(words[7])->fd;
    opts.map_extra = number(words, n, 8);
    *map = (struct named_map){.type = map_type_by_name(words[2]),
                              .key_size = (uint32_t)number(words, n, 3),
                              .value_size = (uint32_t)number(words, n, 4)};
    snprintf(map->name, sizeof(map->name), "%s", words[1]);
    map->fd = bpf_map_create(map->type, words[1], map->key_size, map->value_size,
                             (uint32_t)number(words, n, 5), &opts);
    say(map->fd);
    if (map->fd >= 0)
        t.nr_maps++;
}

/* What a value takes at a client: per-CPU ones are rounded up, and this machine has one CPU. */
static size_t client_value_size(const struct named_map *map)
{
    switch (map->type) {
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        return (map->value_size + 7u) & ~7u;
    default:
        return map->value_size;
    }
}

static void op_lookup(char **words, unsigned n)
{
    const struct named_map *map = find(words[1]);
    uint8_t key[BYTES_MAX], value[BYTES_MAX] = {0};
    size_t size;
    int result = bpf_map_lookup_elem_flags(map->fd, bytes_of(words[2], key, &size), value,
                                           number(words, n, 3));

    say_bytes(result, value, client_value_size(map));
}

static void op_present(char **words, unsigned n)
{
    uint8_t key[BYTES_MAX], value[BYTES_MAX] = {0};
    size_t size;

    (void)n;
    say(bpf_map_lookup_elem(find(words[1])->fd, bytes_of(words[2], key, &size), value));
}

/* Bloom filters are asked by the value: the key pointer is absent. */
static void op_peek(char **words, unsigned n)
{
    uint8_t value[BYTES_MAX];
    size_t size;

    (void)n;
    bytes_of(words[2], value, &size);
    say(bpf_map_lookup_elem(find(words[1])->fd, NULL, value));
}

static void op_update(char **words, unsigned n)
{
    uint8_t key[BYTES_MAX], value[BYTES_MAX];
    size_t size;

    say(bpf_map_update_elem(find(words[1])->fd, bytes_of(words[2], key, &size),
                            bytes_of(words[3], value, &size), number(words, n, 4)));
}

static void op_delete(char **words, unsigned n)
{
    uint8_t key[BYTES_MAX];
    size_t size;

    (void)n;
    say(bpf_map_delete_elem(find(words[1])->fd, bytes_of(words[2], key, &size)));
}

static void op_take(char **words, unsigned n)
{
    const struct named_map *map = find(words[1]);
    uint8_t key[BYTES_MAX], value[BYTES_MAX] = {0};
    size_t size;
    int result = bpf_map_lookup_and_delete_elem_flags(map->fd, bytes_of(words[2], key, &size),
                                                      value, number(words, n, 3));

    say_bytes(result, value, client_value_size(map));
}

static void op_next(char **words, unsigned n)
{
    const struct named_map *map = find(words[1]);
    uint8_t key[BYTES_MAX], next[BYTES_MAX] = {0};
    size_t size;

    (void)n;
    say_bytes(bpf_map_get_next_key(map->fd, bytes_of(words[2], key, &size), next), next,
              map->key_size);
}

static size_t compare_size;

static int compare_elements(const void *a, const void *b)
{
    return memcmp(a, b, compare_size);
}

/* Elements of one size each, in the order of their bytes: hash tables have none of their own. */
static void say_sorted(uint8_t *elements, unsigned count, size_t size)
{
    char text[BYTES_MAX] = "";

    compare_size = size;
    qsort(elements, count, size, compare_elements);
    for (unsigned i = 0; i < count; i++) {
        for (size_t j = 0; j < size; j++)
            sprintf(text + strlen(text), "%02x", elements[i * size + j]);
        strcat(text, " ");
    }
    probe_say(PART, t.id, "elements", "%u: %s", count, text);
}

static void op_walk(char **words, unsigned n)
{
    const struct named_map *map = find(words[1]);
    uint8_t keys[BYTES_MAX], *key = NULL, *next = keys;
    unsigned count = 0;
    int result = 0;

    (void)n;
    while (count < KEYS_MAX && (result = bpf_map_get_next_key(map->fd, key, next)) == 0) {
        key = next;
        next += map->key_size;
        count++;
    }
    say(result);
    say_sorted(keys, count, map->key_size);
}

static void op_fill(char **words, unsigned n)
{
    uint8_t key[BYTES_MAX] = {0}, value[BYTES_MAX] = {0};
    uint32_t count = (uint32_t)number(words, n, 2), i;
    int result = 0;

    for (i = 0; i < count && result == 0; i += result == 0) {
        memcpy(key, &i, sizeof(i));
        result = bpf_map_update_elem(find(words[1])->fd, key, value, 0);
    }
    say(result);
    probe_say(PART, t.id, "filled", "%u", i);
}

static void op_freeze(char **words, unsigned n)
{
    (void)n;
    say(bpf_map_freeze(find(words[1])->fd));
}

static void batch_read(const struct named_map *map, bool take, uint32_t count)
{
    uint8_t keys[BYTES_MAX] = {0}, values[BYTES_MAX] = {0}, both[2 * BYTES_MAX], token[64];
    size_t value_size = client_value_size(map), size = map->key_size + value_size;
    int result =
        take ? bpf_map_lookup_and_delete_batch(map->fd, NULL, token, keys, values, &count, NULL)
             : bpf_map_lookup_batch(map->fd, NULL, token, keys, values, &count, NULL);

    say(result);
    if (result < 0 && errno != ENOENT)
        count = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(both + i * size, keys + i * map->key_size, map->key_size);
        memcpy(both + i * size + map->key_size, values + i * value_size, value_size);
    }
    say_sorted(both, count, size);
}

/* Words as one array of bytes, up to `/` or the end; returns how many words. */
static unsigned pack(char **words, unsigned n, uint8_t *out)
{
    uint8_t one[BYTES_MAX];
    size_t size;
    unsigned i;

    for (i = 0; i < n && strcmp(words[i], "/") != 0; i++) {
        bytes_of(words[i], one, &size);
        memcpy(out, one, size);
        out += size;
    }
    return i;
}

static void op_batch(char **words, unsigned n)
{
    const struct named_map *map = find(words[1]);
    uint8_t keys[BYTES_MAX], values[BYTES_MAX];
    uint32_t count;
    int result;
    LIBBPF_OPTS(bpf_map_batch_opts, opts, .elem_flags = number(words, n, 3));

    if (strcmp(words[2], "lookup") == 0 || strcmp(words[2], "take") == 0) {
        batch_read(map, words[2][0] == 't', (uint32_t)number(words, n, 3));
        return;
    }
    count = pack(words + 4, n - 4, keys);
    if (words[2][0] == 'u') {
        pack(words + 5 + count, n - 5 - count, values);
        result = bpf_map_update_batch(map->fd, keys, values, &count, &opts);
    } else {
        result = bpf_map_delete_batch(map->fd, keys, &count, &opts);
    }
    say(result);
    probe_say(PART, t.id, "count", "%u", count);
}

static void op_info(char **words, unsigned n)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);
    int result = bpf_obj_get_info_by_fd(find(words[1])->fd, &info, &size);

    (void)n;
    say(result);
    if (result == 0)
        probe_say(PART, t.id, "info", "type %u key %u value %u entries %u flags 0x%x extra %lu %s",
                  info.type, info.key_size, info.value_size, info.max_entries, info.map_flags,
                  (unsigned long)info.map_extra, info.name);
}

static void op_close(char **words, unsigned n)
{
    struct named_map *map = (struct named_map *)find(words[1]);

    (void)n;
    say(close(map->fd));
    if (map != &none)
        map->fd = -1;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned words; /* at least */
    op_fn *run;
} ops[] = {
    {"new", 6, op_new},   {"lookup", 3, op_lookup}, {"present", 3, op_present},
    {"peek", 3, op_peek}, {"update", 4, op_update}, {"delete", 3, op_delete},
    {"take", 3, op_take}, {"next", 3, op_next},     {"walk", 2, op_walk},
    {"fill", 3, op_fill}, {"freeze", 2, op_freeze}, {"batch", 4, op_batch},
    {"info", 2, op_info}, {"close", 2, op_close},
};

static void run_line(const char *name, unsigned number_in_case, char *line)
{
    char *words[WORDS_MAX];
    unsigned n = 0;

    snprintf(t.id, sizeof(t.id), "%s/%u %s", name, number_in_case, line);
    for (char *word = strtok(line, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
        words[n++] = word;
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(ops[i].name, words[0]) == 0 && n >= ops[i].words) {
            ops[i].run(words, n);
            return;
        }
    }
    fprintf(stderr, "maps.table: no operation: %s\n", t.id);
    exit(99);
}

static void drop_maps(void)
{
    for (unsigned i = 0; i < t.nr_maps; i++)
        if (t.maps[i].fd >= 0)
            close(t.maps[i].fd);
    t.nr_maps = 0;
}

/* Carries out the table at path. */
void probe_maps(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512], name[64] = "";
    unsigned count = 0;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(99);
    }
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || line[0] == 0)
            continue;
        if (sscanf(line, "== %63[^:]", name) == 1) {
            drop_maps();
            count = 0;
        } else {
            run_line(name, ++count, line);
        }
    }
    drop_maps();
    fclose(file);
}
