/*
 * The JIT: verified, lowered programs as machine code on sealed pages. Called by prog.c at load and
 * run.c at each run; jit_x86*.c is the x86-64 one.
 */
#ifndef SKEP_EBPF_JIT_H
#define SKEP_EBPF_JIT_H

#include <stddef.h>
#include <stdint.h>

struct ebpf_prog;
struct ebpf_lowered;

struct ebpf_jit {
    uint8_t *code;     /* executable, read only */
    size_t size;       /* of the code, tables included */
    uint32_t nr;       /* slots */
    uint32_t *offsets; /* where the code of each slot begins; nr + 1 of them */
};

/* Runs the program: r1 and r2 as at its entry. Any context that may run it. */
typedef uint64_t (*ebpf_jit_entry)(uint64_t r1, uint64_t r2);

static inline ebpf_jit_entry ebpf_jit_entry_of(const struct ebpf_jit *jit)
{
    return (ebpf_jit_entry)(uintptr_t)jit->code;
}

/* features: PORT_CPU_... that the code may use. */
int ebpf_jit_compile(const struct ebpf_prog *prog, const struct ebpf_lowered *low,
                     uint32_t features, struct ebpf_jit **out);
/* For tools that watch a program run: the code calls probe, which must leave every register and
 * flag as it was, before each instruction but those whose work was done with another's. */
int ebpf_jit_compile_probed(const struct ebpf_prog *prog, const struct ebpf_lowered *low,
                            uint32_t features, void (*probe)(void), struct ebpf_jit **out);
void ebpf_jit_free(struct ebpf_jit *jit);

/* What tail calls in machine code ask: where to go on, NULL: fall through. */
struct ebpf_tail_target {
    uint64_t code, ctx;
};
struct ebpf_tail_target ebpf_jit_tail_call(uint64_t ctx, uint64_t map, uint64_t index);
/* After a call of a function that another program may have returned from. */
void ebpf_jit_take_back(struct ebpf_prog *prog);

#endif
