/*
 * The engines of verified programs: making a program ready for one, and running it. Called by
 * prog.c at load and run.c at each run. Unverified programs are interp_checked.h's.
 */
#ifndef SKEP_EBPF_ENGINE_H
#define SKEP_EBPF_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/prog.h"

struct ebpf_run;

int ebpf_engine_prepare(struct ebpf_prog *prog, enum ebpf_engine engine);
void ebpf_engine_release(struct ebpf_prog *prog);
bool ebpf_engine_takes(const struct ebpf_prog *prog, const void *ctx, uint32_t ctx_size);
uint64_t ebpf_engine_run(struct ebpf_run *run, uint8_t *stack_end, uint32_t times);
uint64_t ebpf_engine_call(struct ebpf_run *run, uint32_t function, const uint64_t args[5],
                          uint8_t *stack_end);
uint32_t ebpf_engine_function_slot(const struct ebpf_prog *prog, uint64_t function);

/* Tail calls: the program at index if one may go there now, which is then the run's; else NULL.
 * frames: how many of the ISA_FRAMES_MAX are in use below the one that it takes over. */
struct ebpf_map;
struct ebpf_prog *ebpf_engine_tail_target(struct ebpf_run *run, struct ebpf_map *map,
                                          uint32_t index, uint32_t frames);

#endif
