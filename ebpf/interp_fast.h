/*
 * The fast interpreter: verified, lowered programs, without a test of anything that the verifier
 * has proved. Called by engine.c.
 */
#ifndef SKEP_EBPF_INTERP_FAST_H
#define SKEP_EBPF_INTERP_FAST_H

#include <stdbool.h>
#include <stdint.h>

struct ebpf_decoded;
struct ebpf_run;
struct ebpf_lowered;

/* Runs lowered from a slot, a function's first, with r1 to r5; its r0. stack_end is the end of
 * ISA_FRAMES_MAX frames of ISA_STACK_SIZE bytes, aligned to 16. */
uint64_t ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered, uint32_t slot,
                       const uint64_t args[5], uint8_t *stack_end);
bool ebpf_fast_call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5],
                         uint64_t *r0);

/* Tools that watch programs run are built with EBPF_EMBED and told of each instruction before it
 * executes. */
#ifdef EBPF_EMBED
void fast_embed(const struct ebpf_lowered *lowered, const struct ebpf_decoded *i, uint64_t *reg);
#else
static inline void fast_embed(const struct ebpf_lowered *lowered, const struct ebpf_decoded *i,
                              uint64_t *reg)
{
    (void)lowered;
    (void)i;
    (void)reg;
}
#endif

#endif
