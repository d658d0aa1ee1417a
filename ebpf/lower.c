/*
 * Lowering: copies the decoded program, notes its functions and jump targets, turns context loads
 * into loads from the machine's own struct, and runs the passes. Called by prog.c after the
 * verifier.
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/helper.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

/* ---- structure ------------------------------------------------------------------------------- */

/* Addresses of functions are not known yet, and the helpers that they are for need to know who
 * calls. */
static void lower_callback(const struct lowering *l, struct ebpf_decoded *i, uint32_t slot)
{
    if (i->op == OP_LD_IMM64 && l->prog->insns[slot].src_reg == BPF_PSEUDO_FUNC)
        *i = (struct ebpf_decoded){.op = LOW_LD_FUNCTION, .dst = i->dst, .off = (int32_t)i->imm};
    else if (i->op == OP_CALL_HELPER && ebpf_helper_calls_back((const struct ebpf_helper *)i->imm))
        i->op = LOW_CALL_BACK;
}

static void mark_function(struct lowering *l, uint32_t slot)
{
    l->low->nr_functions += !(l->low->flags[slot] & LOW_FUNCTION);
    l->low->flags[slot] |= LOW_FUNCTION;
}

/* Marks targets and functions, counts what needs a fixup. */
static void mark(struct lowering *l, const struct ebpf_decoded *i, uint32_t slot)
{
    uint8_t flow = low_flow(i->op);

    if (l->proof->slots[slot].divisor_nonzero)
        l->low->flags[slot] |= LOW_NONZERO;
    if (flow & LOW_FLOW_JUMPS)
        low_mark_target(l, slot, (uint32_t)i->off);
    else if (i->op == OP_CALL_LOCAL || i->op == LOW_LD_FUNCTION)
        mark_function(l, (uint32_t)i->off);
    l->low->nr_fixups += flow != 0 || i->op == LOW_LD_FUNCTION;
}

/* An access through r10 itself, which does not let its value out. */
static bool is_stack_access(const struct ebpf_decoded *i)
{
    if (i->op >= OP_LDX_B && i->op <= OP_ST_DW && (i->op - OP_LDX_B) % 3 != 0)
        return i->dst == ISA_FP && ((i->op - OP_LDX_B) % 3 == 2 || i->src != ISA_FP);
    if (i->op >= OP_LDX_B && i->op <= OP_LDSX_W)
        return i->src == ISA_FP;
    return i->op >= OP_ATOMIC_ADD64 && i->op <= OP_ATOMIC_CMPXCHG32 && i->dst == ISA_FP &&
           i->src != ISA_FP;
}

/* Of the values that registers begin with, those that are read after all. */
static void keep_begins(struct low_function *f, uint16_t read)
{
    uint8_t kept = 0;

    for (uint8_t n = 0; n < f->nr_begins; n++) {
        if (!(read >> f->begins[n].reg & 1))
            continue;
        f->begins[kept++] = f->begins[n];
        f->written |= (uint16_t)(1u << f->begins[n].reg);
    }
    f->nr_begins = kept;
}

/* What a function needs of a frame. Where its frame pointer goes to a register, what that reaches
 * may be used. */
static void describe(struct lowering *l, struct low_function *f)
{
    uint64_t slots = l->proof->shared_stack;
    uint16_t shared = (uint16_t)(slots ? 8 * (64 - __builtin_clzll(slots)) : 0);
    uint16_t read = 0;
    bool escapes = false;

    f->written = f->stack = 0;
    f->uses_fp = f->calls = f->may_goto = false;
    for (uint32_t slot = f->first; slot < f->end; slot++) {
        const struct ebpf_decoded *i = &l->code[slot];
        struct low_effect e = low_effect(i);

        f->written |= e.writes;
        read |= e.reads;
        f->calls |= low_flow(i->op) & LOW_FLOW_CALLS;
        f->may_goto |= i->op == OP_MAY_GOTO;
        if (!(e.reads >> ISA_FP & 1))
            continue;
        f->uses_fp = true;
        if (is_stack_access(i) && i->off < 0 && i->off >= -(int32_t)ISA_STACK_SIZE)
            f->stack = -i->off > f->stack ? (uint16_t)-i->off : f->stack;
        else
            escapes = true;
    }
    if (escapes && shared > f->stack)
        f->stack = shared;
    keep_begins(f, read);
    f->zero_stack = f->stack && l->proof->reads_unwritten_stack;
}

static int find_functions(struct lowering *l)
{
    struct low_function *f;
    uint32_t n = 0;

    l->low->functions = port_alloc(l->low->nr_functions * sizeof(l->low->functions[0]));
    if (!l->low->functions)
        return -ENOMEM;
    f = l->low->functions;
    for (uint32_t slot = 0; slot < l->nr && n < l->low->nr_functions; slot++) {
        if (!(l->low->flags[slot] & LOW_FUNCTION))
            continue;
        if (n)
            f[n - 1].end = slot;
        f[n++].first = slot;
    }
    f[n - 1].end = l->nr;
    return 0;
}

/* ---- context --------------------------------------------------------------------------------- */

/* Loads and stores come in threes, by size: load, store of a register, store of a constant. */
enum access { LOAD, STORE, STORE_CONST };

static bool is_plain_access(uint16_t op)
{
    return op >= OP_LDX_B && op <= OP_ST_DW;
}

/* Bytes that a load or store touches; 0 for anything else. */
static uint32_t access_size(uint16_t op)
{
    if (is_plain_access(op))
        return 1u << (op - OP_LDX_B) / 3;
    return op >= OP_LDSX_B && op <= OP_LDSX_W ? 1u << (op - OP_LDSX_B) : 0;
}

/* Where the field that a context access names really is, and how wide. */
static void lower_context_access(const struct ebpf_context *context, struct ebpf_decoded *i)
{
    static union {
        struct ebpf_xdp xdp;
        struct ebpf_skb skb;
    } start; /* only its address is used */
    uint32_t size = access_size(i->op);
    bool write = is_plain_access(i->op) && (i->op - OP_LDX_B) % 3 != LOAD;
    struct ebpf_ctx_slot at;

    if (ebpf_context_size(context, UINT32_MAX) == UINT32_MAX)
        return; /* a record is what it looks like */
    if (ebpf_context_access(context, &start, UINT32_MAX, (uint64_t)i->off, size, write, &at))
        port_fatal("lower: context access at offset %d", i->off);
    i->off = (int32_t)((uint8_t *)at.addr - (uint8_t *)&start);
    if (at.pointer)
        i->op = OP_LDX_DW;
}

/* All that needs no pass of its own. */
static void lower_slots(struct lowering *l)
{
    const struct ebpf_context *context = ebpf_context_get(l->prog->type);

    mark_function(l, 0);
    for (uint32_t slot = 0; slot < l->nr; slot++) {
        struct ebpf_decoded *i = &l->code[slot];

        if (l->proof->slots[slot].memory == PROOF_MEM_CTX && access_size(i->op))
            lower_context_access(context, i);
        lower_callback(l, i, slot);
        mark(l, i, slot);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int allocate(struct lowering *l)
{
    struct ebpf_lowered *low = l->low;

    low->nr = l->nr;
    low->code = l->code = port_alloc(l->nr * sizeof(l->code[0]));
    low->flags = port_alloc(l->nr);
    low->live = port_alloc(l->nr * sizeof(low->live[0]));
    if (!low->code || !low->flags || !low->live)
        return -ENOMEM;
    __builtin_memcpy(l->code, l->prog->decoded, l->nr * sizeof(l->code[0]));
    return 0;
}

static int note_liveness(struct lowering *l)
{
    return low_liveness(l, false);
}

static int drop_dead(struct lowering *l)
{
    return low_liveness(l, true);
}

static int run_passes(struct lowering *l)
{
    static int (*const passes[])(struct lowering *) = {
        low_switches, low_spare, note_liveness, low_values, low_branches, low_reach, drop_dead,
    };
    int err = 0;

    for (unsigned n = 0; n < ARRAY_LEN(passes) && !err; n++)
        err = passes[n](l);
    return err;
}

/* Where a function may be replaced by another program, its callers take the run back. */
static void note_tail_calls(struct lowering *l)
{
    uint32_t slot = l->low->nr_functions > 1 ? l->low->functions[1].first : l->nr;

    for (; slot < l->nr; slot++)
        l->low->returns_other |= l->code[slot].op == OP_TAIL_CALL;
    for (slot = 0; slot < l->nr && l->low->returns_other; slot++)
        l->low->nr_fixups += l->code[slot].op == OP_CALL_LOCAL;
}

/* Makes the lowered form of a verified program; passes are LOWER_ALL or LOWER_NONE. The caller
 * frees *out. 0 or -ENOMEM. Thread context. */
int ebpf_lower(struct ebpf_prog *prog, const struct ebpf_proof *proof, int passes,
               struct ebpf_lowered **out)
{
    struct lowering l = {.prog = prog, .proof = proof, .nr = prog->nr_insns};
    int err = -ENOMEM;

    l.low = port_alloc(sizeof(*l.low));
    if (!l.low)
        return err;
    err = allocate(&l);
    if (!err) {
        lower_slots(&l);
        err = find_functions(&l);
    }
    if (!err)
        err = passes != LOWER_NONE ? run_passes(&l) : note_liveness(&l);
    if (err) {
        ebpf_lower_free(l.low);
        return err;
    }
    l.low->zero_stack = proof->reads_unwritten_stack;
    l.low->prog = prog;
    note_tail_calls(&l);
    for (uint32_t n = 0; n < l.low->nr_functions; n++)
        describe(&l, &l.low->functions[n]);
    for (uint32_t slot = 0; slot < l.nr && l.low->nr_functions > 1; slot++)
        if (l.code[slot].op == OP_CALL_LOCAL || l.code[slot].op == LOW_LD_FUNCTION)
            l.code[slot].imm = ebpf_lowered_function(l.low, (uint32_t)l.code[slot].off);
    *out = l.low;
    return 0;
}

/* The number of the function that begins at a slot. */
uint32_t ebpf_lowered_function(const struct ebpf_lowered *low, uint32_t slot)
{
    uint32_t from = 0, to = low->nr_functions;

    while (to - from > 1) {
        uint32_t middle = from + (to - from) / 2;

        if (low->functions[middle].first <= slot)
            from = middle;
        else
            to = middle;
    }
    return from;
}

void ebpf_lower_free(struct ebpf_lowered *low)
{
    if (!low)
        return;
    for (uint32_t n = 0; n < low->nr_switches; n++)
        port_free(low->switches[n].slots);
    port_free(low->switches);
    port_free(low->lookups);
    port_free(low->functions);
    port_free(low->code);
    port_free(low->flags);
    port_free(low->live);
    port_free(low);
}
