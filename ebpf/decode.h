/*
 * Decoded programs: one entry for each 8-byte slot, checked for structure once, so that what runs
 * them tests nothing of it again. Made by decode.c when a program is loaded.
 */
#ifndef SKEP_EBPF_DECODE_H
#define SKEP_EBPF_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/isa.h"

struct ebpf_prog_load;

struct ebpf_decoded {
    uint16_t op; /* enum ebpf_op */
    uint8_t dst, src;
    int32_t off;  /* memory: displacement; jumps and local calls: the slot to go to */
    uint64_t imm; /* sign-extended; LD_IMM64: the value, maps resolved to addresses;
                     CALL_HELPER: address of its struct ebpf_helper */
};

_Static_assert(sizeof(struct ebpf_decoded) == 16, "a decoded slot is two words");

int ebpf_decode(const struct ebpf_prog_load *load, bool gpl_compatible, struct ebpf_decoded *out);

#endif
