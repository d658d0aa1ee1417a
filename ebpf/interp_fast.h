/*
 * The fast interpreter: verified, lowered programs, without a test of anything that the verifier
 * has proved. Called by engine.c.
 */
#ifndef SKEP_EBPF_INTERP_FAST_H
#define SKEP_EBPF_INTERP_FAST_H

#include <stdint.h>

struct ebpf_run;
struct ebpf_lowered;

/* Runs lowered from its first slot, r1 and r2 as at a program's entry; its r0. stack_end is the end
 * of ISA_FRAMES_MAX frames of ISA_STACK_SIZE bytes, aligned to 16. */
uint64_t ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered, uint64_t r1,
                       uint64_t r2, uint8_t *stack_end);

#endif
