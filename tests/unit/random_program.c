/*
 * Generator of random programs. r6 holds the memory throughout, r9 counts the one loop there may
 * be; the other registers are anything. Stack bytes 0 to STACK are written before anything else.
 */
#include "tests/unit/random_program.h"

#include <stdbool.h>
#include <string.h>

#define STACK      64
#define LOOP_TRIPS 3
#define LOOP_BLOCK 4 /* a longer one would have too many paths through all its trips */

struct maker {
    uint64_t state;
    struct bpf_insn *insns;
    uint32_t n;
};

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(struct maker *m)
{
    uint64_t z = m->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(struct maker *m, uint32_t bound)
{
    return (uint32_t)(next(m) % bound);
}

static void put(struct maker *m, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
    m->insns[m->n++] =
        (struct bpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}

/* Anything but r6, r9, r10. */
static uint8_t any(struct maker *m)
{
    static const uint8_t regs[] = {0, 1, 2, 3, 4, 5, 7, 8};

    return regs[below(m, sizeof(regs))];
}

static int32_t number(struct maker *m)
{
    static const int32_t corners[] = {
        0,   1,    -1,   2,   3,   5,    7,     8,     9,  16,         127,
        128, -128, -129, 255, 256, 4095, 65535, 65536, 31, 0x7fffffff, -0x7fffffff - 1,
        63,  64};

    return below(m, 3) ? corners[below(m, sizeof(corners) / sizeof(corners[0]))] : (int32_t)next(m);
}

static uint8_t width(struct maker *m)
{
    return below(m, 2) ? BPF_ALU64 : BPF_ALU;
}

static void put_alu(struct maker *m)
{
    static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR,  BPF_AND,
                                  BPF_XOR, BPF_MOV, BPF_ADD, BPF_MOV, BPF_SUB};
    uint8_t op = ops[below(m, sizeof(ops))], class = width(m);

    if (below(m, 2))
        put(m, class | op | BPF_X, any(m), any(m), 0, 0);
    else
        put(m, class | op | BPF_K, any(m), 0, 0, number(m));
}

static void put_shift(struct maker *m)
{
    static const uint8_t ops[] = {BPF_LSH, BPF_RSH, BPF_ARSH};
    uint8_t op = ops[below(m, sizeof(ops))], class = width(m);

    if (below(m, 3) == 0)
        put(m, class | op | BPF_X, any(m), any(m), 0, 0);
    else
        put(m, class | op | BPF_K, any(m), 0, 0, (int32_t)below(m, class == BPF_ALU64 ? 64 : 32));
}

static void put_divide(struct maker *m)
{
    uint8_t op = below(m, 2) ? BPF_DIV : BPF_MOD, class = width(m), dst = any(m);
    int16_t is_signed = (int16_t)below(m, 2);
    int32_t imm = number(m);

    if (below(m, 2))
        put(m, class | op | BPF_X, dst, any(m), is_signed, 0);
    else
        put(m, class | op | BPF_K, dst, 0, is_signed, imm ? imm : 1);
}

static void put_unary(struct maker *m)
{
    static const int16_t bits[] = {8, 16, 32};
    static const int32_t swaps[] = {16, 32, 64};
    uint8_t dst = any(m);

    switch (below(m, 5)) {
    case 0:
        put(m, width(m) | BPF_NEG, dst, 0, 0, 0);
        break;
    case 1:
        put(m, BPF_ALU64 | BPF_MOV | BPF_X, dst, any(m), bits[below(m, 3)], 0);
        break;
    case 2:
        put(m, BPF_ALU | BPF_MOV | BPF_X, dst, any(m), bits[below(m, 2)], 0);
        break;
    case 3:
        put(m, BPF_ALU | BPF_END | (below(m, 2) ? BPF_TO_BE : BPF_TO_LE), dst, 0, 0,
            swaps[below(m, 3)]);
        break;
    default:
        put(m, BPF_ALU64 | BPF_END, dst, 0, 0, swaps[below(m, 3)]);
        break;
    }
}

static void put_imm64(struct maker *m)
{
    put(m, BPF_LD | BPF_IMM | BPF_DW, any(m), 0, 0, number(m));
    put(m, 0, 0, 0, 0, number(m));
}

/* One access to memory or stack through a register that surely points there. */
static void put_access(struct maker *m, uint8_t base, int32_t low, int32_t high)
{
    static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
    unsigned log = below(m, 4);
    int16_t off = (int16_t)(low + (int32_t)below(m, (uint32_t)(high - low) - (1u << log) + 1));
    uint8_t reg;

    if (base == 10) /* the stack is accessed aligned */
        off = (int16_t)(off & -(1 << log));
    do /* the base stays, and its value goes nowhere: addresses differ from run to run */
        reg = any(m);
    while (reg == base);
    switch (below(m, 5)) {
    case 0:
    case 1:
        put(m, BPF_LDX | BPF_MEM | sizes[log], reg, base, off, 0);
        break;
    case 2:
        put(m, BPF_LDX | 0x80 | sizes[log % 3], reg, base, off, 0);
        break;
    case 3:
        put(m, BPF_STX | BPF_MEM | sizes[log], base, reg, off, 0);
        break;
    default:
        put(m, BPF_ST | BPF_MEM | sizes[log], base, 0, off, number(m));
        break;
    }
}

static void put_plain_access(struct maker *m)
{
    if (below(m, 2))
        put_access(m, 6, 0, RANDOM_MEMORY);
    else
        put_access(m, 10, -STACK, 0);
}

/* rP = r6; rP += rI (masked); access: what a compiler writes for memory[i]. */
static void put_indexed_access(struct maker *m)
{
    uint8_t pointer = any(m), index = any(m);

    if (pointer == index)
        return;
    put(m, BPF_ALU64 | BPF_AND | BPF_K, index, 0, 0, 63);
    if (below(m, 4) == 0)
        put(m, BPF_ALU64 | BPF_LSH | BPF_K, index, 0, 0, 1);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, pointer, 6, 0, 0);
    if (below(m, 2))
        put(m, BPF_ALU64 | BPF_ADD | BPF_K, pointer, 0, 0, (int32_t)below(m, 64));
    put(m, BPF_ALU64 | BPF_ADD | BPF_X, pointer, index, 0, 0);
    put_access(m, pointer, 0, 64);
    if (below(m, 2))
        put_access(m, pointer, 0, 64);
    put(m, BPF_ALU64 | BPF_MOV | BPF_K, pointer, 0, 0, number(m));
}

/* a << n | a >> w - n in the orders that compilers use; sometimes n does not match. */
static void put_rotate(struct maker *m)
{
    uint8_t a = any(m), b = any(m), class = width(m);
    int32_t bits = class == BPF_ALU64 ? 64 : 32, n = 1 + (int32_t)below(m, (uint32_t)bits - 1);
    int32_t rest = below(m, 8) ? bits - n : (int32_t)below(m, (uint32_t)bits);
    bool left_first = below(m, 2);

    if (a == b)
        return;
    put(m, class | BPF_MOV | BPF_X, b, a, 0, 0);
    if (below(m, 4) == 0)
        put_alu(m);
    put(m, class | (left_first ? BPF_LSH : BPF_RSH) | BPF_K, b, 0, 0, left_first ? n : rest);
    if (below(m, 4) == 0)
        put_plain_access(m);
    if (below(m, 3)) {
        put(m, class | (left_first ? BPF_RSH : BPF_LSH) | BPF_K, a, 0, 0, left_first ? rest : n);
        if (below(m, 4) == 0)
            put_alu(m);
        put(m, class | BPF_OR | BPF_X, a, b, 0, 0);
    } else {
        uint8_t c = any(m);

        put(m, class | BPF_MOV | BPF_X, c, a, 0, 0);
        put(m, class | (left_first ? BPF_RSH : BPF_LSH) | BPF_K, c, 0, 0, left_first ? rest : n);
        put(m, class | BPF_OR | BPF_X, c, b, 0, 0);
    }
}

/* Bytes put together to a larger number, low byte first. */
static void put_byte_loads(struct maker *m)
{
    uint8_t base = below(m, 3) ? 6 : 10, a = any(m), b = any(m), c = any(m);
    int16_t off =
        (int16_t)(base == 6 ? (int)below(m, RANDOM_MEMORY - 4) : (int)below(m, STACK - 4) - STACK);
    uint8_t class = width(m);

    if (a == b || b == c || a == c)
        return;
    put(m, BPF_LDX | BPF_MEM | BPF_B, a, base, (int16_t)(off + 1), 0);
    put(m, class | BPF_LSH | BPF_K, a, 0, 0, 8);
    put(m, BPF_LDX | BPF_MEM | BPF_B, b, base, off, 0);
    if (below(m, 4) == 0)
        put_plain_access(m);
    put(m, class | BPF_OR | BPF_X, a, b, 0, 0);
    put(m, BPF_LDX | BPF_MEM | BPF_B, b, base, (int16_t)(off + 3), 0);
    put(m, class | BPF_LSH | BPF_K, b, 0, 0, 8);
    put(m, BPF_LDX | BPF_MEM | BPF_B, c, base, (int16_t)(off + 2), 0);
    if (below(m, 4) == 0)
        put_plain_access(m);
    put(m, class | BPF_OR | BPF_X, b, c, 0, 0);
    put(m, class | BPF_LSH | BPF_K, b, 0, 0, 16);
    put(m, class | BPF_OR | BPF_X, b, a, 0, 0);
}

static void put_atomic(struct maker *m)
{
    static const int32_t ops[] = {BPF_ADD,
                                  BPF_OR,
                                  BPF_AND,
                                  BPF_XOR,
                                  BPF_ADD | BPF_FETCH,
                                  BPF_OR | BPF_FETCH,
                                  BPF_AND | BPF_FETCH,
                                  BPF_XOR | BPF_FETCH,
                                  BPF_XCHG,
                                  BPF_CMPXCHG};
    bool wide = below(m, 2), stack = below(m, 2);
    int16_t off = (int16_t)(8 * below(m, (stack ? STACK : RANDOM_MEMORY) / 8));

    put(m, BPF_STX | BPF_ATOMIC | (wide ? BPF_DW : BPF_W), stack ? 10 : 6, any(m),
        (int16_t)(stack ? off - STACK : off), ops[below(m, sizeof(ops) / sizeof(ops[0]))]);
}

static void put_any(struct maker *m)
{
    static void (*const kinds[])(struct maker *) = {
        put_alu,        put_alu,    put_alu,          put_shift,          put_divide,
        put_unary,      put_imm64,  put_plain_access, put_indexed_access, put_rotate,
        put_byte_loads, put_atomic,
    };

    kinds[below(m, sizeof(kinds) / sizeof(kinds[0]))](m);
}

static uint8_t condition(struct maker *m)
{
    static const uint8_t ops[] = {BPF_JEQ,  BPF_JGT, BPF_JGE, BPF_JSET, BPF_JNE, BPF_JSGT,
                                  BPF_JSGE, BPF_JLT, BPF_JLE, BPF_JSLT, BPF_JSLE};

    return (below(m, 2) ? BPF_JMP : BPF_JMP32) | ops[below(m, sizeof(ops))];
}

/* A jump whose distance is set when its target is known. */
static uint32_t put_branch(struct maker *m)
{
    uint8_t code = condition(m);

    if (below(m, 2))
        put(m, code | BPF_X, any(m), any(m), 0, 0);
    else
        put(m, code | BPF_K, any(m), 0, 0, number(m));
    return m->n - 1;
}

static void land(struct maker *m, uint32_t jump)
{
    m->insns[jump].off = (int16_t)(m->n - jump - 1);
}

/* if c { ... } or `if c goto over; goto out; over: ... out:`. */
static void put_if(struct maker *m)
{
    uint32_t jump = put_branch(m), out = 0;
    bool over = below(m, 2);

    if (over) {
        put(m, BPF_JMP | BPF_JA, 0, 0, 0, 0);
        out = m->n - 1;
        land(m, jump);
    }
    for (uint32_t n = below(m, 4); n-- > 0;)
        put_any(m);
    land(m, over ? out : jump);
}

/* A decision tree over the low bits of a register, as a switch becomes without jump tables. */
static void put_tree(struct maker *m, uint8_t reg, uint32_t low, uint32_t high, uint32_t *exits,
                     uint32_t *nr_exits)
{
    uint32_t middle = low + (high - low) / 2, jump;

    if (high - low <= 1) {
        put(m, BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, number(m));
        if (below(m, 2))
            put(m, BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 3 + (int32_t)low);
        put(m, BPF_JMP | BPF_JA, 0, 0, 0, 0);
        exits[(*nr_exits)++] = m->n - 1;
        return;
    }
    put(m, BPF_JMP | (below(m, 2) ? BPF_JSGT : BPF_JGT) | BPF_K, reg, 0, 0, (int32_t)middle - 1);
    jump = m->n - 1;
    put_tree(m, reg, low, middle, exits, nr_exits);
    land(m, jump);
    put_tree(m, reg, middle, high, exits, nr_exits);
}

static void put_switch(struct maker *m)
{
    static const uint32_t sizes[] = {4, 8, 13, 16};
    uint32_t exits[16], nr = 0;
    uint8_t reg = below(m, 2) ? 7 : 8;

    put(m, BPF_ALU64 | BPF_AND | BPF_K, reg, 0, 0, 15);
    put_tree(m, reg, 0, sizes[below(m, 4)], exits, &nr);
    while (nr-- > 0)
        land(m, exits[nr]);
}

static void put_block(struct maker *m, uint32_t most, uint32_t room)
{
    for (uint32_t n = 2 + below(m, most - 1); n-- > 0 && m->n + 80 < room;) {
        switch (below(m, 12)) {
        case 0:
        case 1:
        case 2:
            put_if(m);
            break;
        case 3:
            put_switch(m);
            break;
        default:
            put_any(m);
            break;
        }
    }
}

static void put_start(struct maker *m)
{
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
    for (int32_t off = -STACK; off < 0; off += 8)
        put(m, BPF_ST | BPF_MEM | BPF_DW, 10, 0, (int16_t)off, off * 0x01234567);
    for (uint8_t reg = 0; reg < 9; reg++)
        if (reg != 6)
            put(m, BPF_LDX | BPF_MEM | BPF_DW, reg, 6, (int16_t)(8 * reg), 0);
}

/* A function of r1 to r5 with a stack of its own, into r0. */
static void put_function(struct maker *m)
{
    uint32_t end = m->n + 24;

    put(m, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, number(m));
    put(m, BPF_STX | BPF_MEM | BPF_DW, 10, 1, -8, 0);
    for (uint8_t reg = 7; reg < 9; reg++)
        put(m, BPF_ALU64 | BPF_MOV | BPF_X, reg, (uint8_t)(reg - 5), 0, 0);
    while (m->n < end)
        put_alu(m);
    put(m, BPF_LDX | BPF_MEM | BPF_DW, 3, 10, -8, 0);
    put(m, BPF_ALU64 | BPF_XOR | BPF_X, 0, 3, 0, 0);
    put(m, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* r1 to r5 are gone after a call. */
static uint32_t put_call(struct maker *m)
{
    uint32_t call = m->n;

    put(m, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
    for (uint8_t reg = 1; reg < 6; reg++)
        put(m, BPF_LDX | BPF_MEM | BPF_DW, reg, 6, (int16_t)(16 * reg), 0);
    return call;
}

uint32_t random_program(uint64_t seed, struct bpf_insn insns[RANDOM_INSNS_MAX])
{
    struct maker m = {.state = seed, .insns = insns};
    bool loop = below(&m, 2), calls = below(&m, 3) == 0;
    uint32_t again, call = 0;

    put_start(&m);
    put_block(&m, 11, RANDOM_INSNS_MAX / 2);
    if (calls)
        call = put_call(&m);
    put(&m, BPF_ALU64 | BPF_MOV | BPF_K, 9, 0, 0, 0);
    again = m.n;
    put_block(&m, loop ? LOOP_BLOCK : 11, RANDOM_INSNS_MAX - 128);
    if (loop) {
        put(&m, BPF_ALU64 | BPF_ADD | BPF_K, 9, 0, 0, 1);
        if (below(&m, 2)) {
            put(&m, BPF_JMP | BPF_JEQ | BPF_K, 9, 0, 1, LOOP_TRIPS);
            put(&m, BPF_JMP | BPF_JA, 0, 0, (int16_t)(again - m.n - 1), 0);
        } else {
            put(&m, BPF_JMP | BPF_JLT | BPF_K, 9, 0, (int16_t)(again - m.n - 1), LOOP_TRIPS);
        }
    }
    for (uint8_t reg = 1; reg < 9; reg++)
        if (reg != 6)
            put(&m, BPF_ALU64 | BPF_ADD | BPF_X, 0, reg, 0, 0);
    put(&m, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -STACK, 0);
    put(&m, BPF_ALU64 | BPF_XOR | BPF_X, 0, 1, 0, 0);
    put(&m, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    if (calls) {
        insns[call].imm = (int32_t)(m.n - call - 1);
        put_function(&m);
    }
    return m.n;
}
