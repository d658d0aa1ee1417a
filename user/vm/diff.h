/*
 * `skep-vm diff`: two records of one program's run held against each other. diff_compare.c finds
 * where they part, diff_memory.c knows what memory held, vm_diff.c says it.
 */
#ifndef SKEP_USER_VM_DIFF_H
#define SKEP_USER_VM_DIFF_H

#include "user/vm/observe.h"

enum parting_kind {
    PART_NOWHERE,
    PART_REGISTERS, /* registers that are read here differ */
    PART_MEMORY,    /* a word */
    PART_PATH,      /* other instructions come next */
    PART_END,       /* one run goes on where the other one has ended */
};

/* Where two records part. Indices of moments: here that is seen, and last comes of it. */
struct parting {
    enum parting_kind kind;
    uint32_t here[2], last[2];
    bool first; /* there is no last */
    uint32_t registers;
    uint64_t place;
    uint64_t before, after[2]; /* of the word there */
    bool before_on_stack, on_stack[2];
};

void diff_find(const struct watched *w, const struct observed *a, const struct observed *b,
               struct parting *out);

/* diff_memory.c: words that either record changed, and what each has there. */
struct memory;
struct memory *memory_new(void);
void memory_free(struct memory *memory);
/* A change in the record of side 0 or 1. */
void memory_apply(struct memory *memory, unsigned side, const struct change *change);
/* Looks at the words changed since the last call. False: all are equal on both sides. */
bool memory_differs(struct memory *memory, struct parting *out);

#endif
