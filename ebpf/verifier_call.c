/*
 * Functions of the program, walked where they are called; and returning. Linux: prepare_func_exit
 * and what leads to it.
 */
#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/verifier_state.h"

#define TAIL_CALL_STACK_MAX 256u /* Linux: check_max_stack_depth */

/* What a call leaves of the caller's registers. */
void call_clobber(struct verifier *v)
{
    for (unsigned r = 0; r <= 5; r++)
        reg_now(v, r)->type = REG_NONE;
}

/* A frame for a function, which has no arguments yet; called_back: by a helper. */
bool call_enter(struct verifier *v, uint32_t function, bool called_back)
{
    struct state *s = v->now;
    struct frame *callee;

    if (!lock_check_call(v))
        return false;
    if (s->depth + 1 == ISA_FRAMES_MAX)
        return verifier_reject(v, -E2BIG, RULE_CALL_DEPTH, NO_REG,
                               "the call stack of %u frames is too deep, %u are allowed; does a "
                               "function call itself?",
                               ISA_FRAMES_MAX + 1, ISA_FRAMES_MAX);
    callee = &s->frames[++s->depth];
    callee->call_slot = s->pc;
    callee->called_back = called_back;
    callee->activation = ++v->next_activation;
    callee->nr_slots = callee->may_gotos = callee->trips = 0;
    for (unsigned r = 0; r < ISA_FP; r++)
        callee->regs[r].type = REG_NONE;
    callee->regs[ISA_FP] =
        (struct reg){.type = REG_STACK, .frame = (uint8_t)s->depth, .n = scalar_const(0)};
    if (s->depth + 1 > v->proof->max_frames)
        v->proof->max_frames = (uint8_t)(s->depth + 1);
    s->pc = function;
    return true;
}

bool call_step(struct verifier *v, const struct ebpf_decoded *insn)
{
    struct frame *caller = frame_now(v);

    if (v->info[insn->off].global)
        return lock_check_call(v) && function_call(v, (uint32_t)insn->off);
    if (!call_enter(v, (uint32_t)insn->off, false))
        return false;
    for (unsigned r = 1; r <= 5; r++)
        frame_now(v)->regs[r] = caller->regs[r];
    for (unsigned r = 0; r <= 5; r++)
        caller->regs[r].type = REG_NONE;
    return true;
}

/* The end of the program, or back to the caller. */
bool exit_step(struct verifier *v, bool *ended)
{
    struct state *s = v->now;
    const struct reg *r0 = reg_now(v, 0);

    if (!lock_check_exit(v))
        return false;
    if (s->depth == 0) {
        *ended = true;
        return entry_end(v);
    }
    if (frame_now(v)->called_back)
        return callback_exit(v, true);
    if (r0->type == REG_STACK)
        return verifier_reject(v, -EINVAL, RULE_STACK_POINTER, 0,
                               "cannot return stack pointer to the caller");
    s->frames[s->depth - 1].regs[0] = *r0;
    s->pc = s->frames[s->depth].call_slot + 1;
    s->depth--;
    return true;
}

/* A frame's stack, as Linux counts it. */
static uint32_t stack_of(const struct frame *f)
{
    return (uint32_t)round_up_to(f->nr_slots ? f->nr_slots * 8 : 1, 32);
}

/* A tail call, its arguments checked. It goes on behind it when there is no such program. When
 * there is, a function's caller goes on with that program's result, and its packet. */
bool tail_call_step(struct verifier *v)
{
    struct state *s = v->now;
    uint32_t above = 0;

    for (uint32_t i = 0; i < s->depth; i++)
        above += stack_of(&s->frames[i]);
    if (above >= TAIL_CALL_STACK_MAX)
        return verifier_reject(v, -EACCES, RULE_TAIL_CALL_STACK, NO_REG,
                               "tail_calls are not allowed when call stack of previous frames is "
                               "%u bytes. Too large",
                               above);
    if (frame_now(v)->trips != TRIPS_STOPPED) {
        if (s->depth && !push_again(v))
            return false;
        call_clobber(v);
        reg_set_unknown(reg_now(v, 0));
        s->pc++;
        return true;
    }
    forget_packets(v);
    if (frame_now(v)->called_back)
        return callback_exit(v, false);
    v->trace[v->nr_trace - 1] |= TRACE_TURN;
    s->pc = frame_now(v)->call_slot + 1;
    s->depth--;
    reg_set_unknown(reg_now(v, 0));
    return true;
}
