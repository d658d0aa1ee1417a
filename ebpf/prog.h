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
struct ebpf_proof;
struct ebpf_lowered;
struct ebpf_jit;

/* How a program runs. All give the same results; only the first takes what is not verified. */
enum ebpf_engine { EBPF_CHECKED, EBPF_INTERP, EBPF_JIT };

/* Skep's own program type, for skep-vm and tests: r1 is memory, r2 its length. */
#define EBPF_PROG_TYPE_MEM 63u

#define EBPF_INSNS_MAX 1000000u /* 8-byte slots; Linux: BPF_COMPLEXITY_LIMIT_INSNS */
#define EBPF_BUDGET    1000000u /* instructions that one run may take, tail calls included */

struct ebpf_prog {
    struct ebpf_object object;
    uint32_t type; /* BPF_PROG_TYPE_* */
    uint32_t expected_attach_type;
    char name[BPF_OBJ_NAME_LEN];
    bool gpl_compatible;
    struct bpf_insn *insns; /* as `prog dump xlated` shows them: ld_imm64 of maps hold map ids */
    uint32_t nr_insns;      /* 8-byte slots */
    struct ebpf_decoded *decoded; /* ebpf/decode.h: one per slot, what the interpreters run */
    struct ebpf_map **maps;       /* used maps, each held by a reference */
    uint32_t nr_maps;
    struct ebpf_btf *btf;
    void *func_info, *line_info; /* copied from PROG_LOAD */
    uint32_t nr_func_info, nr_line_info;
    uint8_t tag[BPF_TAG_SIZE];
    uint32_t budget; /* EBPF_BUDGET unless a tool sets another */
    uint64_t run_cnt, run_time_ns, recursion_misses, faults;
    char last_fault[224]; /* why the last run that faulted did; "" when none */
    bool running;
    struct ebpf_proof *proof;     /* what the verifier proved; NULL: not verified */
    enum ebpf_engine engine;      /* what runs it: checked without a proof */
    struct ebpf_lowered *lowered; /* ebpf/engine.c's; NULL while checked */
    struct ebpf_jit *jit;         /* likewise; NULL unless JIT */
};

void ebpf_btf_get(struct ebpf_btf *btf); /* btf.c */
void ebpf_btf_put(struct ebpf_btf *btf);

void ebpf_prog_get(struct ebpf_prog *prog);
void ebpf_prog_put(struct ebpf_prog *prog);

/* Decodes and verifies bytecode, resolves ld_imm64 maps, makes the program runnable. log receives
 * what is wrong, in sentences (may be NULL). Ownership: copies everything it keeps. */
struct ebpf_prog_load;
int ebpf_prog_create(const struct ebpf_prog_load *load, struct ebpf_prog **out);

void ebpf_load_unverified(bool on); /* sys_prog.c */

struct ebpf_log;
struct ebpf_watch;

/* All that PROG_LOAD says, with handles already resolved to objects (borrowed). */
struct ebpf_prog_load {
    uint32_t type, expected_attach_type;
    const char *name, *license;
    const struct bpf_insn *insns; /* ld_imm64 of sources 1, 2, 5, 6: imm is an index into maps */
    uint32_t nr_insns;
    struct ebpf_map *const *maps;
    uint32_t nr_maps;
    struct ebpf_btf *btf;
    const void *func_info, *line_info;
    uint32_t nr_func_info, nr_line_info;
    uint32_t mem_size;     /* type mem: the least memory that a run will be given */
    bool mem_exact;        /* likewise: that much on every run; with none of it r1 is 0 */
    uint32_t verify_flags; /* enum ebpf_verify_flag */
    bool unverified;       /* tools and tests alone: for the checked interpreter, as it is */
    struct ebpf_log *log;
    const struct ebpf_watch *watch; /* tools: is told of the verifier's steps; may be NULL */
};

/* Text for the verifier log buffer of PROG_LOAD: fixed buffer, remembers truncation. */
struct ebpf_log {
    char *buf;
    uint32_t size, used, level;
    bool truncated;
};
void ebpf_log_write(struct ebpf_log *log, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs the program in the checked interpreter. ctx is the program type's internal context (a
 * tracepoint record of ctx_size bytes, struct ebpf_xdp, ...). 0 and r0 in *result; -EFAULT on a bad
 * access, -ELOOP when the instruction budget ran out, both counted and described by last_fault;
 * -EBUSY when the program is under way already (recursion_misses). *result is 0 on failure. Any
 * context. */
int ebpf_prog_run(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint64_t cookie,
                  uint64_t *result);

/* Likewise `times` in a row, stopping at the first failure, and with -EINTR once they have taken
 * limit_ns (0: no limit); *ns is what they took together. */
int ebpf_prog_run_repeated(struct ebpf_prog *prog, void *ctx, uint32_t ctx_size, uint32_t times,
                           uint64_t limit_ns, uint64_t *result, uint64_t *ns);

/* One function of it, for timers. */
struct ebpf_lent;
int ebpf_prog_call(struct ebpf_prog *prog, uint32_t function, const uint64_t args[5],
                   const struct ebpf_lent *lent);

/* PROG_TEST_RUN. What is passed in is copied; the out buffers are the caller's. */
struct ebpf_test_run {
    const void *data_in; /* packet (xdp, socket_filter), memory (mem) */
    uint32_t data_size_in;
    void *data_out;         /* NULL: not wanted */
    uint32_t data_size_out; /* in: room; out: bytes there would be */
    const void *ctx_in;     /* tracepoint record, raw tracepoint arguments, struct xdp_md */
    uint32_t ctx_size_in;
    void *ctx_out;
    uint32_t ctx_size_out; /* likewise */
    uint32_t repeat;       /* 0 counts as 1 */
    uint64_t limit_ns;     /* repeat no further once the runs have taken so long; 0: no limit */
    uint64_t result;       /* out: r0 of the last run */
    uint64_t total_ns;     /* out: of all repetitions */
};
/* -EINVAL for input that the program type has no use for or that is too short, -EBPF_ENOTSUPP for a
 * type without test runs, -ENOSPC when an out buffer was too small (filled as far as it goes),
 * -EINTR at limit_ns, -ENOMEM, or what ebpf_prog_run says. */
int ebpf_prog_test_run(struct ebpf_prog *prog, struct ebpf_test_run *run);

struct ebpf_stats;
/* Fills in runs, faults, budget_exceeded and recursion_misses, over all programs ever. */
void ebpf_prog_get_stats(struct ebpf_stats *out);

#endif
