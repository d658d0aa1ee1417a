/*
 * Writes a trace as JSON. docs/reference/trace.md describes the schema; a change of it raises the
 * version.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>
#include <linux/btf.h>

#include "ebpf/btf.h"
#include "ebpf/context.h"
#include "ebpf/decode.h"
#include "ebpf/disasm.h"
#include "ebpf/prog.h"
#include "user/client/json.h"
#include "user/vm/trace.h"

#define VERSION      1u
#define SOURCE_LINES 20000u

static const char *const begins[] = {[BEGIN_START] = "start",
                                     [BEGIN_BRANCH] = "branch",
                                     [BEGIN_LOOP] = "loop",
                                     [BEGIN_AGAIN] = "again",
                                     [BEGIN_ON] = "on"};
static const char *const ends[] = {
    [END_NONE] = "on",       [END_EXIT] = "exit",         [END_DEAD] = "dead",
    [END_PRUNED] = "pruned", [END_CLOSED] = "closed",     [END_FOLDED] = "folded",
    [END_UNDONE] = "undone", [END_REJECTED] = "rejected",
};

/* ---- the program ----------------------------------------------------------------------------- */

static bool is_conditional(const struct ebpf_decoded *d)
{
    return d->op >= OP_JEQ64_K && d->op <= OP_JSLE32_X;
}

/* line: index of its line info, -1: none. */
static void put_insn(struct json *json, const struct ebpf_prog *prog, uint32_t pc, int32_t line)
{
    const struct ebpf_decoded *d = &prog->decoded[pc];
    char text[DISASM_MAX];

    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "pc", pc);
    ebpf_disasm(&prog->insns[pc], prog->nr_insns - pc, text, sizeof(text));
    jsonw_string(json, "text", text);
    if (is_conditional(d) || d->op == OP_JA || d->op == OP_MAY_GOTO)
        jsonw_int(json, "jump", d->off);
    if (d->op == OP_CALL_LOCAL)
        jsonw_int(json, "call", d->off);
    if (d->op == OP_LD_IMM64 && prog->insns[pc].src_reg == BPF_PSEUDO_FUNC)
        jsonw_uint(json, "function", d->imm);
    if (d->op == OP_JA || d->op == OP_EXIT)
        jsonw_bool(json, "last", true);
    if (line >= 0)
        jsonw_int(json, "line", line);
    jsonw_end(json, '}');
}

/* One for each record of BTF's line info. */
static void put_lines(struct json *json, const struct ebpf_prog *prog)
{
    const struct bpf_line_info *lines = prog->line_info;

    jsonw_begin(json, "lines", '[');
    for (uint32_t i = 0; prog->btf && i < prog->nr_line_info; i++) {
        jsonw_begin(json, NULL, '{');
        jsonw_string(json, "file", ebpf_btf_name(prog->btf, lines[i].file_name_off));
        jsonw_uint(json, "line", BPF_LINE_INFO_LINE_NUM(lines[i].line_col));
        jsonw_uint(json, "column", BPF_LINE_INFO_LINE_COL(lines[i].line_col));
        jsonw_string(json, "text", ebpf_btf_name(prog->btf, lines[i].line_off));
        jsonw_end(json, '}');
    }
    jsonw_end(json, ']');
}

/* Does this line of a source file stand in the program's BTF as it does here? */
static bool line_fits(const struct ebpf_prog *prog, uint32_t file, uint32_t number,
                      const char *text)
{
    const struct bpf_line_info *lines = prog->line_info;

    for (uint32_t i = 0; i < prog->nr_line_info; i++)
        if (lines[i].file_name_off == file && BPF_LINE_INFO_LINE_NUM(lines[i].line_col) == number &&
            strcmp(ebpf_btf_name(prog->btf, lines[i].line_off), text) != 0)
            return false;
    return true;
}

/* The whole file, if it can be read here and is the one that was compiled. */
static bool put_file(struct json *json, const struct ebpf_prog *prog, uint32_t file)
{
    const char *path = ebpf_btf_name(prog->btf, file);
    FILE *in = fopen(path, "r");
    char *line = NULL, *text = NULL;
    size_t room = 0, size = 0;
    uint32_t number = 0;
    bool fits = in != NULL;
    struct json lines = {.out = open_memstream(&text, &size)};

    jsonw_begin(&lines, NULL, '[');
    while (fits && getline(&line, &room, in) > 0) {
        line[strcspn(line, "\r\n")] = 0;
        fits = ++number < SOURCE_LINES && line_fits(prog, file, number, line);
        jsonw_string(&lines, NULL, line);
    }
    jsonw_end(&lines, ']');
    fclose(lines.out);
    if (fits) {
        jsonw_name(json, path);
        json->comma = true;
        fputs(text, json->out);
    }
    if (in)
        fclose(in);
    free(line);
    free(text);
    return fits;
}

static void put_source(struct json *json, const struct ebpf_prog *prog)
{
    const struct bpf_line_info *lines = prog->line_info;

    jsonw_begin(json, "source", '{');
    for (uint32_t i = 0; prog->btf && i < prog->nr_line_info; i++) {
        bool first = true;

        for (uint32_t n = 0; n < i && first; n++)
            first = lines[n].file_name_off != lines[i].file_name_off;
        if (first)
            put_file(json, prog, lines[i].file_name_off);
    }
    jsonw_end(json, '}');
}

static const char *function_name(const struct ebpf_prog *prog, uint32_t pc)
{
    const struct bpf_func_info *functions = prog->func_info;

    for (uint32_t i = 0; prog->btf && i < prog->nr_func_info; i++) {
        const struct btf_type *type = ebpf_btf_type(prog->btf, functions[i].type_id);

        if (functions[i].insn_off == pc && type)
            return ebpf_btf_name(prog->btf, type->name_off);
    }
    return pc ? "" : prog->name;
}

/* Where functions begin, one flag an instruction; the caller frees it. */
static bool *find_functions(const struct ebpf_prog *prog)
{
    bool *starts = calloc(prog->nr_insns, sizeof(*starts));

    for (uint32_t i = 0; starts && i < prog->nr_insns; i++) {
        const struct ebpf_decoded *d = &prog->decoded[i];

        starts[0] = true;
        if (d->op == OP_CALL_LOCAL)
            starts[d->off] = true;
        if (d->op == OP_LD_IMM64 && prog->insns[i].src_reg == BPF_PSEUDO_FUNC)
            starts[d->imm] = true;
    }
    return starts;
}

static void put_program(struct json *json, const struct trace_about *about)
{
    const struct ebpf_prog *prog = about->prog;
    const struct bpf_line_info *lines = prog->line_info;
    bool *functions = find_functions(prog);
    uint32_t line = 0;

    jsonw_begin(json, "program", '{');
    jsonw_string(json, "name", prog->name);
    jsonw_string(json, "type", ebpf_context_name(ebpf_context_get(prog->type)));
    jsonw_string(json, "object", about->object);
    jsonw_end(json, '}');
    jsonw_begin(json, "functions", '[');
    for (uint32_t pc = 0; pc < prog->nr_insns; pc++) {
        if (!functions || !functions[pc])
            continue;
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "pc", pc);
        jsonw_string(json, "name", function_name(prog, pc));
        jsonw_end(json, '}');
    }
    jsonw_end(json, ']');
    free(functions);
    jsonw_begin(json, "insns", '[');
    for (uint32_t pc = 0; pc < prog->nr_insns; pc++) {
        while (line < prog->nr_line_info && lines[line].insn_off <= pc)
            line++;
        if (prog->decoded[pc].op != OP_LD_IMM64_HIGH)
            put_insn(json, prog, pc, (int32_t)line - 1);
    }
    jsonw_end(json, ']');
    put_lines(json, prog);
    put_source(json, prog);
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

/* What stands behind a label at the beginning of a line of the log ("insn 7: " is one). */
static void put_line(struct json *json, const char *name, const char *log, const char *label)
{
    size_t length = strlen(label);
    const char *text = "";

    for (const char *at = log; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, label, length) == 0)
            text = at + length;
    if (label[length - 1] == ' ' && label[length - 2] != ':')
        text += strspn(text, "0123456789: ");
    jsonw_text(json, name, text, strcspn(text, "\n"));
}

static void put_verdict(struct json *json, const struct trace *t, const struct trace_about *about)
{
    jsonw_string(json, "verdict", about->accepted ? "accept" : "reject");
    jsonw_begin(json, "cost", '{');
    jsonw_uint(json, "processed", about->cost.processed);
    jsonw_uint(json, "total_states", about->cost.total_states);
    jsonw_uint(json, "peak_states", about->cost.peak_states);
    jsonw_uint(json, "peak_bytes", about->cost.peak_bytes);
    jsonw_uint(json, "ns", about->ns);
    jsonw_end(json, '}');
    if (about->accepted)
        return;
    jsonw_begin(json, "rejection", '{');
    jsonw_uint(json, "pc", about->cost.insn);
    jsonw_uint(json, "step", t->rejected);
    put_line(json, "message", about->log, "insn ");
    put_line(json, "rule", about->log, "rule: ");
    put_line(json, "hint", about->log, "hint: ");
    jsonw_string(json, "log", about->log);
    jsonw_begin(json, "causes", '[');
    for (uint32_t i = 0; i < t->nr_causes; i++) {
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "pc", t->causes[i].pc);
        jsonw_uint(json, "step", t->causes[i].step);
        jsonw_string(json, "what", t->causes[i].what);
        jsonw_end(json, '}');
    }
    jsonw_end(json, ']');
    jsonw_end(json, '}');
}

/* ---- the walk ---------------------------------------------------------------------------------
 */

static void put_steps(struct json *json, const struct trace_path *path)
{
    jsonw_begin(json, "pcs", '[');
    for (uint32_t i = 0; i < path->nr_steps && !path->cut; i++)
        jsonw_uint(json, NULL, path->pcs[i]);
    jsonw_end(json, ']');
    jsonw_begin(json, "changes", '[');
    for (uint32_t i = 0; i < path->nr_steps && !path->cut; i++) {
        uint32_t last = i + 1 < path->nr_steps ? path->first_change[i + 1] : path->nr_changes;

        jsonw_begin(json, NULL, '[');
        for (uint32_t n = path->first_change[i]; n < last; n++) {
            jsonw_uint(json, NULL, path->changes[n].cell);
            jsonw_uint(json, NULL, path->changes[n].value);
        }
        jsonw_end(json, ']');
    }
    jsonw_end(json, ']');
}

static void put_path(struct json *json, const struct trace_path *path)
{
    jsonw_begin(json, NULL, '{');
    jsonw_int(json, "parent", (int32_t)path->parent);
    jsonw_uint(json, "start", path->start);
    jsonw_uint(json, "pc", path->pc);
    jsonw_string(json, "begin", begins[path->begin]);
    if (path->begin == BEGIN_LOOP)
        jsonw_uint(json, "trips", path->trips);
    jsonw_string(json, "end", ends[path->end]);
    if (path->by)
        jsonw_uint(json, "state", path->by);
    if (path->why)
        jsonw_string(json, "why", path->why);
    jsonw_uint(json, "steps", path->nr_steps - path->stops);
    if (path->cut)
        jsonw_bool(json, "cut", true);
    put_steps(json, path);
    jsonw_end(json, '}');
}

static void put_walk(struct json *json, const struct trace *t)
{
    jsonw_begin(json, "values", '[');
    for (uint32_t i = 0; i < t->nr_values; i++)
        jsonw_string(json, NULL, t->values[i]);
    jsonw_end(json, ']');
    jsonw_begin(json, "states", '[');
    for (uint32_t i = 1; i < t->nr_states; i++) {
        if (t->states[i].path == UINT32_MAX)
            continue;
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "number", i);
        jsonw_uint(json, "pc", t->states[i].pc);
        jsonw_uint(json, "path", t->states[i].path);
        jsonw_uint(json, "step", t->states[i].step);
        jsonw_end(json, '}');
    }
    jsonw_end(json, ']');
    jsonw_uint(json, "impossible", t->impossible);
    jsonw_begin(json, "paths", '[');
    for (uint32_t i = 0; i < t->nr_paths; i++)
        put_path(json, &t->paths[i]);
    jsonw_end(json, ']');
}

void trace_write_json(FILE *out, const struct trace *trace, const struct trace_about *about)
{
    struct json json = {.out = out};

    jsonw_begin(&json, NULL, '{');
    jsonw_string(&json, "format", "skep-trace");
    jsonw_uint(&json, "version", VERSION);
    put_program(&json, about);
    put_verdict(&json, trace, about);
    put_walk(&json, trace);
    jsonw_end(&json, '}');
}
