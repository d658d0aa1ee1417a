/*
 * A map with room for one entry, and its entries in print: shared by map_data.c, map_dump.c,
 * map_entries.c and map_entry.c.
 */
#ifndef SKEP_CLIENT_MAP_DATA_H
#define SKEP_CLIENT_MAP_DATA_H

#include "user/client/client.h"

struct map {
    int fd;
    struct bpf_map_info info;
    uint8_t *key, *next_key, *value;
    struct btf *btf; /* NULL: none, or not of the entry's sizes */
};

int map_open(int fd, struct map *out);
void map_close(struct map *map);
bool map_is_per_cpu(uint32_t type);
bool map_is_map_of_maps(uint32_t type);
void map_spread_value(struct map *map);

int map_print_formatted(struct json *out, const struct map *map, const uint8_t *key, bool plain);
void map_print_json(const struct map *map, const uint8_t *key);
void map_print_plain(const struct map *map, const uint8_t *key);

/* map_entries.c */
int map_print_entries(const struct map *map, struct json *out, bool header);

#endif
