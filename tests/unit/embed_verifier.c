/*
 * The verifier's walk, built to tell embed.c of each step.
 */
#define EBPF_EMBED 1
#include "ebpf/verifier.c"
