/*
 * skepctl prog dump xlated: a program's bytecode as the guest holds it, with the function
 * signatures and source lines that BTF gives. The words are ebpf/disasm.c's, hence bpftool's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/disasm.h"
#include "user/client/client.h"

/* A program's code and what is known about it. Arrays are freed by code_free. */
struct code {
    struct bpf_prog_info info;
    struct bpf_insn *insns;
    unsigned count;
    struct bpf_func_info *funcs;
    struct bpf_line_info *lines;
    struct btf *btf; /* NULL: none */
};

static void code_free(struct code *code)
{
    free(code->insns);
    free(code->funcs);
    free(code->lines);
    btf__free(code->btf);
}

static int code_read(int fd, struct code *out)
{
    struct bpf_prog_info sizes = {0};

    *out = (struct code){0};
    if (handle_info(EBPF_PROG, fd, &sizes, sizeof(sizes)))
        return -1;
    if (sizes.xlated_prog_len == 0) {
        p_err("the guest gives no instructions of this program");
        return -1;
    }
    out->count = sizes.xlated_prog_len / sizeof(struct bpf_insn);
    out->insns = calloc(out->count, sizeof(struct bpf_insn));
    out->funcs = calloc(sizes.nr_func_info + 1, sizeof(struct bpf_func_info));
    out->lines = calloc(sizes.nr_line_info + 1, sizeof(struct bpf_line_info));
    if (!out->insns || !out->funcs || !out->lines) {
        p_err("out of memory");
        code_free(out);
        return -1;
    }
    out->info = (struct bpf_prog_info){
        .xlated_prog_len = sizes.xlated_prog_len,
        .xlated_prog_insns = (uintptr_t)out->insns,
    };
    /* Records are of this size on every kernel so far; from one with longer ones we do without. */
    if (sizes.func_info_rec_size == sizeof(struct bpf_func_info)) {
        out->info.nr_func_info = sizes.nr_func_info;
        out->info.func_info_rec_size = sizes.func_info_rec_size;
        out->info.func_info = (uintptr_t)out->funcs;
    }
    if (sizes.line_info_rec_size == sizeof(struct bpf_line_info)) {
        out->info.nr_line_info = sizes.nr_line_info;
        out->info.line_info_rec_size = sizes.line_info_rec_size;
        out->info.line_info = (uintptr_t)out->lines;
    }
    if (handle_info(EBPF_PROG, fd, &out->info, sizeof(out->info))) {
        code_free(out);
        return -1;
    }
    if (sizes.btf_id)
        out->btf = btf__load_from_kernel_by_id(sizes.btf_id);
    if (!out->btf)
        out->info.nr_func_info = out->info.nr_line_info = 0;
    return 0;
}

static const char *line_text(const struct code *code, uint32_t name_offset)
{
    const char *text = btf__str_by_offset(code->btf, name_offset);

    while (text && (*text == ' ' || *text == '\t'))
        text++;
    return text; /* empty where the compiler had no line: bpftool shows that too */
}

/* What stands above instruction `slot`: *func and *line count what was printed so far. */
static void dump_source(const struct code *code, unsigned slot, unsigned *func, unsigned *line,
                        bool numbers)
{
    char signature[1024];

    if (*func < code->info.nr_func_info && code->funcs[*func].insn_off == slot) {
        if (btf_function(code->btf, code->funcs[*func].type_id, signature, sizeof(signature)) ==
            0) {
            if (json)
                jsonw_string(json, "proto", signature);
            else
                printf("%s:\n", signature);
        }
        ++*func;
    }
    if (*line >= code->info.nr_line_info || code->lines[*line].insn_off != slot)
        return;

    const struct bpf_line_info *info = &code->lines[(*line)++];
    const char *text = line_text(code, info->line_off);
    const char *file = btf__str_by_offset(code->btf, info->file_name_off);

    if (!text)
        return;
    if (json) {
        jsonw_string(json, "src", text);
        if (numbers) {
            jsonw_string(json, "file", file ? file : "");
            jsonw_uint(json, "line_num", BPF_LINE_INFO_LINE_NUM(info->line_col));
            jsonw_uint(json, "line_col", BPF_LINE_INFO_LINE_COL(info->line_col));
        }
    } else if (numbers) {
        printf("; %s [file:%s line_num:%u line_col:%u]\n", text, file ? file : "",
               BPF_LINE_INFO_LINE_NUM(info->line_col), BPF_LINE_INFO_LINE_COL(info->line_col));
    } else {
        printf("; %s\n", text);
    }
}

static void dump(const struct code *code, bool opcodes, bool numbers)
{
    unsigned func = 0, line = 0, slots;

    if (json)
        jsonw_begin(json, NULL, '[');
    for (unsigned slot = 0; slot < code->count; slot += slots) {
        const struct bpf_insn *insn = &code->insns[slot];
        char text[DISASM_MAX];

        slots = ebpf_disasm(insn, code->count - slot, text, sizeof(text));
        if (json)
            jsonw_begin(json, NULL, '{');
        dump_source(code, slot, &func, &line, numbers);
        if (json) {
            jsonw_string(json, "disasm", text);
            if (opcodes)
                jsonw_bytes(json, "opcodes", insn, slots * sizeof(*insn));
            jsonw_end(json, '}');
            continue;
        }
        printf("%4u: %s\n", slot, text);
        if (opcodes) {
            printf("       ");
            print_hex(insn, slots * sizeof(*insn), " ");
            printf("\n");
        }
    }
    if (json)
        jsonw_end(json, ']');
}

static int write_file(const struct code *code, const char *path)
{
    size_t size = code->count * sizeof(struct bpf_insn);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = 0;

    if (fd < 0) {
        p_err("can't open file %s: %s", path, strerror(errno));
        return -1;
    }
    if (write(fd, code->insns, size) != (ssize_t)size) {
        p_err("error writing output file: %s", strerror(errno));
        error = -1;
    }
    close(fd);
    return error ? error : done();
}

int do_prog_dump(struct args *args)
{
    bool opcodes = false, numbers = false;
    const char *file = NULL;
    struct code code;
    int fd, error = -1;

    if (!args_match(args, "xlated")) {
        p_err("expected 'xlated', got: %s", args->left ? args->next[0] : "nothing");
        return -1;
    }
    fd = handle_parse(args, EBPF_PROG);
    if (fd < 0)
        return -1;
    while (args->left > 0) {
        if (args_match(args, "file")) {
            if (!args_require(args, 1))
                goto out;
            file = args_take(args);
        } else if (args_match(args, "opcodes")) {
            opcodes = true;
        } else if (args_match(args, "linum")) {
            numbers = true;
        } else {
            args_none(args);
            goto out;
        }
    }
    if (file && (opcodes || numbers)) {
        p_err("'file' is not compatible with 'opcodes' or 'linum'");
        goto out;
    }
    if (code_read(fd, &code))
        goto out;
    error = 0;
    if (file)
        error = write_file(&code, file);
    else
        dump(&code, opcodes, numbers);
    code_free(&code);
out:
    close(fd);
    return error;
}
