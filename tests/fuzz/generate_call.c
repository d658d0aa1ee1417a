/*
 * Calls in generated programs: helpers on maps, and functions of the program itself.
 */
#include <string.h>

#include "ebpf/base.h"
#include "tests/fuzz/generate_internal.h"

#define FRAMES_BELOW_MAX (ISA_FRAMES_MAX - 1)

/* r0 is the callee's answer, r1 to r5 are gone. */
void after_call(struct gen *g)
{
    for (unsigned i = 1; i <= 5; i++)
        g->now.regs[i].kind = K_NONE;
    set_scalar(g, 0, UINT64_MAX);
}

static void frame_address(struct gen *g, unsigned reg, int32_t at)
{
    emit_mov(g, reg, ISA_FP);
    emit(g, BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, at);
    g->now.regs[reg].at = at;
}

static void map_address(struct gen *g, unsigned reg, uint32_t map)
{
    emit_imm64(g, reg, BPF_PSEUDO_MAP_FD, map, 0);
    g->now.regs[reg].kind = K_NONE; /* of no use but as the argument */
}

/* ---- helpers -------------------------------------------------------------------------------- */

/* r2 = address of a key, mostly one that is or may be in the map. False: no room on the stack. */
static bool make_key(struct gen *g, const struct generated_map *map)
{
    int32_t at = make_buffer(g, map->key_size);
    int src = pick(g, KINDS_SCALAR, (uint16_t)(0x3ff & ~g->locked));

    if (at == 0)
        return false;
    if (src >= 0 && random_one_in(&g->random, 3)) {
        make_bounded(g, (unsigned)src, map->max_entries, 1);
        emit(g, BPF_STX | BPF_MEM | BPF_DW, ISA_FP, (unsigned)src, at, 0);
    } else if (!random_one_in(&g->random, 8)) {
        emit(g, BPF_ST | BPF_MEM | (map->key_size == 4 ? BPF_W : BPF_DW), ISA_FP, 0, at,
             (int32_t)random_below(&g->random, map->max_entries + 1));
    }
    if (map->key_size > 8)
        emit(g, BPF_ST | BPF_MEM | BPF_DW, ISA_FP, 0, at + 8, 0);
    frame_address(g, 2, at);
    return true;
}

/* r3 = address of size bytes to store. */
static bool make_value(struct gen *g, uint32_t size)
{
    int src = pick(g, REG(K_DATA), CALLEE_SAVED);
    int32_t at;

    if (src >= 0 && g->now.regs[src].hi >= (int32_t)size && random_one_in(&g->random, 2)) {
        emit_mov(g, 3, (unsigned)src);
        return true;
    }
    at = make_buffer(g, size);
    if (at)
        frame_address(g, 3, at);
    return at != 0;
}

static void make_lookup(struct gen *g, uint32_t which)
{
    const struct generated_map *map = &g->out->maps[which];

    if (!make_key(g, map))
        return;
    map_address(g, 1, which);
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
    after_call(g);
    g->now.regs[0] = (struct reg){
        .kind = K_VALUE_OR_NULL, .area = A_VALUE, .align = 8, .hi = (int32_t)map->value_size};
    if (!random_one_in(&g->random, 4))
        make_null_check(g);
}

static void make_update(struct gen *g, uint32_t which)
{
    const struct generated_map *map = &g->out->maps[which];

    /* The value first: making the key may use the stack that the value would. */
    if (!make_value(g, map->value_size) || !make_key(g, map))
        return;
    set_number(g, 4, random_below(&g->random, random_one_in(&g->random, 8) ? 6 : 3));
    map_address(g, 1, which);
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem);
    after_call(g);
}

static void make_delete(struct gen *g, uint32_t which)
{
    if (!make_key(g, &g->out->maps[which]))
        return;
    map_address(g, 1, which);
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_delete_elem);
    after_call(g);
}

/* bpf_probe_read_kernel from one place of the stack to another. */
static void make_probe(struct gen *g)
{
    uint32_t size = 1 + random_below(&g->random, 32);
    int32_t from = make_buffer(g, size), to = from ? make_buffer(g, size) : 0;

    if (to == 0)
        return;
    frame_address(g, 1, to);
    set_number(g, 2, size);
    frame_address(g, 3, from);
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel);
    after_call(g);
}

/* A call of a helper whose answer does not depend on when it is asked. */
void make_helper_call(struct gen *g)
{
    uint32_t which = random_below(&g->random, g->nr_plain);

    if (g->no_calls)
        return;
    switch (random_below(&g->random, 8)) {
    case 0:
        make_probe(g);
        break;
    case 1:
        emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_smp_processor_id);
        after_call(g);
        break;
    case 2:
        make_delete(g, which);
        break;
    case 3:
    case 4:
        make_update(g, which);
        break;
    default:
        make_lookup(g, which);
        break;
    }
}

/* ---- functions of the program --------------------------------------------------------------- */

static void scalar_argument(struct gen *g, unsigned reg)
{
    int src = pick(g, KINDS_SCALAR, REG(reg) | REG(0) | CALLEE_SAVED);

    if (src < 0)
        set_number(g, reg, random_number(&g->random));
    else if (src != (int)reg)
        emit_mov(g, reg, (unsigned)src);
}

/* reg = address of a piece of this frame that callees may write. */
static bool buffer_argument(struct gen *g, unsigned reg, uint32_t size)
{
    int32_t at = make_buffer(g, size);

    if (at == 0)
        return false;
    for (uint32_t i = 0; i < (size + 7) / 8; i++)
        g->now.shared |= 1ull << ((uint32_t)(at + (int32_t)ISA_STACK_SIZE) / 8 + i);
    frame_address(g, reg, at);
    return true;
}

/* Puts into reg what an existing function takes there. False: there is nothing like it. */
static bool fit_argument(struct gen *g, unsigned reg, const struct reg *wanted)
{
    if (wanted->kind == K_NONE)
        return true;
    if (is_scalar(wanted)) {
        scalar_argument(g, reg);
        return true;
    }
    if (wanted->kind == K_DATA && wanted->area == A_BUFFER)
        return buffer_argument(g, reg, (uint32_t)wanted->hi);
    for (unsigned src = 6; src < ISA_FP; src++) {
        const struct reg *r = &g->now.regs[src];

        if (r->kind == wanted->kind && r->area == wanted->area && r->lo >= wanted->lo &&
            r->hi >= wanted->hi && r->align >= wanted->align) {
            emit_mov(g, reg, src);
            return true;
        }
    }
    return false;
}

/* Chooses what reg holds at a call, and notes it as what the function takes. */
static void choose_argument(struct gen *g, unsigned reg, struct reg *arg)
{
    int src = pick(g, REG(K_DATA) | REG(K_CTX), CALLEE_SAVED);
    uint32_t size = 8 * (1 + random_below(&g->random, 4));

    *arg = (struct reg){.kind = K_SCALAR, .max = UINT64_MAX};
    if (src >= 0 && random_one_in(&g->random, 3)) {
        emit_mov(g, reg, (unsigned)src);
        *arg = g->now.regs[src];
        arg->at = 1;
    } else if (random_one_in(&g->random, 4) && buffer_argument(g, reg, size)) {
        *arg = (struct reg){
            .kind = K_DATA, .area = A_BUFFER, .align = 8, .at = 1, .hi = (int32_t)size};
    } else {
        scalar_argument(g, reg);
    }
}

/* Functions are called only by those before them, so that there is no recursion. */
static void call(struct gen *g, struct function *f)
{
    uint32_t depth = (g->function ? g->function->depth : 0) + 1;

    f->depth = f->depth > depth ? f->depth : depth;
    f->calls[f->nr_calls++] = emit(g, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
    after_call(g);
}

/* A call of a new function, or of one that another place calls too. */
void make_local_call(struct gen *g)
{
    uint32_t first = g->function ? (uint32_t)(g->function - g->functions) + 1 : 0;
    struct function *f;

    if (g->no_calls)
        return;
    if (g->nr_functions > first && random_one_in(&g->random, 2)) {
        f = &g->functions[first + random_below(&g->random, g->nr_functions - first)];
        if (f->nr_calls == ARRAY_LEN(f->calls))
            return;
        for (unsigned i = 1; i <= 5; i++)
            if (!fit_argument(g, i, &f->args[i]))
                return;
        call(g, f);
    } else if (g->nr_functions < FUNCTIONS_MAX) {
        unsigned nr = random_below(&g->random, 6);

        f = &g->functions[g->nr_functions++];
        memset(f, 0, sizeof(*f));
        for (unsigned i = 1; i <= nr; i++)
            choose_argument(g, i, &f->args[i]);
        call(g, f);
    }
}

/* bpf_loop, or bpf_for_each_map_elem where there is an order that all engines go in, with a new
 * function: that gets a piece of this frame, and an index or a value. */
void make_call_back(struct gen *g)
{
    uint32_t which = random_below(&g->random, g->out->nr_maps);
    uint32_t size = 8 * (1 + random_below(&g->random, 4));
    const struct generated_map *map = &g->out->maps[which];
    bool each = map->type == BPF_MAP_TYPE_ARRAY && !map->locked && random_one_in(&g->random, 2);
    struct function *f = &g->functions[g->nr_functions];

    if (g->no_calls || g->function || g->loops || g->nr_functions == FUNCTIONS_MAX ||
        !buffer_argument(g, 3, size))
        return;
    g->nr_functions++;
    memset(f, 0, sizeof(*f));
    f->called_back = true;
    f->depth = 1;
    f->args[each ? 4 : 2] =
        (struct reg){.kind = K_DATA, .area = A_BUFFER, .align = 8, .at = 1, .hi = (int32_t)size};
    if (each) {
        map_address(g, 1, which);
        f->args[3] = (struct reg){
            .kind = K_DATA, .area = A_VALUE, .align = 8, .at = 1, .hi = (int32_t)map->value_size};
    } else {
        set_number(g, 1, random_below(&g->random, 10));
        f->args[1] = (struct reg){.kind = K_SCALAR, .max = UINT32_MAX};
    }
    f->calls[f->nr_calls++] = g->out->nr_insns;
    emit_imm64(g, 2, BPF_PSEUDO_FUNC, 0, 0);
    set_number(g, 4, 0);
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, each ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop);
    after_call(g);
}

_Static_assert(FUNCTIONS_MAX <= FRAMES_BELOW_MAX, "a chain of calls never goes too deep");
