/*
 * Before the walk: the program's graph. Every instruction must be reachable; where paths meet and
 * which jumps make loops is noted; and, by data flow from the end to the start, which registers and
 * stack slots may still be read (a state's dead parts need not be compared).
 *
 * Slots reached through r10, or through a copy of it used in the same stretch of code, are told one
 * by one. A copy that lives on past that makes every slot of its function count as live.
 */
#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define ARGUMENTS   0x3eu /* r1 to r5 */
#define CALLER_REGS 0x3fu /* r0 to r5 */
#define BIT(n)      (1u << (n))
#define NOT_STACK   1 /* an offset that no copy of r10 has */

/* Per slot, for the stack's data flow. */
struct touch {
    uint64_t reads, kills;
};

struct flow {
    struct verifier *v;
    struct touch *touch;
    bool *target; /* some jump leads here */
};

static bool is_conditional(const struct ebpf_decoded *insn)
{
    return insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X;
}

static bool jumps(const struct ebpf_decoded *insn)
{
    return is_conditional(insn) || insn->op == OP_JA || insn->op == OP_MAY_GOTO;
}

static bool falls_through(const struct ebpf_decoded *insn)
{
    return insn->op != OP_JA && insn->op != OP_EXIT;
}

static uint32_t next_of(const struct ebpf_decoded *insn, uint32_t pc)
{
    return pc + (insn->op == OP_LD_IMM64 ? 2 : 1);
}

static bool names_function(const struct verifier *v, uint32_t pc)
{
    return v->code[pc].op == OP_LD_IMM64 && v->load->insns[pc].src_reg == BPF_PSEUDO_FUNC;
}

/* ---- reachability (Linux: check_cfg) ------------------------------------------------------------
 */

static void reach(struct verifier *v, uint32_t *stack, uint32_t *nr, uint32_t pc)
{
    if (!v->info[pc].explored) {
        v->info[pc].explored = true;
        stack[(*nr)++] = pc;
    }
}

static bool check_reachable(struct flow *f, uint32_t *stack)
{
    struct verifier *v = f->v;
    uint32_t nr = 0;

    reach(v, stack, &nr, 0);
    while (nr) {
        uint32_t pc = stack[--nr];
        const struct ebpf_decoded *insn = &v->code[pc];

        if (falls_through(insn))
            reach(v, stack, &nr, next_of(insn, pc));
        if (jumps(insn) || insn->op == OP_CALL_LOCAL)
            reach(v, stack, &nr, (uint32_t)insn->off);
        if (names_function(v, pc))
            reach(v, stack, &nr, (uint32_t)insn->imm);
    }
    for (uint32_t pc = 0; pc < v->nr; pc++) {
        v->err_slot = pc;
        if (!v->info[pc].explored && v->code[pc].op != OP_LD_IMM64_HIGH)
            return verifier_reject(v, -EINVAL, RULE_UNREACHABLE, NO_REG,
                                   "unreachable insn %u: no path from the program's start leads "
                                   "here",
                                   pc);
    }
    return true;
}

/* ---- where paths meet ---------------------------------------------------------------------------
 */

static void note_edges(struct flow *f)
{
    struct verifier *v = f->v;
    uint32_t function = 0;

    for (uint32_t pc = 0; pc < v->nr; pc++) {
        const struct ebpf_decoded *insn = &v->code[pc];
        uint32_t to = (uint32_t)insn->off, next = next_of(insn, pc);

        if (insn->op == OP_CALL_LOCAL)
            v->info[to].function = UINT32_MAX;
        if (names_function(v, pc))
            v->info[insn->imm].function = UINT32_MAX;
        if (insn->op == OP_CALL_LOCAL)
            v->info[next].merge = true;
        if (helper_calls_back(insn)) {
            v->info[pc].merge = v->info[pc].loop_head = v->info[pc].calls_back = true;
            v->info[pc].loop_end = pc;
            v->info[next].merge = true;
        }
        if (!jumps(insn) || to == next)
            continue;
        if (f->target[to] || (to && falls_through(&v->code[to - 1])) ||
            (to > 1 && v->code[to - 1].op == OP_LD_IMM64_HIGH))
            v->info[to].merge = true;
        f->target[to] = true;
        if (to <= pc) {
            v->info[to].merge = v->info[to].loop_head = true;
            if (pc > v->info[to].loop_end)
                v->info[to].loop_end = pc;
        }
    }
    for (uint32_t pc = 0; pc < v->nr; pc++) {
        if (v->info[pc].function == UINT32_MAX)
            function = pc;
        v->info[pc].function = function;
    }
}

/* ---- registers ----------------------------------------------------------------------------------
 */

static uint32_t helper_reads(const struct ebpf_helper *helper)
{
    uint32_t reads = 0;

    for (unsigned n = 0; n < 5; n++)
        if (helper->args[n] != ARG_NONE)
            reads |= BIT(n + 1);
    return reads;
}

/* What an instruction reads and writes of the registers. */
void insn_registers(const struct verifier *v, uint32_t pc, uint32_t *reads, uint32_t *writes)
{
    const struct ebpf_decoded *insn = &v->code[pc];
    uint32_t dst = BIT(insn->dst), src = BIT(insn->src);

    *reads = *writes = 0;
    switch ((enum ebpf_op)insn->op) {
#define ALU(NAME, name, code, off, text)                                                           \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##32_K:                                                                          \
        *reads = OP_##NAME##64_K == OP_MOV64_K ? 0 : dst;                                          \
        *writes = dst;                                                                             \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        *reads = OP_##NAME##64_K == OP_MOV64_K ? src : dst | src;                                  \
        *writes = dst;                                                                             \
        break;
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    case OP_##NAME:                                                                                \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;
#define SWAP(NAME, name, code, bits, text) case OP_##NAME:
#include "ebpf/opcodes.def"
    case OP_NEG64:
    case OP_NEG32:
        *reads = *writes = dst;
        break;
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
    case OP_##NAME##32_K:                                                                          \
        *reads = dst;                                                                              \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
    case OP_##NAME##32_X:                                                                          \
        *reads = dst | src;                                                                        \
        break;
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;                                                                                     \
    case OP_STX_##NAME:                                                                            \
        *reads = dst | src;                                                                        \
        break;                                                                                     \
    case OP_ST_##NAME:                                                                             \
        *reads = dst;                                                                              \
        break;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        *reads = src;                                                                              \
        *writes = dst;                                                                             \
        break;
#define ATOMIC(NAME, function, imm)                                                                \
    case OP_ATOMIC_##NAME##64:                                                                     \
    case OP_ATOMIC_##NAME##32:                                                                     \
        *reads = dst | src | ((imm) == BPF_CMPXCHG ? BIT(0) : 0);                                  \
        *writes = (imm) == BPF_CMPXCHG ? BIT(0) : (imm)&BPF_FETCH ? src : 0;                       \
        break;
#include "ebpf/opcodes.def"
    case OP_CALL_HELPER:
    case OP_TAIL_CALL:
        *reads = helper_reads((const struct ebpf_helper *)insn->imm);
        *writes = CALLER_REGS;
        break;
    case OP_CALL_LOCAL:
        *reads = v->info[insn->off].live & ARGUMENTS;
        *writes = CALLER_REGS;
        break;
    case OP_EXIT:
        *reads = BIT(0);
        break;
    case OP_LD_IMM64:
        *writes = dst;
        break;
    case OP_JA:
    case OP_MAY_GOTO:
    case OP_LD_IMM64_HIGH:
    case NR_OPS:
        break;
    }
}

static bool registers_step(struct verifier *v, uint32_t pc)
{
    const struct ebpf_decoded *insn = &v->code[pc];
    uint32_t reads, writes, live = 0;

    if (falls_through(insn))
        live |= v->info[next_of(insn, pc)].live;
    if (jumps(insn))
        live |= v->info[insn->off].live;
    insn_registers(v, pc, &reads, &writes);
    live = (live & ~writes) | reads;
    if (live == v->info[pc].live)
        return false;
    v->info[pc].live = (uint16_t)live;
    return true;
}

/* ---- stack slots --------------------------------------------------------------------------------
 */

/* Slots of [off, off + size), which may reach out of the frame. */
static uint64_t slots_of(int64_t off, int64_t size, bool whole)
{
    uint64_t slots = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        int64_t low = -8 * (int64_t)(i + 1);

        if (whole ? low >= off && low + 8 <= off + size : low < off + size && low + 8 > off)
            slots |= UINT64_C(1) << i;
    }
    return slots;
}

/* Where each register points, as the copy of r10 that it is; a stretch of code at a time. */
struct copies {
    int32_t off[ISA_REGISTERS]; /* NOT_STACK: elsewhere */
    uint32_t stack;             /* registers that are copies */
    struct ebpf_map *map;       /* r1, when it was just loaded */
    bool escaped;               /* one went where it is not followed */
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

    insn_registers(v, pc, &reads, &writes);
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

static void follow_copies(struct flow *f)
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
        if (f->target[pc]) {
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

static bool slots_step(struct flow *f, uint32_t pc)
{
    struct verifier *v = f->v;
    const struct ebpf_decoded *insn = &v->code[pc];
    uint64_t live = 0;

    if (falls_through(insn))
        live |= v->info[next_of(insn, pc)].live_slots;
    if (jumps(insn))
        live |= v->info[insn->off].live_slots;
    live = (live & ~f->touch[pc].kills) | f->touch[pc].reads;
    if (live == v->info[pc].live_slots)
        return false;
    v->info[pc].live_slots = live;
    return true;
}

static void solve(struct flow *f)
{
    struct verifier *v = f->v;
    bool changed = true;

    while (changed) {
        changed = false;
        for (uint32_t pc = v->nr; pc-- > 0;)
            if (v->code[pc].op != OP_LD_IMM64_HIGH)
                changed |= registers_step(v, pc);
    }
    follow_copies(f);
    for (changed = true; changed;) {
        changed = false;
        for (uint32_t pc = v->nr; pc-- > 0;)
            if (v->code[pc].op != OP_LD_IMM64_HIGH)
                changed |= slots_step(f, pc);
    }
}

/* Fills in v->info. False: the program was rejected, or memory ran out. */
bool verifier_flow(struct verifier *v)
{
    struct flow f = {.v = v};
    uint32_t *stack = verifier_alloc(v, v->nr * sizeof(*stack));
    bool ok;

    f.touch = verifier_alloc(v, v->nr * sizeof(*f.touch));
    f.target = verifier_alloc(v, v->nr);
    ok = stack && f.touch && f.target && check_reachable(&f, stack);
    if (ok) {
        note_edges(&f);
        solve(&f);
    }
    for (uint32_t pc = 0; pc < v->nr; pc++)
        v->info[pc].explored = false;
    verifier_free(v, stack, v->nr * sizeof(*stack));
    verifier_free(v, f.touch, v->nr * sizeof(*f.touch));
    verifier_free(v, f.target, v->nr);
    return ok;
}
