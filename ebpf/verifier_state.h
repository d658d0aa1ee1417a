/*
 * What the verifier's files share: what is known at a point of a path (registers, stack, frames),
 * how it is kept and compared, and the walk over the program. Private to ebpf/verifier*.c.
 *
 * The walk is depth first. `now` is the state of the path under way; at forks the other way is put
 * on a stack of branches, and where paths meet, states are kept (struct kept) so that a path that
 * adds nothing ends there. Numbers count in that comparison only if something later relied on them:
 * `precise`, found by walking the path's trace backwards (verifier_precise.c).
 */
#ifndef SKEP_EBPF_VERIFIER_STATE_H
#define SKEP_EBPF_VERIFIER_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/decode.h"
#include "ebpf/isa.h"
#include "ebpf/proof.h"
#include "ebpf/scalar.h"
#include "ebpf/verifier.h"

struct bpf_line_info;
struct ebpf_context;
struct ebpf_helper;
struct ebpf_map;
struct verifier_log;
struct verifier_past;

#define SLOTS           (ISA_STACK_SIZE / 8)
#define REFS_MAX        16u
#define PROCESSED_MAX   1000000u /* Linux: BPF_COMPLEXITY_LIMIT_INSNS */
#define BYTES_MAX       (48u << 20)
#define OFFSET_MAX      (1 << 29) /* Linux: BPF_MAX_VAR_OFF */
#define PACKET_OFF_MAX  0xffff    /* Linux: MAX_PACKET_OFF */
#define RECORD_SIZE_MAX 8192u     /* Linux: PERF_MAX_TRACE_SIZE; attach looks again */
#define MESSAGE_MAX     640u

/* Bits of the log's level (Linux: BPF_LOG_LEVEL1, BPF_LOG_LEVEL2, BPF_LOG_STATS). */
#define LOG_PATH  1u
#define LOG_WALK  2u
#define LOG_STATS 4u

enum reg_type {
    REG_NONE, /* never written, or forgotten */
    REG_SCALAR,
    REG_CTX,
    REG_STACK,
    REG_MAP, /* the map itself */
    REG_MAP_VALUE,
    REG_MAP_VALUE_OR_NULL,
    REG_MAP_KEY, /* lent to a function that a helper calls back */
    REG_PACKET,
    REG_PACKET_META,
    REG_PACKET_END,
    REG_RECORD, /* reserved in a ring buffer */
    REG_RECORD_OR_NULL,
    REG_MEM, /* part of what a dynptr is over */
    REG_MEM_OR_NULL,
    REG_FUNC,
    REG_DYNPTR, /* in slots alone: half of a dynptr, off says which */
};

/* An id that is a loop's own: it matches only itself, while others match by how they are used. */
#define ID_LOOP   0x80000000u
#define ID_LENGTH 1u /* of the number that is r1's length, in programs of type mem */

/* A pointer is base + off + n. A scalar with an id is that id's number + off, modulo 2^64; several
 * registers with one id are refined together. */
struct reg {
    uint8_t type;  /* enum reg_type */
    uint8_t frame; /* REG_STACK; REG_MAP_KEY: the frame that it is lent to */
    bool precise;  /* scalar: its value matters to what follows */
    uint32_t id;   /* scalar: link; or-null, packet, dynptr: which; map value: which, if it has a
                      lock; map that was looked up: which, if its values have timers */
    int64_t off;
    union {
        struct ebpf_map *map; /* REG_MAP, REG_MAP_VALUE(_OR_NULL), REG_MAP_KEY */
        uint64_t size;        /* REG_RECORD(_OR_NULL), REG_MEM(_OR_NULL) */
        uint64_t kind;        /* REG_DYNPTR: enum dynptr_kind */
        int64_t range;        /* packet: [base + n, + range) is inside */
        uint64_t target;      /* REG_FUNC: slot */
    };
    uint32_t ref;     /* reference to give back, 0: none */
    uint32_t map_uid; /* REG_MAP_VALUE(_OR_NULL): the id that its map had */
    struct scalar n;
};

/* The last two say that the slot's register is what counts. */
enum byte_kind { BYTE_NONE, BYTE_MISC, BYTE_ZERO, BYTE_SPILL, BYTE_DYNPTR };

enum dynptr_kind { DYNPTR_LOCAL, DYNPTR_RINGBUF };

/* Eight bytes of stack. Slot i is [-8 * (i + 1), -8 * i) of its frame. */
struct slot {
    uint8_t bytes[8];    /* enum byte_kind, lowest address first */
    uint8_t start, size; /* of the spilled register's bytes */
    struct reg spill;
};

#define TRIPS_STOPPED UINT32_MAX /* it returns; or a tail call that goes to another program */

struct frame {
    struct reg regs[ISA_REGISTERS];
    uint32_t call_slot;  /* of the call that made it; the outermost: where it begins */
    uint32_t nr_slots;   /* slots in use */
    uint32_t activation; /* no other call of a function has the same */
    uint32_t may_gotos;  /* how many may_goto it has passed */
    uint32_t trips;      /* of the helper that it calls: how often that has called back so far */
    bool called_back;    /* by the helper called at call_slot, to where it returns */
    struct slot slots[SLOTS];
};

struct ref {
    uint32_t id;
    uint32_t slot : 24; /* of the instruction that acquired it */
    uint32_t level : 8; /* how many frames around that were called back */
};

/* The spin lock that is held: in the value with this id of this map. NULL: none. */
struct held_lock {
    struct ebpf_map *map;
    uint32_t id;
};

struct state {
    uint32_t pc, depth; /* index of the innermost frame */
    struct held_lock lock;
    uint32_t nr_refs;
    struct ref refs[REFS_MAX];
    struct frame frames[ISA_FRAMES_MAX];
};

/* A state with only what is live in it, packed: see verifier_keep.c. */
struct kept_frame {
    uint32_t call_slot, activation, may_gotos, trips;
    bool called_back;
    uint16_t regs;  /* which follow */
    uint64_t slots; /* likewise */
    uint32_t nr_slots;
};

struct loop; /* verifier_loop.c */

struct kept {
    struct kept *next;          /* older one at the same instruction */
    struct kept *older, *newer; /* as they were kept, anywhere */
    uint32_t bytes, serial;
    uint32_t pc, depth, nr_refs;
    struct held_lock lock;
    uint32_t trace, branches; /* how long the path's trace was, and how many ways were put aside */
    uint32_t hits, misses;
    bool done;         /* every path from here has been walked */
    struct loop *loop; /* it stands for all trips of a loop */
    struct kept_frame frames[];
    /* then struct ref refs[nr_refs]; for each frame its registers, then its slots */
};

/* What is to be done with the state that the walk comes back to. */
enum branch_way {
    WAY_ON,   /* it goes on at its pc */
    WAY_JUMP, /* it stands at a conditional jump, which is to be taken */
    WAY_FALL, /* likewise, not to be taken */
};

/* What the walk comes back to. */
struct branch {
    struct kept *state; /* owned */
    uint32_t nr_trace, nr_path;
    enum branch_way way;
    struct loop *loop; /* not NULL: the end of a loop's trial, and state is where it began */
};

/* For each slot of the program: what the passes before the walk found. */
struct insn_info {
    uint16_t stack;        /* function's first slot: bytes of its frame that are used */
    uint16_t live;         /* registers that may be read from here on before they are written */
    bool merge : 1;        /* paths meet here */
    bool loop_head : 1;    /* a jump from further on leads here */
    bool calls_back : 1;   /* a helper is called that calls functions back before it returns */
    bool walk_loop : 1;    /* its loop could not be proven at once, by a counter */
    bool called_back : 1;  /* a function's first slot: helpers call it back before they return */
    bool global : 1;       /* likewise: a function that is walked on its own */
    bool moves_packet : 1; /* likewise: it, or what it calls, may move the packet */
    bool walk_endless : 1; /* nor by what bounds it at run time */
    bool explored : 1;
    uint32_t function; /* first slot of the function */
    uint32_t loop_end; /* loop_head: the last slot that jumps here */
    uint32_t nr_states;
    uint64_t live_slots;
    struct kept *states;
};

/* Which rule a program broke (verifier_rules.def). */
enum verifier_rule {
#define RULE(NAME, rule, hint) RULE_##NAME,
#include "ebpf/verifier_rules.def"
};

#define NO_REG (-1)

/* What walks start from. */
enum entry_kind { ENTRY_PROGRAM, ENTRY_TIMER, ENTRY_GLOBAL };

struct entry {
    uint32_t slot;
    enum entry_kind kind;
    struct ebpf_map *map; /* ENTRY_TIMER: whose values the timer is in */
};

struct verifier {
    const struct ebpf_prog_load *load;
    const struct ebpf_decoded *code;
    uint32_t nr, flags;
    uint32_t logged;            /* LOG_PATH or LOG_WALK, if such a log is asked for */
    bool watched;               /* somebody is told of each step: */
    struct verifier_log *log;   /* levels 1 and 2 */
    struct verifier_past *past; /* what the registers were along the path, to say why */
    const struct ebpf_watch *watch;
    const struct ebpf_context *context;
    struct insn_info *info;
    struct ebpf_proof *proof;

    struct state *now;
    uint32_t next_id, next_activation;

    /* The path under way: each instruction, and the states kept on it. */
    uint32_t *trace, nr_trace, trace_room;
    struct kept **path;
    uint32_t nr_path, path_room;

    struct branch *branches;
    uint32_t nr_branches, branches_room;
    struct loop *trial; /* the last that was begun and is not over */

    struct entry *entries;
    uint32_t nr_entries, entries_room;
    enum entry_kind entry; /* of the walk under way */
    bool has_globals;

    struct kept *newest;
    uint32_t serial;
    struct ebpf_verify_cost cost;
    uint32_t nr_states;
    uint64_t bytes;

    int err;
    enum verifier_rule rule; /* that was broken */
    int blamed;              /* a register, or NO_REG */
    uint32_t err_slot;
    char message[MESSAGE_MAX];
    char first_message[MESSAGE_MAX]; /* of the first loop on trial that failed */
    uint32_t first_slot;
    int first_err;
    bool first_is_final; /* such a failure is not undone */
    /* The register that the last instruction shifted left by 32, as it was, and when that was. */
    struct reg shifted;
    uint32_t shifted_at;
    void *scratch; /* where context accesses are resolved; never read or written */
};

/* How many bits are 1; the compiler's builtin would call a library. */
static inline unsigned count_bits(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555;
    bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
    bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (unsigned)(bits * 0x0101010101010101 >> 56);
}

static inline struct frame *frame_now(struct verifier *v)
{
    return &v->now->frames[v->now->depth];
}

static inline struct reg *reg_now(struct verifier *v, unsigned reg)
{
    return &frame_now(v)->regs[reg];
}

/* ---- verifier_watch.c: tells whoever watches; a branch that is not taken when nobody does. pc and
 * kept: what the event is about (struct ebpf_walk). */
void verifier_watched(struct verifier *v, enum ebpf_walk_event event, uint32_t pc,
                      const struct kept *kept);

static inline void verifier_tell(struct verifier *v, enum ebpf_walk_event event, uint32_t pc,
                                 const struct kept *kept)
{
    if (__builtin_expect(v->watched, 0))
        verifier_watched(v, event, pc, kept);
}

/* ---- verifier_why.c. Says why; always false. regno: the register of the innermost frame that is
 * to blame. */
bool verifier_reject(struct verifier *v, int err, enum verifier_rule rule, int regno,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void why_write(struct verifier *v, struct verifier *again);

/* ---- verifier_past.c */
void past_start(struct verifier *v);
void past_end(struct verifier *v);
void past_see(struct verifier_past *past, const struct ebpf_walk *walk);

/* ---- verifier_text.c */
const char *reg_type_name(enum reg_type type);
void reg_print(const struct reg *reg, char *out, uint32_t size);
bool slot_print(const struct slot *slot, char *out, uint32_t size);
void insn_print(const struct verifier *v, uint32_t pc, char *out);
const struct bpf_line_info *line_of(const struct verifier *v, uint32_t pc);
const char *line_text(const struct verifier *v, const struct bpf_line_info *line);
const char *line_file(const struct verifier *v, const struct bpf_line_info *line);

/* ---- verifier_log.c */
void log_start(struct verifier *v);
void log_end(struct verifier *v);
void log_see(struct verifier_log *log, const struct ebpf_walk *walk);

/* ---- verifier_flow.c */
bool verifier_flow(struct verifier *v);
void insn_registers(const struct verifier *v, uint32_t pc, uint32_t *reads, uint32_t *writes);

/* ---- verifier_keep.c */
void *verifier_alloc(struct verifier *v, uint64_t size);
void verifier_free(struct verifier *v, void *block, uint64_t size);
bool verifier_grow(struct verifier *v, void **array, uint32_t *room, uint32_t need, uint32_t size);
struct kept *keep(struct verifier *v, const struct state *state, uint32_t pc);
void keep_free(struct verifier *v, struct kept *kept);
void keep_close(struct verifier *v, struct kept *kept);
void unkeep(struct verifier *v, const struct kept *kept, struct state *state);
struct ref *kept_refs(struct kept *kept);
struct reg *kept_reg(struct kept *kept, unsigned frame, unsigned reg);
struct slot *kept_slot(struct kept *kept, unsigned frame, unsigned slot);
void live_cells(const struct verifier *v, const struct state *state, unsigned frame, uint32_t pc,
                uint16_t *regs, uint64_t *slots);

/* ---- registers: verifier_regs.c */
void reg_set_scalar(struct reg *reg, struct scalar n);
void reg_set_unknown(struct reg *reg);
bool reg_is_const(const struct reg *reg);
bool is_or_null(enum reg_type type);
void reg_set_not_null(struct reg *reg);
void add_range(struct reg *reg, const struct scalar *n);
bool regs_sync_link(struct verifier *v, const struct reg *known);
void regs_forget_precise(struct verifier *v);
int reg_number(struct verifier *v, const struct reg *reg);
bool reg_differs(const struct reg *a, const struct reg *b);
typedef bool (*reg_visitor)(struct verifier *v, struct reg *reg, void *arg);
bool regs_visit(struct verifier *v, reg_visitor visit, void *arg);

/* ---- verifier_precise.c */
#define TRACE_PC(entry)    ((entry)&0xfffff)
#define TRACE_FRAME(entry) ((entry) >> 20 & 7)
#define TRACE_SLOT(entry)  ((entry) >> 23 & 63)
#define TRACE_STACK        (1u << 29) /* reads or writes the spill in one slot */
#define TRACE_LINKED       (1u << 30) /* a condition that refined linked registers */
#define TRACE_TURN         (1u << 31) /* a call or return that does not go the usual way */

struct cells {
    uint16_t regs[ISA_FRAMES_MAX];
    uint64_t slots[ISA_FRAMES_MAX];
};

bool precise_reg(struct verifier *v, unsigned reg);
bool precise_slot(struct verifier *v, unsigned frame, unsigned slot);
void precise_condition(struct verifier *v, const struct ebpf_decoded *insn);
void precise_cells(struct verifier *v, struct cells cells);
void trace_undo(struct verifier *v, uint32_t entry, struct cells *cells, uint32_t *frame);

/* ---- verifier_stack.c, verifier_memory.c */
bool stack_read(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                struct reg *to);
bool stack_write(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                 const struct reg *from, int regno);
bool stack_fill(struct verifier *v, const struct reg *base, int64_t off, uint32_t size);
bool stack_reach(struct verifier *v, const struct reg *base, int64_t off, uint32_t size);
bool stack_constant(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                    uint64_t *value);
bool memory_load(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size, bool sign);
bool memory_store(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size,
                  bool immediate);
bool memory_atomic(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size,
                   uint32_t imm);
bool memory_aligned(struct verifier *v, unsigned regno, uint64_t size);
bool memory_region(struct verifier *v, unsigned regno, uint64_t size, bool write, const char *what);

/* ---- verifier_alu.c, verifier_branch.c, verifier_helper.c, verifier_call.c */
bool alu_step(struct verifier *v, const struct ebpf_decoded *insn);
bool branch_step(struct verifier *v, const struct ebpf_decoded *insn, bool *ended);
bool branch_take(struct verifier *v, bool jump);
bool push_branch(struct verifier *v, const struct state *state, uint32_t pc);
bool push_again(struct verifier *v);
bool helper_step(struct verifier *v, const struct ebpf_decoded *insn);
bool release_ref(struct verifier *v, uint32_t ref);
void call_clobber(struct verifier *v);
bool call_enter(struct verifier *v, uint32_t function, bool called_back);
void forget_packets(struct verifier *v);

/* ---- verifier_dynptr.c, verifier_lock.c */
bool dynptr_overwrite(struct verifier *v, struct frame *f, unsigned slot);
bool lock_check_maps(struct verifier *v);
bool lock_check_access(struct verifier *v, const struct reg *base, int64_t off, uint64_t size);
bool lock_check_call(struct verifier *v);
bool lock_check_exit(struct verifier *v);
bool call_step(struct verifier *v, const struct ebpf_decoded *insn);
bool exit_step(struct verifier *v, bool *ended);
bool tail_call_step(struct verifier *v);

/* ---- verifier_callback.c */
bool helper_calls_back(const struct ebpf_decoded *insn);
uint32_t callback_level(const struct state *state);
uint32_t callback_trips_max(struct verifier *v);
struct reg callback_value(struct verifier *v, struct ebpf_map *map, uint32_t map_uid);
bool callback_exit(struct verifier *v, bool result);

/* ---- verifier_entry.c, verifier_function.c */
bool entry_add(struct verifier *v, struct entry entry);
bool entry_begin(struct verifier *v, uint32_t index);
bool entry_end(struct verifier *v);
bool function_find_globals(struct verifier *v);
void function_find_movers(struct verifier *v);
bool function_begin(struct verifier *v);
bool function_call(struct verifier *v, uint32_t slot);
bool function_check_depth(struct verifier *v);

/* ---- verifier_prune.c */
enum likeness {
    LIKE_USED,  /* numbers that mattered lie within the older ones */
    LIKE_ALL,   /* all numbers do */
    LIKE_EQUAL, /* all numbers are the same */
};
bool kept_calls_same(const struct kept *old, const struct state *now);
bool kept_includes(struct verifier *v, struct kept *old, const struct state *now,
                   enum likeness like);
void keep_marks(struct verifier *v, struct kept *old);

/* ---- verifier_loop.c */
enum arrival {
    ARRIVAL_GO_ON,   /* nothing special: compare and keep */
    ARRIVAL_STARTED, /* v->now stands for all trips and is kept */
    ARRIVAL_DONE,    /* the path ends here */
    ARRIVAL_FAIL,    /* rejected */
};
enum arrival loop_arrive(struct verifier *v);
bool loop_fall_back(struct verifier *v);
void loop_succeed(struct verifier *v, struct branch *branch);
void loop_free(struct verifier *v, struct loop *loop);
struct kept *loop_head(const struct loop *loop);
uint64_t loop_trips(const struct loop *loop);

/* ---- verifier_states.c */
#define OPEN_MAX 8u /* states of the path under way at one instruction, to compare with */
void states_add(struct verifier *v, struct kept *kept);
void states_remove(struct verifier *v, struct kept *kept);
void states_drop_since(struct verifier *v, uint32_t serial);
bool states_include(struct verifier *v, unsigned *open);
bool path_push(struct verifier *v, struct kept *kept);
void path_cut(struct verifier *v, uint32_t nr_path);
uint32_t path_since_kept(const struct verifier *v);
bool path_keep(struct verifier *v, bool compare);

#endif
