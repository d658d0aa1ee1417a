/*
 * From bytecode to decoded programs: every instruction of RFC 9669 and what Linux added since
 * (may_goto), its reserved fields, register numbers, map and helper references, and the program's
 * structure: jumps land inside their own function and not in the middle of a 16-byte instruction,
 * and no function runs off its end. Called by prog.c at load.
 *
 * Not checked here: what the values are. Reachability, types and bounds are the verifier's; until
 * then the checked interpreter tests each access when it happens.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/decode_internal.h"
#include "ebpf/port.h"

int decode_need_zero(struct decoder *d, uint32_t pc, const char *field, int value)
{
    return value == 0 ? 0
                      : REFUSE(d, pc, "reserved field %s is %d in opcode 0x%02x, must be 0", field,
                               value, d->load->insns[pc].code);
}

/* Reserved fields of one instruction, named by letters: d dst, s src, o off, i imm. */
int decode_need_zeros(struct decoder *d, uint32_t pc, const char *fields)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    int err = 0;

    for (; *fields && !err; fields++) {
        switch (*fields) {
        case 'd':
            err = decode_need_zero(d, pc, "dst", insn->dst_reg);
            break;
        case 's':
            err = decode_need_zero(d, pc, "src", insn->src_reg);
            break;
        case 'o':
            err = decode_need_zero(d, pc, "off", insn->off);
            break;
        default:
            err = decode_need_zero(d, pc, "imm", insn->imm);
            break;
        }
    }
    return err;
}

int decode_need_writable(struct decoder *d, uint32_t pc, unsigned reg)
{
    return reg != ISA_FP ? 0 : REFUSE(d, pc, "frame pointer r10 is read only");
}

int decode_unknown(struct decoder *d, uint32_t pc)
{
    const struct bpf_insn *insn = &d->load->insns[pc];

    return REFUSE(d, pc, "unknown opcode 0x%02x (src %u, off %d, imm %d)", insn->code,
                  insn->src_reg, insn->off, insn->imm);
}

/* Sets out[pc].off to the slot at distance from the next one. */
int decode_set_target(struct decoder *d, uint32_t pc, int64_t distance)
{
    int64_t target = (int64_t)pc + 1 + distance;

    if (target < 0 || target >= d->load->nr_insns)
        return REFUSE(d, pc, "jump out of range: target %d, the program has slots 0 to %u",
                      (int)target, d->load->nr_insns - 1);
    d->out[pc].off = (int32_t)target;
    return 0;
}

enum isa_form decode_form(const struct bpf_insn *insn, bool wide)
{
    if (wide)
        return BPF_SRC(insn->code) == BPF_X ? FORM_64_X : FORM_64_K;
    return BPF_SRC(insn->code) == BPF_X ? FORM_32_X : FORM_32_K;
}

/* ---- the whole program ---------------------------------------------------------------------- */

static int decode_one(struct decoder *d, uint32_t pc)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    struct ebpf_decoded *out = &d->out[pc];

    if (insn->dst_reg >= ISA_REGISTERS || insn->src_reg >= ISA_REGISTERS)
        return REFUSE(d, pc, "register r%u does not exist",
                      insn->dst_reg >= ISA_REGISTERS ? insn->dst_reg : insn->src_reg);
    out->dst = insn->dst_reg;
    out->src = insn->src_reg;
    out->imm = (uint64_t)(int64_t)insn->imm;
    switch (BPF_CLASS(insn->code)) {
    case BPF_ALU:
    case BPF_ALU64:
        return decode_alu(d, pc);
    case BPF_JMP:
    case BPF_JMP32:
        return decode_jump(d, pc);
    case BPF_LD:
        return decode_immediate(d, pc);
    default:
        return decode_load_store(d, pc);
    }
}

/* JEQ opens the list of conditional jumps in opcodes.def, JSLE ends it. */
static bool is_jump(const struct ebpf_decoded *insn)
{
    return insn->op == OP_JA || insn->op == OP_MAY_GOTO ||
           (insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X);
}

/* One function, [start, end): its jumps stay inside, and its last instruction ends or jumps. */
static int check_function(struct decoder *d, uint32_t start, uint32_t end)
{
    const struct ebpf_decoded *out = d->out;
    uint32_t last = end - 1;

    for (uint32_t pc = start; pc < end; pc++) {
        uint32_t target = (uint32_t)out[pc].off;

        if (!is_jump(&out[pc]))
            continue;
        if (target < start || target >= end)
            return REFUSE(d, pc,
                          "jump out of range: target %u is outside this function, "
                          "slots %u to %u",
                          target, start, last);
        if (out[target].op == OP_LD_IMM64_HIGH)
            return REFUSE(d, pc, "jump into the middle of a 16-byte instruction: target %u",
                          target);
    }
    if (out[last].op != OP_EXIT && out[last].op != OP_JA)
        return REFUSE(d, last, "last insn is not an exit or jmp: the function runs off its end");
    return 0;
}

static int check_structure(struct decoder *d)
{
    uint32_t nr = d->load->nr_insns, start = 0;
    int err = 0;

    for (uint32_t pc = 0; pc < nr; pc++)
        if (d->starts[pc] && d->out[pc].op == OP_LD_IMM64_HIGH)
            return REFUSE(d, pc, "a call leads into the middle of a 16-byte instruction");
    for (uint32_t pc = 1; pc <= nr && !err; pc++) {
        if (pc == nr || d->starts[pc]) {
            err = check_function(d, start, pc);
            start = pc;
        }
    }
    return err;
}

/* Decodes a program of at least one instruction into out, which has an entry for each slot. 0,
 * -ENOMEM, or -EINVAL with a sentence in load's log that names the instruction, the rule and the
 * value. Thread context. */
int ebpf_decode(const struct ebpf_prog_load *load, bool gpl_compatible, struct ebpf_decoded *out)
{
    struct decoder d = {.load = load, .gpl_compatible = gpl_compatible, .out = out};
    int err = 0;

    d.starts = port_alloc(load->nr_insns);
    if (!d.starts)
        return -ENOMEM;
    for (uint32_t pc = 0; pc < load->nr_insns && !err; pc++) {
        err = decode_one(&d, pc);
        if (out[pc].op == OP_LD_IMM64)
            pc++;
    }
    if (!err)
        err = check_structure(&d);
    port_free(d.starts);
    return err;
}
