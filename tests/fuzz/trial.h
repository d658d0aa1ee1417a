/*
 * A generated program in the engine: loaded with maps of its own, run on generated input, and what
 * came of it compared. Used by tests/unit/test_random.c and the fuzz targets.
 */
#ifndef SKEP_TESTS_TRIAL_H
#define SKEP_TESTS_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/generate.h"

struct ebpf_map;
struct ebpf_prog;

struct trial {
    const struct generated *program;
    struct ebpf_map *maps[GENERATE_MAPS_MAX];
    struct ebpf_prog *prog; /* NULL: refused */
    char log[2048];         /* why it was */
};

/* What one run gave. */
struct trial_result {
    int err; /* 0, -EFAULT, -ELOOP */
    uint64_t r0;
    uint32_t size; /* of the packet or the memory afterwards */
    uint8_t data[GENERATE_INPUT_MAX];
};

int trial_load(struct trial *t, const struct generated *program);
void trial_unload(struct trial *t);
void trial_run(struct trial *t, const uint8_t *data, uint32_t size, struct trial_result *out);

/* True when both are alike; else why says what differs. */
bool trial_same(const struct trial_result *a, const struct trial_result *b, char *why, size_t size);

/* Maps as they were when the program was loaded; and a number that depends on all they hold. */
void trial_clear_maps(struct trial *t);
uint64_t trial_maps_digest(const struct trial *t);

#endif
