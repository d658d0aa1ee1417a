/*
 * The probe that watched machine code calls (jit_probe.S), and where that leads (observe_jit.c).
 */
#ifndef SKEP_USER_VM_OBSERVE_JIT_H
#define SKEP_USER_VM_OBSERVE_JIT_H

#include <stdint.h>

void host_jit_probe(void);
void observe_jit(uint64_t *saved);

#endif
