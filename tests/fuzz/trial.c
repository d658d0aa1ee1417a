/*
 * See trial.h.
 */
#include "tests/fuzz/trial.h"

#include <stdio.h>
#include <string.h>

#include "ebpf/map.h"
#include "ebpf/prog.h"

#define VALUE_MAX 64u
#define KEY_MAX   16u

static int make_maps(struct trial *t)
{
    int err = 0;

    for (uint32_t i = 0; i < t->program->nr_maps && !err; i++) {
        const struct generated_map *map = &t->program->maps[i];
        union bpf_attr attr;

        memset(&attr, 0, sizeof(attr));
        attr.map_type = map->type;
        attr.key_size = map->key_size;
        attr.value_size = map->value_size;
        attr.max_entries = map->max_entries;
        snprintf(attr.map_name, sizeof(attr.map_name), "map%u", i);
        err = ebpf_map_create(&attr, NULL, &t->maps[i]);
    }
    return err;
}

/* 0, or why it was refused, with t->log set; to be given to trial_unload in any case. */
int trial_load(struct trial *t, const struct generated *program)
{
    struct ebpf_log log = {.buf = t->log, .size = sizeof(t->log), .level = 1};
    struct ebpf_prog_load load = {
        .type = program->prog_type,
        .name = "random",
        .license = "GPL",
        .insns = program->insns,
        .nr_insns = program->nr_insns,
        .maps = t->maps,
        .nr_maps = program->nr_maps,
        .log = &log,
    };
    int err;

    *t = (struct trial){.program = program};
    err = make_maps(t);
    return err ? err : ebpf_prog_create(&load, &t->prog);
}

void trial_unload(struct trial *t)
{
    if (t->prog)
        ebpf_prog_put(t->prog);
    for (unsigned i = 0; i < GENERATE_MAPS_MAX; i++)
        ebpf_map_put(t->maps[i]);
}

void trial_run(struct trial *t, const uint8_t *data, uint32_t size, struct trial_result *out)
{
    struct ebpf_test_run run = {.data_in = data,
                                .data_size_in = size,
                                .data_out = out->data,
                                .data_size_out = sizeof(out->data)};

    memset(out, 0, sizeof(*out));
    out->err = ebpf_prog_test_run(t->prog, &run);
    out->r0 = run.result;
    out->size = run.data_size_out;
}

bool trial_same_result(const struct trial_result *a, const struct trial_result *b, char *why,
                       size_t size)
{
    if (a->err != b->err)
        return snprintf(why, size, "error %d and %d", a->err, b->err), false;
    if (a->r0 != b->r0)
        return snprintf(why, size, "r0 is 0x%lx and 0x%lx", (unsigned long)a->r0,
                        (unsigned long)b->r0),
               false;
    if (a->size != b->size)
        return snprintf(why, size, "%u and %u bytes of memory", a->size, b->size), false;
    for (uint32_t i = 0; i < a->size && i < sizeof(a->data); i++)
        if (a->data[i] != b->data[i])
            return snprintf(why, size, "byte %u of memory is %02x and %02x", i, a->data[i],
                            b->data[i]),
                   false;
    return true;
}

/* Each key of a is in b with the same value; *nr: how many there are. */
static bool included(struct ebpf_map *a, struct ebpf_map *b, unsigned *nr)
{
    uint8_t key[KEY_MAX], value[VALUE_MAX], other[VALUE_MAX];
    const void *last = NULL;

    for (*nr = 0; ebpf_map_next_key(a, last, key) == 0; last = key, ++*nr)
        if (ebpf_map_read(a, key, value, 0) || ebpf_map_read(b, key, other, 0) ||
            memcmp(value, other, a->value_size) != 0)
            return false;
    return true;
}

bool trial_same_maps(const struct trial *a, const struct trial *b, char *why, size_t size)
{
    for (uint32_t i = 0; i < a->program->nr_maps; i++) {
        unsigned nr_a, nr_b;

        if (!included(a->maps[i], b->maps[i], &nr_a) || !included(b->maps[i], a->maps[i], &nr_b) ||
            nr_a != nr_b)
            return snprintf(why, size, "map %u differs", i), false;
    }
    return true;
}
