/*
 * State embedding: what the verifier knew at each instruction, against what a run has there. A
 * value outside of all recorded states is a hole in the verifier.
 */
#ifndef SKEP_TESTS_EMBED_H
#define SKEP_TESTS_EMBED_H

#include <stdint.h>

struct ebpf_prog;
struct ebpf_watch;

/* For the load that is verified: sees what is known at each step. */
extern const struct ebpf_watch embed_watch;
/* From now on states are recorded; forgets what was. */
void embed_record(void);
/* Runs of prog are held against what was recorded. */
void embed_check(const struct ebpf_prog *prog);
/* What did not fit, "" when nothing; then forgets all. */
const char *embed_end(void);
/* Instructions of runs that were looked at so far. */
uint64_t embed_steps(void);

#endif
