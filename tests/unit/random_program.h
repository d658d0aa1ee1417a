/*
 * Random programs that are safe by construction, for holding the engines against each other: every
 * access is inside of memory, jumps lead forward or are counted, and idioms of compilers (address
 * sums, rotates, byte-wise loads, decision trees, jumps over jumps) come up often.
 */
#ifndef SKEP_TESTS_RANDOM_PROGRAM_H
#define SKEP_TESTS_RANDOM_PROGRAM_H

#include <stdint.h>

#include <linux/bpf.h>

#define RANDOM_INSNS_MAX 1024u
#define RANDOM_MEMORY    256u

/* Program number seed, of EBPF_PROG_TYPE_MEM with RANDOM_MEMORY bytes. Returns its slots. */
uint32_t random_program(uint64_t seed, struct bpf_insn insns[RANDOM_INSNS_MAX]);

#endif
