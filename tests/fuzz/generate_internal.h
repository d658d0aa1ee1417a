/*
 * What the files of the program generator share: the state that is tracked while a program is made,
 * and how instructions are added. Private to tests/fuzz/generate*.c.
 */
#ifndef SKEP_TESTS_GENERATE_INTERNAL_H
#define SKEP_TESTS_GENERATE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/isa.h"
#include "tests/fuzz/generate.h"
#include "tests/fuzz/random.h"

#define FUNCTIONS_MAX 4u
#define SLOTS         (ISA_STACK_SIZE / 8)
#define ROOM          96u /* slots kept free for what ends blocks and functions */
#define FAILS_MAX     32u

#define REG(n)       (1u << (n))
#define CALLER_SAVED 0x3fu /* r0 to r5 */
#define CALLEE_SAVED 0x3c0u

enum kind {
    K_NONE, /* not to be read */
    K_SCALAR,
    K_STACK, /* this function's frame, at a fixed offset */
    K_DATA,  /* bytes that may be read and written: see struct reg */
    K_VALUE_OR_NULL,
    K_PACKET_END,
    K_LENGTH, /* a scalar: how much memory r1 points at */
    K_CTX,
};

enum area { A_BUFFER, A_VALUE, A_PACKET, A_MEMORY };

struct reg {
    uint8_t kind, area;
    uint8_t align; /* K_DATA: the address is a multiple of it */
    int32_t at;    /* K_STACK: offset from r10; K_DATA: not 0 when lo may be less than it is */
    int32_t lo;    /* K_DATA: bytes before it ... */
    int32_t hi;    /* ... and from it on that may be accessed */
    uint64_t max;  /* K_SCALAR: never above */
};

/* Eight bytes of stack at 8 * i - 512 from r10. */
struct slot {
    uint8_t written; /* a bit a byte */
    struct reg held; /* what was spilled there; K_NONE: bytes */
};

struct state {
    struct reg regs[ISA_REGISTERS];
    struct slot slots[SLOTS];
    uint64_t shared; /* slots that pointers other than r10 may write: never spilled to */
};

struct function {
    uint32_t entry;
    struct reg args[6];           /* r1 to r5 */
    uint32_t depth;               /* frames above it */
    uint32_t calls[16], nr_calls; /* slots that call it, or hand it to a helper */
    bool called_back;             /* by a helper, to which it returns 0 or 1 */
};

struct gen {
    struct random random;
    struct generated *out;
    uint32_t nr_plain; /* maps that any statement may use; the others come behind */
    struct state now;
    uint32_t statements; /* left to generate in this function */
    uint32_t nesting, loops;
    uint16_t locked; /* registers that a loop around needs as they are */
    uint64_t locked_slots;
    bool no_calls; /* a loop around keeps something in r0 to r5 */
    struct function functions[FUNCTIONS_MAX];
    uint32_t nr_functions;
    struct function *function;           /* NULL: the program itself */
    uint32_t fails[FAILS_MAX], nr_fails; /* jumps to the common exit */
};

/* generate.c */
uint32_t emit(struct gen *g, uint8_t code, unsigned dst, unsigned src, int off, int32_t imm);
void emit_imm64(struct gen *g, unsigned dst, unsigned src, uint32_t low, uint32_t high);
void emit_mov(struct gen *g, unsigned dst, unsigned src);
bool has_room(const struct gen *g);
int pick(struct gen *g, uint32_t kinds, uint16_t among);
unsigned pick_target(struct gen *g);
void set_scalar(struct gen *g, unsigned reg, uint64_t max);
void set_number(struct gen *g, unsigned reg, uint64_t value);
unsigned need_scalar(struct gen *g);
unsigned any_scalar(struct gen *g);

#define KINDS_SCALAR ((1u << K_SCALAR) | (1u << K_LENGTH))

static inline bool is_scalar(const struct reg *reg)
{
    return KINDS_SCALAR >> reg->kind & 1;
}

/* generate_alu.c */
void make_alu(struct gen *g);
void make_bounded(struct gen *g, unsigned reg, uint32_t max, uint32_t align);
uint64_t bit_ceiling(uint64_t value);

/* generate_memory.c */
void make_memory(struct gen *g);
void make_stack(struct gen *g);
void make_pointer(struct gen *g);
void make_context(struct gen *g);
int32_t make_buffer(struct gen *g, uint32_t size);

/* generate_flow.c */
void make_branch(struct gen *g);
void make_check(struct gen *g);
void make_null_check(struct gen *g);
void make_loop(struct gen *g);
void end_function(struct gen *g);

/* generate_call.c */
void make_helper_call(struct gen *g);
void make_local_call(struct gen *g);
void make_call_back(struct gen *g);
void after_call(struct gen *g);

/* generate_object.c */
void make_object(struct gen *g);

/* generate.c again: statements until `most` of them, or the function's are used up. */
void make_block(struct gen *g, uint32_t most);

#endif
