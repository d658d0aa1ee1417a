/*
 * The checked interpreter's loop. What instructions compute is alu.h's, which memory they may touch
 * checked_access.c's; here are control flow, calls, frames and the instruction budget.
 */
#include "ebpf/interp_checked.h"

#include "ebpf/alu.h"
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/decode.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

/* Starts a function in the frame at c->depth, on a stack of zeroes so that runs are
 * reproducible. */
static void enter_frame(struct checked *c)
{
    uint8_t *top = c->stack + sizeof(c->stack) - c->depth * ISA_STACK_SIZE;

    __builtin_memset(top - ISA_STACK_SIZE, 0, ISA_STACK_SIZE);
    c->reg[ISA_FP] = (uintptr_t)top;
    c->frames[c->depth].prog = c->run.prog;
    c->frames[c->depth].may_goto = ISA_MAY_GOTO_MAX;
}

static bool call_local(struct checked *c, uint32_t return_pc)
{
    struct checked_frame *frame = &c->frames[c->depth + 1];

    if (c->run.lock)
        return checked_fault(c, "function calls are not allowed while holding a lock");
    if (c->depth + 1 == ISA_FRAMES_MAX)
        return checked_fault(c, "the call stack of %u frames is too deep, %u are allowed",
                             ISA_FRAMES_MAX + 1, ISA_FRAMES_MAX);
    c->depth++;
    frame->return_pc = return_pc;
    __builtin_memcpy(frame->saved, &c->reg[6], sizeof(frame->saved));
    enter_frame(c);
    return true;
}

/* Back to the caller's frame; its slot to go on at. */
static uint32_t return_local(struct checked *c)
{
    const struct checked_frame *frame = &c->frames[c->depth--];

    __builtin_memcpy(&c->reg[6], frame->saved, sizeof(frame->saved));
    c->reg[ISA_FP] += ISA_STACK_SIZE;
    c->run.prog = c->frames[c->depth].prog;
    return frame->return_pc;
}

/* Helpers clobber r1 to r5; they read as 0 afterwards, never as something left over. */
static void clobber(struct checked *c)
{
    __builtin_memset(&c->reg[1], 0, 5 * sizeof(c->reg[0]));
}

/* False also when a function that the helper called back was stopped. */
static bool call_helper(struct checked *c, const struct ebpf_helper *helper)
{
    uint64_t *r = c->reg;

    if (!checked_arguments(c, helper))
        return false;
    r[0] = helper->call(r[1], r[2], r[3], r[4], r[5]);
    clobber(c);
    return c->error == 0;
}

/* bpf_tail_call(ctx, map, index): *jumped tells whether the frame now belongs to another program;
 * else the caller goes on, as on Linux when the slot is empty or after 33 tail calls. */
static bool tail_call(struct checked *c, const struct ebpf_helper *helper, bool *jumped)
{
    struct ebpf_map *map = (struct ebpf_map *)c->reg[2];
    struct ebpf_prog *target;
    uint64_t ctx = c->reg[1];

    *jumped = false;
    if (!checked_arguments(c, helper))
        return false;
    if (!map->ops->prog_at)
        return checked_fault(c, "tail call through map %s of type %s, must be a prog_array",
                             map->name, map->ops->name);
    target = map->ops->prog_at(map, (uint32_t)c->reg[3]);
    clobber(c);
    c->reg[0] = 0;
    if (!target || target->type != c->run.prog->type || c->tail_calls == ISA_TAIL_CALLS_MAX)
        return true;
    c->tail_calls++;
    c->run.prog = target;
    enter_frame(c);
    c->reg[1] = ctx;
    *jumped = true;
    return true;
}

static bool leave_loop(struct checked *c)
{
    uint32_t *left = &c->frames[c->depth].may_goto;

    if (*left == 0 || c->budget < c->reserve)
        return true;
    --*left;
    return false;
}

static bool may_exit(struct checked *c)
{
    return !c->run.lock || checked_fault(c, "bpf_spin_unlock is missing: a lock is held at exit");
}

/* Sign extension of what a load gave. */
#define EXTEND(type, value) ((uint64_t)(int64_t)(type)(value))

/* Runs from slot pc, the entry of the frame at c->depth, to that frame's exit. False: the run
 * faulted. */
static bool execute(struct checked *c, uint32_t pc)
{
    uint64_t *r = c->reg, value;
    const struct ebpf_decoded *code = c->run.prog->decoded;
    const uint32_t outermost = c->depth;
    bool ok = true, jumped;
    void *mem;

    while (ok) {
        const struct ebpf_decoded *i = &code[pc];

        c->pc = pc++;
        checked_embed(c);
        if (c->budget-- == 0) {
            checked_fault(c, "the budget of %u instructions is used up", c->frames[0].prog->budget);
            c->error = -ELOOP;
            return false;
        }
        switch ((enum ebpf_op)i->op) {
#define ALU(NAME, name, code, off, text)                                                           \
    case OP_##NAME##64_K:                                                                          \
        r[i->dst] = alu_##name##64(r[i->dst], i->imm);                                             \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
        r[i->dst] = alu_##name##64(r[i->dst], r[i->src]);                                          \
        break;                                                                                     \
    case OP_##NAME##32_K:                                                                          \
        r[i->dst] = alu_##name##32(r[i->dst], i->imm);                                             \
        break;                                                                                     \
    case OP_##NAME##32_X:                                                                          \
        r[i->dst] = alu_##name##32(r[i->dst], r[i->src]);                                          \
        break;
#define MOVSX(NAME, name, bits, wide, text)                                                        \
    case OP_##NAME:                                                                                \
        r[i->dst] = alu_##name(r[i->src]);                                                         \
        break;
#define SWAP(NAME, name, code, bits, text)                                                         \
    case OP_##NAME:                                                                                \
        r[i->dst] = alu_##name(r[i->dst]);                                                         \
        break;
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
        pc = alu_##name##64(r[i->dst], i->imm) ? (uint32_t)i->off : pc;                            \
        break;                                                                                     \
    case OP_##NAME##64_X:                                                                          \
        pc = alu_##name##64(r[i->dst], r[i->src]) ? (uint32_t)i->off : pc;                         \
        break;                                                                                     \
    case OP_##NAME##32_K:                                                                          \
        pc = alu_##name##32(r[i->dst], i->imm) ? (uint32_t)i->off : pc;                            \
        break;                                                                                     \
    case OP_##NAME##32_X:                                                                          \
        pc = alu_##name##32(r[i->dst], r[i->src]) ? (uint32_t)i->off : pc;                         \
        break;
#define MEM(NAME, type, code, text)                                                                \
    case OP_LDX_##NAME:                                                                            \
        ok = checked_load(c, r[i->src] + (int64_t)i->off, sizeof(type), &r[i->dst]);               \
        break;                                                                                     \
    case OP_STX_##NAME:                                                                            \
        ok = checked_store(c, r[i->dst] + (int64_t)i->off, sizeof(type), r[i->src]);               \
        break;                                                                                     \
    case OP_ST_##NAME:                                                                             \
        ok = checked_store(c, r[i->dst] + (int64_t)i->off, sizeof(type), i->imm);                  \
        break;
#define LDSX(NAME, type, code, text)                                                               \
    case OP_LDSX_##NAME:                                                                           \
        ok = checked_load(c, r[i->src] + (int64_t)i->off, sizeof(type), &value);                   \
        r[i->dst] = ok ? EXTEND(type, value) : r[i->dst];                                          \
        break;
#define ATOMIC_FORM(NAME, function, imm, bits)                                                     \
    case OP_ATOMIC_##NAME##bits:                                                                   \
        mem = checked_atomic(c, r[i->dst] + (int64_t)i->off, (bits) / 8);                          \
        ok = mem != NULL;                                                                          \
        value = ok ? alu_atomic_##function##bits(mem, r[i->src], r[0]) : 0;                        \
        if (ok && ((imm)&BPF_FETCH))                                                               \
            r[(imm) == BPF_CMPXCHG ? 0 : i->src] = value;                                          \
        break;
#define ATOMIC(NAME, function, imm)                                                                \
    ATOMIC_FORM(NAME, function, imm, 64) ATOMIC_FORM(NAME, function, imm, 32)
#include "ebpf/opcodes.def"
        case OP_NEG64:
            r[i->dst] = alu_neg64(r[i->dst]);
            break;
        case OP_NEG32:
            r[i->dst] = alu_neg32(r[i->dst]);
            break;
        case OP_JA:
            pc = (uint32_t)i->off;
            break;
        case OP_MAY_GOTO:
            pc = leave_loop(c) ? (uint32_t)i->off : pc;
            break;
        case OP_LD_IMM64:
            r[i->dst] = i->imm;
            pc++;
            break;
        case OP_CALL_HELPER:
            ok = call_helper(c, (const struct ebpf_helper *)i->imm);
            break;
        case OP_CALL_LOCAL:
            ok = call_local(c, pc);
            pc = (uint32_t)i->off;
            break;
        case OP_TAIL_CALL:
            ok = tail_call(c, (const struct ebpf_helper *)i->imm, &jumped);
            pc = ok && jumped ? 0 : pc;
            code = c->run.prog->decoded;
            break;
        case OP_EXIT:
            if (c->depth == outermost)
                return may_exit(c);
            pc = return_local(c);
            code = c->run.prog->decoded;
            break;
        case OP_LD_IMM64_HIGH:
        case NR_OPS:
            port_fatal("program %u runs undecoded slot %u", c->run.prog->object.id, c->pc);
        }
    }
    return false;
}

/* struct ebpf_run's call: a frame on top of that of the helper's caller. */
static bool call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5], uint64_t *r0)
{
    struct checked *c = CONTAINER_OF(run, struct checked, run);
    uint64_t saved[ISA_REGISTERS];
    uint32_t pc = c->pc;

    __builtin_memcpy(saved, c->reg, sizeof(saved));
    if (!call_local(c, pc))
        return false;
    __builtin_memcpy(&c->reg[1], args, 5 * sizeof(args[0]));
    if (!execute(c, (uint32_t)function))
        return false;
    *r0 = c->reg[0];
    return_local(c);
    __builtin_memcpy(c->reg, saved, sizeof(saved));
    c->pc = pc;
    return true;
}

static void begin(struct checked *c)
{
    __builtin_memset(c->reg, 0, sizeof(c->reg));
    c->depth = c->tail_calls = 0;
    c->budget = c->run.prog->budget;
    c->reserve = c->budget / 16;
    c->error = 0;
    c->run.call = call_back;
    enter_frame(c);
}

static int end(struct checked *c, bool ok, uint64_t *result)
{
    ebpf_lock_release(&c->run);
    c->run.lent = NULL;
    if (ok)
        *result = c->reg[0];
    return c->error;
}

int checked_run(struct checked *c, uint64_t *result)
{
    begin(c);
    c->reg[1] = (uintptr_t)c->run.ctx;
    if (c->run.prog->type == EBPF_PROG_TYPE_MEM) {
        uintptr_t first, last;

        ebpf_context_packet(c->run.prog->type, c->run.ctx, &first, &last);
        c->reg[1] = first;
        c->reg[2] = last - first;
    }
    return end(c, execute(c, 0), result);
}

int checked_call(struct checked *c, uint32_t function, const uint64_t args[5], uint64_t *result)
{
    begin(c);
    __builtin_memcpy(&c->reg[1], args, 5 * sizeof(args[0]));
    return end(c, execute(c, function), result);
}
