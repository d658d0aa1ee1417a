/*
 * See trial.h.
 */
#include "tests/fuzz/trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ebpf/btf.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/data_case.h"

#define VALUE_MAX 64u
#define KEY_MAX   16u

static int make_maps(struct trial *t)
{
    int err = 0;

    for (uint32_t i = 0; i < t->program->nr_maps && !err; i++) {
        const struct generated_map *map = &t->program->maps[i];
        struct data_map line = {
            .value_size = map->value_size, .lock = map->locked ? 0 : -1, .timer = -1};
        struct ebpf_map *inner = map->inner ? t->maps[map->inner - 1] : NULL;
        struct ebpf_btf *btf = NULL;
        uint8_t bytes[DATA_BTF_MAX];
        uint32_t size = data_map_btf(&line, bytes), zero = 0;
        union bpf_attr attr;

        memset(&attr, 0, sizeof(attr));
        attr.map_type = map->type;
        attr.key_size = map->key_size;
        attr.value_size = map->value_size;
        attr.max_entries = map->max_entries;
        snprintf(attr.map_name, sizeof(attr.map_name), "map%u", i);
        if (size) {
            attr.btf_key_type_id = DATA_BTF_KEY;
            attr.btf_value_type_id = DATA_BTF_VALUE;
            err = ebpf_btf_create(bytes, size, NULL, &btf);
        }
        if (!err)
            err = ebpf_map_create_outer(&attr, btf, inner, &t->maps[i]);
        if (!err && inner)
            err = ebpf_map_write_object(t->maps[i], &zero, &inner->object, 0);
        ebpf_btf_put(btf);
    }
    return err;
}

/* Proves t->prog safe, whose engine stays the checked interpreter. */
static int verify(struct trial *t, const struct ebpf_prog_load *load)
{
    struct ebpf_proof *proof = port_alloc(sizeof(*proof));
    int err = proof ? ebpf_verify(load, t->prog->decoded, 0, proof) : -ENOMEM;

    if (err) {
        if (proof)
            ebpf_proof_free(proof);
        port_free(proof);
        return err;
    }
    t->prog->proof = proof;
    return 0;
}

/* Decodes and verifies. 0, or why it was refused, with t->log set; to be given to trial_unload in
 * any case. */
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
        .unverified = true, /* until below */
        .log = &log,
    };
    int err;

    *t = (struct trial){.program = program};
    err = make_maps(t);
    if (!err)
        err = ebpf_prog_create(&load, &t->prog);
    return err ? err : verify(t, &load);
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

bool trial_same(const struct trial_result *a, const struct trial_result *b, char *why, size_t size)
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

static void drain(struct ebpf_map *map)
{
    uint8_t record[64];
    size_t size;

    while (map->ops->take_record(map, record, sizeof(record), &size))
        ;
}

void trial_clear_maps(struct trial *t)
{
    static const uint8_t zeros[VALUE_MAX];
    uint8_t key[KEY_MAX];

    for (uint32_t i = 0; i < t->program->nr_maps; i++) {
        struct ebpf_map *map = t->maps[i];

        if (map->type == BPF_MAP_TYPE_RINGBUF)
            drain(map);
        else if (map->type == BPF_MAP_TYPE_HASH)
            while (ebpf_map_next_key(map, NULL, key) == 0)
                ebpf_map_remove(map, key);
        else if (map->type == BPF_MAP_TYPE_ARRAY)
            for (uint32_t n = 0; n < map->max_entries; n++)
                ebpf_map_write(map, &n, zeros, 0);
    }
}

/* FNV-1a. */
static uint64_t mix(uint64_t hash, const uint8_t *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* A sum, since hash maps have no order. */
uint64_t trial_maps_digest(const struct trial *t)
{
    uint8_t key[KEY_MAX], value[VALUE_MAX];
    uint64_t sum = 0;

    for (uint32_t i = 0; i < t->program->nr_maps; i++) {
        struct ebpf_map *map = t->maps[i];
        const void *last = NULL;

        if (map->inner || map->type == BPF_MAP_TYPE_RINGBUF)
            continue;
        for (; ebpf_map_next_key(map, last, key) == 0; last = key)
            if (ebpf_map_read(map, key, value, 0) == 0)
                sum +=
                    mix(mix(0xcbf29ce484222325u + i, key, map->key_size), value, map->value_size);
    }
    return sum;
}
