/*
 * The fast interpreter's one function. Threaded: each instruction ends in a jump of its own to the
 * next one's code, so that the branch predictor sees which instruction tends to follow which. What
 * instructions compute is alu.h's.
 */
#include "ebpf/interp_fast.h"

#include "ebpf/alu.h"
#include "ebpf/engine.h"
#include "ebpf/helper.h"
#include "ebpf/isa.h"
#include "ebpf/lower.h"
#include "ebpf/ringbuf.h"

struct fast_frame {
    const struct ebpf_lowered *lowered; /* of the caller */
    const struct ebpf_decoded *next;
    uint64_t saved[4]; /* r6 to r9 */
    uint64_t spare;    /* LOW_SPARE */
    uint64_t may_goto;
};

/* Unaligned access of a type, without giving up on the compiler's own checks elsewhere. */
#define UNALIGNED(type)                                                                            \
    struct {                                                                                       \
        type value;                                                                                \
    } __attribute__((packed, may_alias))
#define AT(type, address) (((UNALIGNED(type) *)(uintptr_t)(address))->value)

#define EXTEND(type, value) ((uint64_t)(int64_t)(type)(value))

static uint64_t element(const struct low_lookup *l, uint32_t key)
{
    return key < l->nr ? (uintptr_t)l->data + (uint64_t)key * l->stride : 0;
}

static uint32_t switch_target(const struct low_switch *s, uint64_t value)
{
    value = s->wide ? value : (uint32_t)value;
    return value < s->nr ? s->slots[value] : s->otherwise;
}

/* A function begins, whose frame is below r10. */
static void begin(const struct ebpf_lowered *lowered, uint64_t function, uint64_t *r)
{
    const struct low_function *f = &lowered->functions[function];

    if (lowered->zero_stack)
        __builtin_memset((uint8_t *)(uintptr_t)r[ISA_FP] - ISA_STACK_SIZE, 0, ISA_STACK_SIZE);
    for (unsigned n = 0; n < f->nr_begins; n++)
        r[f->begins[n].reg] = f->begins[n].value;
}

/* Who calls a helper that calls functions back: its program, and the end of the stack that it
 * leaves. */
struct ebpf_fast_caller {
    const struct ebpf_lowered *lowered;
    uint8_t *stack_end;
    uint32_t frames; /* in use below */
    const struct ebpf_fast_caller *outer;
};

static uint32_t frames_below(const struct ebpf_run *run)
{
    return run->caller ? run->caller->frames : 0;
}

/* struct ebpf_run's call. */
bool ebpf_fast_call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5],
                         uint64_t *r0)
{
    *r0 =
        ebpf_fast_run(run, run->caller->lowered, (uint32_t)function, args, run->caller->stack_end);
    return true;
}

uint64_t ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered, uint32_t slot,
                       const uint64_t args[5], uint8_t *stack_end)
{
    static const void *const labels[NR_LOW_OPS] = {
#define LABEL(op) [op] = &&L_##op,
#define FOUR(NAME)                                                                                 \
    LABEL(OP_##NAME##64_K) LABEL(OP_##NAME##64_X) LABEL(OP_##NAME##32_K) LABEL(OP_##NAME##32_X)
#define ALU(NAME, name, code, off, text)    FOUR(NAME)
#define MOVSX(NAME, name, bits, wide, text) LABEL(OP_##NAME)
#define SWAP(NAME, name, code, bits, text)  LABEL(OP_##NAME)
#define JUMP(NAME, name, code, text)        FOUR(NAME)
#define MEM(NAME, type, code, text)                                                                \
    LABEL(OP_LDX_##NAME)                                                                           \
    LABEL(OP_STX_##NAME)                                                                           \
    LABEL(OP_ST_##NAME) LABEL(LOW_LDX_##NAME##_INDEX) LABEL(LOW_STX_##NAME##_INDEX)
#define LDSX(NAME, type, code, text) LABEL(OP_LDSX_##NAME) LABEL(LOW_LDSX_##NAME##_INDEX)
#define ATOMIC(NAME, name, imm)      LABEL(OP_ATOMIC_##NAME##64) LABEL(OP_ATOMIC_##NAME##32)
#define OTHER(NAME)                  LABEL(OP_##NAME)
#include "ebpf/opcodes.def"
        LABEL(LOW_NOP) LABEL(LOW_LEA64) LABEL(LOW_LEA32) LABEL(LOW_ROL64) LABEL(LOW_ROL32)
            LABEL(LOW_MUL64) LABEL(LOW_MUL32) LABEL(LOW_LDX_BE16) LABEL(LOW_LDX_BE32)
                LABEL(LOW_LDX_BE64) LABEL(LOW_SWITCH) LABEL(LOW_ARRAY_LOOKUP) LABEL(LOW_ARRAY_INDEX)
                    LABEL(LOW_ARRAY_ELEMENT) LABEL(LOW_RING_RESERVE) LABEL(LOW_RING_COMMIT)
                        LABEL(LOW_CALL_DIRECT) LABEL(LOW_CALL_BACK) LABEL(LOW_LD_FUNCTION)};
    struct fast_frame frames[ISA_FRAMES_MAX], *frame = frames;
    const struct ebpf_decoded *i = &lowered->code[slot];
    uint64_t r[LOW_REGISTERS];
    uint64_t value;

    __builtin_memset(r, 0, sizeof(r));
    __builtin_memcpy(&r[1], args, 5 * sizeof(args[0]));
    r[ISA_FP] = (uintptr_t)stack_end;
    frame->may_goto = ISA_MAY_GOTO_MAX;
    begin(lowered, slot ? ebpf_lowered_function(lowered, slot) : 0, r);

#define DISPATCH(next)                                                                             \
    do {                                                                                           \
        i = (next);                                                                                \
        fast_embed(lowered, i, r);                                                                 \
        goto *labels[i->op];                                                                       \
    } while (0)
#define NEXT()        DISPATCH(i + 1)
#define GOTO(slot)    DISPATCH(&lowered->code[slot])
#define BRANCH(taken) DISPATCH((taken) ? &lowered->code[i->off] : i + 1)
#define INDEX()       ((low_index(i) == LOW_NO_INDEX ? 0 : r[low_index(i)]) << low_scale(i))

    DISPATCH(i);

#define ALU(NAME, name, code, off, text)                                                           \
    L_OP_##NAME##64_K : r[i->dst] = alu_##name##64(r[i->dst], i->imm);                             \
    NEXT();                                                                                        \
    L_OP_##NAME##64_X : r[i->dst] = alu_##name##64(r[i->dst], r[i->src]);                          \
    NEXT();                                                                                        \
    L_OP_##NAME##32_K : r[i->dst] = alu_##name##32(r[i->dst], i->imm);                             \
    NEXT();                                                                                        \
    L_OP_##NAME##32_X : r[i->dst] = alu_##name##32(r[i->dst], r[i->src]);                          \
    NEXT();
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    L_OP_##NAME : r[i->dst] = alu_##name(r[i->src]);                                               \
    NEXT();
#define SWAP(NAME, name, code, bits, text)                                                         \
    L_OP_##NAME : r[i->dst] = alu_##name(r[i->dst]);                                               \
    NEXT();
#define JUMP(NAME, name, code, text)                                                               \
    L_OP_##NAME##64_K : BRANCH(alu_##name##64(r[i->dst], i->imm));                                 \
    L_OP_##NAME##64_X : BRANCH(alu_##name##64(r[i->dst], r[i->src]));                              \
    L_OP_##NAME##32_K : BRANCH(alu_##name##32(r[i->dst], i->imm));                                 \
    L_OP_##NAME##32_X : BRANCH(alu_##name##32(r[i->dst], r[i->src]));
#define MEM(NAME, type, code, text)                                                                \
    L_OP_LDX_##NAME : r[i->dst] = AT(type, r[i->src] + (int64_t)i->off);                           \
    NEXT();                                                                                        \
    L_OP_STX_##NAME : AT(type, r[i->dst] + (int64_t)i->off) = (type)r[i->src];                     \
    NEXT();                                                                                        \
    L_OP_ST_##NAME : AT(type, r[i->dst] + (int64_t)i->off) = (type)i->imm;                         \
    NEXT();                                                                                        \
    L_LOW_LDX_##NAME##_INDEX : r[i->dst] = AT(type, r[i->src] + INDEX() + (int64_t)i->off);        \
    NEXT();                                                                                        \
    L_LOW_STX_##NAME##_INDEX : AT(type, r[i->dst] + INDEX() + (int64_t)i->off) = (type)r[i->src];  \
    NEXT();
#define LDSX(NAME, type, code, text)                                                               \
    L_OP_LDSX_##NAME : r[i->dst] = EXTEND(type, AT(type, r[i->src] + (int64_t)i->off));            \
    NEXT();                                                                                        \
    L_LOW_LDSX_##NAME##_INDEX : r[i->dst] =                                                        \
                                    EXTEND(type, AT(type, r[i->src] + INDEX() + (int64_t)i->off)); \
    NEXT();
#define ATOMIC_FORM(NAME, function, imm, bits)                                                     \
    L_OP_ATOMIC_##NAME##bits                                                                       \
        : value = alu_atomic_##function##bits((void *)(r[i->dst] + (uint64_t)(int64_t)i->off),     \
                                              r[i->src], r[0]);                                    \
    if ((imm)&BPF_FETCH)                                                                           \
        r[(imm) == BPF_CMPXCHG ? 0 : i->src] = value;                                              \
    NEXT();
#define ATOMIC(NAME, function, imm)                                                                \
    ATOMIC_FORM(NAME, function, imm, 64) ATOMIC_FORM(NAME, function, imm, 32)
#include "ebpf/opcodes.def"

L_OP_NEG64:
    r[i->dst] = alu_neg64(r[i->dst]);
    NEXT();
L_OP_NEG32:
    r[i->dst] = alu_neg32(r[i->dst]);
    NEXT();
L_OP_JA:
    GOTO(i->off);
L_OP_MAY_GOTO:
    if (frame->may_goto == 0)
        GOTO(i->off);
    frame->may_goto--;
    NEXT();
L_OP_LD_IMM64:
    r[i->dst] = i->imm;
    i++;
    NEXT();
L_LOW_LEA64:
    r[i->dst] = r[i->src] + INDEX() + (uint64_t)(int64_t)i->off;
    NEXT();
L_LOW_LEA32:
    r[i->dst] = (uint32_t)(r[i->src] + INDEX() + (uint64_t)(int64_t)i->off);
    NEXT();
L_LOW_ROL64:
    value = r[i->src];
    r[i->dst] = value << (i->imm & 63) | value >> (-i->imm & 63);
    NEXT();
L_LOW_ROL32:
    value = (uint32_t)r[i->src];
    r[i->dst] = (uint32_t)(value << (i->imm & 31) | value >> (-i->imm & 31));
    NEXT();
L_LOW_MUL64:
    r[i->dst] = alu_mul64(r[i->src], i->imm);
    NEXT();
L_LOW_MUL32:
    r[i->dst] = alu_mul32(r[i->src], i->imm);
    NEXT();
L_LOW_LDX_BE16:
    r[i->dst] = alu_be16(AT(uint16_t, r[i->src] + INDEX() + (int64_t)i->off));
    NEXT();
L_LOW_LDX_BE32:
    r[i->dst] = alu_be32(AT(uint32_t, r[i->src] + INDEX() + (int64_t)i->off));
    NEXT();
L_LOW_LDX_BE64:
    r[i->dst] = alu_be64(AT(uint64_t, r[i->src] + INDEX() + (int64_t)i->off));
    NEXT();
L_LOW_SWITCH:
    GOTO(switch_target(&lowered->switches[i->imm], r[i->dst]));
L_LOW_ARRAY_LOOKUP:
    r[0] = element(&lowered->lookups[i->imm], AT(uint32_t, r[i->src] + (uint64_t)(int64_t)i->off));
    NEXT();
L_LOW_ARRAY_INDEX:
    r[0] = element(&lowered->lookups[i->imm], (uint32_t)r[i->src]);
    NEXT();
L_LOW_ARRAY_ELEMENT:
    r[0] = element(&lowered->lookups[i->imm], lowered->lookups[i->imm].key);
    NEXT();
L_LOW_RING_RESERVE:
    r[0] = (uintptr_t)ebpf_ringbuf_reserve((struct ebpf_ringbuf *)i->imm, (uint32_t)i->off);
    NEXT();
L_LOW_RING_COMMIT:
    ebpf_ringbuf_commit((void *)r[i->src], i->imm, BPF_RB_NO_WAKEUP);
    r[0] = 0;
    NEXT();
L_OP_CALL_HELPER:
    r[0] = ((const struct ebpf_helper *)i->imm)->call(r[1], r[2], r[3], r[4], r[5]);
    NEXT();
L_LOW_CALL_BACK : {
    const struct ebpf_fast_caller here = {lowered, (uint8_t *)(uintptr_t)r[ISA_FP] - ISA_STACK_SIZE,
                                          frames_below(run) + (uint32_t)(frame - frames) + 1,
                                          run->caller};

    run->caller = &here;
    r[0] = ((const struct ebpf_helper *)i->imm)->call(r[1], r[2], r[3], r[4], r[5]);
    run->caller = here.outer;
    NEXT();
}
L_LOW_LD_FUNCTION:
    r[i->dst] = (uint32_t)i->off;
    NEXT();
L_LOW_CALL_DIRECT:
    r[0] = ((ebpf_helper_fn)i->imm)(r[1], r[2], r[3], r[4], r[5]);
    NEXT();
L_OP_CALL_LOCAL:
    frame++;
    frame->lowered = lowered;
    frame->next = i + 1;
    frame->may_goto = ISA_MAY_GOTO_MAX;
    __builtin_memcpy(frame->saved, &r[6], sizeof(frame->saved));
    frame->spare = r[LOW_SPARE];
    r[ISA_FP] -= ISA_STACK_SIZE;
    begin(lowered, i->imm, r);
    GOTO(i->off);
L_OP_TAIL_CALL : {
    const struct ebpf_prog *target =
        ebpf_engine_tail_target(run, (struct ebpf_map *)r[2], (uint32_t)r[3],
                                frames_below(run) + (uint32_t)(frame - frames));

    r[0] = 0;
    if (!target)
        NEXT();
    lowered = target->lowered;
    begin(lowered, 0, r);
    frame->may_goto = ISA_MAY_GOTO_MAX;
    GOTO(0);
}
L_OP_EXIT:
    if (frame == frames)
        return r[0];
    __builtin_memcpy(&r[6], frame->saved, sizeof(frame->saved));
    r[LOW_SPARE] = frame->spare;
    r[ISA_FP] += ISA_STACK_SIZE;
    if (lowered != frame->lowered)
        run->prog = frame->lowered->prog;
    lowered = frame->lowered;
    frame--;
    DISPATCH(frame[1].next);
L_OP_LD_IMM64_HIGH: /* what LD_IMM64 was part of has been dropped */
L_LOW_NOP:
    NEXT();
}
