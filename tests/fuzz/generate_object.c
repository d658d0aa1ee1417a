/*
 * What generated programs make, use and end: dynptrs over map values and records of ring buffers,
 * spin locks, maps out of maps. A dynptr over a map's value may live across other statements; all
 * else is one stretch of code, so that nothing is left held.
 */
#include "ebpf/base.h"
#include "tests/fuzz/generate_internal.h"

#define DYNPTR_SIZE 16u

static void frame_address(struct gen *g, unsigned reg, int32_t at)
{
    emit_mov(g, reg, ISA_FP);
    emit(g, BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, at);
}

static void call(struct gen *g, uint32_t helper)
{
    emit(g, BPF_JMP | BPF_CALL, 0, 0, 0, (int32_t)helper);
    after_call(g);
}

/* Of a helper that returns nothing. */
static void call_void(struct gen *g, uint32_t helper)
{
    call(g, helper);
    g->now.regs[0].kind = K_NONE;
}

static uint64_t slots_at(int32_t at, uint32_t size)
{
    uint64_t slots = 0;

    for (uint32_t i = 0; i < size / 8; i++)
        slots |= UINT64_C(1) << ((uint32_t)(at + (int32_t)ISA_STACK_SIZE) / 8 + i);
    return slots;
}

/* A map of this type behind the plain ones; NULL: the program has none. */
static const struct generated_map *special(const struct gen *g, uint32_t type, uint32_t *which)
{
    for (*which = g->nr_plain; *which < g->out->nr_maps; ++*which)
        if (g->out->maps[*which].type == type)
            return &g->out->maps[*which];
    return NULL;
}

/* ---- dynptrs -------------------------------------------------------------------------------- */

/* A place for one, with numbers in it, that no pointer leads to; 0: there is none. */
static int32_t dynptr_place(struct gen *g)
{
    int32_t at = make_buffer(g, DYNPTR_SIZE);

    return at && !(g->now.shared & slots_at(at, DYNPTR_SIZE)) ? at : 0;
}

/* From now on it is a dynptr's: its bytes are not read, and written only when it is no longer used.
 */
static void hold_place(struct gen *g, int32_t at)
{
    uint64_t slots = slots_at(at, DYNPTR_SIZE);

    for (unsigned i = 0; i < SLOTS; i++)
        if (slots >> i & 1)
            g->now.slots[i] = (struct slot){.written = 0};
}

/* The place is no longer held. In a loop there must be numbers again, for those who read them
 * before the dynptr is made on the next trip. */
static void leave_place(struct gen *g, int32_t at, uint64_t locked)
{
    uint64_t slots = slots_at(at, DYNPTR_SIZE);

    g->locked_slots = locked;
    if (g->loops == 0 && random_one_in(&g->random, 2))
        return;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (!(slots >> i & 1))
            continue;
        emit(g, BPF_ST | BPF_MEM | BPF_DW, ISA_FP, 0, (int)i * 8 - (int)ISA_STACK_SIZE, 0);
        g->now.slots[i].written = 0xff;
    }
}

static void write_dynptr(struct gen *g, int32_t at)
{
    uint32_t size = 1 + random_below(&g->random, 16);
    int32_t from = make_buffer(g, size);

    if (from == 0)
        return;
    frame_address(g, 1, at);
    set_number(g, 2, random_below(&g->random, 16));
    frame_address(g, 3, from);
    set_number(g, 4, size);
    set_number(g, 5, 0);
    call(g, BPF_FUNC_dynptr_write);
}

static void read_dynptr(struct gen *g, int32_t at)
{
    uint32_t size = 1 + random_below(&g->random, 16);
    int32_t to = make_buffer(g, size);

    if (to == 0)
        return;
    frame_address(g, 1, to);
    set_number(g, 2, size);
    frame_address(g, 3, at);
    set_number(g, 4, random_below(&g->random, 16));
    set_number(g, 5, 0);
    call(g, BPF_FUNC_dynptr_read);
}

/* r0 = address of a part of it, or 0. The part's size. */
static uint32_t slice_dynptr(struct gen *g, int32_t at)
{
    uint32_t size = 1 + random_below(&g->random, 16);

    frame_address(g, 1, at);
    set_number(g, 2, random_below(&g->random, 8));
    set_number(g, 3, size);
    call(g, BPF_FUNC_dynptr_data);
    return size;
}

static void use_local(struct gen *g, int32_t at)
{
    uint32_t size;

    switch (random_below(&g->random, 3)) {
    case 0:
        write_dynptr(g, at);
        break;
    case 1:
        read_dynptr(g, at);
        break;
    default:
        size = slice_dynptr(g, at);
        g->now.regs[0] =
            (struct reg){.kind = K_VALUE_OR_NULL, .area = A_VALUE, .align = 1, .hi = (int32_t)size};
        make_null_check(g);
        break;
    }
}

static void make_local_dynptr(struct gen *g)
{
    uint32_t which = random_below(&g->random, g->nr_plain), off, size;
    const struct generated_map *map = &g->out->maps[which];
    uint64_t locked = g->locked_slots;
    int32_t at;

    if (map->type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1)
        return;
    at = dynptr_place(g);
    if (at == 0)
        return;
    off = random_below(&g->random, map->value_size);
    size = 1 + random_below(&g->random, map->value_size - off);
    emit_imm64(g, 1, BPF_PSEUDO_MAP_VALUE, which, off);
    g->now.regs[1].kind = K_NONE;
    set_number(g, 2, size);
    set_number(g, 3, random_one_in(&g->random, 8));
    frame_address(g, 4, at);
    call(g, BPF_FUNC_dynptr_from_mem);
    hold_place(g, at);
    g->locked_slots |= slots_at(at, DYNPTR_SIZE);
    g->nesting++;
    for (unsigned n = random_below(&g->random, 3) + 1; n-- > 0 && has_room(g);) {
        make_block(g, random_below(&g->random, 4));
        if (has_room(g))
            use_local(g, at);
    }
    g->nesting--;
    leave_place(g, at, locked);
}

/* A slice of a record is written right away: what was there before is nobody's. */
static void fill_slice(struct gen *g, int32_t at)
{
    uint32_t size = slice_dynptr(g, at);

    emit(g, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0);
    emit(g, BPF_ST | BPF_MEM | BPF_B, 0, 0, (int)random_below(&g->random, size),
         (int32_t)random_number(&g->random));
    set_number(g, 0, 0);
}

static void make_ring_dynptr(struct gen *g)
{
    uint32_t which;
    int32_t at = special(g, BPF_MAP_TYPE_RINGBUF, &which) ? dynptr_place(g) : 0;
    uint64_t locked = g->locked_slots;

    if (at == 0)
        return;
    emit_imm64(g, 1, BPF_PSEUDO_MAP_FD, which, 0);
    set_number(g, 2, random_below(&g->random, 32));
    set_number(g, 3, 0);
    frame_address(g, 4, at);
    call(g, BPF_FUNC_ringbuf_reserve_dynptr);
    set_number(g, 0, 0); /* whether there was room is not the program's to show */
    hold_place(g, at);
    g->locked_slots |= slots_at(at, DYNPTR_SIZE);
    if (random_one_in(&g->random, 2))
        write_dynptr(g, at);
    set_number(g, 0, 0);
    if (random_one_in(&g->random, 2))
        fill_slice(g, at);
    frame_address(g, 1, at);
    set_number(g, 2, BPF_RB_NO_WAKEUP);
    call_void(g, random_one_in(&g->random, 2) ? BPF_FUNC_ringbuf_submit_dynptr
                                              : BPF_FUNC_ringbuf_discard_dynptr);
    leave_place(g, at, locked);
}

/* ---- locks ---------------------------------------------------------------------------------- */

static void change_locked(struct gen *g, unsigned value, const struct generated_map *map)
{
    int off = (int)(8 + 8 * random_below(&g->random, map->value_size / 8 - 1));
    int src = pick(g, KINDS_SCALAR, (uint16_t)(CALLEE_SAVED & ~REG(value)));

    if (src >= 0 && random_one_in(&g->random, 2))
        emit(g, BPF_STX | BPF_ATOMIC | BPF_DW, value, (unsigned)src, off, BPF_ADD);
    else if (src >= 0)
        emit(g, BPF_STX | BPF_MEM | BPF_DW, value, (unsigned)src, off, 0);
    else
        emit(g, BPF_ST | BPF_MEM | BPF_W, value, 0, off, (int32_t)random_number(&g->random));
}

/* r<value> = address of the one value, straight or by a lookup. */
static void find_locked(struct gen *g, unsigned value, uint32_t which, int32_t key)
{
    if (key == 0) {
        emit_imm64(g, value, BPF_PSEUDO_MAP_VALUE, which, 0);
        return;
    }
    emit(g, BPF_ST | BPF_MEM | BPF_W, ISA_FP, 0, key, 0);
    emit_imm64(g, 1, BPF_PSEUDO_MAP_FD, which, 0);
    frame_address(g, 2, key);
    call(g, BPF_FUNC_map_lookup_elem);
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, value, 0, 0, 0);
}

static void make_locked(struct gen *g)
{
    uint32_t which, skip = 0;
    const struct generated_map *map = special(g, BPF_MAP_TYPE_ARRAY, &which);
    int value = pick(g, ~0u, (uint16_t)(CALLEE_SAVED & ~g->locked));
    int32_t key = random_one_in(&g->random, 2) ? make_buffer(g, 8) : 0;

    if (!map || value < 0)
        return;
    g->now.regs[value].kind = K_NONE;
    find_locked(g, (unsigned)value, which, key);
    if (key)
        skip = emit(g, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)value, 0, 0, 0);
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, 1, (unsigned)value, 0, 0);
    call_void(g, BPF_FUNC_spin_lock);
    for (unsigned n = random_below(&g->random, 4); n-- > 0;)
        change_locked(g, (unsigned)value, map);
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, 1, (unsigned)value, 0, 0);
    call_void(g, BPF_FUNC_spin_unlock);
    if (key)
        g->out->insns[skip].off = (int16_t)(g->out->nr_insns - skip - 1);
}

/* ---- maps out of maps ----------------------------------------------------------------------- */

/* r0 = a value of a map that is looked up in another, or 0. */
static void make_inner_lookup(struct gen *g)
{
    uint32_t which, skip;
    const struct generated_map *outer = special(g, BPF_MAP_TYPE_ARRAY_OF_MAPS, &which), *inner;
    int32_t first = outer ? make_buffer(g, 8) : 0, second = first ? make_buffer(g, 8) : 0;

    if (second == 0)
        return;
    inner = &g->out->maps[outer->inner - 1];
    emit(g, BPF_ST | BPF_MEM | BPF_W, ISA_FP, 0, first,
         (int32_t)random_below(&g->random, outer->max_entries + 1));
    emit(g, BPF_ST | BPF_MEM | BPF_W, ISA_FP, 0, second,
         first == second ? 0 : (int32_t)random_below(&g->random, inner->max_entries + 1));
    emit_imm64(g, 1, BPF_PSEUDO_MAP_FD, which, 0);
    frame_address(g, 2, first);
    call(g, BPF_FUNC_map_lookup_elem);
    skip = emit(g, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
    emit(g, BPF_ALU64 | BPF_MOV | BPF_X, 1, 0, 0, 0);
    frame_address(g, 2, second);
    call(g, BPF_FUNC_map_lookup_elem);
    g->out->insns[skip].off = (int16_t)(g->out->nr_insns - skip - 1);
    g->now.regs[0] = (struct reg){
        .kind = K_VALUE_OR_NULL, .area = A_VALUE, .align = 8, .hi = (int32_t)inner->value_size};
    if (!random_one_in(&g->random, 4))
        make_null_check(g);
}

/* One of them. */
void make_object(struct gen *g)
{
    if (g->no_calls)
        return;
    switch (random_below(&g->random, 4)) {
    case 0:
        make_local_dynptr(g);
        break;
    case 1:
        make_ring_dynptr(g);
        break;
    case 2:
        make_locked(g);
        break;
    default:
        make_inner_lookup(g);
        break;
    }
}
