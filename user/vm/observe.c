/*
 * Makes the record of a run, in the process that is watched. The engines call observe_moment before
 * each instruction.
 *
 * Memory is watched by comparison: the frames of the stack, the context, the packet or memory, and
 * the values of small arrays (where global variables are). What a run leaves behind elsewhere is
 * compared at its end.
 */
#include "user/vm/observe.h"

#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/decode.h"
#include "ebpf/ebpf.h"
#include "ebpf/helper.h"
#include "ebpf/jit.h"
#include "ebpf/lower_internal.h"
#include "ebpf/map.h"
#include "user/vm/vm.h"

#define REGIONS_MAX     (ISA_FRAMES_MAX + 2 + 64)
#define REGION_SIZE_MAX 65536u
#define ARRAY_SIZE_MAX  4096u

struct region {
    const uint8_t *at; /* NULL: not there now */
    uint32_t size;
    uint64_t place; /* of at */
    uint8_t *seen;  /* what was there last */
};

struct call {
    uint32_t back; /* the slot where the caller goes on */
    bool by_helper;
    uint32_t written; /* registers that hold what the function put there, a bit each */
};

const struct watched *observe_watched;

static struct observed *out;
static struct region regions[REGIONS_MAX]; /* the frames' come first */
static unsigned nr_regions;
static struct call calls[ISA_FRAMES_MAX];
static uint32_t depth;
static uintptr_t last_sp;
static uint64_t answers;

static void *allocate(size_t size)
{
    void *block = calloc(1, size);

    if (!block)
        abort();
    return block;
}

void observe_start(const struct watched *w, struct observed *to)
{
    observe_watched = w;
    out = to;
    nr_regions = ISA_FRAMES_MAX;
    depth = 0;
    calls[0] =
        (struct call){.written = w->progs[0]->type == EBPF_PROG_TYPE_MEM ? 3u << 1 : 1u << 1};
    answers = 0;
    for (unsigned d = 0; d < ISA_FRAMES_MAX; d++)
        regions[d].seen = allocate(ISA_STACK_SIZE);
}

void observe_stop(void)
{
    observe_watched = NULL;
}

uint32_t observe_prog_index(const struct ebpf_prog *prog)
{
    uint32_t n = 0;

    while (n < observe_watched->nr_progs && observe_watched->progs[n] != prog)
        n++;
    return n;
}

/* ---- memory --------------------------------------------------------------------------------- */

static void add_region(const void *at, size_t size)
{
    struct region *r = &regions[nr_regions];

    if (!at || size == 0 || size > REGION_SIZE_MAX || nr_regions == REGIONS_MAX)
        return;
    *r = (struct region){.at = at, .size = (uint32_t)size, .place = (uintptr_t)at};
    r->seen = allocate(size);
    memcpy(r->seen, at, size);
    nr_regions++;
}

/* What the run was given, and arrays. At the first instruction. */
static void add_regions(void)
{
    const struct ebpf_run *run = ebpf_run_current();
    const struct ebpf_xdp *xdp = run->ctx;
    uintptr_t start = 0, end = 0;

    add_region(run->ctx, run->ctx_size);
    if (run->prog->type == BPF_PROG_TYPE_XDP) {
        add_region(xdp->data_hard_start, (size_t)(xdp->data_hard_end - xdp->data_hard_start));
    } else {
        ebpf_context_packet(run->prog->type, run->ctx, &start, &end);
        add_region((void *)start, end - start);
    }
    for (uint32_t m = 0; m < run->prog->nr_maps; m++) {
        struct ebpf_map *map = run->prog->maps[m];
        uint8_t *data;
        uint32_t stride;

        if (!map->ops->elements)
            continue;
        map->ops->elements(map, &data, &stride);
        if ((uint64_t)stride * map->max_entries <= ARRAY_SIZE_MAX)
            add_region(data, stride * map->max_entries);
    }
}

/* The place of an address on the stack. False: it is none. */
static bool find_place(uint64_t address, uint64_t *place)
{
    for (uint32_t d = depth + 1; d-- > 0;) {
        const struct region *r = &regions[d];

        if (r->at && address >= (uintptr_t)r->at && address <= (uintptr_t)r->at + r->size) {
            *place = r->place + (address - (uintptr_t)r->at);
            return true;
        }
    }
    return false;
}

/* Machine code has an address where the interpreters have a slot. */
static void name_function(const struct ebpf_prog *prog, uint64_t value, uint64_t *name)
{
    const struct ebpf_lowered *low = prog->lowered;
    uint64_t offset = prog->jit ? value - (uintptr_t)prog->jit->code : UINT64_MAX;

    if (!prog->jit || offset >= prog->jit->size)
        return;
    for (uint32_t n = 0; n < low->nr_functions; n++)
        if (prog->jit->offsets[low->functions[n].first] == offset)
            *name = low->functions[n].first;
}

/* What a value is called in every engine: a place of the stack (true), the slot of a function that
 * machine code has an address of, or itself. */
static bool name_value(uint64_t value, uint64_t *name)
{
    *name = value;
    if (find_place(value, name))
        return true;
    for (uint32_t n = 0; out->engine == EBPF_JIT && n < observe_watched->nr_progs; n++)
        name_function(observe_watched->progs[n], value, name);
    return false;
}

static uint64_t word_at(const uint8_t *bytes, uint32_t size)
{
    uint64_t word = 0;

    memcpy(&word, bytes, size);
    return word;
}

static void note_change(struct region *r, uint32_t at, uint32_t size)
{
    struct change *c = &out->changes[out->nr_changes];

    if (out->nr_changes == OBSERVE_CHANGES_MAX) {
        out->full = true;
        return;
    }
    *c = (struct change){.place = r->place + at,
                         .before = word_at(r->seen + at, size),
                         .after = word_at(r->at + at, size),
                         .size = size};
    c->before_on_stack = name_value(c->before, &c->before);
    c->after_on_stack = name_value(c->after, &c->after);
    out->nr_changes++;
}

static void find_changes(void)
{
    for (unsigned n = 0; n < nr_regions; n++) {
        struct region *r = &regions[n];

        if (!r->at || memcmp(r->seen, r->at, r->size) == 0)
            continue;
        for (uint32_t at = 0; at < r->size; at += 8) {
            uint32_t size = r->size - at < 8 ? r->size - at : 8;

            if (memcmp(r->seen + at, r->at + at, size) != 0)
                note_change(r, at, size);
        }
        memcpy(r->seen, r->at, r->size);
    }
}

/* The frame of the function under way. One that begins is zeroed, whichever engine made it: what
 * verified programs see does not depend on it, and records can be compared. */
static void set_frame(uintptr_t fp, uint32_t size, bool begins)
{
    struct region *r = &regions[depth];

    size = fp ? size : 0;
    if (begins || !r->at) {
        r->at = size ? (const uint8_t *)fp - size : NULL;
        r->size = size;
        r->place = PLACE_TOP(depth) - size;
        memset(r->seen, 0, ISA_STACK_SIZE);
    }
    if (begins && r->at)
        memset((uint8_t *)fp - size, 0, size);
}

/* ---- control flow --------------------------------------------------------------------------- */

/* Which registers a function may read, from what it executed last: what a call leaves in r1 to r5
 * is nobody's. */
static void note_written(const struct ebpf_decoded *i)
{
    struct low_effect effect = low_effect(i);
    uint32_t *written = &calls[depth].written;

    if (i->op >= OP_CALL_HELPER && i->op <= OP_TAIL_CALL)
        *written = (*written & ~LOW_CLOBBERED) | 1;
    else
        *written |= effect.writes;
}

/* A call of a helper that calls functions of the program. */
static bool calls_back(const struct ebpf_decoded *i)
{
    const struct ebpf_helper *helper = (const struct ebpf_helper *)i->imm;

    for (unsigned n = 0; i->op == OP_CALL_HELPER && n < ARRAY_LEN(helper->args); n++)
        if (helper->args[n] == ARG_FUNC)
            return true;
    return false;
}

/* Keeps depth, from the instruction before and where this one is. True: a function begins. */
static bool follow(const struct moment *last, uint32_t prog, uint32_t slot)
{
    const struct ebpf_decoded *i = &observe_watched->progs[last->prog]->decoded[last->slot];
    uint16_t op = i->op;

    note_written(i);
    if (op == OP_EXIT && depth > 0) {
        if (calls[depth].by_helper && slot != calls[depth].back)
            return true; /* the helper calls the function once more */
        regions[depth--].at = NULL;
        return false;
    }
    if (op == OP_TAIL_CALL) {
        if (prog == last->prog && slot == last->slot + 1)
            return false;
        calls[depth].written = 1u << 1;
        return true;
    }
    if (op != OP_CALL_LOCAL && !(calls_back(i) && slot != last->slot + 1))
        return false;
    if (depth + 1 < ISA_FRAMES_MAX)
        depth++;
    calls[depth] =
        (struct call){last->slot + 1, op == OP_CALL_HELPER,
                      op == OP_CALL_HELPER ? LOW_ARGUMENTS : last->written & LOW_ARGUMENTS};
    return true;
}

/* Machine code has one epilogue a function: an exit may jump to another exit of it. */
static bool is_epilogue(const struct moment *last, uint32_t prog, uint32_t slot, uintptr_t sp)
{
    return sp && sp == last_sp && prog == last->prog &&
           observe_watched->progs[prog]->decoded[slot].op == OP_EXIT &&
           observe_watched->progs[prog]->decoded[last->slot].op == OP_EXIT;
}

/* Helpers that answer something else each time answer the same in each engine. */
static void set_answer(const struct moment *last, uint64_t *r0)
{
    static const char *const names[] = {"ktime_get_ns", "ktime_get_boot_ns", "ktime_get_coarse_ns",
                                        "get_prandom_u32", "jiffies64"};
    const struct ebpf_decoded *i = &observe_watched->progs[last->prog]->decoded[last->slot];
    const struct ebpf_helper *helper = (const struct ebpf_helper *)i->imm;

    for (unsigned n = 0; i->op == OP_CALL_HELPER && n < ARRAY_LEN(names); n++)
        if (strcmp(helper->name, names[n]) == 0)
            *r0 = ++answers * 1000003;
}

/* ---- a moment ------------------------------------------------------------------------------- */

static void record(const struct observe_at *at, const uint64_t *reg)
{
    struct moment *m = &out->moments[out->nr_moments++];

    *m = (struct moment){.prog = at->prog,
                         .slot = at->slot,
                         .depth = depth,
                         .written = calls[depth].written,
                         .changes = out->nr_changes};
    for (unsigned r = 0; r < at->nr_regs; r++)
        if (name_value(reg[r], &m->reg[r]))
            m->on_stack |= 1u << r;
}

void observe_moment(const struct observe_at *at, uint64_t *reg)
{
    const struct moment *last = out->nr_moments ? &out->moments[out->nr_moments - 1] : NULL;
    bool begins = !last;

    if (at->prog >= observe_watched->nr_progs || out->full ||
        observe_watched->progs[at->prog]->decoded[at->slot].op == OP_LD_IMM64_HIGH)
        return;
    if (out->nr_moments == OBSERVE_MOMENTS_MAX) {
        out->full = true;
        return;
    }
    if (!last)
        add_regions();
    else if (is_epilogue(last, at->prog, at->slot, at->sp))
        return;
    else
        begins = follow(last, at->prog, at->slot);
    if (last && last->slot + 1 == at->slot)
        set_answer(last, &reg[0]);
    last_sp = at->sp;
    set_frame(at->fp, at->stack_size, begins);
    find_changes();
    record(at, reg);
}
