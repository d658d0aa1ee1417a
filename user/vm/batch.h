/*
 * `skep-vm batch`: one line of JSON turned into what the engine takes. vm_batch.c reads lines and
 * answers, batch_id.c finds a line's id, batch_request.c the rest, batch_maps.c makes its maps.
 */
#ifndef SKEP_USER_VM_BATCH_H
#define SKEP_USER_VM_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ebpf/prog.h"

#define BATCH_MAPS_MAX 64u /* Linux: MAX_USED_MAPS */

struct batch_data {
    uint8_t *bytes;
    size_t size;
};

/* One line's request. What the members point at is the request's own. */
struct batch_request {
    uint32_t type;
    const char *license; /* of the JSON value */
    bool strict_alignment;
    int engine; /* enum ebpf_engine, or VM_ENGINE_DEFAULT */
    uint8_t *insns;
    size_t insns_size;
    struct ebpf_map *maps[BATCH_MAPS_MAX];
    uint32_t nr_maps;
    struct batch_data *data;
    size_t nr_data;
    char error[256]; /* what is wrong with it */
};

bool batch_find_id(const char *line, size_t len, size_t *from, size_t *to);

/* Fills in a request, which is to be freed whatever comes of it. False: error says why. */
bool batch_read_request(const json_t *root, struct batch_request *out);
void batch_free_request(struct batch_request *request);

/* batch_maps.c */
bool batch_make_maps(const json_t *list, struct batch_request *request);

/* What both readers need. Each gives false after setting error; where is the member's path. */
bool batch_bad(struct batch_request *request, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool batch_u32(struct batch_request *request, const json_t *value, const char *where,
               uint32_t *out);
bool batch_hex(struct batch_request *request, const json_t *value, const char *where,
               struct batch_data *out);

#endif
