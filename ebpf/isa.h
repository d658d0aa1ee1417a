/*
 * The instruction set's numbers: what <linux/bpf.h> of Linux 6.1 does not have yet, and the dense
 * numbering of operations that decoded programs use, made from opcodes.def. RFC 9669.
 */
#ifndef SKEP_EBPF_ISA_H
#define SKEP_EBPF_ISA_H

#include <linux/bpf.h>

#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80 /* mode of sign-extending loads, RFC 9669 5.2 */
#endif
#ifndef BPF_JCOND
#define BPF_JCOND 0xe0 /* may_goto, Linux 6.9 */
#endif

#define ISA_REGISTERS      11u /* r0 to r10 */
#define ISA_FP             10u /* r10, the frame pointer, read-only */
#define ISA_STACK_SIZE     512u
#define ISA_FRAMES_MAX     8u
#define ISA_TAIL_CALLS_MAX 33u
#define ISA_MAY_GOTO_MAX   (8u << 20) /* iterations; Linux: BPF_MAX_LOOPS */

/* Fields of the opcode byte (3.1); BPF_CLASS, BPF_SIZE, BPF_MODE, BPF_OP and BPF_SRC come from
 * <linux/bpf_common.h>. */

/* The four forms of an arithmetic operation or a conditional jump, in this order. */
enum isa_form { FORM_64_K, FORM_64_X, FORM_32_K, FORM_32_X };

enum ebpf_op {
#define ALU(NAME, name, code, off, text)                                                           \
    OP_##NAME##64_K, OP_##NAME##64_X, OP_##NAME##32_K, OP_##NAME##32_X,
#define JUMP(NAME, name, code, text)                                                               \
    OP_##NAME##64_K, OP_##NAME##64_X, OP_##NAME##32_K, OP_##NAME##32_X,
#define MOVSX(NAME, name, bits, wide, text) OP_##NAME,
#define SWAP(NAME, name, code, bits, text)  OP_##NAME,
#define MEM(NAME, type, code, text)         OP_LDX_##NAME, OP_STX_##NAME, OP_ST_##NAME,
#define LDSX(NAME, type, code, text)        OP_LDSX_##NAME,
#define ATOMIC(NAME, name, imm)             OP_ATOMIC_##NAME##64, OP_ATOMIC_##NAME##32,
#define OTHER(NAME)                         OP_##NAME,
#include "ebpf/opcodes.def"
    NR_OPS
};

#endif
