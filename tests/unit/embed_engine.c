/*
 * The checked interpreter, built to tell embed.c of each step.
 */
#define EBPF_EMBED 1
#include "ebpf/interp_checked.c"
