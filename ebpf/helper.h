/*
 * Helper functions: Linux's ids and signatures, one table (helpers.def) that feeds the
 * interpreters, the verifier, the disassembler and `feature probe`. Internal to ebpf/.
 */
#ifndef SKEP_EBPF_HELPER_H
#define SKEP_EBPF_HELPER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bpf.h>

/* What an argument must be; names follow Linux's enum bpf_arg_type. */
enum ebpf_arg {
    ARG_NONE,
    ARG_ANYTHING,
    ARG_VARIADIC, /* anything, or never written: trace_printk's r3 to r5 */
    ARG_CONST_MAP_PTR,
    ARG_MAP_KEY,          /* readable, key_size of the map argument */
    ARG_MAP_VALUE,        /* readable, value_size of the map argument */
    ARG_UNINIT_MAP_VALUE, /* writable, value_size of the map argument */
    ARG_CTX,
    ARG_MEM, /* readable memory; its size is the next argument */
    ARG_MEM_OR_NULL,
    ARG_UNINIT_MEM, /* writable memory; its size is the next argument */
    ARG_UNINIT_MEM_OR_NULL,
    ARG_SIZE, /* > 0 */
    ARG_SIZE_OR_ZERO,
    ARG_ALLOC_MEM,        /* what ringbuf_reserve returned */
    ARG_CONST_ALLOC_SIZE, /* known constant */
    ARG_CONST_STR,        /* NUL-terminated string in read-only map value */
    ARG_LONG_PTR,         /* writable 8 bytes */
    ARG_SPIN_LOCK,        /* struct bpf_spin_lock in a map value */
    ARG_TIMER,            /* struct bpf_timer in a map value; the map is another argument */
    ARG_FUNC,             /* a function of the program, from ld_imm64 */
    ARG_STACK_OR_NULL,    /* handed to the function that is called back */
    ARG_DYNPTR,           /* struct bpf_dynptr on the stack */
    ARG_UNINIT_DYNPTR,
    ARG_RINGBUF_DYNPTR, /* one that ringbuf_reserve_dynptr made, and that ends here */
    ARG_UNINIT_RINGBUF_DYNPTR,
};

static inline bool ebpf_arg_is_dynptr(enum ebpf_arg arg)
{
    return arg >= ARG_DYNPTR;
}

enum ebpf_ret {
    RET_INTEGER,
    RET_LENGTH, /* at most the size argument, or an error */
    RET_CPU,    /* a CPU's number */
    RET_VOID,
    RET_MAP_VALUE_OR_NULL,
    RET_ALLOC_MEM_OR_NULL,
    RET_MEM_OR_NULL,
};

/* What a call may need or do beyond its arguments. */
enum ebpf_helper_what {
    HELPER_PACKET = 1,       /* its memory may be the packet's (Linux: pkt_access) */
    HELPER_MOVES_PACKET = 2, /* no packet pointer is good afterwards */
    HELPER_WRITES_MAP = 4,   /* not to a map that programs only read */
    HELPER_LOCKS = 8,
    HELPER_UNLOCKS = 16,
    HELPER_FORMATS = 32, /* the string's conversions take what the data after it holds */
};

struct ebpf_helper_rules {
    uint64_t maps; /* bit set of 1 << BPF_MAP_TYPE_* */
    unsigned what; /* enum ebpf_helper_what */
};

typedef uint64_t (*ebpf_helper_fn)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5);

struct ebpf_helper {
    const char *name; /* "map_lookup_elem", without bpf_ */
    ebpf_helper_fn call;
    enum ebpf_ret ret;
    enum ebpf_arg args[5];
    bool gpl_only;
    uint64_t prog_types; /* bit set of 1 << BPF_PROG_TYPE_*; all ones: every type */
};

/* NULL when Skep has no such helper. Whether a program may call it (gpl_only, prog_types) is for
 * the caller to ask. */
const struct ebpf_helper *ebpf_helper_get(uint32_t id);
/* Does it call functions of the program back before it returns? */
bool ebpf_helper_calls_back(const struct ebpf_helper *helper);
/* Never NULL. */
const struct ebpf_helper_rules *ebpf_helper_rules(const struct ebpf_helper *helper);
uint32_t ebpf_helper_id(const struct ebpf_helper *helper);
/* Name of any helper id, even one we lack but Linux has; NULL beyond. For messages. */
const char *ebpf_helper_name(uint32_t id);

struct ebpf_prog;

/* Memory that a helper lends to the function that it calls back, to read: a key. */
struct ebpf_lent {
    const void *data;
    uint32_t size;
    const struct ebpf_lent *outer;
};

/* The run that is under way on this CPU; helpers find their program here. */
struct ebpf_run {
    struct ebpf_prog *prog;
    void *ctx;
    uint64_t cookie;
    struct ebpf_run *outer; /* the run that this one interrupted */
    struct {
        void *data;
        uint32_t size;
        struct ebpf_map *map;
    } records[8]; /* reserved in ring buffers */
    uint32_t nr_records;
    uint32_t ctx_size;
    uint32_t tail_calls; /* so far, of verified programs */
    /* How the engine calls a function of the program back: its r0, or false when it was stopped
     * there. NULL: functions are addresses of machine code. */
    bool (*call)(struct ebpf_run *run, uint64_t function, const uint64_t args[5], uint64_t *r0);
    const struct ebpf_fast_caller *caller; /* interp_fast.c's: of the helper under way */
    const struct ebpf_lent *lent;          /* to the functions being called back, innermost first */
    const void *frame;   /* of the C function that began the run: stack traces start here */
    uint32_t *lock;      /* the spin lock that it holds; NULL: none */
    uint64_t lock_saved; /* what port_lock said */
};
struct ebpf_run *ebpf_run_current(void);

#endif
