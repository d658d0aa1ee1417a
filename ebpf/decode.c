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
#include "ebpf/decode.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

struct decoder {
    const struct ebpf_prog_load *load;
    bool gpl_compatible;
    struct ebpf_decoded *out;
    uint8_t *starts; /* for each slot: 1 where a function starts */
};

/* Writes the sentence to the log; the value is -EINVAL. */
#define REFUSE(d, pc, fmt, ...)                                                                    \
    (ebpf_log_write((d)->load->log, "insn %u: " fmt "\n", (pc), ##__VA_ARGS__), -EINVAL)

static int need_zero(struct decoder *d, uint32_t pc, const char *field, int value)
{
    return value == 0 ? 0
                      : REFUSE(d, pc, "reserved field %s is %d in opcode 0x%02x, must be 0", field,
                               value, d->load->insns[pc].code);
}

/* Reserved fields of one instruction, named by letters: d dst, s src, o off, i imm. */
static int need_zeros(struct decoder *d, uint32_t pc, const char *fields)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    int err = 0;

    for (; *fields && !err; fields++) {
        switch (*fields) {
        case 'd':
            err = need_zero(d, pc, "dst", insn->dst_reg);
            break;
        case 's':
            err = need_zero(d, pc, "src", insn->src_reg);
            break;
        case 'o':
            err = need_zero(d, pc, "off", insn->off);
            break;
        default:
            err = need_zero(d, pc, "imm", insn->imm);
            break;
        }
    }
    return err;
}

static int need_writable(struct decoder *d, uint32_t pc, unsigned reg)
{
    return reg != ISA_FP ? 0 : REFUSE(d, pc, "frame pointer r10 is read only");
}

static int unknown_opcode(struct decoder *d, uint32_t pc)
{
    const struct bpf_insn *insn = &d->load->insns[pc];

    return REFUSE(d, pc, "unknown opcode 0x%02x (src %u, off %d, imm %d)", insn->code,
                  insn->src_reg, insn->off, insn->imm);
}

/* Sets out[pc].off to the slot at distance from the next one. */
static int set_target(struct decoder *d, uint32_t pc, int64_t distance)
{
    int64_t target = (int64_t)pc + 1 + distance;

    if (target < 0 || target >= d->load->nr_insns)
        return REFUSE(d, pc, "jump out of range: target %d, the program has slots 0 to %u",
                      (int)target, d->load->nr_insns - 1);
    d->out[pc].off = (int32_t)target;
    return 0;
}

static enum isa_form form_of(const struct bpf_insn *insn, bool wide)
{
    if (wide)
        return BPF_SRC(insn->code) == BPF_X ? FORM_64_X : FORM_64_K;
    return BPF_SRC(insn->code) == BPF_X ? FORM_32_X : FORM_32_K;
}

/* ---- arithmetic (RFC 9669 4.1, 4.2) --------------------------------------------------------- */

static int decode_swap(struct decoder *d, uint32_t pc)
{
    static const struct {
        uint8_t code, bits;
        uint16_t op;
    } swaps[] = {
#define SWAP(NAME, name, code, bits, text) {code, bits, OP_##NAME},
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];

    for (unsigned i = 0; i < ARRAY_LEN(swaps); i++) {
        if (swaps[i].code == insn->code && swaps[i].bits == insn->imm) {
            d->out[pc].op = swaps[i].op;
            return need_zeros(d, pc, "so");
        }
    }
    return REFUSE(d, pc, "byte swap 0x%02x of %d bits, must be 16, 32 or 64", insn->code,
                  insn->imm);
}

static int decode_movsx(struct decoder *d, uint32_t pc, bool wide)
{
    static const struct {
        uint8_t bits, wide;
        uint16_t op;
    } moves[] = {
#define MOVSX(NAME, name, bits, wide, text) {bits, wide, OP_##NAME},
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];

    for (unsigned i = 0; i < ARRAY_LEN(moves); i++) {
        if (moves[i].bits == insn->off && moves[i].wide == (wide ? 64 : 32)) {
            d->out[pc].op = moves[i].op;
            return need_zeros(d, pc, "i");
        }
    }
    return REFUSE(d, pc, "sign-extending move of %d bits into %d", insn->off, wide ? 64 : 32);
}

static int decode_alu(struct decoder *d, uint32_t pc)
{
    static const struct {
        uint8_t code, off;
        uint16_t op;
    } alus[] = {
#define ALU(NAME, name, code, off, text) {code, off, OP_##NAME##64_K},
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];
    bool wide = BPF_CLASS(insn->code) == BPF_ALU64;
    uint8_t code = BPF_OP(insn->code);
    int err = need_writable(d, pc, insn->dst_reg);

    if (err)
        return err;
    if (code == BPF_END)
        return decode_swap(d, pc);
    if (code == BPF_NEG) {
        d->out[pc].op = wide ? OP_NEG64 : OP_NEG32;
        return BPF_SRC(insn->code) == BPF_K ? need_zeros(d, pc, "soi") : unknown_opcode(d, pc);
    }
    if (code == BPF_MOV && BPF_SRC(insn->code) == BPF_X && insn->off != 0)
        return decode_movsx(d, pc, wide);
    for (unsigned i = 0; i < ARRAY_LEN(alus); i++) {
        if (alus[i].code == code && alus[i].off == insn->off) {
            d->out[pc].op = alus[i].op + form_of(insn, wide);
            return need_zeros(d, pc, BPF_SRC(insn->code) == BPF_X ? "i" : "s");
        }
    }
    return code <= BPF_ARSH ? need_zeros(d, pc, "o") : unknown_opcode(d, pc);
}

/* ---- jumps and calls (4.3) ------------------------------------------------------------------ */

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
    return need_zeros(d, pc, "do");
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
    err = set_target(d, pc, insn->imm);
    if (err)
        return err;
    d->starts[d->out[pc].off] = 1;
    return need_zeros(d, pc, "do");
}

static int decode_goto(struct decoder *d, uint32_t pc, bool wide)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    int err = need_zeros(d, pc, wide ? "dsi" : "dso");

    d->out[pc].op = OP_JA;
    return err ? err : set_target(d, pc, wide ? insn->off : insn->imm);
}

static int decode_jump(struct decoder *d, uint32_t pc)
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
        return need_zeros(d, pc, "dsoi");
    case BPF_JMP | BPF_JCOND:
        d->out[pc].op = OP_MAY_GOTO;
        err = need_zeros(d, pc, "dsi");
        return err ? err : set_target(d, pc, insn->off);
    }
    for (unsigned i = 0; i < ARRAY_LEN(jumps); i++) {
        if (jumps[i].code == BPF_OP(insn->code)) {
            d->out[pc].op = jumps[i].op + form_of(insn, wide);
            err = need_zeros(d, pc, BPF_SRC(insn->code) == BPF_X ? "i" : "s");
            return err ? err : set_target(d, pc, insn->off);
        }
    }
    return unknown_opcode(d, pc);
}

/* ---- memory (5) ----------------------------------------------------------------------------- */

static int decode_atomic(struct decoder *d, uint32_t pc)
{
    static const struct {
        int32_t imm;
        uint16_t op;
    } atomics[] = {
#define ATOMIC(NAME, function, imm) {imm, OP_ATOMIC_##NAME##64},
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];
    uint8_t size = BPF_SIZE(insn->code);

    if (size != BPF_W && size != BPF_DW)
        return REFUSE(d, pc, "atomic operation of %u bytes, must be 4 or 8",
                      size == BPF_B ? 1u : 2u);
    for (unsigned i = 0; i < ARRAY_LEN(atomics); i++) {
        if (atomics[i].imm != insn->imm)
            continue;
        d->out[pc].op = atomics[i].op + (size == BPF_W);
        if ((insn->imm & BPF_FETCH) && insn->imm != BPF_CMPXCHG)
            return need_writable(d, pc, insn->src_reg);
        return 0;
    }
    return REFUSE(d, pc, "unknown atomic operation 0x%x", (unsigned)insn->imm);
}

static int decode_load_store(struct decoder *d, uint32_t pc)
{
    static const uint16_t loads[] = {
#define MEM(NAME, type, code, text) [(code) >> 3] = OP_LDX_##NAME,
#include "ebpf/opcodes.def"
    };
    static const uint16_t signed_loads[] = {
#define LDSX(NAME, type, code, text) [(code) >> 3] = OP_LDSX_##NAME,
#include "ebpf/opcodes.def"
        [BPF_DW >> 3] = 0,
    };
    static const uint16_t stores[] = {
#define MEM(NAME, type, code, text) [(code) >> 3] = OP_STX_##NAME,
#include "ebpf/opcodes.def"
    };
    static const uint16_t immediate_stores[] = {
#define MEM(NAME, type, code, text) [(code) >> 3] = OP_ST_##NAME,
#include "ebpf/opcodes.def"
    };
    const struct bpf_insn *insn = &d->load->insns[pc];
    unsigned size = BPF_SIZE(insn->code) >> 3;
    struct ebpf_decoded *out = &d->out[pc];
    int err;

    out->off = insn->off;
    switch (insn->code & ~(uint8_t)BPF_DW) {
    case BPF_LDX | BPF_MEM:
    case BPF_LDX | BPF_MEMSX:
        if (BPF_MODE(insn->code) == BPF_MEMSX && BPF_SIZE(insn->code) == BPF_DW)
            return unknown_opcode(d, pc);
        out->op = BPF_MODE(insn->code) == BPF_MEM ? loads[size] : signed_loads[size];
        err = need_zeros(d, pc, "i");
        return err ? err : need_writable(d, pc, insn->dst_reg);
    case BPF_STX | BPF_MEM:
        out->op = stores[size];
        return need_zeros(d, pc, "i");
    case BPF_ST | BPF_MEM:
        out->op = immediate_stores[size];
        return need_zeros(d, pc, "s");
    case BPF_STX | BPF_ATOMIC:
        return decode_atomic(d, pc);
    }
    return unknown_opcode(d, pc);
}

/* ---- 64-bit immediates (5.4) ---------------------------------------------------------------- */

static int decode_map_reference(struct decoder *d, uint32_t pc, bool value)
{
    const struct bpf_insn *insn = &d->load->insns[pc];
    uint32_t index = (uint32_t)insn->imm, offset = (uint32_t)insn[1].imm;
    struct ebpf_map *map;
    void *addr = NULL;
    uint64_t saved;
    int err = -EBPF_ENOTSUPP;

    if (index >= d->load->nr_maps)
        return REFUSE(d, pc, "map reference %u, the program uses %u maps", index, d->load->nr_maps);
    map = d->load->maps[index];
    if (!value) {
        d->out[pc].imm = (uintptr_t)map;
        return need_zero(d, pc, "next imm", insn[1].imm);
    }
    if (map->ops->direct_value) {
        saved = port_lock();
        err = map->ops->direct_value(map, offset, &addr);
        port_unlock(saved);
    }
    if (err == -EINVAL)
        return REFUSE(d, pc, "offset %u is not in map %s: a value has %u bytes", offset, map->name,
                      map->value_size);
    if (err)
        return REFUSE(d, pc,
                      "values of map %s have no direct address: it is a map of type %s with %u "
                      "entries, must be an array with 1",
                      map->name, map->ops->name, map->max_entries);
    d->out[pc].imm = (uintptr_t)addr;
    return 0;
}

static int decode_imm64(struct decoder *d, uint32_t pc)
{
    const struct bpf_insn *insn = &d->load->insns[pc], *high = insn + 1;
    struct ebpf_decoded *out = &d->out[pc];
    int err;

    if (pc + 1 >= d->load->nr_insns)
        return REFUSE(d, pc, "the second half of this 16-byte instruction is missing");
    if (high->code || high->dst_reg || high->src_reg || high->off)
        return REFUSE(d, pc,
                      "second half of ld_imm64 has opcode 0x%02x and fields %u, %u, %d; "
                      "all must be 0",
                      high->code, high->dst_reg, high->src_reg, high->off);
    err = need_zeros(d, pc, "o");
    if (err || (err = need_writable(d, pc, insn->dst_reg)))
        return err;
    out->op = OP_LD_IMM64;
    out[1].op = OP_LD_IMM64_HIGH;
    switch (insn->src_reg) {
    case 0:
        out->imm = (uint64_t)(uint32_t)high->imm << 32 | (uint32_t)insn->imm;
        return 0;
    case BPF_PSEUDO_MAP_FD:
    case BPF_PSEUDO_MAP_IDX:
        return decode_map_reference(d, pc, false);
    case BPF_PSEUDO_MAP_VALUE:
    case BPF_PSEUDO_MAP_IDX_VALUE:
        return decode_map_reference(d, pc, true);
    case BPF_PSEUDO_FUNC:
        err = set_target(d, pc, insn->imm);
        if (err || (err = need_zero(d, pc, "next imm", high->imm)))
            return err;
        out->imm = (uint32_t)out->off;
        d->starts[out->off] = 1;
        return 0;
    case BPF_PSEUDO_BTF_ID:
        return REFUSE(d, pc, "reference to BTF id %d of a kernel variable: not supported",
                      insn->imm);
    }
    return REFUSE(d, pc, "ld_imm64 with source %u, there are 0 to 6", insn->src_reg);
}

static int decode_load_immediate(struct decoder *d, uint32_t pc)
{
    uint8_t code = d->load->insns[pc].code;

    if (code == (BPF_LD | BPF_IMM | BPF_DW))
        return decode_imm64(d, pc);
    if (BPF_MODE(code) == BPF_ABS || BPF_MODE(code) == BPF_IND)
        return REFUSE(d, pc,
                      "legacy packet load (%s) 0x%02x: not supported, use direct packet "
                      "access",
                      BPF_MODE(code) == BPF_ABS ? "BPF_ABS" : "BPF_IND", code);
    return unknown_opcode(d, pc);
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
        return decode_load_immediate(d, pc);
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
