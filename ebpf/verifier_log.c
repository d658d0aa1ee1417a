/*
 * What the verifier says: the one sentence of a rejection, with the way that led there, and Linux's
 * log levels (1 and 2: instructions with the registers as they were; 4: totals).
 */
#include <stdarg.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/disasm.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define PATH_LINES 6u

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

const char *reg_type_name(enum reg_type type)
{
    static const char *const names[] = {
        [REG_NONE] = "?",
        [REG_SCALAR] = "scalar",
        [REG_CTX] = "ctx",
        [REG_STACK] = "fp",
        [REG_MAP] = "map_ptr",
        [REG_MAP_VALUE] = "map_value",
        [REG_MAP_VALUE_OR_NULL] = "map_value_or_null",
        [REG_MAP_KEY] = "map_key",
        [REG_PACKET] = "pkt",
        [REG_PACKET_META] = "pkt_meta",
        [REG_PACKET_END] = "pkt_end",
        [REG_RECORD] = "ringbuf_mem",
        [REG_RECORD_OR_NULL] = "ringbuf_mem_or_null",
        [REG_FUNC] = "func",
    };

    return names[type];
}

/* Text that grows in a fixed buffer. */
struct text {
    char *buf;
    uint32_t size, used;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = port_vformat(t->buf + t->used, t->size - t->used, fmt, args);
    va_end(args);
    if (n > 0)
        t->used = t->used + (uint32_t)n < t->size ? t->used + (uint32_t)n : t->size - 1;
}

static void put_bounds(struct text *t, const struct scalar *n)
{
    const char *comma = "";

    if (n->smin != INT64_MIN)
        put(t, "%ssmin=%ld", comma, (long)n->smin), comma = ",";
    if (n->smax != INT64_MAX)
        put(t, "%ssmax=%ld", comma, (long)n->smax), comma = ",";
    if (n->umin != 0)
        put(t, "%sumin=%lu", comma, (unsigned long)n->umin), comma = ",";
    if (n->umax != UINT64_MAX)
        put(t, "%sumax=%lu", comma, (unsigned long)n->umax), comma = ",";
    if (n->smin32 != INT32_MIN && n->smin32 != n->smin)
        put(t, "%ssmin32=%d", comma, n->smin32), comma = ",";
    if (n->smax32 != INT32_MAX && n->smax32 != n->smax)
        put(t, "%ssmax32=%d", comma, n->smax32), comma = ",";
    if (n->umin32 != 0 && n->umin32 != n->umin)
        put(t, "%sumin32=%u", comma, n->umin32), comma = ",";
    if (n->umax32 != UINT32_MAX && n->umax32 != n->umax)
        put(t, "%sumax32=%u", comma, n->umax32), comma = ",";
    if (n->bits.mask != UINT64_MAX)
        put(t, "%svar_off=(0x%lx; 0x%lx)", comma, (unsigned long)n->bits.value,
            (unsigned long)n->bits.mask);
}

/* As Linux's print_reg_state. */
void reg_print(const struct reg *reg, char *out, uint32_t size)
{
    struct text t = {out, size, 0};

    out[0] = 0;
    if (reg->type == REG_SCALAR && scalar_is_const(&reg->n)) {
        put(&t, "%s%ld", reg->precise ? "P" : "", (long)reg->n.smin);
        return;
    }
    put(&t, "%s%s(", reg->type == REG_SCALAR && reg->precise ? "P" : "",
        reg_type_name((enum reg_type)reg->type));
    if (reg->id)
        put(&t, "id=%u,", reg->id & ~ID_LOOP);
    if (reg->type != REG_SCALAR)
        put(&t, "off=%ld,", (long)reg->off);
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META)
        put(&t, "r=%ld,", (long)reg->range);
    if (reg->type == REG_RECORD || reg->type == REG_RECORD_OR_NULL)
        put(&t, "ref_obj_id=%u,sz=%lu,", reg->ref, (unsigned long)reg->size);
    if (!scalar_is_const(&reg->n))
        put_bounds(&t, &reg->n);
    if (t.used && out[t.used - 1] == ',')
        out[--t.used] = 0;
    if (out[t.used - 1] == '(')
        out[--t.used] = 0;
    else
        put(&t, ")");
}

/* ---- source lines -------------------------------------------------------------------------------
 */

static const struct bpf_line_info *line_of(const struct verifier *v, uint32_t pc)
{
    const struct bpf_line_info *lines = v->load->line_info, *found = NULL;

    for (uint32_t i = 0; i < v->load->nr_line_info && lines[i].insn_off <= pc; i++)
        found = &lines[i];
    return v->load->btf ? found : NULL;
}

static void put_line(const struct verifier *v, uint32_t pc, const char *indent)
{
    const struct bpf_line_info *line = line_of(v, pc);
    const char *text;

    if (!line)
        return;
    text = ebpf_btf_name(v->load->btf, line->line_off);
    while (*text == ' ' || *text == '\t')
        text++;
    ebpf_log_write(v->load->log, "%s; %s @ %s:%u\n", indent, text,
                   ebpf_btf_name(v->load->btf, line->file_name_off),
                   BPF_LINE_INFO_LINE_NUM(line->line_col));
}

static void put_insn(const struct verifier *v, uint32_t pc, const char *indent)
{
    char text[DISASM_MAX];

    ebpf_disasm(&v->load->insns[pc], v->nr - pc, text, sizeof(text));
    ebpf_log_write(v->load->log, "%s%u: %s\n", indent, pc, text);
}

/* Level 1 and 2: the instruction that is about to execute, and what the registers hold. */
void verifier_log_insn(struct verifier *v)
{
    char text[DISASM_MAX], held[256];
    uint32_t pc = v->now->pc;
    const struct frame *f = frame_now(v);

    if (v->load->log->level & 2) {
        ebpf_log_write(v->load->log, "%u:", pc);
        for (unsigned r = 0; r < ISA_REGISTERS; r++) {
            if (f->regs[r].type == REG_NONE)
                continue;
            reg_print(&f->regs[r], held, sizeof(held));
            ebpf_log_write(v->load->log, " R%u=%s", r, held);
        }
        ebpf_log_write(v->load->log, "\n");
    } else if (v->info[pc].explored) {
        return;
    }
    ebpf_disasm(&v->load->insns[pc], v->nr - pc, text, sizeof(text));
    ebpf_log_write(v->load->log, "%u: %s\n", pc, text);
}

/* ---- the causal path ----------------------------------------------------------------------------
 */

static bool writes(const struct ebpf_decoded *insn, unsigned reg)
{
    if (insn->op >= OP_CALL_HELPER && insn->op <= OP_TAIL_CALL)
        return reg <= 5;
    if (insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X)
        return false;
    return insn->dst == reg &&
           !(insn->op >= OP_LDX_B && insn->op <= OP_ST_DW && (insn->op - OP_LDX_B) % 3 != 0);
}

static bool compares(const struct ebpf_decoded *insn, unsigned reg)
{
    return insn->op >= OP_JEQ64_K && insn->op <= OP_JSLE32_X &&
           (insn->dst == reg || ((insn->op - OP_JEQ64_K) % 2 == 1 && insn->src == reg));
}

/* How the register came to hold what it did: what wrote it, from what, and the branches on it. */
static void put_causes(const struct verifier *v, int reg)
{
    uint32_t at = v->nr_trace ? v->nr_trace - 1 : 0, found[PATH_LINES], nr = 0;

    while (at-- > 0 && nr < PATH_LINES && reg >= 0) {
        uint32_t pc = TRACE_PC(v->trace[at]);
        const struct ebpf_decoded *insn = &v->code[pc];

        if (insn->op == OP_CALL_LOCAL || insn->op == OP_EXIT)
            break;
        if (compares(insn, (unsigned)reg)) {
            found[nr++] = pc;
        } else if (writes(insn, (unsigned)reg)) {
            found[nr++] = pc;
            if (insn->op == OP_MOV64_X || insn->op == OP_MOV32_X)
                reg = insn->src;
            else if (insn->op >= OP_MOV64_K && insn->op <= OP_MOV32_X)
                break;
            else if (insn->op >= OP_JEQ64_K)
                break;
        }
    }
    if (nr)
        ebpf_log_write(v->load->log, "how it came to be so:\n");
    while (nr-- > 0) {
        put_line(v, found[nr], "  ");
        put_insn(v, found[nr], "  ");
    }
}

static const struct {
    const char *rule, *hint;
} rules[] = {
#define RULE(NAME, rule, hint) {rule, hint},
#include "ebpf/verifier_rules.def"
};

static void put_rule(struct verifier *v)
{
    ebpf_log_write(v->load->log, "rule: %s\nhint: %s\n", rules[v->rule].rule, rules[v->rule].hint);
}

static void put_rejection(struct verifier *v)
{
    char held[256];
    int reg = v->blamed;

    put_line(v, v->err_slot, "");
    put_insn(v, v->err_slot, "");
    ebpf_log_write(v->load->log, "insn %u: %s\n", v->err_slot, v->message);
    put_rule(v);
    if (reg == NO_REG)
        return;
    if (reg_now(v, (unsigned)reg)->type != REG_NONE) {
        reg_print(reg_now(v, (unsigned)reg), held, sizeof(held));
        ebpf_log_write(v->load->log, "R%d=%s\n", reg, held);
    }
    put_causes(v, reg);
}

/* At the end: why the program was rejected, or what it cost. */
void verifier_write_log(struct verifier *v)
{
    if (!v->load->log)
        return;
    if (v->err == -E2BIG && v->first_err) {
        /* Trip by trip did not end; what the loop as a whole was refused for says more. */
        ebpf_log_write(v->load->log, "insn %u, for all trips of its loop: %s\n", v->first_slot,
                       v->first_message);
    }
    if (v->err)
        put_rejection(v);
    ebpf_log_write(v->load->log,
                   "processed %u insns (limit %u) max_states_per_insn %u total_states %u "
                   "peak_states %u mark_read %u\n",
                   v->cost.processed, PROCESSED_MAX, 0u, v->cost.total_states, v->cost.peak_states,
                   0u);
}
