/*
 * Records what the verifier knows, live registers and slots alone, and compares runs with it: see
 * embed.h. Numbers must lie in their ranges and known bits, pointers point where they are said to,
 * linked registers differ by the constants they are said to, packets be as long as was compared.
 */
#define EBPF_EMBED 1
#include "tests/unit/embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/interp_checked.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define INSNS_MAX  65536u
#define STATES_MAX 400000u
#define IDS_MAX    32u

struct recorded {
    struct recorded *next;
    struct kept state;
};

static struct recorded *table[INSNS_MAX];
static uint32_t nr_recorded;
static const struct ebpf_prog *checked_prog;
static bool recording;
static char failure[512];
static uint64_t steps;

static void forget(void)
{
    for (uint32_t pc = 0; pc < INSNS_MAX; pc++) {
        while (table[pc]) {
            struct recorded *next = table[pc]->next;

            free(table[pc]);
            table[pc] = next;
        }
    }
    nr_recorded = 0;
}

void embed_record(void)
{
    forget();
    recording = true;
    checked_prog = NULL;
    failure[0] = 0;
}

void embed_check(const struct ebpf_prog *prog)
{
    recording = false;
    checked_prog = prog;
}

const char *embed_end(void)
{
    forget();
    recording = false;
    checked_prog = NULL;
    return failure;
}

uint64_t embed_steps(void)
{
    return steps;
}

/* Keeps what the verifier knows before each instruction. */
static void record(void *arg, const struct ebpf_walk *walk)
{
    struct verifier *v = walk->v;
    struct kept *kept;
    struct recorded *r;

    (void)arg;
    if (walk->event != WALK_INSN || !recording || walk->pc >= INSNS_MAX ||
        nr_recorded == STATES_MAX)
        return;
    kept = keep(v, v->now, walk->pc);
    if (!kept)
        return;
    r = malloc(sizeof(*r) + kept->bytes);
    if (r) {
        memcpy(&r->state, kept, kept->bytes);
        r->next = table[kept->pc];
        table[kept->pc] = r;
        nr_recorded++;
    }
    keep_free(v, kept);
}

const struct ebpf_watch embed_watch = {.see = record};

/* ---- one state against one moment of a run ------------------------------------------------------
 */

struct moment {
    const struct checked *c;
    uint32_t base; /* the frame that the state's outermost one is */
    bool global;   /* a global function's walk: its memory is anybody's */
    uintptr_t packet, packet_end, data;
    uint32_t ids[IDS_MAX];
    uint64_t bases[IDS_MAX];
    unsigned nr_ids;
};

static uintptr_t frame_top(const struct checked *c, unsigned frame)
{
    return (uintptr_t)c->stack + sizeof(c->stack) - frame * ISA_STACK_SIZE;
}

static bool linked(struct moment *m, uint32_t id, uint64_t base)
{
    for (unsigned i = 0; i < m->nr_ids; i++)
        if (m->ids[i] == id)
            return m->bases[i] == base;
    if (m->nr_ids < IDS_MAX) {
        m->ids[m->nr_ids] = id;
        m->bases[m->nr_ids++] = base;
    }
    return true;
}

/* The maps that a register's map may be: itself, or for a template one after another those in the
 * maps of maps that it is of. */
static struct ebpf_map *map_at(const struct ebpf_map *map, uint32_t n)
{
    if (!map->is_template)
        return n == 0 ? (struct ebpf_map *)map : NULL;
    for (uint32_t i = 0; i < checked_prog->nr_maps; i++) {
        struct ebpf_map *outer = checked_prog->maps[i];

        if (outer->inner != map)
            continue;
        for (uint32_t place = 0; place < outer->max_entries; place++) {
            struct ebpf_map *inner = outer->ops->inner_at(outer, place);

            if (inner && n-- == 0)
                return inner;
        }
    }
    return NULL;
}

static bool is_map(const struct reg *reg, uint64_t value)
{
    struct ebpf_map *map;

    for (uint32_t i = 0; (map = map_at(reg->map, i)); i++)
        if ((uintptr_t)map == value)
            return true;
    return false;
}

static bool owns_value(const struct ebpf_map *of, uint64_t at)
{
    struct ebpf_map *map;

    for (uint32_t i = 0; (map = map_at(of, i)); i++)
        if (map->ops->owns(map, at, map->value_size))
            return true;
    return false;
}

/* Is there a value of the map that the pointer is in, at one of its offsets? */
static bool in_map_value(const struct reg *reg, uint64_t value)
{
    uint64_t base = value - (uint64_t)reg->off;

    if (scalar_is_const(&reg->n))
        return owns_value(reg->map, base - reg->n.umin);
    for (uint64_t n = reg->n.umin; n <= reg->n.umax && n - reg->n.umin < 65536; n++)
        if (scalar_contains(&reg->n, n) && owns_value(reg->map, base - n))
            return true;
    return false;
}

/* What a lookup gave before it is compared with NULL: a value, or a map of a map of maps. */
static bool was_looked_up(const struct reg *reg, uint64_t value)
{
    struct reg inner = {.type = REG_MAP, .map = reg->map->inner};

    return value == 0 || (reg->map->inner ? is_map(&inner, value) : in_map_value(reg, value));
}

/* A slice of what a dynptr is over: inside of a record, or of some value that the program has. */
static bool in_slice(const struct checked *c, const struct reg *reg, uint64_t value)
{
    uint64_t start = value - (uint64_t)reg->off - reg->n.umin;

    if (!scalar_is_const(&reg->n))
        return true; /* as far as it was moved, nothing is known of where it began */
    for (uint32_t i = 0; i < c->run.nr_records; i++)
        if (start >= (uintptr_t)c->run.records[i].data &&
            start + reg->size <= (uintptr_t)c->run.records[i].data + c->run.records[i].size)
            return true;
    return !reg->ref &&
           ebpf_maps_owner(checked_prog->maps, checked_prog->nr_maps, start, reg->size);
}

/* Half of a dynptr: its address, or its size. */
static bool is_dynptr_half(const struct checked *c, const struct reg *reg, uint64_t value)
{
    if (reg->off != 0)
        return value >> 32 == 0;
    if (value == 0)
        return true;
    for (uint32_t i = 0; i < c->run.nr_records; i++)
        if ((uintptr_t)c->run.records[i].data == value)
            return reg->kind == DYNPTR_RINGBUF;
    return reg->kind == DYNPTR_LOCAL &&
           ebpf_maps_owner(checked_prog->maps, checked_prog->nr_maps, value, 0);
}

static bool in_record(const struct checked *c, const struct reg *reg, uint64_t value)
{
    for (uint32_t i = 0; i < c->run.nr_records; i++) {
        uint64_t n = value - (uintptr_t)c->run.records[i].data - (uint64_t)reg->off;

        if (c->run.records[i].size == reg->size && scalar_contains(&reg->n, n))
            return true;
    }
    return false;
}

static bool in_lent(const struct checked *c, const struct reg *reg, uint64_t base)
{
    for (const struct ebpf_lent *lent = c->run.lent; lent; lent = lent->outer)
        if (lent->size == reg->map->key_size &&
            scalar_contains(&reg->n, base - (uintptr_t)lent->data))
            return true;
    return false;
}

static bool fits(struct moment *m, const struct reg *reg, uint64_t value)
{
    const struct checked *c = m->c;
    uint64_t n = value - (uint64_t)reg->off;

    switch ((enum reg_type)reg->type) {
    case REG_NONE:
        return true;
    case REG_SCALAR:
        return scalar_contains(&reg->n, value) && (reg->id == 0 || linked(m, reg->id, n));
    case REG_CTX:
        return scalar_contains(&reg->n, n - (uintptr_t)c->run.ctx);
    case REG_STACK:
        return scalar_contains(&reg->n, n - frame_top(c, m->base + reg->frame));
    case REG_MAP:
        return is_map(reg, value);
    case REG_MAP_VALUE_OR_NULL:
        return was_looked_up(reg, value);
    case REG_MAP_VALUE:
        return in_map_value(reg, value);
    case REG_MAP_KEY:
        return in_lent(c, reg, n);
    case REG_PACKET:
    case REG_PACKET_META:
        n -= reg->type == REG_PACKET ? m->data : m->packet;
        return scalar_contains(&reg->n, n) &&
               (reg->range <= 0 || value - (uint64_t)reg->off + (uint64_t)reg->range <=
                                       (reg->type == REG_PACKET ? m->packet_end : m->data));
    case REG_PACKET_END:
        return value == m->packet_end;
    case REG_RECORD_OR_NULL:
        return value == 0 || in_record(c, reg, value);
    case REG_RECORD:
        return in_record(c, reg, value);
    case REG_MEM_OR_NULL:
        return value == 0 || m->global || in_slice(c, reg, value);
    case REG_MEM:
        return value && (m->global || in_slice(c, reg, value));
    case REG_DYNPTR:
        return is_dynptr_half(c, reg, value);
    case REG_FUNC:
        return value == reg->target;
    }
    return false;
}

static bool slot_fits(struct moment *m, const struct slot *slot, const uint8_t *bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        if (slot->bytes[i] == BYTE_ZERO && bytes[i] != 0)
            return false;
    if (!slot->size)
        return true;
    memcpy(&value, bytes + slot->start, slot->size);
    return fits(m, &slot->spill, value);
}

/* What the machine's frame has in a register of its caller's, or its own. */
static uint64_t held_in(const struct checked *c, unsigned frame, unsigned r)
{
    return frame == c->depth ? c->reg[r] : c->frames[frame + 1].saved[r - 6];
}

static bool frame_fits(struct moment *m, struct kept *state, unsigned f)
{
    const struct checked *c = m->c;
    unsigned at = m->base + f;

    /* What a caller waits for a helper with is not kept in its frame. */
    for (unsigned r = at == c->depth ? 0 : 6; r < ISA_FP; r++) {
        const struct reg *reg = kept_reg(state, f, r);

        if (reg && !fits(m, reg, held_in(c, at, r)))
            return false;
    }
    for (unsigned s = 0; s < SLOTS; s++) {
        const struct slot *slot = kept_slot(state, f, s);

        if (slot && !slot_fits(m, slot, (const uint8_t *)frame_top(c, at) - 8 * (s + 1)))
            return false;
    }
    return true;
}

/* May the state's walk have begun in the frame `base`? There the program begins, a timer's
 * function, or a global function that was called. */
static bool begins_at(const struct checked *c, const struct kept *state, uint32_t base)
{
    uint32_t entry = state->frames[0].call_slot;
    const struct ebpf_decoded *call;

    if (base == 0)
        return entry == 0 || !c->run.ctx;
    call = &checked_prog->decoded[c->frames[base].return_pc - 1];
    return entry != 0 && call->op == OP_CALL_LOCAL && (uint32_t)call->off == entry;
}

static void find_packet(struct moment *m)
{
    const struct ebpf_run *run = &m->c->run;

    if (!run->ctx)
        return;
    ebpf_context_packet(checked_prog->type, run->ctx, &m->packet, &m->packet_end);
    m->data = m->packet;
    if (checked_prog->type == BPF_PROG_TYPE_XDP)
        m->data = (uintptr_t)((const struct ebpf_xdp *)run->ctx)->data;
}

static bool state_fits(const struct checked *c, struct kept *state)
{
    struct moment m = {
        .c = c, .base = c->depth - state->depth, .global = state->frames[0].call_slot != 0};

    if (state->depth > c->depth || !begins_at(c, state, m.base))
        return false;
    find_packet(&m);
    for (unsigned f = 1; f <= state->depth; f++)
        if (state->frames[f].call_slot + !state->frames[f].called_back !=
            c->frames[m.base + f].return_pc)
            return false;
    for (unsigned f = 0; f <= state->depth; f++)
        if (!frame_fits(&m, state, f))
            return false;
    return true;
}

/* Says of the newest state recorded there what does not fit. */
static void explain(const struct checked *c)
{
    struct moment m = {.c = c};
    struct recorded *r = table[c->pc];
    char held[256];
    int used = snprintf(failure, sizeof(failure), "insn %u is in no recorded state", c->pc);

    if (!r || r->state.depth > c->depth)
        return;
    m.base = c->depth - r->state.depth;
    m.global = r->state.frames[0].call_slot != 0;
    find_packet(&m);
    for (unsigned f = 0; f <= r->state.depth; f++) {
        unsigned at = m.base + f;

        for (unsigned n = at == c->depth ? 0 : 6; n < ISA_FP + SLOTS && used < 400; n++) {
            const struct slot *slot = n < ISA_FP ? NULL : kept_slot(&r->state, f, n - ISA_FP);
            const struct reg *reg = n < ISA_FP           ? kept_reg(&r->state, f, n)
                                    : slot && slot->size ? &slot->spill
                                                         : NULL;
            uint64_t value = 0;

            if (n >= ISA_FP && slot)
                memcpy(&value, (uint8_t *)frame_top(c, at) - 8 * (n - ISA_FP + 1) + slot->start,
                       slot->size);
            else if (n < ISA_FP && reg)
                value = held_in(c, at, n);
            if (!reg || fits(&m, reg, value))
                continue;
            reg_print(reg, held, sizeof(held));
            used += snprintf(failure + used, sizeof(failure) - (size_t)used,
                             "; frame %u %s%u holds 0x%lx, not %s", f, n < ISA_FP ? "r" : "slot ",
                             n < ISA_FP ? n : n - ISA_FP, (unsigned long)value, held);
        }
    }
}

void checked_embed(const struct checked *c)
{
    if (c->run.prog != checked_prog || failure[0] || nr_recorded == STATES_MAX)
        return;
    steps++;
    for (struct recorded *r = table[c->pc]; r; r = r->next)
        if (state_fits(c, &r->state))
            return;
    explain(c);
}
