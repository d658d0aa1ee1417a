/*
 * Memory access that may fault: arch_read_safe() and arch_write_safe(). Each access has a line in
 * the section `fixups`, by which trap.c goes on at the given place with -EFAULT.
 */
#include <asm/errno.h>

    .text

/* int arch_read_safe(void *dst, const void *src, size_t n), and the same for writing: which side
 * may fault makes no difference here. */
    .global arch_read_safe
    .global arch_write_safe
    .type arch_read_safe, @function
    .type arch_write_safe, @function
    .balign 16
arch_read_safe:
arch_write_safe:
    movq %rdx, %rcx
    shrq $3, %rcx
1:  rep movsq
    movl %edx, %ecx
    andl $7, %ecx
2:  rep movsb
    xorl %eax, %eax
    ret
3:  movl $-EFAULT, %eax
    ret
    .size arch_read_safe, . - arch_read_safe
    .size arch_write_safe, . - arch_write_safe

    .section fixups, "a"
    .balign 8
    .quad 1b, 3b
    .quad 2b, 3b

    .section .note.GNU-stack, "", @progbits
