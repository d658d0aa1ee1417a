/*
 * Decoding jumps and calls: RFC 9669 4.3, and Linux's may_goto. Called by decode.c.
 */
#include "ebpf/base.h"
#include "ebpf/decode_internal.h"
#include "ebpf/helper.h"

static int decode_helper_call(struct decoder *d, uint32_t pc)
{
    uint32_t id = (uint32_t)d->load->insns[pc].imm;
    const char *name = ebpf_helper_name(id);
    const struct ebpf_helper *helper = ebpf_helper_get(id);

    if (!name)
        return REFUSE(d, pc, "invalid func unknown#%u: there is no such helper", id);
    if (!helper)
        return REFUSE(d, pc, "unknown func bpf_%s#%u: Skep does not have this helper", name, id);
    if (!(helper->prog_types >> d->load->type & 1))
        return REFUSE(d, pc, "unknown func bpf_%s#%u: not for program type %u", name, id,
                      d->load->type);
    if (helper->gpl_only && !d->gpl_compatible)
        return REFUSE(d, pc,
                      "bpf_%s#%u: cannot call GPL-restricted function from non-GPL compatible "
                      "program",
                      name, id);
    d->out[pc].op = id == BPF_FUNC_tail_call ? OP_TAIL_CALL : OP_CALL_HELPER;
    d->out[pc].imm = (uintptr_t)helper;
    return decode_need_zeros(d, pc, "do");
}

static int decode_call(struct decoder *d, uint32_t pc)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    int err;

    if (BPF_SRC(insn->code) == BPF_X)
        return REFUSE(d, pc, "callx: calls through registers are not supported");
    if (insn->src_reg == 0)
        return decode_helper_call(d, pc);
    if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
        return REFUSE(d, pc, "call of kernel function with BTF id %d: not supported", insn->imm);
    if (insn->src_reg != BPF_PSEUDO_CALL)
        return REFUSE(d, pc, "call with source %u, must be 0 (helper) or 1 (function)",
                      insn->src_reg);
    d->out[pc].op = OP_CALL_LOCAL;
    err = decode_set_target(d, pc, insn->imm);
    if (err)
        return err;
    d->starts[d->out[pc].off] = 1;
    return decode_need_zeros(d, pc, "do");
}

static int decode_goto(struct decoder *d, uint32_t pc, bool wide)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    int err = decode_need_zeros(d, pc, wide ? "dsi" : "dso");

    d->out[pc].op = OP_JA;
    return err ? err : decode_set_target(d, pc, wide ? insn->off : insn->imm);
}

int decode_jump(struct decoder *d, uint32_t pc)
{
    static const struct {
        uint8_t code;
        uint16_t op;
    } jumps[] = {
#define JUMP(NAME, name, code, text) {code, OP_##NAME##64_K},
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];
    bool wide = BPF_CLASS(insn->code) == BPF_JMP;
    int err;

    switch (insn->code) {
    case BPF_JMP | BPF_JA:
    case BPF_JMP32 | BPF_JA:
        return decode_goto(d, pc, wide);
    case BPF_JMP | BPF_CALL:
    case BPF_JMP | BPF_CALL | BPF_X:
        return decode_call(d, pc);
    case BPF_JMP | BPF_EXIT:
        d->out[pc].op = OP_EXIT;
        return decode_need_zeros(d, pc, "dsoi");
    case BPF_JMP | BPF_JCOND:
        d->out[pc].op = OP_MAY_GOTO;
        err = decode_need_zeros(d, pc, "dsi");
        return err ? err : decode_set_target(d, pc, insn->off);
    }
    for (unsigned i = 0; i < ARRAY_LEN(jumps); i++) {
        if (jumps[i].code == BPF_OP(insn->code)) {
            d->out[pc].op = jumps[i].op + decode_form(insn, wide);
            err = decode_need_zeros(d, pc, BPF_SRC(insn->code) == BPF_X ? "i" : "s");
            return err ? err : decode_set_target(d, pc, insn->off);
        }
    }
    return decode_unknown(d, pc);
}
