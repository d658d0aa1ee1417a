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
#include <stdio.h>
#include <string.h>

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/isa.h"
#include "user/vm/asm_internal.h"

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

    if (!asm_reg(a, 'r', &dst)) {
        if (!asm_expect_reg(a, 'w', &dst))
            return false;
        class = BPF_JMP32;
        kind = 'w';
    }
    asm_skip_space(a);
    /* The longest condition that fits: ">=" before ">". */
    for (unsigned i = 0; i < ARRAY_LEN(conditions); i++)
        if (strncmp(a->at, conditions[i].text, strlen(conditions[i].text)) == 0 &&
            (best < 0 || strlen(conditions[i].text) > strlen(conditions[best].text)))
            best = (int)i;
    if (best < 0)
        return asm_fail(a, "condition");
    a->at += strlen(conditions[best].text);
    if (asm_reg(a, kind, &src))
        source = BPF_X;
    else if (!asm_expect_number(a, &imm))
        return false;
    return asm_expect(a, "goto") && asm_target(a, &distance) &&
           asm_emit(a, class | conditions[best].code | source, dst, src, distance, imm);
}

static bool call(struct assembler *a)
{
    char name[64];
    size_t len = 0;
    int64_t id, distance;

    asm_skip_space(a);
    if (strncmp(a->at, "bpf_", 4) != 0 && strncmp(a->at, "unknown", 7) != 0)
        return asm_target(a, &distance) &&
               asm_emit(a, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
    while ((isalnum((unsigned char)a->at[len]) || a->at[len] == '_') && len < sizeof(name) - 1) {
        name[len] = a->at[len];
        len++;
    }
    name[len] = 0;
    a->at += len;
    if (asm_accept(a, "#"))
        return asm_expect_number(a, &id) && asm_emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, id);
    for (uint32_t i = 1; i < __BPF_FUNC_MAX_ID; i++)
        if (ebpf_helper_name(i) && strcmp(ebpf_helper_name(i), name + 4) == 0)
            return asm_emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, i);
    return asm_fail(a, "known helper");
}

/* ---- the whole text ------------------------------------------------------------------------- */

static bool instruction(struct assembler *a)
{
    int64_t distance;
    unsigned dst;

    if (asm_accept(a, "exit"))
        return asm_emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    if (asm_accept(a, "gotol"))
        return asm_target(a, &distance) && asm_emit(a, BPF_JMP32 | BPF_JA, 0, 0, 0, distance);
    if (asm_accept(a, "goto"))
        return asm_target(a, &distance) && asm_emit(a, BPF_JMP | BPF_JA, 0, 0, distance, 0);
    if (asm_accept(a, "may_goto"))
        return asm_target(a, &distance) && asm_emit(a, BPF_JMP | BPF_JCOND, 0, 0, distance, 0);
    if (asm_accept(a, "call"))
        return call(a);
    if (asm_accept(a, "if"))
        return branch(a);
    if (asm_accept(a, "lock"))
        return asm_lock(a);
    if (asm_accept(a, "*"))
        return asm_store(a);
    if (asm_reg(a, 'r', &dst))
        return asm_alu(a, 'r', dst);
    if (asm_reg(a, 'w', &dst))
        return asm_alu(a, 'w', dst);
    return asm_fail(a, "instruction");
}

/* `12:` and `(b7)`, as the disassembler prints in front. */
static void skip_prefix(struct assembler *a)
{
    const char *p;

    asm_skip_space(a);
    for (p = a->at; isdigit((unsigned char)*p);)
        p++;
    if (p > a->at && *p == ':')
        a->at = p + 1;
    asm_skip_space(a);
    if (a->at[0] == '(' && isxdigit((unsigned char)a->at[1]) && isxdigit((unsigned char)a->at[2]) &&
        a->at[3] == ')')
        a->at += 4;
    asm_skip_space(a);
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
    asm_skip_space(a);
    return *a->at == '\n' || *a->at == 0 || asm_fail(a, "end of line");
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
