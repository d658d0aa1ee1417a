/*
 * Random eBPF programs. From a 64-bit seed comes a program that a verifier like Linux's accepts:
 * while it is made, the type of each register and stack slot is tracked, pointers are used only
 * where they have been checked, and loops end. Mutation then makes a wrong program of it, by a step
 * that a careless author might take. No address ever reaches r0, memory or a map, and no helper
 * gives what differs from run to run, so that all engines must give the same. Used by
 * tests/unit/test_random.c and tests/fuzz.
 */
#ifndef SKEP_TESTS_GENERATE_H
#define SKEP_TESTS_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>

#define GENERATE_INSNS_MAX 1024u
#define GENERATE_MAPS_MAX  8u
#define GENERATE_INPUT_MAX 256u /* bytes; at least 16 */

struct generated_map {
    uint32_t type, key_size, value_size, max_entries;
    bool locked;    /* its values begin with a spin lock */
    uint32_t inner; /* map of maps: 1 + the index of the map that is its first element */
};

struct generated {
    uint64_t seed;
    uint32_t prog_type; /* one whose test runs take bytes: mem, xdp, sched_cls, socket_filter */
    uint32_t nr_maps;
    struct generated_map maps[GENERATE_MAPS_MAX];
    uint32_t nr_insns;
    /* An ld_imm64 of source BPF_PSEUDO_MAP_FD or _VALUE has the index into maps as its imm. */
    struct bpf_insn insns[GENERATE_INSNS_MAX];
};

void generate_program(uint64_t seed, struct generated *out);
void generate_mutate(uint64_t seed, unsigned changes, struct generated *program);
uint32_t generate_input(uint64_t seed, uint8_t data[GENERATE_INPUT_MAX]);

#endif
