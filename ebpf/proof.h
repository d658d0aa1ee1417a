/*
 * What the verifier proved of a program and hands on: one entry a slot, plus totals. The fast
 * interpreter, the lowering pass and the JIT build on these facts and on nothing else; the state
 * recorder of the checked interpreter holds them against concrete runs. Made by verifier.c, owned
 * by the program.
 */
#ifndef SKEP_EBPF_PROOF_H
#define SKEP_EBPF_PROOF_H

#include <stdbool.h>
#include <stdint.h>

struct ebpf_map;
struct ebpf_prog_load;
struct ebpf_decoded;

/* What a load, store or atomic touches on every path that reaches it. */
enum proof_memory {
    PROOF_MEM_NONE, /* no memory access, or never reached */
    PROOF_MEM_STACK,
    PROOF_MEM_CTX,
    PROOF_MEM_PACKET,
    PROOF_MEM_MAP_VALUE,
    PROOF_MEM_RECORD, /* reserved in a ring buffer */
    PROOF_MEM_MIXED,  /* differs by path; never with the context among them */
};

struct ebpf_proof_slot {
    uint8_t memory;           /* enum proof_memory */
    bool reached : 1;         /* some path executes this slot */
    bool divisor_nonzero : 1; /* division, modulo: the divisor is never 0 */
    bool always_taken : 1;    /* conditional jump: no path falls through */
    bool never_taken : 1;     /* conditional jump: no path jumps */
    bool key_constant : 1;    /* map helper call: the key is `key` on every path (4-byte keys) */
    bool null_impossible : 1; /* array lookup: the index is always in bounds */
    bool upper_dead : 1;      /* 32-bit result: nobody reads the upper half */
    uint32_t key;
    struct ebpf_map *map; /* map helper call: the one map on every path, else NULL; borrowed */
};

struct ebpf_proof {
    struct ebpf_proof_slot *slots; /* nr_insns of them */
    uint32_t nr_slots;
    uint32_t processed; /* instructions the verifier walked, over all paths */
    uint32_t peak_states, total_states;
    uint64_t peak_bytes;
    uint16_t stack_depth; /* bytes of the deepest call chain */
    uint8_t max_frames;
    /* Eight bytes of any frame, bit n: those from r10 - 8 * (n + 1) on, that anything but a load or
     * store through r10 itself may touch. */
    uint64_t shared_stack;
    bool reads_unwritten_stack; /* some path: frames must then start as zeroes */
    uint32_t ctx_end;           /* one past the highest byte of the context that is read */
    uint32_t mem_size;          /* type mem: the least memory that a run must be given */
    bool mem_exact;             /* likewise: no more than that, either */
};

#endif
