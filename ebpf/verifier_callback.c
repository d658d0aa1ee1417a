/*
 * Functions that helpers call back: bpf_loop and bpf_for_each_map_elem while they run. The helper's
 * call stands for all calls of its function: from there a path leads into the function, which comes
 * back to the same instruction with one trip more, and one on behind the helper. What holds there
 * must hold after any number of trips, so the call is the head of a loop (verifier_loop.c) that the
 * helper bounds. Linux: push_callback_call, prepare_func_exit.
 */
#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/verifier_helper.h"

#define LOOPS_MAX (8u << 20) /* Linux: BPF_MAX_LOOPS */

bool helper_calls_back(const struct ebpf_decoded *insn)
{
    return insn->op == OP_CALL_HELPER &&
           ebpf_helper_calls_back((const struct ebpf_helper *)insn->imm);
}

/* ARG_FUNC. */
bool callback_argument(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_FUNC)
        return call_wrong_type(v, regno, "func");
    c->function = (uint32_t)reg->target;
    return (c->function && !v->info[c->function].global) ||
           verifier_reject(v, -EINVAL, RULE_CALLBACK_STATIC, (int)regno,
                           "callback function not static: R%u is a function that is walked on its "
                           "own",
                           regno);
}

/* How many of the frames under way were called back. */
uint32_t callback_level(const struct state *state)
{
    uint32_t level = 0;

    for (uint32_t i = 1; i <= state->depth; i++)
        level += state->frames[i].called_back;
    return level;
}

/* The most trips that the helper may make that v->now is about to call. */
uint32_t callback_trips_max(struct verifier *v)
{
    const struct reg *times = reg_now(v, 1);

    if (times->type != REG_SCALAR)
        return TRIPS_STOPPED;
    return times->n.umax32 < LOOPS_MAX ? times->n.umax32 : LOOPS_MAX;
}

/* One of a map's, of which nothing else is known. */
struct reg callback_value(struct verifier *v, struct ebpf_map *map, uint32_t map_uid)
{
    return (struct reg){.type = REG_MAP_VALUE,
                        .map = map,
                        .map_uid = map_uid,
                        .id = map->lock_offset >= 0 ? ++v->next_id : 0,
                        .n = scalar_const(0)};
}

/* What the function is given, in its frame. */
static void set_arguments(struct verifier *v, const struct call *c, const struct frame *caller,
                          uint32_t trips_max)
{
    struct reg *arg = &frame_now(v)->regs[1];

    if (!c->map) {
        reg_set_scalar(&arg[0], scalar_range(0, trips_max - 1));
        arg[1] = caller->regs[3];
        return;
    }
    arg[0] = (struct reg){.type = REG_MAP, .map = c->map, .id = c->map_uid, .n = scalar_const(0)};
    arg[1] = (struct reg){
        .type = REG_MAP_KEY, .frame = (uint8_t)v->now->depth, .map = c->map, .n = scalar_const(0)};
    arg[2] = callback_value(v, c->map, c->map_uid);
    arg[3] = caller->regs[3];
}

/* The helper returns, without knowledge of how often it has called the function. */
static void finish(struct verifier *v)
{
    frame_now(v)->trips = 0;
    call_clobber(v);
    reg_set_unknown(reg_now(v, 0));
    v->now->pc++;
}

/* A helper that calls back, its arguments checked. */
bool callback_step(struct verifier *v, const struct call *c)
{
    uint32_t most = callback_trips_max(v);
    struct frame *caller = frame_now(v);

    if (c->map && !c->map->ops->element_at)
        return verifier_reject(v, -EINVAL, RULE_MAP_TYPE, 1,
                               "callback function not allowed for map %s of type %s", c->map->name,
                               c->map->ops->name);
    precise_reg(v, 1);
    if (caller->trips >= most) {
        finish(v);
        return true;
    }
    if (!push_again(v))
        return false;
    v->trace[v->nr_trace - 1] |= TRACE_TURN;
    v->info[c->function].called_back = true;
    if (!call_enter(v, c->function, true))
        return false;
    set_arguments(v, c, caller, most);
    return true;
}

/* ---- coming back --------------------------------------------------------------------------------
 */

/* Keys are lent for one trip. */
static bool forget_key(struct verifier *v, struct reg *reg, void *arg)
{
    (void)arg;
    if (reg->type == REG_MAP_KEY && reg->frame == v->now->depth)
        reg_set_unknown(reg);
    return true;
}

static bool check_result(struct verifier *v)
{
    const struct reg *r0 = reg_now(v, 0);

    if (r0->type != REG_SCALAR)
        return verifier_reject(v, -EACCES, RULE_CALLBACK_RESULT, 0,
                               "R0 not a scalar value: a function that is called back "
                               "returns 0 or 1");
    precise_reg(v, 0);
    if (r0->n.umax <= 1)
        return true;
    if (scalar_is_const(&r0->n))
        return verifier_reject(v, -EINVAL, RULE_CALLBACK_RESULT, 0,
                               "At callback return the register R0 has value (0x%lx; 0x0) should "
                               "have been in (0x0; 0x1)",
                               (unsigned long)r0->n.umin);
    return verifier_reject(v, -EINVAL, RULE_CALLBACK_RESULT, 0,
                           "At callback return the register R0 has value (0x%lx; 0x%lx) should "
                           "have been in (0x0; 0x1)",
                           (unsigned long)r0->n.bits.value, (unsigned long)r0->n.bits.mask);
}

/* The innermost function, which was called back, returns to the helper; its result is looked at
 * unless it is another program's. */
bool callback_exit(struct verifier *v, bool result)
{
    struct state *s = v->now;
    bool stops = false;
    uint32_t level = callback_level(s);

    if (result && !check_result(v))
        return false;
    stops = result && reg_now(v, 0)->n.umin == 1;
    for (uint32_t i = 0; i < s->nr_refs; i++)
        if (s->refs[i].level == level)
            return verifier_reject(v, -EINVAL, RULE_REFERENCE, NO_REG,
                                   "Unreleased reference id=%u alloc_insn=%u: submit or discard "
                                   "what was reserved there before the function returns",
                                   s->refs[i].id, s->refs[i].slot);
    regs_visit(v, forget_key, NULL);
    v->trace[v->nr_trace - 1] |= TRACE_TURN;
    s->pc = frame_now(v)->call_slot;
    s->depth--;
    if (stops)
        frame_now(v)->trips = TRIPS_STOPPED;
    else
        frame_now(v)->trips++;
    return true;
}
