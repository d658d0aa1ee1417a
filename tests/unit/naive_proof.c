/*
 * Follows pointers through registers and stack slots, forward over the program until nothing
 * changes; where paths disagree, nothing is known.
 */
#include "tests/unit/naive_proof.h"

#include <stdlib.h>
#include <string.h>

#include "ebpf/decode.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"

#define SLOTS 64u

enum kind { UNSEEN, NUMBER, CONTEXT, FRAME, PACKET };

struct state {
    uint8_t reg[ISA_REGISTERS];
    uint8_t slot[SLOTS]; /* what was stored at r10 - 8 * (n + 1) */
    bool reached;
};

static bool join(struct state *to, const struct state *from)
{
    uint8_t *a = (uint8_t *)to;
    const uint8_t *b = (const uint8_t *)from;
    bool changed = !to->reached;

    if (changed) {
        *to = *from;
        to->reached = true;
        return true;
    }
    for (size_t n = 0; n < offsetof(struct state, reached); n++) {
        if (a[n] != b[n] && a[n] != NUMBER) {
            a[n] = NUMBER;
            changed = true;
        }
    }
    return changed;
}

static uint8_t *stack_slot(struct state *s, const struct ebpf_decoded *i, unsigned base)
{
    return s->reg[base] == FRAME && base == ISA_FP && i->off < 0 && i->off >= -512 &&
                   i->off % 8 == 0
               ? &s->slot[-i->off / 8 - 1]
               : NULL;
}

static enum proof_memory memory_of(uint8_t kind)
{
    switch ((enum kind)kind) {
    case CONTEXT:
        return PROOF_MEM_CTX;
    case FRAME:
        return PROOF_MEM_STACK;
    case PACKET:
        return PROOF_MEM_PACKET;
    default:
        return PROOF_MEM_MIXED;
    }
}

/* The state after i, and what memory it touches. */
static enum proof_memory step(struct state *s, const struct ebpf_decoded *i, bool packet)
{
    enum proof_memory memory = PROOF_MEM_NONE;
    uint8_t *slot;

    switch (i->op) {
    case OP_MOV64_X:
        s->reg[i->dst] = s->reg[i->src];
        return memory;
    case OP_ADD64_K:
    case OP_SUB64_K:
        return memory;
    case OP_ADD64_X:
        s->reg[i->dst] = s->reg[i->src] > s->reg[i->dst] ? s->reg[i->src] : s->reg[i->dst];
        return memory;
    case OP_CALL_HELPER:
    case OP_CALL_LOCAL:
    case OP_TAIL_CALL:
        memset(s->reg, NUMBER, 6);
        return memory;
    }
    if (i->op >= OP_LDX_B && i->op <= OP_ST_DW) {
        unsigned form = (i->op - OP_LDX_B) % 3u;

        memory = memory_of(s->reg[form == 0 ? i->src : i->dst]);
        slot = stack_slot(s, i, form == 0 ? i->src : i->dst);
        if (form == 0)
            s->reg[i->dst] = slot && i->op == OP_LDX_DW          ? *slot
                             : memory == PROOF_MEM_CTX && packet ? PACKET
                                                                 : NUMBER;
        else if (slot)
            *slot = i->op == OP_STX_DW ? s->reg[i->src] : NUMBER;
        return memory;
    }
    if (i->op >= OP_LDSX_B && i->op <= OP_LDSX_W)
        memory = memory_of(s->reg[i->src]);
    else if (i->op >= OP_ATOMIC_ADD64 && i->op <= OP_ATOMIC_CMPXCHG32)
        return memory_of(s->reg[i->dst]);
    if (!(i->op >= OP_JEQ64_K && i->op <= OP_JSLE32_X))
        s->reg[i->dst] = NUMBER;
    return memory;
}

static bool jumps(uint16_t op)
{
    return op == OP_JA || op == OP_MAY_GOTO || (op >= OP_JEQ64_K && op <= OP_JSLE32_X);
}

/* Does r10 go to a register, so that anything on the stack may be touched by other ways? */
static bool lets_frame_out(const struct ebpf_decoded *i)
{
    return (i->op == OP_MOV64_X || i->op == OP_ADD64_X ||
            (i->op >= OP_LDX_B && i->op <= OP_ST_DW && (i->op - OP_LDX_B) % 3 == 1)) &&
           i->src == ISA_FP;
}

static void enter(struct state *s, enum kind r1)
{
    memset(s, NUMBER, sizeof(*s));
    s->reg[ISA_FP] = FRAME;
    s->reg[1] = (uint8_t)r1;
    s->reached = true;
}

struct ebpf_proof *naive_proof(const struct ebpf_prog *prog)
{
    struct ebpf_proof *proof = port_alloc(sizeof(*proof));
    struct state *states = calloc(prog->nr_insns, sizeof(*states)), entry;
    bool changed = true;

    proof->slots = port_alloc(prog->nr_insns * sizeof(proof->slots[0]));
    proof->nr_slots = prog->nr_insns;
    proof->reads_unwritten_stack = true;
    enter(&states[0], prog->type == EBPF_PROG_TYPE_MEM ? PACKET : CONTEXT);
    while (changed) {
        changed = false;
        for (uint32_t pc = 0; pc < prog->nr_insns; pc++) {
            const struct ebpf_decoded *i = &prog->decoded[pc];
            struct state s = states[pc];

            if (!s.reached)
                continue;
            proof->slots[pc].reached = true;
            if (lets_frame_out(i))
                proof->shared_stack = UINT64_MAX;
            proof->slots[pc].memory = step(&s, i, prog->type == BPF_PROG_TYPE_XDP && i->off < 12);
            if (i->op == OP_CALL_LOCAL) {
                enter(&entry, states[pc].reg[1]);
                changed |= join(&states[i->off], &entry);
            }
            if (i->op == OP_LD_IMM64 && prog->insns[pc].src_reg == BPF_PSEUDO_FUNC) {
                enter(&entry, NUMBER); /* helpers call it */
                changed |= join(&states[i->imm], &entry);
            }
            if (jumps(i->op))
                changed |= join(&states[i->off], &s);
            if (i->op != OP_JA && i->op != OP_EXIT && pc + 1 < prog->nr_insns)
                changed |= join(&states[pc + (i->op == OP_LD_IMM64 ? 2 : 1)], &s);
        }
    }
    free(states);
    return proof;
}
