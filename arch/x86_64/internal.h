/*
 * What the files of arch/x86_64 share with each other; arch.h is what everybody else sees.
 */
#ifndef SKEP_ARCH_INTERNAL_H
#define SKEP_ARCH_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86_64/arch.h"

/* ---- vectors ---- */

#define VECTOR_NR_EXCEPTIONS 32
#define VECTOR_PIC           32 /* 16 vectors for the masked 8259s, whose spurious ones still come */
#define VECTOR_TIMER         48
#define VECTOR_FIRST_DEVICE  49
#define VECTOR_LAST_DEVICE   0xef
#define VECTOR_SPURIOUS      0xff

/* ---- gdt.c ---- */

#define GDT_CODE 8
#define GDT_DATA 16
#define GDT_TSS  24

enum ist_index { IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK, IST_COUNT };

/* A stack that lies in the image: the guard page is unmapped by arch_paging_init(). */
struct guarded_stack {
    uint8_t guard[ARCH_PAGE_SIZE];
    uint8_t bytes[4 * ARCH_PAGE_SIZE];
};
_Static_assert(sizeof(struct guarded_stack) == 5 * ARCH_PAGE_SIZE, "laid out by boot/entry.S too");

extern struct guarded_stack boot_stack; /* boot/entry.S */
extern struct guarded_stack ist_stacks[IST_COUNT];

void gdt_init(void);

/* ---- trap.c ---- */

void idt_init(void);

/* ---- apic.c ---- */

void apic_eoi(void);
/* Starts the one-shot timer at its full count with its interrupt masked; apic_timer_elapsed()
 * then tells how far it went. For calibration. */
void apic_timer_start_unarmed(void);
uint32_t apic_timer_elapsed(void);
/* Raises VECTOR_TIMER after count ticks; 0 disarms. */
void apic_timer_start(uint32_t count);

/* ---- time.c ---- */

void time_set_origin(void);
/* The timer's vector: hands on to the kernel, or waits on when the deadline was out of range. */
void time_timer_interrupt(void);

#endif
