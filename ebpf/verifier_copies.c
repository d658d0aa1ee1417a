/*
 * Which stack slots an instruction touches. Those reached through r10, or through a copy of it used
 * in the same stretch of code, are told one by one. A copy that lives on past that makes every slot
 * of its function count as read everywhere.
 */
#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_flow.h"

static uint64_t low_bits(int64_t nr)
{
    return nr >= 64 ? UINT64_MAX : (UINT64_C(1) << nr) - 1;
}

/* Slots of [off, off + size), which may reach out of the frame: those that it touches, or with
 * whole those that lie in it. Slot i is [-8 * (i + 1), -8 * i). */
static uint64_t slots_of(int64_t off, int64_t size, bool whole)
{
    int64_t low = off < -(int64_t)ISA_STACK_SIZE ? -(int64_t)ISA_STACK_SIZE : off;
    int64_t high = off + size > 0 ? 0 : off + size, first, end;

    if (low >= high)
        return 0;
    first = whole ? (-high + 7) / 8 : -high / 8;
    end = whole ? -low / 8 : (-low + 7) / 8;
    return first < end ? low_bits(end) & ~low_bits(first) : 0;
}

/* Where each register points, as the copy of r10 that it is; a stretch of code at a time. */
struct copies {
    int32_t off[ISA_REGISTERS];
    uint32_t stack;       /* registers that are copies */
    struct ebpf_map *map; /* r1, when it was just loaded */
    bool escaped;         /* one went where it is not followed */
};

static void forget(struct copies *c, uint32_t regs)
{
    c->stack &= ~regs | BIT(ISA_FP);
}

static void touch_memory(struct flow *f, struct copies *c, uint32_t pc, unsigned base,
                         uint32_t size, bool write)
{
    int64_t off = (int64_t)c->off[base] + f->v->code[pc].off;

    if (!(c->stack & BIT(base)))
        return;
    if (write)
        f->touch[pc].kills = slots_of(off, size, true);
    else
        f->touch[pc].reads = slots_of(off, size, false);
}

static void touch_call(struct flow *f, struct copies *c, uint32_t pc)
{
    const struct ebpf_helper *helper = (const struct ebpf_helper *)f->v->code[pc].imm;

    for (unsigned n = 0; n < 5; n++) {
        int64_t off = c->off[n + 1], size = -off;

        if (!(c->stack & BIT(n + 1)) || helper->args[n] == ARG_NONE)
            continue;
        if (helper->args[n] == ARG_STACK_OR_NULL)
            c->escaped = true;
        if (helper->args[n] == ARG_MAP_KEY && c->map)
            size = c->map->key_size;
        if (helper->args[n] == ARG_MAP_VALUE && c->map)
            size = c->map->value_size;
        if (ebpf_arg_is_dynptr(helper->args[n]))
            size = sizeof(struct bpf_dynptr);
        f->touch[pc].reads |= slots_of(off, size, false);
    }
}

/* Copies of r10 that live on at pc are not followed there. */
static void check_escape(struct flow *f, struct copies *c, uint32_t pc)
{
    if (f->v->info[pc].live & c->stack & ~BIT(ISA_FP))
        c->escaped = true;
}

static void follow_arithmetic(struct copies *c, const struct ebpf_decoded *insn)
{
    int64_t off;

    if (insn->op == OP_MOV64_X) {
        forget(c, BIT(insn->dst));
        if (c->stack & BIT(insn->src)) {
            c->stack |= BIT(insn->dst);
            c->off[insn->dst] = c->off[insn->src];
        }
        return;
    }
    off = (int64_t)c->off[insn->dst] + (int64_t)insn->imm;
    if (insn->op == OP_ADD64_K && (c->stack & BIT(insn->dst)) && off > -OFFSET_MAX &&
        off < OFFSET_MAX) {
        c->off[insn->dst] = (int32_t)off;
        return;
    }
    /* Anything else makes of a copy something that may still point into the stack. */
    if (insn->op != OP_MOV64_K && insn->op != OP_MOV32_K) {
        bool reads_src = insn->op % 4 == FORM_64_X || insn->op % 4 == FORM_32_X;

        if ((insn->op / 4 != OP_MOV64_K / 4 && (c->stack & BIT(insn->dst))) ||
            (reads_src && (c->stack & BIT(insn->src))))
            c->escaped = true;
    }
    forget(c, BIT(insn->dst));
}

static uint32_t size_of(const struct ebpf_decoded *insn, bool *load, bool *store)
{
    *load = *store = false;
    switch ((enum ebpf_op)insn->op) {
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        *load = true;                                                                              \
        return sizeof(type);                                                                       \
    case OP_STX_##NAME:                                                                            \
    case OP_ST_##NAME:                                                                             \
        *store = true;                                                                             \
        return sizeof(type);
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        *load = true;                                                                              \
        return sizeof(type);
#define ATOMIC(NAME, function, imm)                                                                \
    case OP_ATOMIC_##NAME##64:                                                                     \
    case OP_ATOMIC_##NAME##32:                                                                     \
        return insn->op == OP_ATOMIC_##NAME##64 ? 8 : 4;
#include "ebpf/opcodes.def"
    default:
        return 0;
    }
}

static void follow(struct flow *f, struct copies *c, uint32_t pc)
{
    const struct verifier *v = f->v;
    const struct ebpf_decoded *insn = &v->code[pc];
    bool load, store;
    uint32_t reads, writes, size = size_of(insn, &load, &store);

    flow_uses(f, pc, &reads, &writes);
    if (insn->op < OP_MOVSX8_32) {
        follow_arithmetic(c, insn);
    } else if (size) {
        bool stored = insn->op >= OP_ATOMIC_ADD64 || (reads & BIT(insn->src) && !load);

        touch_memory(f, c, pc, load ? insn->src : insn->dst, size, store);
        if (stored && insn->src != insn->dst && (c->stack & BIT(insn->src)) &&
            (insn->op >= OP_ATOMIC_ADD64 || (store && (reads & BIT(insn->src)))))
            c->escaped = true;
        forget(c, writes);
    } else if (insn->op == OP_CALL_HELPER || insn->op == OP_TAIL_CALL) {
        touch_call(f, c, pc);
        forget(c, writes);
    } else if (insn->op == OP_CALL_LOCAL) {
        if (c->stack & reads)
            c->escaped = true;
        forget(c, writes);
    } else if (insn->op == OP_EXIT) {
        c->escaped |= (c->stack & BIT(0)) != 0;
    } else {
        if ((writes & c->stack) && insn->op != OP_LD_IMM64)
            c->escaped = true;
        forget(c, writes);
    }
    if (writes & BIT(1))
        c->map = NULL;
    if (insn->op == OP_LD_IMM64 && insn->dst == 1 &&
        (v->load->insns[pc].src_reg == BPF_PSEUDO_MAP_FD ||
         v->load->insns[pc].src_reg == BPF_PSEUDO_MAP_IDX))
        c->map = (struct ebpf_map *)insn->imm;
}

/* Stores that put a copy of r10 through itself (*(r10-8) = r10) also let it go. */
static bool stores_frame_pointer(const struct ebpf_decoded *insn)
{
    return insn->src == ISA_FP && (insn->op == OP_STX_DW || insn->op == OP_STX_W ||
                                   insn->op == OP_STX_H || insn->op == OP_STX_B);
}

/* Fills in f->touch. */
void flow_copies(struct flow *f)
{
    struct verifier *v = f->v;
    struct copies c = {.stack = BIT(ISA_FP)};
    uint32_t start = 0;

    for (uint32_t pc = 0; pc <= v->nr; pc++) {
        if (pc == v->nr || v->info[pc].function == pc) {
            for (uint32_t i = start; c.escaped && i < pc; i++)
                f->touch[i].reads = UINT64_MAX;
            start = pc;
            c = (struct copies){.stack = BIT(ISA_FP)};
        }
        if (pc == v->nr || v->code[pc].op == OP_LD_IMM64_HIGH)
            continue;
        if (is_target(f, pc)) {
            check_escape(f, &c, pc);
            forget(&c, UINT32_MAX);
            c.map = NULL;
        }
        if (stores_frame_pointer(&v->code[pc]))
            c.escaped = true;
        follow(f, &c, pc);
        if (jumps(&v->code[pc]))
            check_escape(f, &c, (uint32_t)v->code[pc].off);
        if (!falls_through(&v->code[pc]))
            forget(&c, UINT32_MAX);
    }
}
