/*
 * Assembling what begins with a register: arithmetic, moves, loads, references.
 */
#include "user/vm/asm_internal.h"

#include "ebpf/base.h"

/* map[id:5], map[idx:0][0]+8 or subprog[+2]; false without an error when it is neither. */
static bool reference(struct assembler *a, unsigned dst)
{
    int64_t value, offset;
    bool idx = asm_accept(a, "map[idx:");

    if (idx || asm_accept(a, "map[id:")) {
        if (!asm_expect_number(a, &value) || !asm_expect(a, "]"))
            return false;
        if (!asm_accept(a, "[0]"))
            return asm_emit_imm64(a, dst, idx ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_FD,
                                  (uint32_t)value, 0);
        return asm_expect_number(a, &offset) &&
               asm_emit_imm64(a, dst, idx ? BPF_PSEUDO_MAP_IDX_VALUE : BPF_PSEUDO_MAP_VALUE,
                              (uint32_t)value, (uint32_t)offset);
    }
    if (asm_accept(a, "subprog[")) {
        bool by_number = *a->at == '+' || *a->at == '-';

        return (by_number ? asm_expect_number(a, &value) : asm_target(a, &value)) &&
               asm_expect(a, "]") && asm_emit_imm64(a, dst, BPF_PSEUDO_FUNC, (uint32_t)value, 0);
    }
    return false;
}

static bool swap(struct assembler *a, unsigned dst)
{
    static const struct {
        const char *name;
        uint8_t code, bits;
    } swaps[] = {
#define SWAP(NAME, name, code, bits, text) {text, code, bits},
#include "ebpf/opcodes.def"
    };
    unsigned src;

    for (unsigned i = 0; i < ARRAY_LEN(swaps); i++)
        if (asm_accept(a, swaps[i].name))
            return asm_expect_reg(a, 'r', &src) &&
                   asm_emit(a, swaps[i].code, dst, 0, 0, swaps[i].bits);
    return false;
}

static bool movsx(struct assembler *a, char kind, unsigned dst)
{
    static const struct {
        const char *text;
        uint8_t bits, wide;
    } moves[] = {
#define MOVSX(NAME, name, bits, wide, text) {text, bits, wide},
#include "ebpf/opcodes.def"
    };
    unsigned src;

    for (unsigned i = 0; i < ARRAY_LEN(moves); i++)
        if (moves[i].wide == (kind == 'r' ? 64 : 32) && asm_accept(a, moves[i].text))
            return asm_expect_reg(a, kind, &src) &&
                   asm_emit(a, (kind == 'r' ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, dst, src,
                            moves[i].bits, 0);
    return false;
}

/* What follows `rN = ` and is not simply a register or a number. */
static bool assign(struct assembler *a, char kind, unsigned dst)
{
    uint8_t size, mode, wide = kind == 'r' ? BPF_ALU64 : BPF_ALU;
    const char *start = a->at;
    unsigned src;
    int64_t off;

    if (asm_accept(a, "-") && asm_reg(a, kind, &src))
        return asm_emit(a, wide | BPF_NEG, dst, 0, 0, 0);
    a->at = start;
    if (movsx(a, kind, dst))
        return true;
    if (kind == 'w' || a->error)
        return false;
    if (asm_accept(a, "*"))
        return asm_address(a, &size, &mode, &src, &off) &&
               asm_emit(a, BPF_LDX | mode | size, dst, src, off, 0);
    return swap(a, dst) || (!a->error && reference(a, dst)) || (!a->error && asm_atomic(a, dst));
}

/* rN OP rM, rN OP number, and the other assignments. */
bool asm_alu(struct assembler *a, char kind, unsigned dst)
{
    static const struct {
        const char *text;
        uint8_t code, off;
    } ops[] = {
#define ALU(NAME, name, code, off, text) {text, code, off},
#include "ebpf/opcodes.def"
    };
    uint8_t wide = kind == 'r' ? BPF_ALU64 : BPF_ALU;
    unsigned src;
    uint64_t value;
    bool hex;

    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        if (!asm_accept(a, ops[i].text))
            continue;
        if (asm_reg(a, kind, &src))
            return asm_emit(a, wide | ops[i].code | BPF_X, dst, src, ops[i].off, 0);
        if (!asm_number(a, &value, &hex))
            return ops[i].code == BPF_MOV ? assign(a, kind, dst) || asm_fail(a, "operand")
                                          : asm_fail(a, "register or number");
        if (ops[i].code == BPF_MOV && hex && kind == 'r')
            return asm_emit_imm64(a, dst, 0, (uint32_t)value, (uint32_t)(value >> 32));
        return asm_emit(a, wide | ops[i].code | BPF_K, dst, 0, ops[i].off, (int64_t)value);
    }
    return asm_fail(a, "operator");
}
