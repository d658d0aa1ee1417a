/*
 * Before the walk: the program's graph. Every instruction must be reachable; where paths meet and
 * which jumps make loops is noted; and, by data flow from the end to the start, which registers and
 * stack slots may still be read (a state's dead parts need not be compared).
 */
#include "ebpf/base.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_flow.h"

static bool names_function(const struct verifier *v, uint32_t pc)
{
    return v->code[pc].op == OP_LD_IMM64 && v->load->insns[pc].src_reg == BPF_PSEUDO_FUNC;
}

/* ---- reachability (Linux: check_cfg) ------------------------------------------------------------
 */

static void reach(struct flow *f, uint32_t pc)
{
    if (f->v->info[pc].explored)
        return;
    f->v->info[pc].explored = true;
    f->work[f->nr_work++] = pc;
}

static bool check_reachable(struct flow *f)
{
    struct verifier *v = f->v;

    reach(f, 0);
    while (f->nr_work) {
        uint32_t pc = f->work[--f->nr_work];
        const struct ebpf_decoded *insn = &v->code[pc];

        if (falls_through(insn))
            reach(f, next_of(insn, pc));
        if (jumps(insn) || insn->op == OP_CALL_LOCAL)
            reach(f, (uint32_t)insn->off);
        if (names_function(v, pc))
            reach(f, (uint32_t)insn->imm);
    }
    for (uint32_t pc = 0; pc < v->nr; pc++) {
        v->err_slot = pc;
        if (!v->info[pc].explored && v->code[pc].op != OP_LD_IMM64_HIGH)
            return verifier_reject(v, -EINVAL, RULE_UNREACHABLE, NO_REG,
                                   "unreachable insn %u: no path from the program's start leads "
                                   "here",
                                   pc);
        v->info[pc].explored = false;
    }
    return true;
}

/* ---- where paths meet ---------------------------------------------------------------------------
 */

static void note_jump(struct flow *f, uint32_t pc, uint32_t to)
{
    struct insn_info *info = &f->v->info[to];
    const struct ebpf_decoded *code = f->v->code;

    if (f->first[to + 1] || (to && falls_through(&code[to - 1])) ||
        (to > 1 && code[to - 1].op == OP_LD_IMM64_HIGH))
        info->merge = true;
    if (to > pc)
        return;
    info->merge = info->loop_head = true;
    if (pc > info->loop_end)
        info->loop_end = pc;
}

/* Does it lead to where the next instruction is anyhow? */
static bool jumps_on(const struct ebpf_decoded *insn, uint32_t pc)
{
    return (uint32_t)insn->off == next_of(insn, pc);
}

static bool is_edge(const struct ebpf_decoded *insn, uint32_t pc)
{
    return insn->op == OP_CALL_LOCAL ||
           (jumps(insn) && !(falls_through(insn) && jumps_on(insn, pc)));
}

/* Leaves in f->first[pc + 1] how many lead to pc. */
static void note_edges(struct flow *f)
{
    struct verifier *v = f->v;
    uint32_t function = 0;

    for (uint32_t pc = 0; pc < v->nr; pc++) {
        const struct ebpf_decoded *insn = &v->code[pc];
        uint32_t to = (uint32_t)insn->off, next = next_of(insn, pc);

        if (insn->op == OP_CALL_LOCAL) {
            v->info[to].function = UINT32_MAX;
            v->info[next].merge = true;
        }
        if (names_function(v, pc))
            v->info[insn->imm].function = UINT32_MAX;
        if (helper_calls_back(insn)) {
            v->info[pc].merge = v->info[pc].loop_head = v->info[pc].calls_back = true;
            v->info[pc].loop_end = pc;
            v->info[next].merge = true;
        }
        if (jumps(insn) && !jumps_on(insn, pc))
            note_jump(f, pc, to);
        if (is_edge(insn, pc))
            f->first[to + 1]++;
    }
    for (uint32_t pc = 0; pc < v->nr; pc++) {
        if (v->info[pc].function == UINT32_MAX)
            function = pc;
        v->info[pc].function = function;
    }
}

/* Fills in f->from, and makes f->first what it is to be. */
static void collect_edges(struct flow *f)
{
    const struct verifier *v = f->v;

    for (uint32_t pc = 0; pc < v->nr; pc++)
        f->first[pc + 1] += f->first[pc];
    for (uint32_t pc = 0; pc < v->nr; pc++)
        if (is_edge(&v->code[pc], pc))
            f->from[f->first[v->code[pc].off]++] = pc;
    for (uint32_t pc = v->nr; pc > 0; pc--)
        f->first[pc] = f->first[pc - 1];
    f->first[0] = 0;
}

/* Fills in v->info. False: the program was rejected, or memory ran out. */
bool verifier_flow(struct verifier *v)
{
    struct flow f = {.v = v};
    uint64_t word = (uint64_t)v->nr * sizeof(uint32_t);
    bool ok;

    f.touch = verifier_alloc(v, v->nr * sizeof(*f.touch));
    f.uses = verifier_alloc(v, word);
    f.from = verifier_alloc(v, word);
    f.work = verifier_alloc(v, word);
    f.first = verifier_alloc(v, word + sizeof(uint32_t));
    ok = f.touch && f.uses && f.from && f.work && f.first && check_reachable(&f);
    if (ok) {
        note_edges(&f);
        collect_edges(&f);
        flow_registers(&f);
        flow_copies(&f);
        flow_slots(&f);
    }
    verifier_free(v, f.touch, v->nr * sizeof(*f.touch));
    verifier_free(v, f.uses, word);
    verifier_free(v, f.from, word);
    verifier_free(v, f.work, word);
    verifier_free(v, f.first, word + sizeof(uint32_t));
    return ok;
}
