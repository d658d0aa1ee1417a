/*
 * The 256 interrupt entry points. Each leaves a struct trap_frame on the stack and calls
 * trap_dispatch() (trap.c). A stub is padded to 16 bytes, so that stub n is at
 * trap_stubs + 16 * n. The CPU has aligned the stack to 16 (SDM 3A 6.14.2) and the frame is
 * 176 bytes, so the C code finds its stack aligned as the ABI says.
 */
    .text

    .global trap_stubs
    .type trap_stubs, @function
    .balign 16
trap_stubs:
    .set .Lvector, 0
    .rept 256
    .balign 16
    /* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code themselves (SDM 3A table 6-1). */
    .if !(.Lvector == 8 || (.Lvector >= 10 && .Lvector <= 14) || .Lvector == 17 || .Lvector == 21 || .Lvector == 29 || .Lvector == 30)
    pushq $0
    .endif
    pushq $.Lvector
    jmp trap_common
    .set .Lvector, .Lvector + 1
    .endr
    .size trap_stubs, . - trap_stubs

    .type trap_common, @function
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call trap_dispatch
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp                 /* vector and error code */
    iretq
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
