/*
 * Global functions: those that BTF calls so are walked once, for any arguments that their
 * signature allows, and calls of them are held against that signature alone. Linux:
 * btf_prepare_func_args, btf_check_subprog_arg_match, check_max_stack_depth.
 */
#include <linux/btf.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/helper.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_helper.h"

#define ARGS_MAX 5u /* Linux: MAX_BPF_FUNC_REG_ARGS */

struct param {
    enum { PARAM_NUMBER, PARAM_CTX, PARAM_MEM } kind;
    uint32_t size; /* PARAM_MEM: bytes there */
};

struct signature {
    const char *name;
    unsigned nr;
    struct param params[ARGS_MAX];
};

/* ---- what BTF says ------------------------------------------------------------------------------
 */

static const struct btf_type *type_of(const struct verifier *v, const struct bpf_func_info *info)
{
    const struct btf_type *type = ebpf_btf_type(v->load->btf, info->type_id);

    return type && BTF_INFO_KIND(type->info) == BTF_KIND_FUNC ? type : NULL;
}

static bool is_number(const struct btf_type *type)
{
    uint32_t kind = type ? BTF_INFO_KIND(type->info) : BTF_KIND_UNKN;

    return kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}

/* The struct that programs of a type know their context as. */
static const char *context_struct(uint32_t prog_type)
{
    static const struct {
        uint32_t prog_type;
        const char *name;
    } structs[] = {
        {BPF_PROG_TYPE_XDP, "xdp_md"},
        {BPF_PROG_TYPE_SOCKET_FILTER, "__sk_buff"},
        {BPF_PROG_TYPE_SCHED_CLS, "__sk_buff"},
        {BPF_PROG_TYPE_KPROBE, "pt_regs"},
        {BPF_PROG_TYPE_PERF_EVENT, "bpf_perf_event_data"},
        {BPF_PROG_TYPE_RAW_TRACEPOINT, "bpf_raw_tracepoint_args"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(structs); i++)
        if (structs[i].prog_type == prog_type)
            return structs[i].name;
    return "";
}

static bool is_context(const struct verifier *v, const struct btf_type *type)
{
    return type && BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT &&
           text_equal(ebpf_btf_name(v->load->btf, type->name_off), context_struct(v->load->type));
}

static bool read_param(struct verifier *v, struct signature *s, uint32_t id)
{
    const struct ebpf_btf *btf = v->load->btf;
    const struct btf_type *type = ebpf_btf_resolve(btf, id);
    struct param *param = &s->params[s->nr];

    *param = (struct param){.kind = PARAM_NUMBER};
    if (!is_number(type) && (!type || BTF_INFO_KIND(type->info) != BTF_KIND_PTR))
        return verifier_reject(v, -EINVAL, RULE_SIGNATURE, NO_REG,
                               "Arg#%u type in %s() is not supported yet", s->nr, s->name);
    if (!is_number(type)) {
        const struct btf_type *to = ebpf_btf_resolve(btf, type->type);

        param->kind = is_context(v, to) ? PARAM_CTX : PARAM_MEM;
        if (param->kind == PARAM_MEM && ebpf_btf_type_size(btf, type->type, &param->size))
            return verifier_reject(v, -EINVAL, RULE_SIGNATURE, NO_REG,
                                   "arg#%u reference type('%s') size cannot be determined in %s()",
                                   s->nr, to ? ebpf_btf_name(btf, to->name_off) : "void", s->name);
    }
    s->nr++;
    return true;
}

/* The signature of the global function at slot. False: none that can be checked; rejected. */
static bool read_signature(struct verifier *v, uint32_t slot, struct signature *s)
{
    const struct bpf_func_info *info = v->load->func_info;
    const struct btf_type *func, *proto, *result;
    const struct btf_param *params;

    while (info->insn_off != slot)
        info++;
    func = type_of(v, info);
    proto = ebpf_btf_type(v->load->btf, func->type);
    *s = (struct signature){.name = ebpf_btf_name(v->load->btf, func->name_off)};
    if (!proto || BTF_INFO_KIND(proto->info) != BTF_KIND_FUNC_PROTO)
        return verifier_reject(v, -EINVAL, RULE_SIGNATURE, NO_REG, "Invalid BTF of func %s",
                               s->name);
    if (BTF_INFO_VLEN(proto->info) > ARGS_MAX)
        return verifier_reject(v, -EINVAL, RULE_SIGNATURE, NO_REG,
                               "Global function %s() with %u > %u args. Buggy compiler", s->name,
                               BTF_INFO_VLEN(proto->info), ARGS_MAX);
    result = ebpf_btf_resolve(v->load->btf, proto->type);
    if (!is_number(result))
        return verifier_reject(v, -EINVAL, RULE_SIGNATURE, NO_REG,
                               "Global function %s() doesn't return scalar. Only those are "
                               "supported",
                               s->name);
    params = (const struct btf_param *)(proto + 1);
    for (unsigned i = 0; i < BTF_INFO_VLEN(proto->info); i++)
        if (!read_param(v, s, params[i].type))
            return false;
    return true;
}

/* Does BTF know of functions that are static? Of the others each is an entry. */
bool function_find_globals(struct verifier *v)
{
    const struct bpf_func_info *info = v->load->func_info;

    for (uint32_t i = 0; v->load->btf && i < v->load->nr_func_info; i++) {
        const struct btf_type *type = type_of(v, &info[i]);
        uint32_t slot = info[i].insn_off;

        if (!type || slot == 0 || slot >= v->nr || v->info[slot].function != slot ||
            BTF_INFO_VLEN(type->info) != BTF_FUNC_GLOBAL)
            continue;
        v->info[slot].global = v->has_globals = true;
        if (!entry_add(v, (struct entry){.slot = slot, .kind = ENTRY_GLOBAL}))
            return false;
    }
    return true;
}

/* ---- the function itself ------------------------------------------------------------------------
 */

/* v->now is at its entry: any arguments of its signature. */
bool function_begin(struct verifier *v)
{
    struct reg *arg = &v->now->frames[0].regs[1];
    struct signature s;

    if (!read_signature(v, v->now->pc, &s))
        return false;
    for (unsigned i = 0; i < s.nr; i++) {
        if (s.params[i].kind == PARAM_NUMBER)
            reg_set_unknown(&arg[i]);
        else if (s.params[i].kind == PARAM_CTX)
            arg[i] = (struct reg){.type = REG_CTX, .n = scalar_const(0)};
        else
            arg[i] = (struct reg){.type = REG_MEM_OR_NULL,
                                  .id = ++v->next_id,
                                  .size = s.params[i].size,
                                  .n = scalar_const(0)};
    }
    return true;
}

/* ---- calls of it --------------------------------------------------------------------------------
 */

/* Memory that is there to read and write, or NULL. */
static bool check_memory(struct verifier *v, unsigned regno, uint32_t size)
{
    struct reg *reg = reg_now(v, regno), saved = *reg;
    bool ok;

    if (reg_is_const(reg) && reg->n.umin == 0)
        return precise_reg(v, regno);
    if (is_or_null((enum reg_type)reg->type))
        reg_set_not_null(reg);
    ok = memory_region(v, regno, size, false, "function") &&
         memory_region(v, regno, size, true, "function");
    *reg = saved;
    return ok;
}

static bool check_argument(struct verifier *v, const struct param *param, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type == REG_NONE)
        return call_wrong_type(v, regno, "");
    switch (param->kind) {
    case PARAM_NUMBER:
        return reg->type == REG_SCALAR || verifier_reject(v, -EINVAL, RULE_GLOBAL_ARGUMENT,
                                                          (int)regno, "R%u is not a scalar", regno);
    case PARAM_CTX:
        return (reg->type == REG_CTX && reg->off == 0 && scalar_is_const(&reg->n)) ||
               verifier_reject(v, -EINVAL, RULE_GLOBAL_ARGUMENT, (int)regno,
                               "arg#%u expected pointer to ctx, but got %s", regno - 1,
                               reg_type_name((enum reg_type)reg->type));
    case PARAM_MEM:
        return check_memory(v, regno, param->size);
    }
    return false;
}

/* A call of a global function, which is not walked: it was, or will be. */
bool function_call(struct verifier *v, uint32_t slot)
{
    struct signature s;

    if (!read_signature(v, slot, &s))
        return false;
    for (unsigned i = 0; i < s.nr; i++)
        if (!check_argument(v, &s.params[i], i + 1))
            return false;
    v->trace[v->nr_trace - 1] |= TRACE_TURN;
    if (v->info[slot].moves_packet)
        forget_packets(v);
    call_clobber(v);
    reg_set_unknown(reg_now(v, 0));
    v->now->pc++;
    return true;
}

/* ---- the program's call graph, where functions are not walked at each call ----------------------
 */

/* The function that an instruction leads into on its own stack frame; 0: none. */
static uint32_t leads_into(const struct verifier *v, uint32_t pc)
{
    const struct ebpf_decoded *insn = &v->code[pc];

    if (insn->op == OP_CALL_LOCAL)
        return (uint32_t)insn->off;
    if (insn->op == OP_LD_IMM64 && v->load->insns[pc].src_reg == BPF_PSEUDO_FUNC &&
        v->info[insn->imm].called_back)
        return (uint32_t)insn->imm;
    return 0;
}

static bool moves_packet(const struct verifier *v, uint32_t pc)
{
    const struct ebpf_decoded *insn = &v->code[pc];
    uint32_t function = insn->op == OP_CALL_LOCAL ? (uint32_t)insn->off : 0;

    if (insn->op == OP_LD_IMM64 && v->load->insns[pc].src_reg == BPF_PSEUDO_FUNC)
        function = (uint32_t)insn->imm;
    return insn->op == OP_TAIL_CALL || (function && v->info[function].moves_packet) ||
           (insn->op == OP_CALL_HELPER &&
            (ebpf_helper_rules((const struct ebpf_helper *)insn->imm)->what & HELPER_MOVES_PACKET));
}

/* Which functions may move the packet, or call one that does? */
void function_find_movers(struct verifier *v)
{
    bool changed = v->has_globals;

    while (changed) {
        changed = false;
        for (uint32_t pc = 0; pc < v->nr; pc++) {
            struct insn_info *info = &v->info[v->info[pc].function];

            if (info->moves_packet || !moves_packet(v, pc))
                continue;
            info->moves_packet = changed = true;
        }
    }
}

/* Frames from the function at slot down; depth is how many are above it. 0: rejected. */
static uint32_t frames_of(struct verifier *v, uint8_t *known, uint32_t slot, uint32_t depth)
{
    uint32_t most = 1;

    v->err_slot = slot;
    if (depth == ISA_FRAMES_MAX) {
        verifier_reject(v, -EINVAL, RULE_CALL_DEPTH, NO_REG,
                        "the call stack of %u frames is too deep, %u are allowed; does a function "
                        "call itself?",
                        ISA_FRAMES_MAX + 1, ISA_FRAMES_MAX);
        return 0;
    }
    if (known[slot] && depth + known[slot] <= ISA_FRAMES_MAX)
        return known[slot];
    for (uint32_t pc = slot; pc < v->nr && v->info[pc].function == slot; pc++) {
        uint32_t to = leads_into(v, pc), below = to ? frames_of(v, known, to, depth + 1) : 0;

        if (to && !below)
            return 0;
        most = below + 1 > most ? below + 1 : most;
    }
    known[slot] = (uint8_t)most;
    return most;
}

/* After the walks, which saw no chain of calls that leads through global functions whole. */
bool function_check_depth(struct verifier *v)
{
    uint8_t *known;
    bool ok = true;

    if (!v->has_globals)
        return true;
    known = verifier_alloc(v, v->nr);
    if (!known)
        return false;
    for (uint32_t i = 0; i < v->nr_entries && ok; i++) {
        uint32_t frames = frames_of(v, known, v->entries[i].slot, 0);

        ok = frames != 0;
        if (frames > v->proof->max_frames)
            v->proof->max_frames = (uint8_t)frames;
    }
    verifier_free(v, known, v->nr);
    return ok;
}
