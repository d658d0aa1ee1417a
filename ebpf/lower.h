/*
 * Lowered programs: what the fast interpreter and the JIT run. A copy of the decoded slots in which
 * the lowering passes have put better instructions in place of what compilers for BPF write, using
 * what the verifier proved. Slots keep their numbers, so that jumps, line information and dumps
 * still refer to the bytecode; a slot whose work is done elsewhere is LOW_NOP.
 *
 * lower.c drives the passes; one file a kind: lower_values.c (addresses, rotates, loads, by what
 * registers hold), lower_calls.c (maps and helpers), lower_branch.c, lower_switch.c,
 * lower_liveness.c (dead code).
 */
#ifndef SKEP_EBPF_LOWER_H
#define SKEP_EBPF_LOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/decode.h"
#include "ebpf/proof.h"

struct ebpf_map;
struct ebpf_prog;

/* OP_CALL_LOCAL's imm is the number of the function here, and LOW_LD_FUNCTION's. Context loads have
 * become loads from the machine's own struct.
 *
 * Instructions that only lowered programs have; their numbers follow enum ebpf_op. An index operand
 * is `index` and `scale` of struct low_operand, packed into imm. */
enum low_op {
    LOW_NOP = NR_OPS,
    LOW_LEA64, /* dst = src + (index << scale) + off */
    LOW_LEA32,
    LOW_ROL64, /* dst = src rotated left by imm */
    LOW_ROL32,
    LOW_MUL64, /* dst = src * imm, imm of 32 bits */
    LOW_MUL32,
#define MEM(NAME, type, code, text)  LOW_LDX_##NAME##_INDEX, LOW_STX_##NAME##_INDEX,
#define LDSX(NAME, type, code, text) LOW_LDSX_##NAME##_INDEX,
#include "ebpf/opcodes.def"
    LOW_LDX_BE16, /* loads with the bytes the other way round */
    LOW_LDX_BE32,
    LOW_LDX_BE64,
    LOW_SWITCH,        /* go to tables[imm] by dst */
    LOW_ARRAY_LOOKUP,  /* r0 = element of lookups[imm], index at src + off */
    LOW_ARRAY_INDEX,   /* likewise, index in the lower half of src */
    LOW_ARRAY_ELEMENT, /* likewise, index constant */
    LOW_RING_RESERVE,  /* r0 = record of off bytes in the struct ebpf_ringbuf at imm */
    LOW_RING_COMMIT,   /* record src is complete; imm 1: discarded. Wakes nobody */
    LOW_CALL_DIRECT,   /* r0 = function at imm (r1 to r5), which reads those in off, a bit each */
    LOW_CALL_BACK,     /* OP_CALL_HELPER of one that calls functions back */
    LOW_LD_FUNCTION,   /* dst = what helpers call the function at slot off by */
    NR_LOW_OPS
};

#define LOW_NO_INDEX 0xffu

/* How imm of an indexed instruction is read. */
static inline uint8_t low_index(const struct ebpf_decoded *i)
{
    return (uint8_t)i->imm;
}

static inline uint8_t low_scale(const struct ebpf_decoded *i)
{
    return (uint8_t)(i->imm >> 8);
}

static inline uint64_t low_pack_index(uint8_t index, uint8_t scale)
{
    return index | (uint64_t)scale << 8;
}

/* Flags of a slot. */
enum {
    LOW_TARGET = 1,   /* some jump or call leads here */
    LOW_FUNCTION = 2, /* a function starts here */
    LOW_NONZERO = 4,  /* division: the divisor is never 0 */
    LOW_LOOP = 8,     /* something jumps back here */
};

/* Registers of lowered programs: BPF's, and one more that calls leave alone, as they do r6 to r9.
 */
#define LOW_SPARE     11u
#define LOW_REGISTERS 12u
#define LOW_BEGINS    10u

/* A register that holds a value from the start of a function. */
struct low_begin {
    uint64_t value;
    uint8_t reg;
    bool constant; /* and for good */
};

/* One function of the program: slots [first, end). */
struct low_function {
    uint32_t first, end;
    uint16_t written; /* registers that it may change, a bit each */
    uint16_t stack;   /* bytes below r10 that it uses */
    bool uses_fp;
    bool calls; /* anything that is not a jump */
    bool may_goto;
    bool zero_stack; /* begins as zeroes */
    uint8_t nr_begins;
    struct low_begin begins[LOW_BEGINS];
};

/* A decision tree over one register, as a table: the slot for value n is slots[n]. */
struct low_switch {
    uint32_t nr;
    uint32_t otherwise; /* for values that the table does not have */
    bool complete;      /* there are none */
    bool wide;          /* the register counts whole; else its lower half */
    uint32_t *slots;
};

/* An array map's lookup. */
struct low_lookup {
    uint8_t *data;
    uint32_t nr, stride;
    bool in_bounds; /* proven */
    uint32_t key;
};

struct ebpf_lowered {
    struct ebpf_prog *prog;    /* whose it is */
    struct ebpf_decoded *code; /* nr of them; op is enum ebpf_op or enum low_op */
    uint8_t *flags;
    uint16_t *live; /* registers that someone reads after the slot, a bit each */
    uint32_t nr;
    uint32_t nr_fixups; /* upper bound of jumps, calls and tables */
    struct low_function *functions;
    uint32_t nr_functions;
    bool zero_stack;    /* every frame begins as zeroes */
    bool returns_other; /* a function may tail call: another program then returns to its caller */
    struct low_switch *switches;
    uint32_t nr_switches;
    struct low_lookup *lookups;
    uint32_t nr_lookups;
};

/* Which passes to run: tests and `skep-vm dump` compare with and without. */
enum { LOWER_NONE = 0, LOWER_ALL = ~0 };

int ebpf_lower(struct ebpf_prog *prog, const struct ebpf_proof *proof, int passes,
               struct ebpf_lowered **out);
uint32_t ebpf_lowered_function(const struct ebpf_lowered *low, uint32_t slot);
void ebpf_lower_free(struct ebpf_lowered *low);

#endif
