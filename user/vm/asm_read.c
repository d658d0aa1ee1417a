/*
 * The assembler's reading of registers, numbers and jump targets, and its writing of slots.
 */
#include "user/vm/asm_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading -------------------------------------------------------------------------------- */

void asm_skip_space(struct assembler *a)
{
    while (*a->at == ' ' || *a->at == '\t')
        a->at++;
}

/* Takes text if it comes next. A word does not match the beginning of a longer one. */
bool asm_accept(struct assembler *a, const char *text)
{
    size_t len = strlen(text);

    asm_skip_space(a);
    if (strncmp(a->at, text, len) != 0)
        return false;
    if (isalnum((unsigned char)text[len - 1]) &&
        (isalnum((unsigned char)a->at[len]) || a->at[len] == '_'))
        return false;
    a->at += len;
    return true;
}

bool asm_fail(struct assembler *a, const char *error)
{
    if (!a->error)
        a->error = error;
    return false;
}

bool asm_expect(struct assembler *a, const char *text)
{
    return asm_accept(a, text) || asm_fail(a, text);
}

/* rN or wN. */
bool asm_reg(struct assembler *a, char kind, unsigned *number)
{
    const char *start;
    char *end;

    asm_skip_space(a);
    start = a->at;
    if (*start != kind || !isdigit((unsigned char)start[1]))
        return false;
    *number = (unsigned)strtoul(start + 1, &end, 10);
    if (*number > 15 || isalnum((unsigned char)*end))
        return false;
    a->at = end;
    return true;
}

bool asm_expect_reg(struct assembler *a, char kind, unsigned *number)
{
    return asm_reg(a, kind, number) || asm_fail(a, "register");
}

/* A number with an optional sign; *hex tells how it was written. */
bool asm_number(struct assembler *a, uint64_t *value, bool *hex)
{
    const char *start, *digits;
    char *end;

    asm_skip_space(a);
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

bool asm_expect_number(struct assembler *a, int64_t *value)
{
    uint64_t bits = 0;
    bool hex;

    if (!asm_number(a, &bits, &hex))
        return asm_fail(a, "number");
    *value = (int64_t)bits;
    return true;
}

/* pc+N, or a label. */
bool asm_target(struct assembler *a, int64_t *distance)
{
    char name[NAME_MAX_];
    size_t len = 0;

    asm_skip_space(a);
    if (a->at[0] == 'p' && a->at[1] == 'c' && (a->at[2] == '+' || a->at[2] == '-')) {
        a->at += 2;
        return asm_expect_number(a, distance);
    }
    while ((isalnum((unsigned char)a->at[len]) || a->at[len] == '_') && len < sizeof(name) - 1) {
        name[len] = a->at[len];
        len++;
    }
    name[len] = 0;
    a->at += len;
    *distance = 0;
    if (a->counting)
        return len > 0 || asm_fail(a, "jump target");
    for (unsigned i = 0; i < a->nr_labels; i++) {
        if (strcmp(a->labels[i].name, name) == 0) {
            *distance = (int64_t)a->labels[i].slot - (int64_t)a->nr - 1;
            return true;
        }
    }
    return asm_fail(a, "known label");
}

/* ---- writing -------------------------------------------------------------------------------- */

bool asm_emit(struct assembler *a, uint8_t code, unsigned dst, unsigned src, int64_t off,
              int64_t imm)
{
    if (off != (int16_t)off)
        return asm_fail(a, "offset of 16 bits");
    if (imm != (int32_t)imm && imm != (int64_t)(uint32_t)imm)
        return asm_fail(a, "immediate of 32 bits");
    if (a->nr == a->max)
        return asm_fail(a, "shorter program");
    a->out[a->nr++] = (struct bpf_insn){.code = code,
                                        .dst_reg = (uint8_t)(dst & 15),
                                        .src_reg = (uint8_t)(src & 15),
                                        .off = (int16_t)off,
                                        .imm = (int32_t)imm};
    return true;
}

bool asm_emit_imm64(struct assembler *a, unsigned dst, unsigned src, uint32_t low, uint32_t high)
{
    return asm_emit(a, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low) &&
           asm_emit(a, 0, 0, 0, 0, high);
}
