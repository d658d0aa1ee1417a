/*
 * Why a program is rejected: what verifier_reject says of it, and from where: the register that is
 * to blame, what it held, and what made it so. For that the walk is gone once more (verifier.c,
 * explain) while the registers of each step of the path are remembered; then the data is followed
 * backwards, through moves, arithmetic, spills, calls and the branches that refined it.
 */
#include <stdarg.h>

#include "ebpf/base.h"
#include "ebpf/disasm.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define STEPS_MAX  512u /* of the path's end that are remembered */
#define CAUSES_MAX 8u
#define FORKS_MAX  4u
#define VALUE_MAX  320u
#define SAID_MAX   1024u
#define COLUMNS    36 /* of an instruction, before what it did */
#define BIT(n)     (1u << (n))

/* Before one instruction of the path: the innermost frame's registers. */
struct step {
    uint32_t number; /* of the step, from 1; another one: nothing is known of it */
    uint32_t frame;
    bool fork;       /* the other way was possible too */
    uint16_t looped; /* registers that here began to stand for all trips of a loop */
    struct reg regs[ISA_REGISTERS];
};

struct verifier_past {
    struct step steps[STEPS_MAX];
};

#define PAST_SIZE round_up_to(sizeof(struct verifier_past), 4096)

/* One line of the explanation. */
struct cause {
    uint32_t at; /* in the trace */
    uint16_t regs;
    bool loop;
    uint32_t times;
};

static const struct {
    const char *rule, *hint;
} rules[] = {
#define RULE(NAME, rule, hint) {rule, hint},
#include "ebpf/verifier_rules.def"
};

/* Remembers why; the value is false. */
bool verifier_reject(struct verifier *v, int err, enum verifier_rule rule, int regno,
                     const char *fmt, ...)
{
    va_list args;

    if (v->err)
        return false;
    v->err = err;
    v->rule = rule;
    v->blamed = regno;
    va_start(args, fmt);
    port_vformat(v->message, sizeof(v->message), fmt, args);
    va_end(args);
    return false;
}

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

static struct step *step_at(struct verifier_past *past, uint32_t at)
{
    struct step *step = &past->steps[at % STEPS_MAX];

    return step->number == at + 1 ? step : NULL;
}

static void remember(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct step *step = &past->steps[walk->length % STEPS_MAX];
    bool looped = step->number == walk->length + 1 && step->looped;

    if (!looped)
        step->looped = 0;
    step->number = walk->length + 1;
    step->frame = walk->v->now->depth;
    step->fork = false;
    __builtin_memcpy(step->regs, frame_now(walk->v)->regs, sizeof(step->regs));
}

/* The path has come to the head of a loop before, and now stands there for all trips. */
static void note_loop(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct step *step = step_at(past, walk->length);

    if (!step)
        return;
    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if (reg_differs(&step->regs[r], &frame_now(walk->v)->regs[r]))
            step->looped |= (uint16_t)BIT(r);
}

void past_see(struct verifier_past *past, const struct ebpf_walk *walk)
{
    struct step *step;

    switch (walk->event) {
    case WALK_INSN:
        remember(past, walk);
        break;
    case WALK_PUT_ASIDE:
        step = step_at(past, walk->length - 1);
        if (step)
            step->fork = true;
        break;
    case WALK_LOOP_STARTED:
        note_loop(past, walk);
        break;
    case WALK_LOOP_UNDONE:
        step = step_at(past, walk->length);
        if (step)
            step->looped = 0;
        break;
    default:
        break;
    }
}

/* ---- following back -----------------------------------------------------------------------------
 */

struct search {
    struct verifier *v;
    struct cells cells; /* whose past is looked for */
    uint32_t frame;
    struct cause *found;
    unsigned nr;
};

static void add_cause(struct search *s, uint32_t at, uint32_t regs, bool loop)
{
    uint32_t pc = TRACE_PC(s->v->trace[at]);

    for (unsigned i = 0; i < s->nr; i++) {
        if (TRACE_PC(s->v->trace[s->found[i].at]) == pc && s->found[i].loop == loop) {
            s->found[i].times++;
            return;
        }
    }
    s->found[s->nr++] = (struct cause){at, (uint16_t)regs, loop, 1};
}

static bool is_conditional(const struct ebpf_decoded *insn)
{
    return insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X;
}

static uint32_t refined(const struct search *s, const struct step *before, const struct step *after)
{
    uint32_t changed = 0;

    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if ((s->cells.regs[s->frame] >> r & 1) && reg_differs(&before->regs[r], &after->regs[r]))
            changed |= BIT(r);
    return changed;
}

/* The instruction at `at` of the trace, after which s->cells matter: is it a cause? */
static void look_at(struct search *s, uint32_t at, const struct step *before,
                    const struct step *after)
{
    uint32_t entry = s->v->trace[at], pc = TRACE_PC(entry), reads, writes, hit;
    const struct ebpf_decoded *insn = &s->v->code[pc];

    if (is_conditional(insn)) {
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

static bool any(const struct search *s)
{
    for (unsigned i = 0; i < ISA_FRAMES_MAX; i++)
        if (s->cells.regs[i] || s->cells.slots[i])
            return true;
    return false;
}

/* What made the blamed register what it is, the last first. */
static void find_causes(struct search *s)
{
    uint32_t at = s->v->nr_trace - 1;
    const struct step *after = step_at(s->v->past, at), *before;

    s->frame = s->v->now->depth;
    s->cells.regs[s->frame] = (uint16_t)BIT(s->v->blamed);
    while (after && at > 0 && s->nr < CAUSES_MAX && any(s)) {
        if (after->looped & s->cells.regs[s->frame])
            add_cause(s, at, after->looped & s->cells.regs[s->frame], true);
        before = step_at(s->v->past, --at);
        if (before && s->nr < CAUSES_MAX)
            look_at(s, at, before, after);
        after = before;
    }
}

/* The branches that the path took where it could have gone on otherwise, the last first, and as the
 * last of them the instruction at `since`. */
static void find_forks(struct search *s, uint32_t since)
{
    for (uint32_t at = s->v->nr_trace - 1; at-- > 0 && s->nr < FORKS_MAX;) {
        const struct step *step = step_at(s->v->past, at);

        if (TRACE_PC(s->v->trace[at]) == since) {
            add_cause(s, at, BIT(0), false);
            return;
        }
        if (step && step->fork)
            add_cause(s, at, 0, false);
    }
}

/* ---- saying -------------------------------------------------------------------------------------
 */

static bool same_line(const struct bpf_line_info *a, const struct bpf_line_info *b)
{
    return a && b && a->file_name_off == b->file_name_off &&
           BPF_LINE_INFO_LINE_NUM(a->line_col) == BPF_LINE_INFO_LINE_NUM(b->line_col);
}

/* The line of C that an instruction comes from, unless it is *last. */
static void put_line(struct verifier *v, uint32_t pc, const char *indent,
                     const struct bpf_line_info **last)
{
    const struct bpf_line_info *line = line_of(v, pc);

    if (line && !same_line(line, *last))
        ebpf_log_write(v->load->log, "%s; %s @ %s:%u\n", indent, line_text(v, line),
                       line_file(v, line), BPF_LINE_INFO_LINE_NUM(line->line_col));
    *last = line;
}

/* What a cause did: the way of a branch, and the registers that it is about, as they were after
 * it. */
static void describe(struct verifier *v, const struct cause *c, char *out, uint32_t size)
{
    uint32_t entry = v->trace[c->at], pc = TRACE_PC(entry), used = 0;
    const struct ebpf_decoded *insn = &v->code[pc];
    bool store = insn->op >= OP_LDX_B && insn->op <= OP_ST_DW && (insn->op - OP_LDX_B) % 3 != 0;
    const struct step *step = step_at(v->past, c->at + (store || c->loop ? 0 : 1));
    char value[VALUE_MAX];

    out[0] = 0;
    if (is_conditional(insn) && !c->loop)
        used = (uint32_t)port_format(
            out, size, "%s%s", TRACE_PC(v->trace[c->at + 1]) == pc + 1 ? " not taken" : " taken",
            c->regs ? ":" : "");
    for (unsigned r = 0; step && r < ISA_REGISTERS && used < size; r++) {
        if (!(c->regs & ~(c->loop ? 0u : step->looped) & BIT(r)))
            continue;
        reg_print(&step->regs[r], value, sizeof(value));
        if (store)
            used += (uint32_t)port_format(out + used, size - used, " fp-%u=%s",
                                          8 * (TRACE_SLOT(entry) + 1), value);
        else
            used += (uint32_t)port_format(out + used, size - used, " R%u=%s", r, value);
    }
    if (c->times > 1 && used < size)
        port_format(out + used, size - used, " (%u times)", c->times);
}

static void put_causes(struct search *s)
{
    struct verifier *v = s->v;
    const struct ebpf_watch *watch = v->load->watch;
    const struct bpf_line_info *line = NULL;
    char text[DISASM_MAX], said[SAID_MAX];

    for (unsigned i = 0; i < s->nr; i++) {
        uint32_t at = s->found[i].at, pc = TRACE_PC(v->trace[at]);
        struct ebpf_walk walk = {.event = WALK_CAUSE, .pc = pc, .length = at, .why = said, .v = v};

        describe(v, &s->found[i], said, sizeof(said));
        put_line(v, pc, "  ", &line);
        insn_print(v, pc, text);
        ebpf_log_write(v->load->log, "  %u: %-*s ;%s\n", pc,
                       COLUMNS - (pc > 9) - (pc > 99) - (pc > 999),
                       s->found[i].loop ? "loop, for all trips" : text, said);
        if (watch)
            watch->see(watch->arg, &walk);
    }
}

/* The register, and what made it so. */
static void put_register(struct verifier *v)
{
    struct cause found[CAUSES_MAX + 1];
    struct search s = {.v = v, .found = found};
    const struct reg *reg = reg_now(v, (unsigned)v->blamed);
    char value[VALUE_MAX];

    find_causes(&s);
    if (reg->type != REG_NONE) {
        reg_print(reg, value, sizeof(value));
        ebpf_log_write(v->load->log, "R%d=%s", v->blamed, value);
        ebpf_log_write(v->load->log, s.nr ? " because (last step first):\n" : "\n");
    } else if (s.nr) {
        ebpf_log_write(v->load->log, "R%d was lost at (last step first):\n", v->blamed);
    }
    put_causes(&s);
}

/* The way to the instruction, where it is the path that is wrong. */
static void put_forks(struct verifier *v, uint32_t since)
{
    struct cause found[FORKS_MAX + 1];
    struct search s = {.v = v, .found = found};

    find_forks(&s, since);
    if (s.nr)
        ebpf_log_write(v->load->log, "the path here (last step first):\n");
    put_causes(&s);
}

static void put_past(struct verifier *v)
{
    if (v->rule == RULE_REFERENCE && v->now->nr_refs)
        put_forks(v, v->now->refs[0].slot);
    else if (v->blamed != NO_REG)
        put_register(v);
    if (v->blamed != NO_REG && reg_now(v, (unsigned)v->blamed)->type == REG_NONE)
        put_forks(v, UINT32_MAX);
}

/* Writes why v is rejected. again: the same walk, with its past, or NULL. */
void why_write(struct verifier *v, struct verifier *again)
{
    struct ebpf_log *log = v->load->log;
    const struct bpf_line_info *line = NULL;
    bool first = v->err == -E2BIG && v->first_err;
    bool same = again && again->nr_trace && again->err == (first ? v->first_err : v->err) &&
                again->err_slot == (first ? v->first_slot : v->err_slot);
    bool shown = same && (log->level & (LOG_PATH | LOG_WALK)) &&
                 TRACE_PC(again->trace[again->nr_trace - 1]) == v->err_slot;
    char text[DISASM_MAX];

    if (!shown) {
        put_line(v, v->err_slot, "", &line);
        insn_print(v, v->err_slot, text);
        ebpf_log_write(log, "%u: %s\n", v->err_slot, text);
    }
    ebpf_log_write(log, "insn %u: %s\n", v->err_slot, v->message);
    if (first) {
        /* Trip by trip did not end; what the loop as a whole was refused for says more. */
        ebpf_log_write(log, "for all trips of the loop at once, insn %u: %s\n", v->first_slot,
                       v->first_message);
    }
    ebpf_log_write(log, "rule: %s\n", rules[v->rule].rule);
    if (same && again->past)
        put_past(again);
    ebpf_log_write(log, "hint: %s\n", rules[v->rule].hint);
}
