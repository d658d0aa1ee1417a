/*
 * Programs watched while they run, in any engine: what their registers held before each
 * instruction, and which memory changed. observe_run.c runs a program in a process of its own and
 * hands back the record; observe.c makes it; the engines are built a second time
 * (observe_checked.c, observe_interp.c) or compiled with calls (the JIT) to tell of each step. Used
 * by `skep-vm diff` and `step`.
 */
#ifndef SKEP_USER_VM_OBSERVE_H
#define SKEP_USER_VM_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/isa.h"
#include "ebpf/lower.h"
#include "ebpf/prog.h"

#define OBSERVE_PROGS_MAX   32u
#define OBSERVE_MOMENTS_MAX (1u << 20)
#define OBSERVE_CHANGES_MAX (1u << 22)
#define OBSERVE_BYTES_MAX   (1u << 26)
#define OBSERVE_BLOBS_MAX   96u

/* A program's stack is somewhere else in each engine. So an address on it is told by its place: the
 * frames lie below each other, 512 bytes each, the first one on top. */
#define PLACE_STACK      0xf500000000000000u
#define PLACE_TOP(depth) (PLACE_STACK + (ISA_FRAMES_MAX - (depth)) * (uint64_t)ISA_STACK_SIZE)

/* Before an instruction. */
struct moment {
    uint32_t prog; /* index of watched.progs */
    uint32_t slot;
    uint32_t depth;              /* of calls; 0: the first function */
    uint32_t written;            /* registers that the function may read, a bit each */
    uint32_t on_stack;           /* registers that hold a place, a bit each */
    uint64_t reg[LOW_REGISTERS]; /* the last one is in lowered programs alone */
    uint32_t changes;            /* so many entries of observed.changes happened before it */
};

/* A word of memory that is no longer what it was. */
struct change {
    uint64_t place; /* or its address */
    uint64_t before, after;
    uint32_t size; /* 8, or less at the end of what is watched */
    bool before_on_stack, after_on_stack;
};

/* What a run left behind, by name. */
struct blob {
    char name[64];
    uint32_t key_size, value_size; /* of a map: entries of key and value */
    size_t from, size;
};

/* The record of a run. In memory that the watching process and the watched one share. */
struct observed {
    enum ebpf_engine engine;
    uint32_t nr_moments, nr_changes, nr_blobs;
    bool full;  /* more happened than there is room for */
    int signal; /* that ended it; 0: none */
    int err;    /* of the run; fault says more */
    char fault[224];
    uint64_t result;
    struct moment *moments;
    struct change *changes;
    struct blob blobs[OBSERVE_BLOBS_MAX];
    uint8_t *bytes;
    size_t nr_bytes;
};

/* Programs prepared to be watched: the one that is run first, and those that it may call. */
struct watched {
    struct ebpf_prog *progs[OBSERVE_PROGS_MAX];
    uint32_t nr_progs;
    const uint8_t *data; /* input, see vm_give_input */
    size_t size;
};

/* observe_run.c */
int observe_prepare(struct watched *w, int passes);
struct observed *observe_run(const struct watched *w, enum ebpf_engine engine);
void observe_free(struct observed *o);

/* Where an engine is: a slot of a program, and that function's frame. */
struct observe_at {
    uint32_t prog, slot;
    uintptr_t fp; /* 0: it has none */
    uint32_t stack_size;
    uintptr_t sp;     /* of the machine; 0: interpreted */
    unsigned nr_regs; /* how many the engine has */
};

/* observe.c: called in the watched process. reg[0] may be given another value. */
void observe_start(const struct watched *w, struct observed *out);
void observe_stop(void);
void observe_moment(const struct observe_at *at, uint64_t *reg);
extern const struct watched *observe_watched; /* NULL: nothing is */
uint32_t observe_prog_index(const struct ebpf_prog *prog);

#endif
