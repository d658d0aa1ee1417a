/*
 * The generator: between two items of a program, r0 to r5 and r9 are numbers, r6 is the memory, r7
 * its length, r8 a map's value. In a function that a helper calls back, r6 is its context.
 */
#include "tests/unit/random_verifier.h"

#include "ebpf/base.h"
#include "ebpf/isa.h"

struct maker {
    struct bpf_insn *insns;
    uint32_t n;
    uint64_t seed;
    uint32_t exits[64], nr_exits; /* jumps to the end */
    uint32_t call;                /* slot of a call of the function at the end, 0: none */
    uint32_t back;                /* slot of the address of one that is called back, 0: none */
    bool each;                    /* by for_each_map_elem, not loop */
};

static uint32_t pick(struct maker *m, uint32_t below)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return (uint32_t)(m->seed >> 33) % below;
}

static void put(struct maker *m, uint8_t code, unsigned dst, unsigned src, int off, int32_t imm)
{
    m->insns[m->n++] = (struct bpf_insn){
        .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = (int16_t)off, .imm = imm};
}

static unsigned number(struct maker *m)
{
    static const uint8_t numbers[] = {0, 1, 2, 3, 4, 5, 9};

    return numbers[pick(m, sizeof(numbers))];
}

static int32_t immediate(struct maker *m)
{
    static const int32_t edges[] = {0,  1,  -1, 2,   7,         8,         15,   16, 31,
                                    32, 63, 64, 255, INT32_MAX, INT32_MIN, 4096, -8};

    return pick(m, 3) ? edges[pick(m, ARRAY_LEN(edges))] : (int32_t)pick(m, UINT32_MAX);
}

static void arithmetic(struct maker *m)
{
    static const uint8_t ops[] = {BPF_ADD, BPF_SUB, BPF_MUL,  BPF_OR,  BPF_AND, BPF_LSH, BPF_RSH,
                                  BPF_XOR, BPF_MOV, BPF_ARSH, BPF_DIV, BPF_MOD, BPF_NEG, BPF_END};
    uint8_t op = ops[pick(m, sizeof(ops))], class = pick(m, 2) ? BPF_ALU64 : BPF_ALU;
    unsigned dst = number(m), src = number(m);
    bool shift = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
    int32_t imm = immediate(m);

    if (op == BPF_NEG) {
        put(m, class | op, dst, 0, 0, 0);
    } else if (op == BPF_END) {
        put(m, BPF_ALU | op | (pick(m, 2) ? BPF_TO_BE : BPF_TO_LE), dst, 0, 0, 16 << pick(m, 3));
    } else if (op == BPF_MOV && pick(m, 3) == 0) {
        put(m, class | op | BPF_X, dst, src, class == BPF_ALU ? 8 << pick(m, 2) : 8 << pick(m, 3),
            0);
    } else if (pick(m, 2)) {
        put(m, class | op | BPF_X, dst, src, (op == BPF_DIV || op == BPF_MOD) && pick(m, 2), 0);
    } else {
        if (shift)
            imm &= class == BPF_ALU ? 31 : 63;
        if ((op == BPF_DIV || op == BPF_MOD) && imm == 0)
            imm = 3;
        put(m, class | op, dst, 0, (op == BPF_DIV || op == BPF_MOD) && pick(m, 2), imm);
    }
}

static uint8_t condition(struct maker *m)
{
    static const uint8_t ops[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                  BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};

    return ops[pick(m, sizeof(ops))] | (pick(m, 2) ? BPF_JMP : BPF_JMP32);
}

static void item(struct maker *m, unsigned depth);

static void branch(struct maker *m, unsigned depth)
{
    uint32_t at = m->n;

    if (pick(m, 2))
        put(m, condition(m) | BPF_X, number(m), number(m), 0, 0);
    else
        put(m, condition(m), number(m), 0, 0, immediate(m));
    for (unsigned i = 1 + pick(m, 3); i > 0; i--)
        item(m, depth + 1);
    m->insns[at].off = (int16_t)(m->n - at - 1);
}

static void leave_if(struct maker *m, uint8_t code, unsigned dst, unsigned src, int32_t imm)
{
    if (m->nr_exits == ARRAY_LEN(m->exits))
        return;
    m->exits[m->nr_exits++] = m->n;
    put(m, code, dst, src, 0, imm);
}

/* Bounds a number in one of many ways: to about [0, most]. */
static void bound(struct maker *m, unsigned reg, int32_t most)
{
    switch (pick(m, 8)) {
    case 0:
        put(m, BPF_ALU64 | BPF_MOD, reg, 0, 0, most + 1);
        break;
    case 1:
        leave_if(m, BPF_JMP | BPF_JGT, reg, 0, most);
        break;
    case 2:
        leave_if(m, BPF_JMP | BPF_JSGT, reg, 0, most);
        leave_if(m, BPF_JMP | BPF_JSLT, reg, 0, 0);
        break;
    case 3:
        put(m, BPF_ALU | BPF_MOV | BPF_X, reg, reg, 0, 0);
        leave_if(m, BPF_JMP32 | BPF_JGE, reg, 0, most + 1);
        break;
    case 4:
        put(m, BPF_ALU64 | BPF_RSH, reg, 0, 0, 64 - 31 + __builtin_clz((uint32_t)most | 1));
        break;
    case 5: /* through a copy, whose number is the same */
        put(m, BPF_ALU64 | BPF_MOV | BPF_X, reg == 3 ? 4 : 3, reg, 0, 0);
        leave_if(m, BPF_JMP | BPF_JGT, reg == 3 ? 4 : 3, 0, most);
        break;
    case 6:
        put(m, BPF_ALU64 | BPF_ADD, reg, 0, 0, 5);
        leave_if(m, BPF_JMP | BPF_JGT, reg, 0, most);
        break;
    default:
        put(m, BPF_ALU64 | BPF_AND, reg, 0, 0,
            (int32_t)(UINT32_MAX >> __builtin_clz((uint32_t)most | 1)) >> 1);
    }
}

static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

/* A load or store at a bounded offset. */
static void access(struct maker *m)
{
    static const struct {
        unsigned base, size;
    } regions[] = {{6, RANDOM_VERIFIER_MEM}, {8, RANDOM_VERIFIER_VALUE}, {ISA_FP, 64}};
    unsigned which = pick(m, ARRAY_LEN(regions)), width = pick(m, 4), bytes = 1u << width;
    unsigned index = number(m), pointer = index == 2 ? 1 : 2, value = number(m);
    int off = (int)pick(m, 8);

    bound(m, index, (int32_t)(regions[which].size - bytes - (pick(m, 16) ? (uint32_t)off : 0)));
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, pointer, regions[which].base, 0, 0);
    put(m, BPF_ALU64 | BPF_ADD | BPF_X, pointer, index, 0, 0);
    if (regions[which].base == ISA_FP)
        off -= 64;
    if (value == pointer)
        value = 9;
    if (pick(m, 2))
        put(m, BPF_LDX | BPF_MEM | sizes[width], value, pointer, off, 0);
    else
        put(m, BPF_STX | BPF_MEM | sizes[width], pointer, value, off, 0);
    put(m, BPF_ALU64 | BPF_MOV, pointer, 0, 0, immediate(m));
}

/* Something to the stack, and something from it. */
static void spill(struct maker *m)
{
    int at = -8 * (1 + (int)pick(m, 12));

    switch (pick(m, 5)) {
    case 0:
        put(m, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, number(m), at, 0);
        break;
    case 1:
        put(m, BPF_STX | BPF_MEM | sizes[pick(m, 3)], ISA_FP, number(m), at + 4 * (int)pick(m, 2),
            0);
        break;
    case 2:
        put(m, BPF_ST | BPF_MEM | sizes[pick(m, 4)], ISA_FP, 0, at, immediate(m));
        break;
    case 3: /* a pointer, and back */
        put(m, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, 6, at, 0);
        put(m, BPF_LDX | BPF_MEM | BPF_DW, 1, ISA_FP, at, 0);
        put(m, BPF_LDX | BPF_MEM | BPF_B, 1, 1, (int)pick(m, RANDOM_VERIFIER_MEM), 0);
        break;
    default:
        put(m, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, number(m), at, 0);
        put(m, BPF_LDX | BPF_MEM | sizes[pick(m, 4)], number(m), ISA_FP, at, 0);
    }
}

/* How a loop's counter goes: from first, or a number below 16 that only the run tells, by step
 * until the comparison with end fails. */
struct trips {
    int32_t first, step, end;
    bool range;
};

static struct trips pick_trips(struct maker *m)
{
    int32_t low = (int32_t)pick(m, 8), step = 1 + (int32_t)pick(m, 4);
    int32_t high = low + step * (1 + (int32_t)pick(m, 20));

    if (pick(m, 4) == 0)
        return (struct trips){high, -step, low, pick(m, 3) == 0};
    return (struct trips){low, step, high, pick(m, 3) == 0};
}

/* With an end that is not passed by: a loop that goes on nearly for ever would be walked for long.
 */
static uint8_t again_while(struct maker *m, const struct trips *t)
{
    static const uint8_t up[] = {BPF_JLT, BPF_JSLT, BPF_JLE, BPF_JNE},
                         down[] = {BPF_JSGT, BPF_JSGE, BPF_JSGT, BPF_JNE};

    return (t->step > 0 ? up : down)[pick(m, t->range ? 3 : 4)] |
           (t->step < 0 || pick(m, 2) ? BPF_JMP : BPF_JMP32);
}

static void loop(struct maker *m, unsigned depth)
{
    const struct trips t = pick_trips(m);
    int at = -104 - 8 * (int)depth; /* the counter lives in the stack, out of the items' way */
    uint32_t top, leave = 0;

    if (t.range) {
        put(m, BPF_LDX | BPF_MEM | BPF_B, 4, 6, (int)pick(m, RANDOM_VERIFIER_MEM), 0);
        bound(m, 4, 15);
        put(m, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, 4, at, 0);
    } else {
        put(m, BPF_ST | BPF_MEM | BPF_DW, ISA_FP, 0, at, t.first);
    }
    top = m->n;
    for (unsigned i = 1 + pick(m, 2); i > 0; i--)
        item(m, depth + 2);
    if (pick(m, 2)) {
        /* The counter as an index: in range or, now and then, not. */
        put(m, BPF_LDX | BPF_MEM | BPF_DW, 4, ISA_FP, at, 0);
        put(m, BPF_ALU64 | BPF_MOV | BPF_X, 5, 6, 0, 0);
        put(m, BPF_ALU64 | BPF_ADD | BPF_X, 5, 4, 0, 0);
        put(m, BPF_LDX | BPF_MEM | BPF_B, 5, 5, 0, 0);
        if (pick(m, 3) == 0) {
            leave = m->n;
            put(m, condition(m), 5, 0, 0, immediate(m));
        }
    }
    put(m, BPF_LDX | BPF_MEM | BPF_DW, 4, ISA_FP, at, 0);
    put(m, (t.step < 0 || pick(m, 2) ? BPF_ALU64 : BPF_ALU) | BPF_ADD, 4, 0, 0, t.step);
    put(m, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, 4, at, 0);
    put(m, again_while(m, &t), 4, 0, (int)top - (int)m->n - 1, t.end);
    if (leave)
        m->insns[leave].off = (int16_t)(m->n - leave - 1);
}

/* Every number is one again after a call. */
static void refresh(struct maker *m)
{
    for (unsigned r = 1; r <= 5; r++)
        put(m, BPF_LDX | BPF_MEM | sizes[pick(m, 4)], r, 6, (int)pick(m, 57), 0);
}

static void call(struct maker *m)
{
    if (m->call)
        return;
    m->call = m->n;
    put(m, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
    refresh(m);
}

/* Hands out 64 bytes of stack, which items use or not. */
static void call_back(struct maker *m)
{
    if (m->back)
        return;
    m->each = pick(m, 3) == 0;
    if (m->each) {
        put(m, BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
        put(m, 0, 0, 0, 0, 0);
    } else if (pick(m, 3)) {
        put(m, BPF_ALU64 | BPF_MOV, 1, 0, 0, (int32_t)pick(m, 12));
    } else {
        put(m, BPF_ALU64 | BPF_AND, 1, 0, 0, 31);
    }
    m->back = m->n;
    put(m, BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 0);
    put(m, 0, 0, 0, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 3, ISA_FP, 0, 0);
    put(m, BPF_ALU64 | BPF_ADD, 3, 0, 0, pick(m, 3) ? -208 : -64);
    put(m, BPF_ALU64 | BPF_MOV, 4, 0, 0, 0);
    put(m, BPF_JMP | BPF_CALL, 0, 0, 0, m->each ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop);
    refresh(m);
}

static void lookup(struct maker *m)
{
    put(m, BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
    put(m, 0, 0, 0, 0, 0);
    if (pick(m, 2))
        put(m, BPF_ST | BPF_MEM | BPF_W, ISA_FP, 0, -8, (int32_t)pick(m, 6));
    else
        put(m, BPF_STX | BPF_MEM | BPF_W, ISA_FP, 9, -8, 0);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 2, ISA_FP, 0, 0);
    put(m, BPF_ALU64 | BPF_ADD, 2, 0, 0, -8);
    put(m, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
    put(m, BPF_JMP | BPF_JEQ, 0, 0, 1, 0);
    put(m, BPF_LDX | BPF_MEM | BPF_DW, 0, 0, (int)pick(m, RANDOM_VERIFIER_VALUE - 7), 0);
    refresh(m);
}

static void item(struct maker *m, unsigned depth)
{
    unsigned kind = pick(m, 16);

    if (m->n + 120 > RANDOM_VERIFIER_INSNS)
        return;
    if (kind < 6)
        arithmetic(m);
    else if (kind < 9 && depth < 4)
        branch(m, depth);
    else if (kind < 12)
        access(m);
    else if (kind < 14)
        spill(m);
    else if (kind < 15 && depth < 3)
        loop(m, depth);
    else if (pick(m, 3) == 0)
        call_back(m);
    else if (pick(m, 2))
        call(m);
    else
        lookup(m);
}

static void begin(struct maker *m)
{
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 7, 2, 0, 0);
    put(m, BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
    put(m, 0, 0, 0, 0, 0);
    put(m, BPF_ST | BPF_MEM | BPF_W, ISA_FP, 0, -4, 1);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 2, ISA_FP, 0, 0);
    put(m, BPF_ALU64 | BPF_ADD, 2, 0, 0, -4);
    put(m, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV, 0, 0, 0, 1);
    leave_if(m, BPF_JMP | BPF_JEQ, 8, 0, 0);
    put(m, BPF_LDX | BPF_MEM | BPF_DW, 9, 6, (int)pick(m, 57), 0);
    refresh(m);
}

/* Where a function is left early, and its end. */
static void end(struct maker *m, int32_t result)
{
    for (uint32_t i = 0; i < m->nr_exits; i++)
        m->insns[m->exits[i]].off = (int16_t)(m->n - m->exits[i] - 1);
    m->nr_exits = 0;
    put(m, BPF_ALU64 | BPF_MOV, 0, 0, 0, result);
    put(m, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void function_called_back(struct maker *m)
{
    unsigned ctx = m->each ? 4 : 2;

    m->insns[m->back].imm = (int32_t)(m->n - m->back - 1);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 6, ctx, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV | BPF_X, 8, m->each ? 3 : ctx, 0, 0);
    if (m->each)
        put(m, BPF_LDX | BPF_MEM | BPF_W, 9, 2, 0, 0); /* the key */
    else
        put(m, BPF_ALU64 | BPF_MOV | BPF_X, 9, 1, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV, 0, 0, 0, 0);
    put(m, BPF_ALU64 | BPF_MOV, 7, 0, 0, RANDOM_VERIFIER_MEM);
    refresh(m);
    for (unsigned i = 1 + pick(m, 4); i > 0; i--)
        item(m, 1);
    if (pick(m, 2)) {
        put(m, BPF_ALU64 | BPF_AND, 0, 0, 0, 1);
        put(m, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
        if (m->nr_exits == 0)
            return;
    }
    end(m, pick(m, 8) == 0);
}

uint32_t random_verifier(uint64_t seed, struct bpf_insn insns[RANDOM_VERIFIER_INSNS])
{
    struct maker m = {.insns = insns, .seed = seed * 0x9e3779b97f4a7c15u + 88172645463325252u};
    unsigned items = 3;

    pick(&m, 2), pick(&m, 2);
    items += pick(&m, 14);
    begin(&m);
    while (items-- > 0)
        item(&m, 0);
    end(&m, 0);
    if (m.back)
        function_called_back(&m);
    if (m.call) {
        insns[m.call].imm = (int32_t)(m.n - m.call - 1);
        put(&m, BPF_ALU64 | BPF_MOV | BPF_X, 0, 1, 0, 0);
        for (unsigned i = pick(&m, 6); i > 0; i--) {
            put(&m, condition(&m), 1 + pick(&m, 5), 0, 1, immediate(&m));
            put(&m, BPF_ALU64 | BPF_ADD | BPF_X, 0, 1 + pick(&m, 5), 0, 0);
        }
        put(&m, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    return m.n;
}
