/*
 * Switching threads. A thread that does not run has its callee-saved registers (System V ABI
 * 3.2.1) and the address to go on at on its own stack; arch_context_init() (context.c) builds the
 * same picture for a new one.
 */
    .text

/* void arch_context_switch(struct arch_context *from, struct arch_context *to) */
    .global arch_context_switch
    .type arch_context_switch, @function
    .balign 16
arch_context_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size arch_context_switch, . - arch_context_switch

/* Where a new thread begins: RBX entry, R12 its argument, RBP 0 so that backtraces end. */
    .global context_start
    .type context_start, @function
    .balign 16
context_start:
    movq %r12, %rdi
    sti
    call *%rbx
    ud2                            /* entry must not return: thread_exit() ends a thread */
    .size context_start, . - context_start

    .section .note.GNU-stack, "", @progbits
