/*
 * Decoding loads, stores, atomic operations and 64-bit immediates: RFC 9669 5. Called by decode.c.
 */
#include "ebpf/base.h"
#include "ebpf/decode_internal.h"
#include "ebpf/map.h"
#include "ebpf/port.h"

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
            return decode_need_writable(d, pc, insn->src_reg);
        return 0;
    }
    return REFUSE(d, pc, "unknown atomic operation 0x%x", (unsigned)insn->imm);
}

int decode_load_store(struct decoder *d, uint32_t pc)
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
            return decode_unknown(d, pc);
        out->op = BPF_MODE(insn->code) == BPF_MEM ? loads[size] : signed_loads[size];
        err = decode_need_zeros(d, pc, "i");
        return err ? err : decode_need_writable(d, pc, insn->dst_reg);
    case BPF_STX | BPF_MEM:
        out->op = stores[size];
        return decode_need_zeros(d, pc, "i");
    case BPF_ST | BPF_MEM:
        out->op = immediate_stores[size];
        return decode_need_zeros(d, pc, "s");
    case BPF_STX | BPF_ATOMIC:
        return decode_atomic(d, pc);
    }
    return decode_unknown(d, pc);
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
        return decode_need_zero(d, pc, "next imm", insn[1].imm);
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
    err = decode_need_zeros(d, pc, "o");
    if (err || (err = decode_need_writable(d, pc, insn->dst_reg)))
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
        err = decode_set_target(d, pc, insn->imm);
        if (err || (err = decode_need_zero(d, pc, "next imm", high->imm)))
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

int decode_immediate(struct decoder *d, uint32_t pc)
{
    uint8_t code = d->load->insns[pc].code;

    if (code == (BPF_LD | BPF_IMM | BPF_DW))
        return decode_imm64(d, pc);
    if (BPF_MODE(code) == BPF_ABS || BPF_MODE(code) == BPF_IND)
        return REFUSE(d, pc,
                      "legacy packet load (%s) 0x%02x: not supported, use direct packet "
                      "access",
                      BPF_MODE(code) == BPF_ABS ? "BPF_ABS" : "BPF_IND", code);
    return decode_unknown(d, pc);
}
