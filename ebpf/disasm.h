/*
 * Disassembly, in the words of Linux's kernel/bpf/disasm.c as `bpftool prog dump xlated` prints
 * them. Needs nothing of the engine but opcodes.def and helper names, so clients link it too.
 */
#ifndef SKEP_EBPF_DISASM_H
#define SKEP_EBPF_DISASM_H

#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#define DISASM_MAX 96u /* room that any instruction fits in */

unsigned ebpf_disasm(const struct bpf_insn *insn, unsigned left, char *buf, size_t size);

#endif
