/*
 * Programs: bytecode after relocation, what it refers to, and its counters. Internal to ebpf/.
 */
#ifndef SKEP_EBPF_PROG_H
#define SKEP_EBPF_PROG_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "ebpf/object.h"

struct ebpf_map;
struct ebpf_btf;

struct ebpf_prog {
    struct ebpf_object object;
    uint32_t type;                     /* BPF_PROG_TYPE_* */
    uint32_t expected_attach_type;
    char name[BPF_OBJ_NAME_LEN];
    bool gpl_compatible;
    struct bpf_insn *insns;            /* as loaded; ld_imm64 of maps hold addresses in decoded form only */
    uint32_t nr_insns;                 /* 8-byte slots */
    struct ebpf_decoded *decoded;      /* ebpf/decode.h: one per slot, what the interpreters run */
    struct ebpf_map **maps;            /* used maps, each held by a reference */
    uint32_t nr_maps;
    struct ebpf_btf *btf;
    void *func_info, *line_info;       /* copied from PROG_LOAD */
    uint32_t nr_func_info, nr_line_info;
    uint32_t ctx_size;                 /* largest context offset accessed: tracepoint attach checks it */
    uint8_t tag[BPF_TAG_SIZE];
    uint64_t run_cnt, run_time_ns, recursion_misses, faults;
    bool running;
};

void ebpf_prog_get(struct ebpf_prog *prog);
void ebpf_prog_put(struct ebpf_prog *prog);

/* Decodes and checks bytecode, resolves ld_imm64 maps, makes the program runnable. log receives
 * what is wrong, in sentences (may be NULL). Ownership: copies everything it keeps. */
struct ebpf_prog_load;
int ebpf_prog_create(const struct ebpf_prog_load *load, struct ebpf_prog **out);

struct ebpf_log;

/* All that PROG_LOAD says, with handles already resolved to objects (borrowed). */
struct ebpf_prog_load {
    uint32_t type, expected_attach_type;
    const char *name, *license;
    const struct bpf_insn *insns;      /* ld_imm64 map slots: imm is an index into maps */
    uint32_t nr_insns;
    struct ebpf_map *const *maps;
    uint32_t nr_maps;
    struct ebpf_btf *btf;
    const void *func_info, *line_info;
    uint32_t nr_func_info, nr_line_info;
    struct ebpf_log *log;
};

/* Text for the verifier log buffer of PROG_LOAD: fixed buffer, remembers truncation. */
struct ebpf_log {
    char *buf;
    uint32_t size, used, level;
    bool truncated;
};
void ebpf_log_write(struct ebpf_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Runs the program in the checked interpreter. ctx is the program type's internal context (a
 * tracepoint record, struct ebpf_xdp, ...). 0 and r0 in *result; -EFAULT on a bad access, -ELOOP
 * when the instruction budget ran out, both counted and described by ebpf_prog_last_fault. */
int ebpf_prog_run(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint64_t cookie, uint64_t *result);

#endif
