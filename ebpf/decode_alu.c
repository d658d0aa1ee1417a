/*
 * Decoding arithmetic, moves and byte swaps: RFC 9669 4.1 and 4.2. Called by decode.c.
 */
#include "ebpf/base.h"
#include "ebpf/decode_internal.h"

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
            return decode_need_zeros(d, pc, "so");
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
            return decode_need_zeros(d, pc, "i");
        }
    }
    return REFUSE(d, pc, "sign-extending move of %d bits into %d", insn->off, wide ? 64 : 32);
}

int decode_alu(struct decoder *d, uint32_t pc)
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
    int err = decode_need_writable(d, pc, insn->dst_reg);

    if (err)
        return err;
    if (code == BPF_END)
        return decode_swap(d, pc);
    if (code == BPF_NEG) {
        d->out[pc].op = wide ? OP_NEG64 : OP_NEG32;
        return BPF_SRC(insn->code) == BPF_K ? decode_need_zeros(d, pc, "soi")
                                            : decode_unknown(d, pc);
    }
    if (code == BPF_MOV && BPF_SRC(insn->code) == BPF_X && insn->off != 0)
        return decode_movsx(d, pc, wide);
    for (unsigned i = 0; i < ARRAY_LEN(alus); i++) {
        if (alus[i].code == code && alus[i].off == insn->off) {
            d->out[pc].op = alus[i].op + decode_form(insn, wide);
            return decode_need_zeros(d, pc, BPF_SRC(insn->code) == BPF_X ? "i" : "s");
        }
    }
    return code <= BPF_ARSH ? decode_need_zeros(d, pc, "o") : decode_unknown(d, pc);
}
