/*
 * Memory in generated programs: loads, stores and atomic operations where pointers are known to
 * lead, the stack with its spills, and new pointers from old ones.
 */
#include "ebpf/base.h"
#include "ebpf/ebpf.h"
#include "ebpf/prog.h"
#include "tests/fuzz/generate_internal.h"

static const uint8_t widths[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

/* ---- one access, whatever the pointer ------------------------------------------------------- */

static void load(struct gen *g, unsigned src, int off, unsigned width)
{
    unsigned size = 1u << width, dst = pick_target(g);
    bool sign = size < 8 && random_one_in(&g->random, 3);

    emit(g, (uint8_t)(BPF_LDX | widths[width] | (sign ? BPF_MEMSX : BPF_MEM)), dst, src, off, 0);
    set_scalar(g, dst, sign ? UINT64_MAX : UINT64_MAX >> (64 - 8 * size));
}

static void store(struct gen *g, unsigned dst, int off, unsigned width)
{
    int src = pick(g, KINDS_SCALAR, 0x3ff);

    if (src < 0 || random_one_in(&g->random, 3))
        emit(g, BPF_ST | BPF_MEM | widths[width], dst, 0, off, (int32_t)random_number(&g->random));
    else
        emit(g, BPF_STX | BPF_MEM | widths[width], dst, (unsigned)src, off, 0);
}

/* 4 or 8 bytes. False: nothing was made, since no register may take what was there before. */
static bool atomic(struct gen *g, unsigned dst, int off, unsigned width)
{
    static const int32_t operations[] = {
#define ATOMIC(NAME, function, imm) imm,
#include "ebpf/opcodes.def"
    };
    int32_t imm = operations[random_below(&g->random, ARRAY_LEN(operations))];
    uint64_t max = width == 3 ? UINT64_MAX : UINT32_MAX;
    bool to_src = (imm & BPF_FETCH) && imm != BPF_CMPXCHG;
    int src = pick(g, KINDS_SCALAR, (uint16_t)(to_src ? 0x3ff & ~g->locked : 0x3ff));

    if (src < 0)
        return false;
    if (imm == BPF_CMPXCHG && ((g->locked & REG(0)) || !is_scalar(&g->now.regs[0])))
        return false;
    emit(g, BPF_STX | BPF_ATOMIC | widths[width], dst, (unsigned)src, off, imm);
    if (imm == BPF_CMPXCHG)
        set_scalar(g, 0, max);
    else if (to_src)
        set_scalar(g, (unsigned)src, max);
    return true;
}

/* A load, store or atomic operation through a checked pointer. */
void make_memory(struct gen *g)
{
    int base = pick(g, REG(K_DATA), 0x3ff);
    unsigned width = random_below(&g->random, 4), size;
    const struct reg *r;
    int off, room;
    bool aligned;

    if (base < 0)
        return;
    r = &g->now.regs[base];
    aligned = r->area == A_BUFFER;
    while (width && ((int)(1u << width) > r->lo + r->hi || (aligned && r->align < 1u << width)))
        width--;
    size = 1u << width;
    room = r->lo + r->hi - (int)size;
    if (room < 0)
        return;
    off = (int)random_below(&g->random, (uint32_t)room + 1) - r->lo;
    if (random_one_in(&g->random, 3)) /* the last place that is inside */
        off = r->hi - (int)size;
    if (aligned)
        off &= ~((int)size - 1);
    if (off < -r->lo || off + (int)size > r->hi)
        return;
    if (width >= 2 && r->area != A_PACKET && r->align >= size && off % (int)size == 0 &&
        random_one_in(&g->random, 3) && atomic(g, (unsigned)base, off, width))
        return;
    if (random_one_in(&g->random, 2))
        load(g, (unsigned)base, off, width);
    else
        store(g, (unsigned)base, off, width);
}

/* ---- the stack ------------------------------------------------------------------------------ */

static bool is_pointer(const struct reg *r)
{
    return r->kind != K_NONE && !is_scalar(r);
}

/* Whether a slot takes other bytes: a pointer in it stays whole, or is needed by a loop around. */
static bool is_free(const struct gen *g, unsigned slot)
{
    return !(g->locked_slots >> slot & 1) && !is_pointer(&g->now.slots[slot].held);
}

/* Mostly near the top, so that what is read has been written before. */
static unsigned some_slot(struct gen *g)
{
    return SLOTS - 1 - random_below(&g->random, random_one_in(&g->random, 8) ? SLOTS : 6);
}

/* A register that addresses the frame, and how far its target is from r10. */
static unsigned frame_base(struct gen *g, int *at)
{
    int base = pick(g, REG(K_STACK), 0x7ff);

    *at = g->now.regs[base].at;
    return (unsigned)base;
}

static void spill(struct gen *g, unsigned slot)
{
    int at, src = pick(g, ~REG(K_NONE), 0x3ff);
    unsigned base = frame_base(g, &at);

    if (src < 0 || (g->now.shared >> slot & 1) || (g->locked_slots >> slot & 1))
        return;
    emit(g, BPF_STX | BPF_MEM | BPF_DW, base, (unsigned)src,
         (int)slot * 8 - (int)ISA_STACK_SIZE - at, 0);
    g->now.slots[slot] = (struct slot){.written = 0xff, .held = g->now.regs[src]};
}

static void fill(struct gen *g, unsigned slot)
{
    unsigned dst = pick_target(g);
    int at;
    unsigned base = frame_base(g, &at);

    emit(g, BPF_LDX | BPF_MEM | BPF_DW, dst, base, (int)slot * 8 - (int)ISA_STACK_SIZE - at, 0);
    g->now.regs[dst] = g->now.slots[slot].held;
}

/* A load, store or atomic operation on some bytes of one slot. */
static void stack_bytes(struct gen *g, unsigned slot)
{
    struct slot *s = &g->now.slots[slot];
    unsigned width = random_below(&g->random, 4), size = 1u << width;
    unsigned first = random_below(&g->random, 8 / size) * size;
    uint8_t mask = (uint8_t)(((1u << size) - 1) << first);
    int at, off;
    unsigned base = frame_base(g, &at);

    off = (int)(slot * 8 + first) - (int)ISA_STACK_SIZE - at;
    if ((s->written & mask) == mask && !random_one_in(&g->random, 3)) {
        if (width < 2 || !random_one_in(&g->random, 3))
            load(g, base, off, width);
        else if (atomic(g, base, off, width))
            s->held.kind = K_NONE;
        return;
    }
    store(g, base, off, width);
    s->written |= mask;
    s->held.kind = K_NONE;
}

/* Something with this function's own frame. */
void make_stack(struct gen *g)
{
    unsigned slot = some_slot(g);

    if (g->now.slots[slot].held.kind != K_NONE && random_one_in(&g->random, 2))
        fill(g, slot);
    else if (random_one_in(&g->random, 3))
        spill(g, slot);
    else if (is_free(g, slot))
        stack_bytes(g, slot);
}

/* Makes size bytes of the frame, from a multiple of 8 on, hold numbers. Their offset from r10, or 0
 * when there is no such place. */
int32_t make_buffer(struct gen *g, uint32_t size)
{
    unsigned nr = (size + 7) / 8, first = SLOTS - nr - random_below(&g->random, 12);

    for (unsigned i = first; i < first + nr; i++)
        if (!is_free(g, i))
            return 0;
    for (unsigned i = first; i < first + nr; i++) {
        struct slot *s = &g->now.slots[i];

        if (s->written != 0xff || random_one_in(&g->random, 2))
            store(g, ISA_FP, (int)i * 8 - (int)ISA_STACK_SIZE, 3);
        *s = (struct slot){.written = 0xff};
    }
    return (int32_t)first * 8 - (int32_t)ISA_STACK_SIZE;
}

/* ---- new pointers --------------------------------------------------------------------------- */

static bool on_stack(const struct reg *r)
{
    return r->kind == K_STACK || (r->kind == K_DATA && r->area == A_BUFFER);
}

/* reg += number, or -= what is the same, which Linux does not take for the stack's addresses; 0 is
 * left out mostly. */
static void add_number(struct gen *g, unsigned reg, int32_t number)
{
    if (number == 0 && !random_one_in(&g->random, 4))
        return;
    if (!on_stack(&g->now.regs[reg]) && random_one_in(&g->random, 4))
        emit(g, BPF_ALU64 | BPF_SUB | BPF_K, reg, 0, 0, -number);
    else
        emit(g, BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, number);
}

static uint8_t align_after(uint8_t align, int32_t added)
{
    while (align > 1 && added % align)
        align /= 2;
    return align;
}

static void frame_pointer(struct gen *g)
{
    unsigned dst = pick_target(g);
    int32_t at = -8 * (int32_t)(1 + random_below(&g->random, 8));

    emit_mov(g, dst, ISA_FP);
    add_number(g, dst, at);
    g->now.regs[dst].at = at;
}

static void buffer_pointer(struct gen *g)
{
    uint32_t size = 8 * (1 + random_below(&g->random, 4));
    int32_t at = make_buffer(g, size);
    unsigned dst = pick_target(g);

    if (at == 0)
        return;
    for (uint32_t i = 0; i < size / 8; i++)
        g->now.shared |= 1ull << ((uint32_t)(at + (int32_t)ISA_STACK_SIZE) / 8 + i);
    emit_mov(g, dst, ISA_FP);
    add_number(g, dst, at);
    g->now.regs[dst] =
        (struct reg){.kind = K_DATA, .area = A_BUFFER, .align = 8, .hi = (int32_t)size};
}

static void value_pointer(struct gen *g)
{
    unsigned which = random_below(&g->random, g->nr_plain), dst = pick_target(g);
    const struct generated_map *map = &g->out->maps[which];
    uint32_t off = random_below(&g->random, map->value_size);

    if (map->type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1)
        return;
    emit_imm64(g, dst, BPF_PSEUDO_MAP_VALUE, which, off);
    g->now.regs[dst] = (struct reg){.kind = K_DATA,
                                    .area = A_VALUE,
                                    .align = align_after(8, (int32_t)off),
                                    .lo = (int32_t)off,
                                    .hi = (int32_t)(map->value_size - off)};
}

/* A pointer moved by a constant; it stays where it may be used. */
static void moved_pointer(struct gen *g, unsigned src)
{
    unsigned dst = random_one_in(&g->random, 2) && !(g->locked & REG(src)) ? src : pick_target(g);
    struct reg *r = &g->now.regs[dst];
    int32_t by;

    if (dst != src)
        emit_mov(g, dst, src);
    by = (int32_t)random_below(&g->random, (uint32_t)(r->lo + r->hi) + 1) - r->lo;
    add_number(g, dst, by);
    r->lo += by;
    r->hi -= by;
    r->align = align_after(r->align, by);
}

/* A pointer moved by a number that is bounded just before. */
static void indexed_pointer(struct gen *g, unsigned src)
{
    unsigned dst = pick_target(g), index = need_scalar(g);
    uint32_t align = 1u << random_below(&g->random, 4);
    struct reg *r = &g->now.regs[dst];

    if (dst == index || dst == src || index == src || g->now.regs[src].kind != K_DATA ||
        g->now.regs[src].hi <= 0)
        return;
    if (g->now.regs[src].area == A_BUFFER && align < 8 && !random_one_in(&g->random, 3))
        align = 8;
    make_bounded(g, index, (uint32_t)g->now.regs[src].hi - 1, align);
    if (random_one_in(&g->random, 2)) {
        emit_mov(g, dst, src);
        emit(g, BPF_ALU64 | BPF_ADD | BPF_X, dst, index, 0, 0);
    } else {
        emit_mov(g, dst, index);
        emit(g, BPF_ALU64 | BPF_ADD | BPF_X, dst, src, 0, 0);
        *r = g->now.regs[src];
    }
    r->at = 1;
    r->hi -= (int32_t)g->now.regs[index].max;
    r->align = r->align < align ? r->align : (uint8_t)align;
}

/* A pointer that was not there before. */
void make_pointer(struct gen *g)
{
    int src = pick(g, REG(K_DATA), 0x3ff);
    unsigned which = random_below(&g->random, 8);

    if (which == 0)
        frame_pointer(g);
    else if (which == 1)
        value_pointer(g);
    else if (which == 2 || src < 0)
        buffer_pointer(g);
    else if (which <= 4)
        moved_pointer(g, (unsigned)src);
    else
        indexed_pointer(g, (unsigned)src);
}

/* ---- the context ---------------------------------------------------------------------------- */

enum { PLAIN_FIELD, DATA_FIELD, END_FIELD, META_FIELD };

struct field {
    uint8_t off, kind;
};

static const struct field xdp_fields[] = {{0, DATA_FIELD},  {4, END_FIELD},  {0, DATA_FIELD},
                                          {4, END_FIELD},   {8, META_FIELD}, {12, PLAIN_FIELD},
                                          {16, PLAIN_FIELD}};
static const struct field cls_fields[] = {{76, DATA_FIELD}, {80, END_FIELD},   {76, DATA_FIELD},
                                          {80, END_FIELD},  {140, META_FIELD}, {0, PLAIN_FIELD},
                                          {8, PLAIN_FIELD}, {16, PLAIN_FIELD}, {48, PLAIN_FIELD}};
static const struct field filter_fields[] = {
    {0, PLAIN_FIELD}, {4, PLAIN_FIELD}, {16, PLAIN_FIELD}, {48, PLAIN_FIELD}, {52, PLAIN_FIELD}};

static const struct {
    uint32_t prog_type;
    const struct field *fields;
    unsigned nr;
    bool writes_cb;
} contexts[] = {
    {BPF_PROG_TYPE_XDP, xdp_fields, ARRAY_LEN(xdp_fields), false},
    {BPF_PROG_TYPE_SCHED_CLS, cls_fields, ARRAY_LEN(cls_fields), true},
    {BPF_PROG_TYPE_SOCKET_FILTER, filter_fields, ARRAY_LEN(filter_fields), true},
};

static void load_field(struct gen *g, unsigned ctx, const struct field *field)
{
    unsigned dst = pick_target(g);

    if (dst == ctx)
        return;
    emit(g, BPF_LDX | BPF_MEM | BPF_W, dst, ctx, field->off, 0);
    set_scalar(g, dst, UINT32_MAX);
    if (field->kind == DATA_FIELD)
        g->now.regs[dst] = (struct reg){.kind = K_DATA, .area = A_PACKET, .align = 1};
    else if (field->kind == END_FIELD)
        g->now.regs[dst] = (struct reg){.kind = K_PACKET_END};
    else if (field->kind == META_FIELD)
        g->now.regs[dst].kind = K_NONE; /* of no further use */
}

/* cb is the program's own, in any width. */
static void store_cb(struct gen *g, unsigned ctx)
{
    unsigned width = random_below(&g->random, 4), size = 1u << width;

    store(g, ctx, 48 + (int)(random_below(&g->random, 16 / size) * size), width);
}

/* A field of the context; of the packet's pointers most of the time. */
void make_context(struct gen *g)
{
    int ctx = pick(g, REG(K_CTX), 0x3ff);

    for (unsigned i = 0; i < ARRAY_LEN(contexts) && ctx >= 0; i++) {
        const struct field *fields = contexts[i].fields;

        if (contexts[i].prog_type != g->out->prog_type)
            continue;
        if (contexts[i].writes_cb && random_one_in(&g->random, 4)) {
            store_cb(g, (unsigned)ctx);
        } else if (fields[0].kind == DATA_FIELD && random_one_in(&g->random, 2)) {
            load_field(g, (unsigned)ctx, &fields[0]);
            if (g->now.regs[ctx].kind == K_CTX)
                load_field(g, (unsigned)ctx, &fields[1]);
        } else {
            load_field(g, (unsigned)ctx, &fields[random_below(&g->random, contexts[i].nr)]);
        }
    }
}
