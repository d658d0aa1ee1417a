/*
 * The assembler. One instruction a line, as ebpf/disasm.c prints it; a slot number `12:` and an
 * opcode `(b7)` in front are skipped. `#` starts a comment at the beginning of a line. A line
 * `name:` is a label, which jumps and calls may name instead of `pc+N`.
 *
 *     r1 = 5           mov, decimal; sign-extended to 64 bits
 *     r1 = 0x5         the 16-byte ld_imm64: hexadecimal, as the disassembler tells them apart
 *     r1 = map[idx:0]  ld_imm64 of the first map; map[idx:0][0]+8 of a value
 *     r1 = subprog[+3] ld_imm64 of a function; subprog[name]
 *     call bpf_map_lookup_elem#1, or without the number; call pc+2, call name
 *
 * Called by tests/unit and skep-vm. The opcodes come from ebpf/opcodes.def.
 */
#include "user/vm/asm.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/isa.h"

#define LABELS_MAX 64u
#define NAME_MAX_  32u

struct label {
    char name[NAME_MAX_];
    unsigned slot;
};

struct assembler {
    const char *at; /* where the line under way is read */
    struct bpf_insn *out;
    unsigned nr, max;
    bool counting; /* first pass: labels are being collected */
    struct label labels[LABELS_MAX];
    unsigned nr_labels;
    const char *error;
};

/* ---- reading -------------------------------------------------------------------------------- */

static void skip_space(struct assembler *a)
{
    while (*a->at == ' ' || *a->at == '\t')
        a->at++;
}

/* Takes text if it comes next. A word does not match the beginning of a longer one. */
static bool accept(struct assembler *a, const char *text)
{
    size_t len = strlen(text);

    skip_space(a);
    if (strncmp(a->at, text, len) != 0)
        return false;
    if (isalnum((unsigned char)text[len - 1]) &&
        (isalnum((unsigned char)a->at[len]) || a->at[len] == '_'))
        return false;
    a->at += len;
    return true;
}

static bool fail(struct assembler *a, const char *error)
{
    if (!a->error)
        a->error = error;
    return false;
}

static bool expect(struct assembler *a, const char *text)
{
    return accept(a, text) || fail(a, text);
}

/* rN or wN. */
static bool reg(struct assembler *a, char kind, unsigned *number)
{
    const char *start;
    char *end;

    skip_space(a);
    start = a->at;
    if (*start != kind || !isdigit((unsigned char)start[1]))
        return false;
    *number = (unsigned)strtoul(start + 1, &end, 10);
    if (*number > 15 || isalnum((unsigned char)*end))
        return false;
    a->at = end;
    return true;
}

static bool expect_reg(struct assembler *a, char kind, unsigned *number)
{
    return reg(a, kind, number) || fail(a, "register");
}

/* A number with an optional sign; *hex tells how it was written. */
static bool number(struct assembler *a, uint64_t *value, bool *hex)
{
    const char *start, *digits;
    char *end;

    skip_space(a);
    start = digits = a->at;
    if (*digits == '-' || *digits == '+')
        digits++;
    if (!isdigit((unsigned char)*digits))
        return false;
    *hex = digits[0] == '0' && digits[1] == 'x';
    *value = strtoull(digits, &end, *hex ? 16 : 10);
    if (*start == '-')
        *value = 0 - *value;
    a->at = end;
    return true;
}

static bool expect_number(struct assembler *a, int64_t *value)
{
    uint64_t bits = 0;
    bool hex;

    if (!number(a, &bits, &hex))
        return fail(a, "number");
    *value = (int64_t)bits;
    return true;
}

/* pc+N, or a label. */
static bool target(struct assembler *a, int64_t *distance)
{
    char name[NAME_MAX_];
    size_t len = 0;

    skip_space(a);
    if (a->at[0] == 'p' && a->at[1] == 'c' && (a->at[2] == '+' || a->at[2] == '-')) {
        a->at += 2;
        return expect_number(a, distance);
    }
    while ((isalnum((unsigned char)a->at[len]) || a->at[len] == '_') && len < sizeof(name) - 1) {
        name[len] = a->at[len];
        len++;
    }
    name[len] = 0;
    a->at += len;
    *distance = 0;
    if (a->counting)
        return len > 0 || fail(a, "jump target");
    for (unsigned i = 0; i < a->nr_labels; i++) {
        if (strcmp(a->labels[i].name, name) == 0) {
            *distance = (int64_t)a->labels[i].slot - (int64_t)a->nr - 1;
            return true;
        }
    }
    return fail(a, "known label");
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool emit(struct assembler *a, uint8_t code, unsigned dst, unsigned src, int64_t off,
                 int64_t imm)
{
    if (off != (int16_t)off)
        return fail(a, "offset of 16 bits");
    if (imm != (int32_t)imm && imm != (int64_t)(uint32_t)imm)
        return fail(a, "immediate of 32 bits");
    if (a->nr == a->max)
        return fail(a, "shorter program");
    a->out[a->nr++] = (struct bpf_insn){.code = code,
                                        .dst_reg = (uint8_t)(dst & 15),
                                        .src_reg = (uint8_t)(src & 15),
                                        .off = (int16_t)off,
                                        .imm = (int32_t)imm};
    return true;
}

static bool emit_imm64(struct assembler *a, unsigned dst, unsigned src, uint32_t low, uint32_t high)
{
    return emit(a, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low) && emit(a, 0, 0, 0, 0, high);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* "u32" or "s16"; *mode is BPF_MEM or BPF_MEMSX. */
static bool type_name(struct assembler *a, uint8_t *size, uint8_t *mode)
{
    static const struct {
        const char *name;
        uint8_t size, mode;
    } types[] = {
#define MEM(NAME, type, code, text)  {text, code, BPF_MEM},
#define LDSX(NAME, type, code, text) {text, code, BPF_MEMSX},
#include "ebpf/opcodes.def"
    };

    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (accept(a, types[i].name)) {
            *size = types[i].size;
            *mode = types[i].mode;
            return true;
        }
    }
    return fail(a, "u8, u16, u32, u64, s8, s16 or s32");
}

/* (u32 *)(r1 +4) */
static bool address(struct assembler *a, uint8_t *size, uint8_t *mode, unsigned *base, int64_t *off)
{
    return expect(a, "(") && type_name(a, size, mode) && expect(a, "*)") && expect(a, "(") &&
           expect_reg(a, 'r', base) && expect_number(a, off) && expect(a, ")");
}

static bool store(struct assembler *a)
{
    uint8_t size, mode;
    unsigned base, src;
    int64_t off, imm;

    if (!address(a, &size, &mode, &base, &off) || !expect(a, "="))
        return false;
    if (reg(a, 'r', &src))
        return emit(a, BPF_STX | BPF_MEM | size, base, src, off, 0);
    return expect_number(a, &imm) && emit(a, BPF_ST | BPF_MEM | size, base, 0, off, imm);
}

/* lock *(u64 *)(r1 +0) += r2 */
static bool lock(struct assembler *a)
{
    static const struct {
        const char *text;
        int32_t imm;
    } ops[] = {{"+=", BPF_ADD}, {"|=", BPF_OR}, {"&=", BPF_AND}, {"^=", BPF_XOR}};
    uint8_t size, mode;
    unsigned base, src;
    int64_t off;

    if (!expect(a, "*") || !address(a, &size, &mode, &base, &off))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++)
        if (accept(a, ops[i].text))
            return expect_reg(a, 'r', &src) &&
                   emit(a, BPF_STX | BPF_ATOMIC | size, base, src, off, ops[i].imm);
    return fail(a, "+=, |=, &= or ^=");
}

/* What follows `rN = ` in rN = atomic64_fetch_add((u64 *)(r1 +0), rN); false without an error when
 * it is something else. */
static bool atomic(struct assembler *a, unsigned dst)
{
    static const struct {
        const char *name;
        int32_t imm;
    } ops[] = {
#define ATOMIC(NAME, function, imm) {((imm)&BPF_FETCH) ? #function : NULL, imm},
#include "ebpf/opcodes.def"
    };
    char name[NAME_MAX_];
    uint8_t size, mode;
    unsigned base, src, r0;
    int64_t off;

    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        const char *fetch = ops[i].imm == BPF_XCHG || ops[i].imm == BPF_CMPXCHG ? "" : "fetch_";

        for (unsigned wide = 0; ops[i].name && wide < 2; wide++) {
            snprintf(name, sizeof(name), "atomic%s_%s%s", wide ? "64" : "", fetch, ops[i].name);
            if (!accept(a, name))
                continue;
            if (!expect(a, "(") || !address(a, &size, &mode, &base, &off) || !expect(a, ","))
                return false;
            if (ops[i].imm == BPF_CMPXCHG && (!expect_reg(a, 'r', &r0) || !expect(a, ",")))
                return false;
            if (!expect_reg(a, 'r', &src) || !expect(a, ")"))
                return false;
            if (dst != (ops[i].imm == BPF_CMPXCHG ? 0 : src))
                return fail(a, "the register that the old value goes to");
            return emit(a, BPF_STX | BPF_ATOMIC | size, base, src, off, ops[i].imm);
        }
    }
    return false;
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

/* map[id:5], map[idx:0][0]+8 or subprog[+2]; false without an error when it is neither. */
static bool reference(struct assembler *a, unsigned dst)
{
    int64_t value, offset;
    bool idx = accept(a, "map[idx:");

    if (idx || accept(a, "map[id:")) {
        if (!expect_number(a, &value) || !expect(a, "]"))
            return false;
        if (!accept(a, "[0]"))
            return emit_imm64(a, dst, idx ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_FD, (uint32_t)value,
                              0);
        return expect_number(a, &offset) &&
               emit_imm64(a, dst, idx ? BPF_PSEUDO_MAP_IDX_VALUE : BPF_PSEUDO_MAP_VALUE,
                          (uint32_t)value, (uint32_t)offset);
    }
    if (accept(a, "subprog[")) {
        bool by_number = *a->at == '+' || *a->at == '-';

        return (by_number ? expect_number(a, &value) : target(a, &value)) && expect(a, "]") &&
               emit_imm64(a, dst, BPF_PSEUDO_FUNC, (uint32_t)value, 0);
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
        if (accept(a, swaps[i].name))
            return expect_reg(a, 'r', &src) && emit(a, swaps[i].code, dst, 0, 0, swaps[i].bits);
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
        if (moves[i].wide == (kind == 'r' ? 64 : 32) && accept(a, moves[i].text))
            return expect_reg(a, kind, &src) &&
                   emit(a, (kind == 'r' ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X, dst, src,
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

    if (accept(a, "-") && reg(a, kind, &src))
        return emit(a, wide | BPF_NEG, dst, 0, 0, 0);
    a->at = start;
    if (movsx(a, kind, dst))
        return true;
    if (kind == 'w' || a->error)
        return false;
    if (accept(a, "*"))
        return address(a, &size, &mode, &src, &off) &&
               emit(a, BPF_LDX | mode | size, dst, src, off, 0);
    return swap(a, dst) || (!a->error && reference(a, dst)) || (!a->error && atomic(a, dst));
}

/* rN OP rM, rN OP number, and the other assignments. */
static bool alu(struct assembler *a, char kind, unsigned dst)
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
        if (!accept(a, ops[i].text))
            continue;
        if (reg(a, kind, &src))
            return emit(a, wide | ops[i].code | BPF_X, dst, src, ops[i].off, 0);
        if (!number(a, &value, &hex))
            return ops[i].code == BPF_MOV ? assign(a, kind, dst) || fail(a, "operand")
                                          : fail(a, "register or number");
        if (ops[i].code == BPF_MOV && hex && kind == 'r')
            return emit_imm64(a, dst, 0, (uint32_t)value, (uint32_t)(value >> 32));
        return emit(a, wide | ops[i].code | BPF_K, dst, 0, ops[i].off, (int64_t)value);
    }
    return fail(a, "operator");
}

/* ---- jumps and calls ------------------------------------------------------------------------ */

static bool branch(struct assembler *a)
{
    static const struct {
        const char *text;
        uint8_t code;
    } conditions[] = {
#define JUMP(NAME, name, code, text) {text, code},
#include "ebpf/opcodes.def"
    };
    int best = -1;
    unsigned dst, src = 0;
    int64_t distance, imm = 0;
    uint8_t class = BPF_JMP, source = BPF_K;
    char kind = 'r';

    if (!reg(a, 'r', &dst)) {
        if (!expect_reg(a, 'w', &dst))
            return false;
        class = BPF_JMP32;
        kind = 'w';
    }
    skip_space(a);
    /* The longest condition that fits: ">=" before ">". */
    for (unsigned i = 0; i < ARRAY_LEN(conditions); i++)
        if (strncmp(a->at, conditions[i].text, strlen(conditions[i].text)) == 0 &&
            (best < 0 || strlen(conditions[i].text) > strlen(conditions[best].text)))
            best = (int)i;
    if (best < 0)
        return fail(a, "condition");
    a->at += strlen(conditions[best].text);
    if (reg(a, kind, &src))
        source = BPF_X;
    else if (!expect_number(a, &imm))
        return false;
    return expect(a, "goto") && target(a, &distance) &&
           emit(a, class | conditions[best].code | source, dst, src, distance, imm);
}

static bool call(struct assembler *a)
{
    char name[64];
    size_t len = 0;
    int64_t id, distance;

    skip_space(a);
    if (strncmp(a->at, "bpf_", 4) != 0 && strncmp(a->at, "unknown", 7) != 0)
        return target(a, &distance) && emit(a, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
    while ((isalnum((unsigned char)a->at[len]) || a->at[len] == '_') && len < sizeof(name) - 1) {
        name[len] = a->at[len];
        len++;
    }
    name[len] = 0;
    a->at += len;
    if (accept(a, "#"))
        return expect_number(a, &id) && emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, id);
    for (uint32_t i = 1; i < __BPF_FUNC_MAX_ID; i++)
        if (ebpf_helper_name(i) && strcmp(ebpf_helper_name(i), name + 4) == 0)
            return emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, i);
    return fail(a, "known helper");
}

/* ---- the whole text ------------------------------------------------------------------------- */

static bool instruction(struct assembler *a)
{
    int64_t distance;
    unsigned dst;

    if (accept(a, "exit"))
        return emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    if (accept(a, "gotol"))
        return target(a, &distance) && emit(a, BPF_JMP32 | BPF_JA, 0, 0, 0, distance);
    if (accept(a, "goto"))
        return target(a, &distance) && emit(a, BPF_JMP | BPF_JA, 0, 0, distance, 0);
    if (accept(a, "may_goto"))
        return target(a, &distance) && emit(a, BPF_JMP | BPF_JCOND, 0, 0, distance, 0);
    if (accept(a, "call"))
        return call(a);
    if (accept(a, "if"))
        return branch(a);
    if (accept(a, "lock"))
        return lock(a);
    if (accept(a, "*"))
        return store(a);
    if (reg(a, 'r', &dst))
        return alu(a, 'r', dst);
    if (reg(a, 'w', &dst))
        return alu(a, 'w', dst);
    return fail(a, "instruction");
}

/* `12:` and `(b7)`, as the disassembler prints in front. */
static void skip_prefix(struct assembler *a)
{
    const char *p;

    skip_space(a);
    for (p = a->at; isdigit((unsigned char)*p);)
        p++;
    if (p > a->at && *p == ':')
        a->at = p + 1;
    skip_space(a);
    if (a->at[0] == '(' && isxdigit((unsigned char)a->at[1]) && isxdigit((unsigned char)a->at[2]) &&
        a->at[3] == ')')
        a->at += 4;
    skip_space(a);
}

/* A line `name:`. */
static bool label(struct assembler *a)
{
    size_t len = 0;

    while (isalnum((unsigned char)a->at[len]) || a->at[len] == '_')
        len++;
    if (len == 0 || len >= NAME_MAX_ || a->at[len] != ':')
        return false;
    if (a->counting && a->nr_labels < LABELS_MAX) {
        memcpy(a->labels[a->nr_labels].name, a->at, len);
        a->labels[a->nr_labels++].slot = a->nr;
    }
    a->at += len + 1;
    return true;
}

static bool line(struct assembler *a)
{
    skip_prefix(a);
    if (*a->at == '#' || *a->at == '\n' || *a->at == 0)
        return true;
    if (!label(a) && !instruction(a))
        return false;
    skip_space(a);
    return *a->at == '\n' || *a->at == 0 || fail(a, "end of line");
}

static bool pass(struct assembler *a, const char *text, unsigned *line_number)
{
    a->nr = 0;
    *line_number = 0;
    while (*text) {
        a->at = text;
        ++*line_number;
        if (!line(a))
            return false;
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return true;
}

/* Assembles text into at most max slots of out. Returns how many there are, or -EINVAL and in err
 * a sentence with the line and what was expected there. */
int asm_assemble(const char *text, struct bpf_insn *out, unsigned max, char *err, size_t err_size)
{
    struct assembler a = {.out = out, .max = max, .counting = true};
    unsigned line_number;

    if (pass(&a, text, &line_number)) {
        a.counting = false;
        if (pass(&a, text, &line_number))
            return (int)a.nr;
    }
    snprintf(err, err_size, "line %u: expected %s at \"%.*s\"", line_number,
             a.error ? a.error : "instruction", (int)strcspn(a.at, "\n"), a.at);
    return -EINVAL;
}
