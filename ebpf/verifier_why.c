/*
 * Why a program is rejected: what verifier_reject says of it; the instruction and its line of C,
 * the rule, the register that is to blame, what it held, what made it so (verifier_past.c), and
 * what usually mends it.
 */
#include <stdarg.h>

#include "ebpf/base.h"
#include "ebpf/disasm.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_past.h"

#define VALUE_MAX 320u
#define SAID_MAX  1024u
#define COLUMNS   36 /* of an instruction, before what it did */
#define BIT(n)    (1u << (n))

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
static void describe(struct verifier *v, const struct past_cause *c, char *out, uint32_t size)
{
    uint32_t entry = v->trace[c->at], pc = TRACE_PC(entry), used = 0;
    const struct ebpf_decoded *insn = &v->code[pc];
    bool store = insn->op >= OP_LDX_B && insn->op <= OP_ST_DW && (insn->op - OP_LDX_B) % 3 != 0;
    const struct past_step *step = past_step(v->past, c->at + (store || c->loop ? 0 : 1));
    char value[VALUE_MAX];

    out[0] = 0;
    if (past_is_branch(insn) && !c->loop)
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

static void put_causes(struct past_search *s)
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
    struct past_search s = {.v = v};
    const struct reg *reg = reg_now(v, (unsigned)v->blamed);
    char value[VALUE_MAX];

    past_causes(&s);
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
    struct past_search s = {.v = v};

    past_forks(&s, since);
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
