/*
 * A program as it is read: lines of C, the bytecode that each became, the machine code that that
 * became. For `dump jited` and `step`.
 */
#ifndef SKEP_USER_VM_LISTING_H
#define SKEP_USER_VM_LISTING_H

#include <stdint.h>

struct btf;
struct ebpf_jit;
struct ebpf_prog;

enum listing_kind { LISTING_C, LISTING_INSN, LISTING_X86 };

struct listing {
    struct listing_line {
        enum listing_kind kind;
        uint32_t slot;
        char *text;
    } * lines;
    uint32_t nr, room;
};

int listing_make(struct listing *l, const struct btf *btf, const struct ebpf_prog *prog,
                 const struct ebpf_jit *jit);
void listing_free(struct listing *l);
/* The index of a slot's line of bytecode. */
uint32_t listing_find(const struct listing *l, uint32_t slot);

#endif
