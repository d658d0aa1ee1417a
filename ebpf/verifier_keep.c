/*
 * Keeping states: a copy with what is live at an instruction, packed, for comparing with later
 * paths and for coming back to. Memory is counted here, and bounded.
 */
#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/verifier_state.h"

#define NO_FP ((uint16_t) ~(1u << ISA_FP))

/* Zeroed, counted; NULL after saying that memory ran out. */
void *verifier_alloc(struct verifier *v, uint64_t size)
{
    void *block = NULL;

    if (v->bytes + size <= BYTES_MAX)
        block = port_alloc(size);
    if (!block) {
        verifier_reject(v, -ENOMEM, RULE_TOO_COMPLEX, NO_REG,
                        "out of memory after %lu bytes for %u states: the program has too many "
                        "different paths",
                        (unsigned long)v->bytes, v->nr_states);
        return NULL;
    }
    v->bytes += size;
    if (v->bytes > v->cost.peak_bytes)
        v->cost.peak_bytes = v->bytes;
    return block;
}

void verifier_free(struct verifier *v, void *block, uint64_t size)
{
    if (!block)
        return;
    v->bytes -= size;
    port_free(block);
}

/* Makes room for need elements of an array. */
bool verifier_grow(struct verifier *v, void **array, uint32_t *room, uint32_t need, uint32_t size)
{
    uint32_t larger = *room ? *room * 2 : 64;
    void *block;

    if (need <= *room)
        return true;
    while (larger < need)
        larger *= 2;
    block = verifier_alloc(v, (uint64_t)larger * size);
    if (!block)
        return false;
    if (*array)
        __builtin_memcpy(block, *array, (uint64_t)*room * size);
    verifier_free(v, *array, (uint64_t)*room * size);
    *array = block;
    *room = larger;
    return true;
}

/* Which registers and slots of a frame count when the innermost one is about to execute pc. */
void live_cells(const struct verifier *v, const struct state *state, unsigned frame, uint32_t pc,
                uint16_t *regs, uint64_t *slots)
{
    const struct frame *f = &state->frames[frame];

    if (frame == state->depth) {
        *regs = v->info[pc].live;
        *slots = v->info[pc].live_slots;
    } else {
        const struct frame *next = &state->frames[frame + 1];
        uint32_t back = next->called_back ? next->call_slot : next->call_slot + 1;

        *regs = v->info[back].live & (uint16_t)(next->called_back ? ~0u : ~0x3fu);
        *slots = v->info[back].live_slots;
    }
    *regs &= NO_FP;
    for (unsigned i = 0; i < ISA_FP; i++)
        if (f->regs[i].type == REG_NONE)
            *regs &= (uint16_t) ~(1u << i);
    if (f->nr_slots < SLOTS)
        *slots &= (UINT64_C(1) << f->nr_slots) - 1;
}

static struct reg *first_reg(struct kept *kept)
{
    return (struct reg *)(kept_refs(kept) + kept->nr_refs);
}

struct ref *kept_refs(struct kept *kept)
{
    return (struct ref *)&kept->frames[kept->depth + 1];
}

/* Start of a frame's registers; behind them are its slots. */
static struct reg *frame_regs(struct kept *kept, unsigned frame)
{
    uint8_t *at = (uint8_t *)first_reg(kept);

    for (unsigned i = 0; i < frame; i++)
        at += count_bits(kept->frames[i].regs) * sizeof(struct reg) +
              count_bits(kept->frames[i].slots) * sizeof(struct slot);
    return (struct reg *)at;
}

/* A register of a kept state, or NULL when it was not live. */
struct reg *kept_reg(struct kept *kept, unsigned frame, unsigned reg)
{
    unsigned regs = kept->frames[frame].regs;

    if (!(regs >> reg & 1))
        return NULL;
    return frame_regs(kept, frame) + count_bits(regs & ((1u << reg) - 1));
}

struct slot *kept_slot(struct kept *kept, unsigned frame, unsigned slot)
{
    const struct kept_frame *f = &kept->frames[frame];
    struct slot *slots = (struct slot *)(frame_regs(kept, frame) + count_bits(f->regs));

    if (!(f->slots >> slot & 1))
        return NULL;
    return slots + count_bits(f->slots & ((UINT64_C(1) << slot) - 1));
}

/* Ids, by their low bits: which there are, and which there are several of. */
struct names {
    uint64_t some[4], several[4];
};

static bool has_name(const struct reg *reg)
{
    return reg->type == REG_SCALAR && reg->id && !(reg->id & ID_LOOP) && reg->id != ID_LENGTH;
}

static void note_name(struct names *names, const struct reg *reg)
{
    unsigned word = reg->id >> 6 & 3;
    uint64_t bit = UINT64_C(1) << (reg->id & 63);

    if (!has_name(reg))
        return;
    names->several[word] |= names->some[word] & bit;
    names->some[word] |= bit;
}

static void forget_single(const struct names *names, struct reg *reg)
{
    if (has_name(reg) && !(names->several[reg->id >> 6 & 3] >> (reg->id & 63) & 1))
        reg->id = 0, reg->off = 0;
}

/* An id that nothing else has says nothing, but for what comes back to the head of a loop. */
static void forget_singles(struct kept *kept, const struct names *names)
{
    uint8_t *at = (uint8_t *)first_reg(kept);

    for (unsigned i = 0; i <= kept->depth; i++) {
        for (unsigned n = count_bits(kept->frames[i].regs); n > 0; n--, at += sizeof(struct reg))
            forget_single(names, (struct reg *)at);
        for (unsigned n = count_bits(kept->frames[i].slots); n > 0; n--, at += sizeof(struct slot))
            if (((struct slot *)at)->size)
                forget_single(names, &((struct slot *)at)->spill);
    }
}

static bool keeps_names(const struct verifier *v, uint32_t pc)
{
    return v->info[pc].loop_head && !v->info[pc].calls_back;
}

static void note_names(struct kept *kept, struct names *names)
{
    uint8_t *at = (uint8_t *)first_reg(kept);

    for (unsigned i = 0; i <= kept->depth; i++) {
        for (unsigned n = count_bits(kept->frames[i].regs); n > 0; n--, at += sizeof(struct reg))
            note_name(names, (struct reg *)at);
        for (unsigned n = count_bits(kept->frames[i].slots); n > 0; n--, at += sizeof(struct slot))
            if (((struct slot *)at)->size)
                note_name(names, &((struct slot *)at)->spill);
    }
}

static uint32_t kept_size(const struct kept_frame *frames, uint32_t depth, uint32_t nr_refs)
{
    uint32_t size = sizeof(struct kept) + nr_refs * sizeof(struct ref);

    for (uint32_t i = 0; i <= depth; i++)
        size += sizeof(struct kept_frame) + count_bits(frames[i].regs) * sizeof(struct reg) +
                count_bits(frames[i].slots) * sizeof(struct slot);
    return size;
}

/* Copies what is live of state, which is about to execute pc. NULL: out of memory. */
struct kept *keep(struct verifier *v, const struct state *state, uint32_t pc)
{
    struct kept_frame frames[ISA_FRAMES_MAX];
    struct names names = {{0}, {0}};
    uint32_t size;
    struct kept *kept;
    uint8_t *at;

    for (unsigned i = 0; i <= state->depth; i++) {
        const struct frame *f = &state->frames[i];

        frames[i] = (struct kept_frame){.call_slot = f->call_slot,
                                        .activation = f->activation,
                                        .may_gotos = f->may_gotos,
                                        .trips = f->trips,
                                        .called_back = f->called_back,
                                        .nr_slots = f->nr_slots};
        live_cells(v, state, i, pc, &frames[i].regs, &frames[i].slots);
    }
    size = kept_size(frames, state->depth, state->nr_refs);
    kept = verifier_alloc(v, size);
    if (!kept)
        return NULL;
    kept->bytes = size;
    kept->pc = pc;
    kept->depth = state->depth;
    kept->lock = state->lock;
    kept->nr_refs = state->nr_refs;
    __builtin_memcpy(kept->frames, frames, (state->depth + 1) * sizeof(frames[0]));
    __builtin_memcpy(kept_refs(kept), state->refs, state->nr_refs * sizeof(state->refs[0]));
    at = (uint8_t *)first_reg(kept);
    for (unsigned i = 0; i <= state->depth; i++) {
        for (uint32_t regs = frames[i].regs; regs; regs &= regs - 1) {
            struct reg *reg = (struct reg *)at;

            *reg = state->frames[i].regs[__builtin_ctz(regs)];
            reg->precise = false;
            note_name(&names, reg);
            at += sizeof(*reg);
        }
        for (uint64_t slots = frames[i].slots; slots; slots &= slots - 1) {
            struct slot *slot = (struct slot *)at;

            *slot = state->frames[i].slots[__builtin_ctzll(slots)];
            slot->spill.precise = false;
            if (slot->size)
                note_name(&names, &slot->spill);
            at += sizeof(*slot);
        }
    }
    if (!keeps_names(v, pc))
        forget_singles(kept, &names);
    return kept;
}

void keep_free(struct verifier *v, struct kept *kept)
{
    if (kept)
        verifier_free(v, kept, kept->bytes);
}

/* Every way on from the state has been walked: later ones are compared with it from now on. */
void keep_close(struct verifier *v, struct kept *kept)
{
    struct names names = {{0}, {0}};

    kept->done = true;
    if (!keeps_names(v, kept->pc))
        return;
    note_names(kept, &names);
    forget_singles(kept, &names);
}

/* Makes state what was kept; dead registers and slots are as never written. */
void unkeep(struct verifier *v, const struct kept *kept, struct state *state)
{
    const uint8_t *at = (const uint8_t *)first_reg((struct kept *)kept);

    (void)v;
    state->pc = kept->pc;
    state->depth = kept->depth;
    state->lock = kept->lock;
    state->nr_refs = kept->nr_refs;
    __builtin_memcpy(state->refs, kept_refs((struct kept *)kept),
                     kept->nr_refs * sizeof(state->refs[0]));
    for (unsigned i = 0; i <= kept->depth; i++) {
        struct frame *f = &state->frames[i];
        const struct kept_frame *k = &kept->frames[i];

        f->call_slot = k->call_slot;
        f->nr_slots = k->nr_slots;
        f->activation = k->activation;
        f->may_gotos = k->may_gotos;
        f->trips = k->trips;
        f->called_back = k->called_back;
        for (unsigned r = 0; r < ISA_FP; r++)
            f->regs[r].type = REG_NONE;
        f->regs[ISA_FP] =
            (struct reg){.type = REG_STACK, .frame = (uint8_t)i, .n = scalar_const(0)};
        for (uint32_t regs = k->regs; regs; regs &= regs - 1, at += sizeof(struct reg))
            f->regs[__builtin_ctz(regs)] = *(const struct reg *)at;
        for (uint32_t s = 0; s < k->nr_slots; s++) {
            if (k->slots >> s & 1) {
                f->slots[s] = *(const struct slot *)at;
                at += sizeof(struct slot);
            } else {
                /* Written once: what the program's unwritten stack is asked for must not count it.
                 */
                __builtin_memset(f->slots[s].bytes, BYTE_MISC, 8);
                f->slots[s].size = 0;
            }
        }
    }
}
