/*
 * The fast interpreter that is watched, with a fault in it: AND computes OR. `skep-vm diff` is to
 * find it.
 */
#include "ebpf/alu.h"

static inline uint64_t planted_and64(uint64_t dst, uint64_t src)
{
    return alu_or64(dst, src);
}

#define alu_and64 planted_and64
#include "user/vm/observe_interp.c"
