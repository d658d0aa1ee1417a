/*
 * The checked interpreter: one run of a program, each access tested when it happens. It is the
 * oracle that the verifier, the fast interpreter and the JIT are held against, and what unverified
 * programs run in. interp_checked.c executes; checked_access.c says which memory the program may
 * touch. Called by prog.c.
 */
#ifndef SKEP_EBPF_INTERP_CHECKED_H
#define SKEP_EBPF_INTERP_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/helper.h"
#include "ebpf/isa.h"

struct ebpf_decoded;
struct ebpf_context;

/* One function under way. A tail call replaces the program of the innermost frame only. */
struct checked_frame {
    struct ebpf_prog *prog;
    uint32_t return_pc; /* where its caller goes on */
    uint32_t may_goto;  /* iterations left before may_goto jumps */
    uint64_t saved[4];  /* r6 to r9 of its caller */
};

struct checked {
    struct ebpf_run run;
    const struct ebpf_context *context;
    uint32_t ctx_size;
    uint32_t pc;      /* slot of the instruction under way */
    uint32_t budget;  /* instructions left */
    uint32_t reserve; /* below this budget, may_goto jumps */
    uint32_t tail_calls;
    uint32_t depth;   /* index of the innermost frame */
    int error;        /* why the run stopped before its exit: -EFAULT, -ELOOP */
    char reason[128]; /* the rule that was broken, and the values */
    uint64_t reg[ISA_REGISTERS];
    struct checked_frame frames[ISA_FRAMES_MAX];
    /* Frame n is the n-th 512 bytes from the end. */
    uint8_t stack[ISA_FRAMES_MAX * ISA_STACK_SIZE] __attribute__((aligned(16)));
};

/* Runs run.prog on run.ctx; the caller has set run, context and ctx_size. 0 and r0 in *result, or
 * error with pc and reason set. */
int checked_run(struct checked *c, uint64_t *result);
/* Likewise one function of it, by its slot, with r1 to r5: a timer's. */
int checked_call(struct checked *c, uint32_t function, const uint64_t args[5], uint64_t *result);

/* Tests built with EBPF_EMBED hold each instruction's registers and stack against the states that
 * the verifier recorded there (tests/unit/embed.c). */
#ifdef EBPF_EMBED
void checked_embed(const struct checked *c);
#else
static inline void checked_embed(const struct checked *c)
{
    (void)c;
}
#endif

/* ---- checked_access.c ----------------------------------------------------------------------- */

/* Stops the run with this reason; always false. */
bool checked_fault(struct checked *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool checked_load(struct checked *c, uint64_t addr, uint32_t size, uint64_t *value);
bool checked_store(struct checked *c, uint64_t addr, uint32_t size, uint64_t value);
/* Where an atomic operation of size bytes may work; NULL: it faulted. */
void *checked_atomic(struct checked *c, uint64_t addr, uint32_t size);
bool checked_arguments(struct checked *c, const struct ebpf_helper *helper);

#endif
