/*
 * The JIT's arithmetic with a fault in it: AND of two registers computes OR. `skep-vm diff` is to
 * find it.
 */
#include "ebpf/jit_x86.h"

static inline void planted_alu_rr(struct jit *j, bool wide, enum x86_alu op, unsigned dst,
                                  unsigned src)
{
    alu_rr(j, wide, op == X86_AND ? X86_OR : op, dst, src);
}

#define alu_rr planted_alu_rr
#include "ebpf/jit_x86_alu.c"
