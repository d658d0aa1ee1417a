/*
 * Which numbers matter. When a check has relied on a number, the path's trace is walked backwards
 * to what the number was made of, and those registers and slots are marked in the states kept on
 * the way: another path may end at such a state only if its own numbers lie within those. Linux:
 * mark_chain_precision. The walk ends at states where all is marked already.
 */
#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/verifier_state.h"

#define BIT(n) ((uint16_t)(1u << (n)))

static bool any(const struct cells *cells)
{
    for (unsigned i = 0; i < ISA_FRAMES_MAX; i++)
        if (cells->regs[i] || cells->slots[i])
            return true;
    return false;
}

/* Marks in a kept state; what was marked before need not be followed further. */
static void mark_kept(struct kept *kept, struct cells *cells)
{
    for (unsigned f = 0; f <= kept->depth; f++) {
        for (uint32_t regs = cells->regs[f]; regs; regs &= regs - 1) {
            unsigned r = (unsigned)__builtin_ctz(regs);
            struct reg *reg = kept_reg(kept, f, r);

            if (reg && (reg->type != REG_SCALAR || reg->precise))
                cells->regs[f] &= (uint16_t)~BIT(r);
            else if (reg)
                reg->precise = true;
        }
        for (uint64_t slots = cells->slots[f]; slots; slots &= slots - 1) {
            unsigned s = (unsigned)__builtin_ctzll(slots);
            struct slot *slot = kept_slot(kept, f, s);

            if (slot && (!slot->size || slot->spill.type != REG_SCALAR || slot->spill.precise))
                cells->slots[f] &= ~(UINT64_C(1) << s);
            else if (slot)
                slot->spill.precise = true;
        }
    }
}

/* What dst depends on: itself too, unless it is only written. */
static void from_source(uint16_t *regs, const struct ebpf_decoded *insn, bool keep_dst)
{
    if (!(*regs & BIT(insn->dst)))
        return;
    if (!keep_dst)
        *regs &= (uint16_t)~BIT(insn->dst);
    *regs |= BIT(insn->src) & (uint16_t)~BIT(ISA_FP);
}

static void undo_condition(uint16_t *regs, const struct ebpf_decoded *insn, uint32_t entry,
                           const struct cells *cells)
{
    bool two = (insn->op - OP_JEQ64_K) % 2 == 1;
    uint16_t both = BIT(insn->dst) | (two ? BIT(insn->src) : 0);

    if ((two && (*regs & both)) || ((entry & TRACE_LINKED) && any(cells)))
        *regs |= both & (uint16_t)~BIT(ISA_FP);
}

/* Before its end there was another frame, of whose registers these matter. */
static void enter_frame(struct cells *cells, uint32_t *frame, uint16_t regs)
{
    ++*frame;
    cells->regs[*frame] = regs;
    cells->slots[*frame] = 0;
}

/* Before the call there was no such frame. */
static void leave_frame(struct cells *cells, uint32_t *frame)
{
    cells->regs[*frame] = 0;
    cells->slots[*frame] = 0;
    --*frame;
}

/* Turns what matters after an instruction into what matters before it. *frame: the innermost one,
 * likewise. */
void trace_undo(struct verifier *v, uint32_t entry, struct cells *cells, uint32_t *frame)
{
    const struct ebpf_decoded *insn = &v->code[TRACE_PC(entry)];
    uint16_t *regs = &cells->regs[*frame];
    uint64_t *slots = &cells->slots[TRACE_FRAME(entry)], slot = UINT64_C(1) << TRACE_SLOT(entry);

    switch ((enum ebpf_op)insn->op) {
#define ALU(NAME, name, code, off, text)                                                           \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        from_source(regs, insn, OP_##NAME##64_X != OP_MOV64_X);                                    \
        break;                                                                                     \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##32_K:                                                                          \
        if (OP_##NAME##64_K == OP_MOV64_K)                                                         \
            *regs &= (uint16_t)~BIT(insn->dst);                                                    \
        break;
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    case OP_##NAME:                                                                                \
        from_source(regs, insn, false);                                                            \
        break;
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        if ((entry & TRACE_STACK) && (*regs & BIT(insn->dst)))                                     \
            *slots |= slot;                                                                        \
        *regs &= (uint16_t)~BIT(insn->dst);                                                        \
        break;                                                                                     \
    case OP_STX_##NAME:                                                                            \
        if ((entry & TRACE_STACK) && (*slots & slot)) {                                            \
            *slots &= ~slot;                                                                       \
            *regs |= BIT(insn->src) & (uint16_t)~BIT(ISA_FP);                                      \
        }                                                                                          \
        break;                                                                                     \
    case OP_ST_##NAME:                                                                             \
        if (entry & TRACE_STACK)                                                                   \
            *slots &= ~slot;                                                                       \
        break;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        if ((entry & TRACE_STACK) && (*regs & BIT(insn->dst)))                                     \
            *slots |= slot;                                                                        \
        *regs &= (uint16_t)~BIT(insn->dst);                                                        \
        break;
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_K:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        undo_condition(regs, insn, entry, cells);                                                  \
        break;
#define ATOMIC(NAME, function, imm)                                                                \
    case OP_ATOMIC_##NAME##64:                                                                     \
    case OP_ATOMIC_##NAME##32:                                                                     \
        if ((imm)&BPF_FETCH)                                                                       \
            *regs &= (uint16_t) ~((imm) == BPF_CMPXCHG ? BIT(0) : BIT(insn->src));                 \
        break;
#include "ebpf/opcodes.def"
    case OP_TAIL_CALL:
        if (entry & TRACE_TURN)
            enter_frame(cells, frame, 0);
        *regs &= (uint16_t)~0x3fu;
        break;
    case OP_CALL_HELPER:
        if (entry & TRACE_TURN)
            leave_frame(cells, frame);
        else
            *regs &= (uint16_t)~0x3fu;
        break;
    case OP_LD_IMM64:
        *regs &= (uint16_t)~BIT(insn->dst);
        break;
    case OP_CALL_LOCAL:
        if (entry & TRACE_TURN) {
            *regs &= (uint16_t)~0x3fu;
            break;
        }
        cells->regs[*frame - 1] |= *regs & 0x3e;
        leave_frame(cells, frame);
        break;
    case OP_EXIT:
        enter_frame(cells, frame, entry & TRACE_TURN ? 0 : *regs & BIT(0));
        if (!(entry & TRACE_TURN))
            *regs &= (uint16_t)~0x3fu;
        break;
    default: /* the others make a number of the same register */
        break;
    }
}

/* Everything in cells matters at this point of the path, before the instruction that is next in
 * the trace at position at. */
static void walk_back(struct verifier *v, struct cells *cells, uint32_t at)
{
    uint32_t frame = v->now->depth, kept = v->nr_path, start = at, last;

    /* A state kept after the instruction under way began is no part of its past. */
    while (kept && v->path[kept - 1]->trace > at)
        kept--;
    last = kept;
    for (;;) {
        while (kept && v->path[kept - 1]->trace == at)
            mark_kept(v->path[--kept], cells);
        if (at == 0 || !any(cells))
            break;
        trace_undo(v, v->trace[--at], cells, &frame);
    }
    v->cost.walked_back += start - at;
    if (last - kept > v->cost.mark_read)
        v->cost.mark_read = last - kept;
}

/* A number that an instruction under way relies on. Always true. */
bool precise_reg(struct verifier *v, unsigned reg)
{
    struct reg *r = reg_now(v, reg);
    struct cells cells = {{0}, {0}};

    if (r->type != REG_SCALAR || r->precise)
        return true;
    r->precise = true;
    cells.regs[v->now->depth] = BIT(reg);
    walk_back(v, &cells, v->nr_trace - 1);
    return true;
}

bool precise_slot(struct verifier *v, unsigned frame, unsigned slot)
{
    struct cells cells = {{0}, {0}};

    cells.slots[frame] = UINT64_C(1) << slot;
    walk_back(v, &cells, v->nr_trace - 1);
    return true;
}

static void add_linked(const struct verifier *v, struct cells *cells, uint32_t id)
{
    for (unsigned i = 0; i <= v->now->depth && id; i++) {
        const struct frame *f = &v->now->frames[i];

        for (unsigned r = 0; r < ISA_FP; r++)
            if (f->regs[r].type == REG_SCALAR && f->regs[r].id == id)
                cells->regs[i] |= BIT(r);
        for (uint32_t s = 0; s < f->nr_slots; s++)
            if (f->slots[s].size && f->slots[s].spill.type == REG_SCALAR &&
                f->slots[s].spill.id == id)
                cells->slots[i] |= UINT64_C(1) << s;
    }
}

/* The conditional jump under way cannot go one way, which the numbers compared say, or those that
 * are linked to them: other numbers may go there. */
void precise_condition(struct verifier *v, const struct ebpf_decoded *insn)
{
    uint16_t compared = BIT(insn->dst);
    struct cells cells = {{0}, {0}};

    if ((insn->op - OP_JEQ64_K) % 2 == 1)
        compared |= BIT(insn->src);
    for (uint32_t regs = compared; regs; regs &= regs - 1)
        add_linked(v, &cells, reg_now(v, (unsigned)__builtin_ctz(regs))->id);
    cells.regs[v->now->depth] |= compared;
    walk_back(v, &cells, v->nr_trace - 1);
}

/* Likewise for several, where no instruction is under way. */
void precise_cells(struct verifier *v, struct cells cells)
{
    walk_back(v, &cells, v->nr_trace);
}
