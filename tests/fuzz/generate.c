/*
 * The generator's entry, blocks of statements, and what all its files use to add instructions: see
 * generate.h. generate_alu.c, _memory.c, _flow.c, _call.c and _object.c make one kind of statement
 * each.
 */
#include "tests/fuzz/generate_internal.h"

#include <assert.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/prog.h"

#define PLAIN_MAX 4u

/* Adds one instruction; its slot. */
uint32_t emit(struct gen *g, uint8_t code, unsigned dst, unsigned src, int off, int32_t imm)
{
    assert(g->out->nr_insns < GENERATE_INSNS_MAX);
    g->out->insns[g->out->nr_insns] = (struct bpf_insn){
        .code = code,
        .dst_reg = (uint8_t)dst & 15,
        .src_reg = (uint8_t)src & 15,
        .off = (int16_t)off,
        .imm = imm,
    };
    return g->out->nr_insns++;
}

void emit_imm64(struct gen *g, unsigned dst, unsigned src, uint32_t low, uint32_t high)
{
    emit(g, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, (int32_t)low);
    emit(g, 0, 0, 0, 0, (int32_t)high);
}

/* dst = src, with all that is known of it. */
void emit_mov(struct gen *g, unsigned dst, unsigned src)
{
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
    g->now.regs[dst] = g->now.regs[src];
}

bool has_room(const struct gen *g)
{
    return g->out->nr_insns + ROOM < GENERATE_INSNS_MAX;
}

/* Some register of these kinds (a bit each) among those given; -1: there is none. */
int pick(struct gen *g, uint32_t kinds, uint16_t among)
{
    unsigned start = random_below(&g->random, ISA_REGISTERS);

    for (unsigned n = 0; n < ISA_REGISTERS; n++) {
        unsigned reg = (start + n) % ISA_REGISTERS;

        if ((among & REG(reg)) && (kinds >> g->now.regs[reg].kind & 1))
            return (int)reg;
    }
    return -1;
}

/* A register to write: rather one that holds nothing or a number. */
unsigned pick_target(struct gen *g)
{
    uint16_t among = (uint16_t)(0x3ff & ~g->locked);
    int reg = -1;

    if (!random_one_in(&g->random, 16))
        reg = pick(g, REG(K_NONE) | REG(K_SCALAR), among);
    return (unsigned)(reg < 0 ? pick(g, ~0u, among) : reg);
}

void set_scalar(struct gen *g, unsigned reg, uint64_t max)
{
    g->now.regs[reg] = (struct reg){.kind = K_SCALAR, .max = max};
}

/* reg = value, one way or another. */
void set_number(struct gen *g, unsigned reg, uint64_t value)
{
    if (value == (uint64_t)(int64_t)(int32_t)value)
        emit(g, BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, (int32_t)value);
    else if (value == (uint32_t)value && random_one_in(&g->random, 2))
        emit(g, BPF_ALU | BPF_MOV | BPF_K, reg, 0, 0, (int32_t)value);
    else
        emit_imm64(g, reg, 0, (uint32_t)value, (uint32_t)(value >> 32));
    set_scalar(g, reg, value);
}

/* A number that may be changed. */
unsigned need_scalar(struct gen *g)
{
    int reg = pick(g, KINDS_SCALAR, (uint16_t)(0x3ff & ~g->locked));

    if (reg < 0) {
        reg = (int)pick_target(g);
        set_number(g, (unsigned)reg, random_number(&g->random));
    }
    return (unsigned)reg;
}

/* A number to read. */
unsigned any_scalar(struct gen *g)
{
    int reg = pick(g, KINDS_SCALAR, 0x3ff);

    return reg < 0 ? need_scalar(g) : (unsigned)reg;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static const struct {
    uint32_t weight;
    void (*make)(struct gen *g);
} statements[] = {
    {30, make_alu},    {14, make_memory},     {12, make_stack},     {8, make_pointer},
    {3, make_context}, {10, make_branch},     {4, make_check},      {6, make_null_check},
    {4, make_loop},    {7, make_helper_call}, {3, make_local_call}, {3, make_call_back},
    {4, make_object},
};

static void make_statement(struct gen *g)
{
    uint32_t total = 0, at;

    for (unsigned i = 0; i < ARRAY_LEN(statements); i++)
        total += statements[i].weight;
    at = random_below(&g->random, total);
    for (unsigned i = 0; i < ARRAY_LEN(statements); i++) {
        if (at < statements[i].weight) {
            statements[i].make(g);
            return;
        }
        at -= statements[i].weight;
    }
}

void make_block(struct gen *g, uint32_t most)
{
    while (most-- && g->statements && has_room(g)) {
        g->statements--;
        make_statement(g);
    }
}

/* ---- functions ------------------------------------------------------------------------------ */

static void begin_program(struct gen *g)
{
    struct reg *r = g->now.regs;

    r[1].kind = K_CTX;
    if (g->out->prog_type == EBPF_PROG_TYPE_MEM) {
        r[1] = (struct reg){.kind = K_DATA, .area = A_MEMORY, .align = 8};
        r[2] = (struct reg){.kind = K_LENGTH, .max = UINT64_MAX};
        emit_mov(g, 7, 2);
    }
    if (!random_one_in(&g->random, 8))
        emit_mov(g, 6, 1);
    if (g->out->prog_type != EBPF_PROG_TYPE_MEM)
        make_context(g);
    make_check(g);
}

static void begin_function(struct gen *g, struct function *f)
{
    f->entry = g->out->nr_insns;
    for (unsigned i = 0; i < f->nr_calls; i++)
        g->out->insns[f->calls[i]].imm = (int32_t)(f->entry - f->calls[i] - 1);
    f->nr_calls = 0;
    for (unsigned i = 1; i <= 5; i++)
        g->now.regs[i] = f->args[i];
}

static void make_function(struct gen *g, struct function *f, uint32_t size)
{
    memset(&g->now, 0, sizeof(g->now));
    g->now.regs[ISA_FP].kind = K_STACK;
    g->function = f;
    g->locked = REG(ISA_FP);
    g->locked_slots = 0;
    g->nesting = g->loops = g->nr_fails = 0;
    g->no_calls = false;
    g->statements = size;
    if (f)
        begin_function(g, f);
    else
        begin_program(g);
    make_block(g, size);
    end_function(g);
}

static void choose_maps(struct gen *g)
{
    static const uint32_t sizes[] = {1, 2, 4, 8, 12, 16, 24, 64};
    struct random *r = &g->random;

    g->nr_plain = g->out->nr_maps = 1 + random_below(r, PLAIN_MAX);
    for (uint32_t i = 0; i < g->nr_plain; i++) {
        bool hash = random_one_in(r, 2);

        g->out->maps[i] = (struct generated_map){
            .type = hash ? BPF_MAP_TYPE_HASH : BPF_MAP_TYPE_ARRAY,
            .key_size = hash ? sizes[random_below(r, 6)] : 4,
            .value_size = sizes[random_below(r, ARRAY_LEN(sizes))],
            .max_entries = 1 + random_below(r, random_one_in(r, 2) ? 1 : 8),
        };
    }
}

/* Maps for make_object, behind the plain ones. Tracing programs have no locks, which is what type
 * mem is where Linux runs it. */
static void choose_special_maps(struct gen *g)
{
    struct generated *out = g->out;
    uint32_t inner = random_below(&g->random, g->nr_plain);

    if (random_one_in(&g->random, 2))
        out->maps[out->nr_maps++] =
            (struct generated_map){.type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096};
    if (out->prog_type == BPF_PROG_TYPE_XDP || out->prog_type == BPF_PROG_TYPE_SCHED_CLS)
        out->maps[out->nr_maps++] = (struct generated_map){.type = BPF_MAP_TYPE_ARRAY,
                                                           .key_size = 4,
                                                           .value_size = 24,
                                                           .max_entries = 1,
                                                           .locked = true};
    if (out->maps[inner].type == BPF_MAP_TYPE_ARRAY)
        out->maps[out->nr_maps++] = (struct generated_map){.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
                                                           .key_size = 4,
                                                           .value_size = 4,
                                                           .max_entries = 2,
                                                           .inner = 1 + inner};
}

static uint32_t choose_type(struct random *r)
{
    if (random_one_in(r, 3))
        return BPF_PROG_TYPE_XDP;
    if (random_one_in(r, 6))
        return BPF_PROG_TYPE_SCHED_CLS;
    return random_one_in(r, 8) ? BPF_PROG_TYPE_SOCKET_FILTER : EBPF_PROG_TYPE_MEM;
}

/* The program of a seed: the same one always. */
void generate_program(uint64_t seed, struct generated *out)
{
    struct gen g = {.random = {seed}, .out = out};
    uint32_t size = 2 + random_below(&g.random, random_one_in(&g.random, 4) ? 100 : 30);

    memset(out, 0, sizeof(*out));
    out->seed = seed;
    out->prog_type = choose_type(&g.random);
    choose_maps(&g);
    choose_special_maps(&g);
    make_function(&g, NULL, size);
    for (uint32_t i = 0; i < g.nr_functions; i++)
        make_function(&g, &g.functions[i], 2 + random_below(&g.random, 12));
}

/* What a program of either type runs on. Its size. */
uint32_t generate_input(uint64_t seed, uint8_t data[GENERATE_INPUT_MAX])
{
    struct random r = {seed};
    uint32_t size = 16 + random_below(&r, GENERATE_INPUT_MAX - 15);

    for (uint32_t i = 0; i < GENERATE_INPUT_MAX; i++)
        data[i] = (uint8_t)random_number(&r);
    return random_one_in(&r, 4) ? GENERATE_INPUT_MAX : size;
}
