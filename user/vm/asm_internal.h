/*
 * Shared by the assembler's files: the text under way, and reading it piece by piece.
 */
#ifndef SKEP_USER_VM_ASM_INTERNAL_H
#define SKEP_USER_VM_ASM_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

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

/* ---- asm_read.c: what comes next in the text; what it assembles to ---- */

void asm_skip_space(struct assembler *a);
bool asm_accept(struct assembler *a, const char *text);
bool asm_fail(struct assembler *a, const char *error);
bool asm_expect(struct assembler *a, const char *text);
bool asm_reg(struct assembler *a, char kind, unsigned *number);
bool asm_expect_reg(struct assembler *a, char kind, unsigned *number);
bool asm_number(struct assembler *a, uint64_t *value, bool *hex);
bool asm_expect_number(struct assembler *a, int64_t *value);
bool asm_target(struct assembler *a, int64_t *distance);
bool asm_emit(struct assembler *a, uint8_t code, unsigned dst, unsigned src, int64_t off,
              int64_t imm);
bool asm_emit_imm64(struct assembler *a, unsigned dst, unsigned src, uint32_t low, uint32_t high);

/* ---- asm_memory.c, asm_alu.c: instructions whose first words have been read ---- */

bool asm_address(struct assembler *a, uint8_t *size, uint8_t *mode, unsigned *base, int64_t *off);
bool asm_store(struct assembler *a);
bool asm_lock(struct assembler *a);
bool asm_atomic(struct assembler *a, unsigned dst);
bool asm_alu(struct assembler *a, char kind, unsigned dst);

#endif
