/*
 * The first instructions: from a loader's 32-bit protected mode to kernel_main() in long mode.
 * Two ways in, one way on: the multiboot2 header (GRUB; Multiboot2 2.0, 3.1) and the PVH note
 * (`qemu -kernel`; Xen's hvm_start_info ABI). Both begin with paging and interrupts off and flat
 * segments. What the machine lacks is said on COM1, the one device that needs no set-up.
 *
 * The page tables made here map the first 4 GiB to themselves with every right; they serve until
 * arch_paging_init() builds the real ones. The loader has cleared .bss.
 */
#include "boot/magic.h"

#define MB2_HEADER_MAGIC 0xe85250d6
#define MB2_ARCH_I386    0
#define MB2_HEADER_SIZE  (.Lmb2_header_end - .Lmb2_header)

#define COM1            0x3f8
#define DEBUG_EXIT_PORT 0xf4
#define EXIT_UNSUITABLE 0x31 /* as ARCH_EXIT_PANIC: QEMU's exit status is 99 */

#define EFLAGS_ID     (1 << 21)
#define CPUID_EXT_MAX 0x80000000
#define CPUID_EXT     0x80000001
#define CPUID_EXT_NX  20 /* bits of EDX */
#define CPUID_EXT_LM  29

#define CR0_WP   (1 << 16)
#define CR0_PG   (1 << 31)
#define CR4_PAE  (1 << 5)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define EFER_NXE (1 << 11)

#define PTE_TABLE 0x003 /* present, writable */
#define PTE_2MIB  0x083 /* present, writable, page size */

#define STACK_SIZE 16384

    .section .boot.header, "a"
    .balign 8
.Lmb2_header:
    .long MB2_HEADER_MAGIC, MB2_ARCH_I386, MB2_HEADER_SIZE
    .long -(MB2_HEADER_MAGIC + MB2_ARCH_I386 + MB2_HEADER_SIZE)
    .short 1, 0                    /* information request: the tags that we read */
    .long 8 + 4 * 4
    .long 1, 2, 3, 6               /* command line, loader name, modules, memory map */
    .short 6, 0                    /* modules start on a page */
    .long 8
    .short 0, 0                    /* end */
    .long 8
.Lmb2_header_end:

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18                 /* name size, value size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad boot_entry_pvh

    .section .boot.text, "ax"
    .code32

/* From GRUB: EAX holds the magic number, EBX points to the information structure. */
    .global boot_entry_multiboot2
    .type boot_entry_multiboot2, @function
boot_entry_multiboot2:
    cld
    movl $boot_stack_top, %esp
    movl $BOOT_MAGIC_MULTIBOOT2, %ebp
    cmpl %ebp, %eax
    je boot_check_cpu
    movl $no_loader, %esi
    jmp boot_refuse
    .size boot_entry_multiboot2, . - boot_entry_multiboot2

/* From QEMU's PVH option ROM: EBX points to hvm_start_info. */
    .type boot_entry_pvh, @function
boot_entry_pvh:
    cld
    movl $boot_stack_top, %esp
    movl $BOOT_MAGIC_PVH, %ebp
    cmpl %ebp, (%ebx)
    je boot_check_cpu
    movl $no_loader, %esi
    jmp boot_refuse
    .size boot_entry_pvh, . - boot_entry_pvh

/* EBX: information, EBP: magic; both live until kernel_main. */
    .type boot_check_cpu, @function
boot_check_cpu:
    pushfl                         /* CPUID exists when EFLAGS.ID can be changed (SDM 1, 20.1) */
    popl %eax
    movl %eax, %ecx
    xorl $EFLAGS_ID, %eax
    pushl %eax
    popfl
    pushfl
    popl %eax
    pushl %ecx
    popfl
    movl $no_cpuid, %esi
    cmpl %ecx, %eax
    je boot_refuse

    movl %ebx, %edi                /* CPUID writes EBX */
    movl $CPUID_EXT_MAX, %eax
    cpuid
    movl $no_long_mode, %esi
    cmpl $CPUID_EXT, %eax
    jb boot_refuse
    movl $CPUID_EXT, %eax
    cpuid
    btl $CPUID_EXT_LM, %edx
    jnc boot_refuse
    movl $no_nx, %esi
    btl $CPUID_EXT_NX, %edx
    jnc boot_refuse
    movl %edi, %ebx

    movl $(boot_pdpt + PTE_TABLE), boot_pml4
    xorl %ecx, %ecx
1:  movl %ecx, %eax                /* four directories, one for each GiB */
    shll $12, %eax
    addl $(boot_pd + PTE_TABLE), %eax
    movl %eax, boot_pdpt(, %ecx, 8)
    incl %ecx
    cmpl $4, %ecx
    jb 1b
    xorl %ecx, %ecx
2:  movl %ecx, %eax
    shll $21, %eax
    orl $PTE_2MIB, %eax
    movl %eax, boot_pd(, %ecx, 8)
    incl %ecx
    cmpl $(4 * 512), %ecx
    jb 2b

    movl $boot_pml4, %eax          /* into long mode, SDM 3A 10.8.5 */
    movl %eax, %cr3
    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    rdmsr
    orl $(EFER_LME | EFER_NXE), %eax
    wrmsr
    movl %cr0, %eax
    orl $(CR0_PG | CR0_WP), %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $boot_long_mode
    .size boot_check_cpu, . - boot_check_cpu

/* Says the sentence at ESI on COM1 and ends: QEMU through isa-debug-exit, a machine by halting. */
    .type boot_refuse, @function
boot_refuse:
    movw $(COM1 + 3), %dx          /* 115200 baud, 8 bits, no parity */
    movb $0x80, %al
    outb %al, %dx
    movw $COM1, %dx
    movb $1, %al
    outb %al, %dx
    incw %dx
    xorb %al, %al
    outb %al, %dx
    movw $(COM1 + 3), %dx
    movb $0x03, %al
    outb %al, %dx
1:  movl $100000, %ecx             /* a UART that is not there must not hang us */
2:  movw $(COM1 + 5), %dx
    inb %dx, %al
    testb $0x20, %al
    loopz 2b
    movw $COM1, %dx
    lodsb
    testb %al, %al
    jz 3f
    outb %al, %dx
    jmp 1b
3:  movw $DEBUG_EXIT_PORT, %dx
    movb $EXIT_UNSUITABLE, %al
    outb %al, %dx
4:  cli
    hlt
    jmp 4b
    .size boot_refuse, . - boot_refuse

    .code64
    .type boot_long_mode, @function
boot_long_mode:
    movw $16, %ax
    movw %ax, %ss
    movw %ax, %ds
    movw %ax, %es
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl $boot_stack_top, %esp     /* writing ESP clears the upper half */
    movl %ebp, %edi
    movl %ebx, %esi
    xorl %ebp, %ebp                /* backtraces end here */
    call kernel_main
1:  cli
    hlt
    jmp 1b
    .size boot_long_mode, . - boot_long_mode

    .section .rodata, "a"
no_loader:
    .asciz "skep: cannot start: the loader speaks neither multiboot2 nor PVH\r\n"
no_cpuid:
    .asciz "skep: cannot start: this CPU has no CPUID instruction; a 64-bit x86 CPU is needed\r\n"
no_long_mode:
    .asciz "skep: cannot start: this CPU has no long mode (64-bit); a 64-bit x86 CPU is needed\r\n"
no_nx:
    .asciz "skep: cannot start: this CPU has no NX (no-execute pages), which W^X needs\r\n"

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff       /* 8: 64-bit code */
    .quad 0x00cf92000000ffff       /* 16: data */
boot_gdt_pointer:
    .short . - boot_gdt - 1
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pd:
    .skip 4 * 4096
/* struct guarded_stack of arch/x86_64/internal.h: a page that will be unmapped, then the stack. */
    .global boot_stack
boot_stack:
    .skip 4096 + STACK_SIZE
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
