/*
 * The verifier: proves, before a program ever runs, that no run of it can do harm. Its one public
 * header; verifier_state.h is shared by its own files. Called by prog.c at PROG_LOAD and by tools.
 */
#ifndef SKEP_EBPF_VERIFIER_H
#define SKEP_EBPF_VERIFIER_H

#include <stdint.h>

struct ebpf_prog_load;
struct ebpf_decoded;
struct ebpf_proof;

enum ebpf_verify_flag {
    EBPF_VERIFY_STRICT_ALIGNMENT = 1, /* BPF_F_STRICT_ALIGNMENT */
    EBPF_VERIFY_EXACT = 2,            /* tests: no number is ever taken for irrelevant */
    EBPF_VERIFY_WALK_LOOPS = 4,       /* tests: every trip of every loop is walked */
};

/* What a run of the verifier cost, whatever its verdict. */
struct ebpf_verify_cost {
    uint32_t processed;                 /* instructions, over all paths */
    uint32_t peak_states, total_states; /* states kept to compare others with */
    uint64_t peak_bytes;
    uint32_t insn; /* slot of the instruction that a rejection is about */
};

int ebpf_verify(const struct ebpf_prog_load *load, const struct ebpf_decoded *decoded,
                uint32_t flags, struct ebpf_proof *out);
void ebpf_proof_free(struct ebpf_proof *proof);

/* What the last verification in this thread cost. */
void ebpf_verify_get_cost(struct ebpf_verify_cost *out);

#endif
