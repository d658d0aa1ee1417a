/*
 * The past of a path: when a rejection is to be explained, the walk is gone once more (verifier.c,
 * explain) while the registers of each step are remembered here. Then the data is followed
 * backwards from the register that is to blame, through moves, arithmetic, spills, calls and the
 * branches that refined it. verifier_why.c says what is found.
 */
#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/verifier_past.h"

#define STEPS_MAX 512u /* of the path's end that are remembered */
#define BIT(n)    (1u << (n))

struct verifier_past {
    struct past_step steps[STEPS_MAX];
    uint16_t looped; /* of the step that comes next */
};

#define PAST_SIZE round_up_to(sizeof(struct verifier_past), 4096)

/* ---- remembering --------------------------------------------------------------------------------
 */

/* Without memory nothing is remembered, and less explained. */
void past_start(struct verifier *v)
{
    v->past = port_alloc_pages(PAST_SIZE);
}

void past_end(struct verifier *v)
{
    port_free_pages(v->past, PAST_SIZE);
    v->past = NULL;
}

/* NULL: it lies too far back. */
struct past_step *past_step(struct verifier_past *past, uint32_t at)
{
    struct past_step *step = &past->steps[at % STEPS_MAX];

    return step->number == at + 1 ? step : NULL;
}

static void remember(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct past_step *step = &past->steps[walk->length % STEPS_MAX];

    step->number = walk->length + 1;
    step->frame = walk->v->now->depth;
    step->fork = false;
    step->looped = past->looped;
    past->looped = 0;
    __builtin_memcpy(step->regs, frame_now(walk->v)->regs, sizeof(step->regs));
}

/* The path has come to the head of a loop before, and now stands there for all trips. */
static void note_loop(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct past_step *step = past_step(past, walk->length);

    if (!step)
        return;
    past->looped = step->looped;
    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if (reg_differs(&step->regs[r], &frame_now(walk->v)->regs[r]))
            past->looped |= (uint16_t)BIT(r);
}

void past_see(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct past_step *step;

    switch (walk->event) {
    case WALK_INSN:
        remember(past, walk);
        break;
    case WALK_PUT_ASIDE:
        step = past_step(past, walk->length - 1);
        if (step)
            step->fork = true;
        break;
    case WALK_LOOP_STARTED:
        note_loop(past, walk);
        break;
    default:
        break;
    }
}

/* ---- following back -----------------------------------------------------------------------------
 */

static void add_cause(struct past_search *s, uint32_t at, uint32_t regs, bool loop)
{
    uint32_t pc = TRACE_PC(s->v->trace[at]);

    for (unsigned i = 0; i < s->nr; i++) {
        if (TRACE_PC(s->v->trace[s->found[i].at]) == pc && s->found[i].loop == loop) {
            s->found[i].times++;
            return;
        }
    }
    s->found[s->nr++] = (struct past_cause){at, (uint16_t)regs, loop, 1};
}

/* A conditional jump? */
bool past_is_branch(const struct ebpf_decoded *insn)
{
    return insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X;
}

static uint32_t refined(const struct past_search *s, const struct past_step *before,
                        const struct past_step *after)
{
    uint32_t changed = 0;

    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if ((s->cells.regs[s->frame] >> r & 1) && reg_differs(&before->regs[r], &after->regs[r]))
            changed |= BIT(r);
    return changed;
}

/* The instruction at `at` of the trace, after which s->cells matter: is it a cause? */
static void look_at(struct past_search *s, uint32_t at, const struct past_step *before,
                    const struct past_step *after)
{
    uint32_t entry = s->v->trace[at], pc = TRACE_PC(entry), reads, writes, hit;
    const struct ebpf_decoded *insn = &s->v->code[pc];

    if (past_is_branch(insn)) {
        hit = refined(s, before, after);
        if (hit)
            add_cause(s, at, hit, false);
        return;
    }
    insn_registers(s->v, pc, &reads, &writes);
    if (after->frame > before->frame) /* a call, to which these are arguments */
        hit = s->cells.regs[s->frame] & 0x3e;
    else if (insn->op == OP_EXIT)
        hit = 0;
    else if (insn->op >= OP_LDX_B && insn->op <= OP_ST_DW && (entry & TRACE_STACK) &&
             (s->cells.slots[TRACE_FRAME(entry)] >> TRACE_SLOT(entry) & 1))
        hit = BIT(insn->src);
    else
        hit = writes & s->cells.regs[s->frame];
    if (hit)
        add_cause(s, at, hit, false);
    trace_undo(s->v, entry, &s->cells, &s->frame);
}

static bool any(const struct past_search *s)
{
    for (unsigned i = 0; i < ISA_FRAMES_MAX; i++)
        if (s->cells.regs[i] || s->cells.slots[i])
            return true;
    return false;
}

/* What made the blamed register what it is, the last first, into s->found. */
void past_causes(struct past_search *s)
{
    uint32_t at = s->v->nr_trace - 1;
    const struct past_step *after = past_step(s->v->past, at), *before;

    s->frame = s->v->now->depth;
    s->cells.regs[s->frame] = (uint16_t)BIT(s->v->blamed);
    while (after && at > 0 && s->nr < CAUSES_MAX && any(s)) {
        if (after->looped & s->cells.regs[s->frame])
            add_cause(s, at, after->looped & s->cells.regs[s->frame], true);
        before = past_step(s->v->past, --at);
        if (before && s->nr < CAUSES_MAX)
            look_at(s, at, before, after);
        after = before;
    }
}

/* The branches that the path took where it could have gone on otherwise, the last first, and as the
 * last of them the instruction at `since`. */
void past_forks(struct past_search *s, uint32_t since)
{
    for (uint32_t at = s->v->nr_trace - 1; at-- > 0 && s->nr < FORKS_MAX;) {
        const struct past_step *step = past_step(s->v->past, at);

        if (TRACE_PC(s->v->trace[at]) == since) {
            add_cause(s, at, BIT(0), false);
            return;
        }
        if (step && step->fork)
            add_cause(s, at, 0, false);
    }
}
