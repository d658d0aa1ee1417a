/*
 * A small assembler in the disassembler's own syntax, for tests and skep-vm: what ebpf_disasm
 * prints assembles to the same bytes. See asm.c for the syntax.
 */
#ifndef SKEP_USER_VM_ASM_H
#define SKEP_USER_VM_ASM_H

#include <stddef.h>

#include <linux/bpf.h>

int asm_assemble(const char *text, struct bpf_insn *out, unsigned max, char *err, size_t err_size);

#endif
