/*
 * `skep-vm batch`: requests as JSON, one a line, verified and run; answers likewise, in order, each
 * flushed. For editors, test suites and sweeps. Whatever a line holds, it is answered, and the next
 * one is read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/verifier.h"
#include "user/client/json.h"
#include "user/vm/batch.h"
#include "user/vm/vm.h"

#define LINE_BYTES_MAX (1u << 27) /* eight times what 1,000,000 instructions take */
#define LOG_SIZE       65536u
#define BUDGET         (100 * EBPF_BUDGET) /* what is verified ends by itself */

/* One line's answer, as far as it is known. */
struct answer {
    struct json out;
    char error[320];
};

/* ---- lines ---------------------------------------------------------------------------------- */

struct line {
    char *text;
    size_t len, room;
    bool too_long; /* its end was dropped */
};

static bool add(struct line *line, char c)
{
    if (line->len + 1 >= line->room) {
        size_t room = 2 * line->room + 256;
        char *grown = room <= LINE_BYTES_MAX ? realloc(line->text, room) : NULL;

        if (!grown)
            return false;
        line->text = grown;
        line->room = room;
    }
    line->text[line->len++] = c;
    return true;
}

/* The next line, without its end. False: there is none. */
static bool read_line(struct line *line)
{
    int c = getc_unlocked(stdin);

    line->len = 0;
    line->too_long = false;
    if (c == EOF)
        return false;
    for (; c != EOF && c != '\n'; c = getc_unlocked(stdin))
        line->too_long = line->too_long || !add(line, (char)c);
    return true;
}

/* ---- what was found ------------------------------------------------------------------------- */

/* Why the program was refused, as its log says, and which slot that is about: the sentence's own
 * "insn N: " becomes a number. */
static void put_reason(struct answer *a, char *log)
{
    const char *reason = vm_find_reason(log), *colon = strstr(reason, ": ");
    unsigned insn = 0;

    if (sscanf(reason, "insn %u: ", &insn) == 1 && colon)
        reason = colon + 2;
    jsonw_string(&a->out, "reason", reason);
    jsonw_uint(&a->out, "insn", insn);
}

static void put_run(struct answer *a, struct ebpf_prog *prog, size_t index,
                    const struct batch_data *data)
{
    struct ebpf_test_run run = {.repeat = 1};
    int err;

    vm_give_input(prog, data->bytes, data->size, &run);
    err = ebpf_prog_test_run(prog, &run);
    if (!err) {
        jsonw_printf(&a->out, NULL, "\"%016lx\"", (unsigned long)run.result);
        return;
    }
    jsonw_null(&a->out, NULL);
    if (!a->error[0])
        snprintf(a->error, sizeof(a->error), "data[%zu]: the program %s: %s", index,
                 prog->last_fault[0] ? "was stopped" : "does not run on it",
                 prog->last_fault[0] ? prog->last_fault : vm_error_text(err));
}

/* prog is NULL when it was refused. */
static void put_verdict(struct answer *a, const struct batch_request *r, struct ebpf_prog *prog,
                        char *log)
{
    struct ebpf_verify_cost cost;

    ebpf_verify_get_cost(&cost);
    jsonw_string(&a->out, "verdict", prog ? "accept" : "reject");
    if (prog) {
        jsonw_null(&a->out, "reason");
        jsonw_null(&a->out, "insn");
    } else {
        put_reason(a, log);
    }
    jsonw_uint(&a->out, "processed", cost.processed);
    jsonw_begin(&a->out, "r0", '[');
    for (size_t i = 0; prog && i < r->nr_data; i++)
        put_run(a, prog, i, &r->data[i]);
    jsonw_end(&a->out, ']');
}

/* A program of type mem is given its data, and no less than the shortest of them. */
static uint32_t shortest(const struct batch_request *r)
{
    size_t size = r->nr_data ? r->data[0].size : 0;

    for (size_t i = 1; i < r->nr_data; i++)
        size = r->data[i].size < size ? r->data[i].size : size;
    return (uint32_t)size;
}

/* Are all data as long as the first? */
static bool are_equal(const struct batch_request *r)
{
    for (size_t i = 1; i < r->nr_data; i++)
        if (r->data[i].size != r->data[0].size)
            return false;
    return true;
}

static void verify_and_run(struct answer *a, const struct batch_request *r)
{
    static char text[LOG_SIZE];
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 4};
    struct ebpf_prog_load load = {
        .type = r->type,
        .name = "batch",
        .license = r->license,
        .insns = (const struct bpf_insn *)r->insns,
        .nr_insns = (uint32_t)(r->insns_size / sizeof(struct bpf_insn)),
        .maps = r->maps,
        .nr_maps = r->nr_maps,
        .mem_size = shortest(r),
        .mem_exact = r->nr_data && are_equal(r),
        .verify_flags = r->strict_alignment ? EBPF_VERIFY_STRICT_ALIGNMENT : 0,
        .log = &log,
    };
    struct ebpf_prog *prog = NULL;
    int err;

    text[0] = 0;
    ebpf_verify_clear_cost(); /* the decoder may refuse it before */
    err = ebpf_prog_create(&load, &prog);
    if (!err) {
        prog->budget = BUDGET;
        err = vm_engine_set(prog, r->engine);
        if (err)
            snprintf(a->error, sizeof(a->error), "the engine does not take the program: %s",
                     vm_error_text(err));
    } else if (!text[0]) {
        snprintf(a->error, sizeof(a->error), "the program does not load: %s", vm_error_text(err));
    }
    if (!a->error[0])
        put_verdict(a, r, prog, text);
    if (prog)
        ebpf_prog_put(prog);
}

/* ---- a line and its answer ------------------------------------------------------------------ */

/* Writes the id that the line has, and leaves a 0 in its place, since Jansson does not take every
 * number that may stand there. */
static void take_id(struct answer *a, struct line *line)
{
    size_t from, to;
    json_t *id;

    if (!line->text || !batch_find_id(line->text, line->len, &from, &to) ||
        memchr(line->text + from, 0, to - from))
        return;
    id = json_loadb(line->text + from, to - from, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    if (!id)
        return;
    json_decref(id);
    jsonw_printf(&a->out, "id", "%.*s", (int)(to - from), line->text + from);
    memset(line->text + from, ' ', to - from);
    line->text[from] = '0';
}

static void answer_request(struct answer *a, const struct line *line)
{
    struct batch_request request;
    json_error_t error;
    json_t *root;

    if (line->len && memchr(line->text, 0, line->len)) { /* Jansson would not mind all of them */
        snprintf(a->error, sizeof(a->error), "the line is not JSON: there is a NUL in it");
        return;
    }
    root = json_loadb(line->text, line->len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        snprintf(a->error, sizeof(a->error), "the line is not JSON that can be read: %s",
                 error.text);
        return;
    }
    if (batch_read_request(root, &request))
        verify_and_run(a, &request);
    else
        memcpy(a->error, request.error, sizeof(request.error));
    batch_free_request(&request);
    json_decref(root);
}

static void answer(struct line *line)
{
    struct answer a = {.out = {.out = stdout}};

    jsonw_begin(&a.out, NULL, '{');
    take_id(&a, line);
    if (line->too_long)
        snprintf(a.error, sizeof(a.error), "the line is longer than %u bytes", LINE_BYTES_MAX);
    else
        answer_request(&a, line);
    if (a.error[0])
        jsonw_string(&a.out, "error", a.error);
    jsonw_end(&a.out, '}');
    putchar('\n');
}

int batch_main(int argc, char **argv)
{
    struct line line = {.text = NULL};
    int err = 0;

    (void)argv;
    if (argc != 1) {
        vm_error("batch takes no arguments; requests come on standard input");
        fputs("usage: skep-vm batch   (one JSON object a line, see docs/skep-vm.md)\n", stderr);
        return 2;
    }
    if (vm_start())
        return 1;
    while (!err && read_line(&line)) {
        answer(&line);
        if (fflush(stdout) != 0)
            err = vm_error("the answers cannot be written: %s", strerror(errno));
    }
    free(line.text);
    vm_stop();
    return err ? 1 : 0;
}
