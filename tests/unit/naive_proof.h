/*
 * A proof that claims next to nothing, for tests of the engines on programs that need no verifier:
 * what accesses touch, by following pointers.
 */
#ifndef SKEP_TESTS_NAIVE_PROOF_H
#define SKEP_TESTS_NAIVE_PROOF_H

struct ebpf_prog;
struct ebpf_proof;

/* port_alloc'ed, as the verifier's own: the program that gets it frees it. */
struct ebpf_proof *naive_proof(const struct ebpf_prog *prog);

#endif
