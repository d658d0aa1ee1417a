/*
 * What machine code calls before each instruction of a program that is watched: saves every
 * register and the flags, tells observe_jit where they are, and puts them back. In the order of
 * their numbers, rax first; behind them the flags and the return address.
 */
    .text
    .globl host_jit_probe
    .type host_jit_probe, @function
host_jit_probe:
    pushfq
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rdi
    pushq %rsi
    pushq %rbp
    pushq %rsp
    pushq %rbx
    pushq %rdx
    pushq %rcx
    pushq %rax
    movq %rsp, %rdi
    movq %rsp, %rbp
    andq $-16, %rsp
    cld
    call observe_jit
    movq %rbp, %rsp
    popq %rax
    popq %rcx
    popq %rdx
    popq %rbx
    leaq 8(%rsp), %rsp
    popq %rbp
    popq %rsi
    popq %rdi
    popq %r8
    popq %r9
    popq %r10
    popq %r11
    popq %r12
    popq %r13
    popq %r14
    popq %r15
    popfq
    ret
    .size host_jit_probe, . - host_jit_probe
    .section .note.GNU-stack, "", @progbits
