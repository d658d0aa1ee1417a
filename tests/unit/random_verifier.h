/*
 * Random programs for the verifier: numbers bounded in many ways and then used as offsets into
 * memory, a map's value and the stack; spills, loops, branches and calls. Most are safe, some miss
 * by a little; whether one is safe is for the verifier to say.
 */
#ifndef SKEP_TESTS_RANDOM_VERIFIER_H
#define SKEP_TESTS_RANDOM_VERIFIER_H

#include <stdint.h>

#include <linux/bpf.h>

#define RANDOM_VERIFIER_INSNS 512u
#define RANDOM_VERIFIER_MEM   64u
#define RANDOM_VERIFIER_VALUE 32u /* of map 0, an array of four */

/* Program number seed, of EBPF_PROG_TYPE_MEM with RANDOM_VERIFIER_MEM bytes. Returns its slots. */
uint32_t random_verifier(uint64_t seed, struct bpf_insn insns[RANDOM_VERIFIER_INSNS]);

#endif
