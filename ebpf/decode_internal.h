/*
 * What the files of the decoder share: decode.c (the program as a whole), decode_alu.c,
 * decode_jump.c and decode_memory.c (one class of instructions each). Each decode_CLASS looks at
 * the instruction at pc, fills in what is its own of out[pc], and returns 0, or refuses with
 * -EINVAL.
 */
#ifndef SKEP_EBPF_DECODE_INTERNAL_H
#define SKEP_EBPF_DECODE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/decode.h"
#include "ebpf/prog.h"

struct decoder {
    const struct ebpf_prog_load *load;
    bool gpl_compatible;
    struct ebpf_decoded *out;
    uint8_t *starts; /* for each slot: 1 where a function starts */
};

/* Writes the sentence to the log; the value is -EINVAL. */
#define REFUSE(d, pc, fmt, ...)                                                                    \
    (ebpf_log_write((d)->load->log, "insn %u: " fmt "\n", (pc), ##__VA_ARGS__), -EINVAL)

int decode_alu(struct decoder *d, uint32_t pc);
int decode_jump(struct decoder *d, uint32_t pc);
int decode_load_store(struct decoder *d, uint32_t pc);
int decode_immediate(struct decoder *d, uint32_t pc);

int decode_need_zero(struct decoder *d, uint32_t pc, const char *field, int value);
int decode_need_zeros(struct decoder *d, uint32_t pc, const char *fields);
int decode_need_writable(struct decoder *d, uint32_t pc, unsigned reg);
int decode_unknown(struct decoder *d, uint32_t pc);
int decode_set_target(struct decoder *d, uint32_t pc, int64_t distance);
enum isa_form decode_form(const struct bpf_insn *insn, bool wide);

#endif
