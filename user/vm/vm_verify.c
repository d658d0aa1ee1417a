/*
 * `skep-vm verify OBJ`, or hex on standard input: the verifier's verdict on each program, and what
 * reaching it cost.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "user/vm/trace.h"
#include "user/vm/vm.h"

#define LOG_SIZE (1u << 24)

struct options {
    const char *path, *program, *trace;
    uint32_t type, level, repeat, flags;
};

static int usage(void)
{
    fputs(
        "usage: skep-vm verify OBJ | --hex [-s PROG] [--type TYPE] [--level N] [--repeat N]\n"
        "                      [--strict] [--trace FILE | json]\n"
        "  --hex         instructions as hex on standard input, of type mem unless said\n"
        "  --level N     what to print, as Linux: 1 the path that is rejected, 2 the whole walk,\n"
        "                4 totals; or a sum of them\n"
        "  --repeat N    verify N times and print the shortest time\n"
        "  --strict      refuse accesses that are not aligned\n"
        "  --trace FILE  write the walk and all it knew as a page; as data if FILE ends in .json\n"
        "  --trace json  likewise as data, on standard output\n",
        stderr);
    return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"type", required_argument, NULL, 't'},
                                          {"level", required_argument, NULL, 'l'},
                                          {"repeat", required_argument, NULL, 'r'},
                                          {"strict", no_argument, NULL, 'a'},
                                          {"hex", no_argument, NULL, 'x'},
                                          {"trace", required_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    bool hex = false;
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, "s:", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            o->program = optarg;
            break;
        case 't':
            err = vm_type_by_name(optarg, &o->type);
            break;
        case 'l':
            o->level = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            o->repeat = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'a':
            o->flags |= EBPF_VERIFY_STRICT_ALIGNMENT;
            break;
        case 'x':
            hex = true;
            break;
        case 'w':
            o->trace = optarg;
            break;
        default:
            return usage();
        }
    }
    if (!err && (optind + !hex != argc || o->repeat == 0)) {
        vm_error("verify takes one object file, or --hex and none, and at least one repetition");
        return usage();
    }
    o->path = hex ? NULL : argv[optind];
    return err;
}

/* Of one program. */
struct verdict {
    struct trace_about about;
    int err;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);

    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* The same verification once more, watched. */
static int write_trace(const struct options *o, struct ebpf_prog_load *load,
                       struct verdict *verdict)
{
    struct trace *trace = calloc(1, sizeof(*trace));
    struct ebpf_watch watch = {.see = trace_see, .arg = trace};
    bool json = strcmp(o->trace, "json") == 0;
    FILE *out = json ? stdout : fopen(o->trace, "w");
    struct ebpf_proof proof;
    int err = 0;

    if (!trace || !out) {
        free(trace);
        return vm_error("%s: %s", o->trace, strerror(errno));
    }
    load->watch = &watch;
    load->log->used = 0;
    ebpf_verify(load, verdict->about.prog->decoded, o->flags, &proof);
    ebpf_proof_free(&proof);
    load->watch = NULL;
    verdict->about.object = o->path ? o->path : "";
    verdict->about.log = load->log->buf;
    if (json || ends_with(o->trace, ".json"))
        trace_write_json(out, trace, &verdict->about);
    else
        trace_write_html(out, trace, &verdict->about);
    if (json)
        putchar('\n');
    if (ferror(out) || (json ? fflush(out) : fclose(out)))
        err = vm_error("%s: %s", o->trace, strerror(errno));
    trace_free(trace);
    free(trace);
    return err;
}

static int verify(const char *name, struct ebpf_prog_load *load, const struct ebpf_prog *prog,
                  const struct options *o)
{
    struct verdict v = {.about = {.prog = prog, .ns = UINT64_MAX}};
    const struct ebpf_verify_cost *cost = &v.about.cost;

    for (uint32_t i = 0; i < o->repeat; i++) {
        struct ebpf_proof proof;
        uint64_t start = now_ns(), took;

        load->log->used = 0;
        v.err = ebpf_verify(load, prog->decoded, o->flags, &proof);
        took = now_ns() - start;
        v.about.ns = took < v.about.ns ? took : v.about.ns;
        ebpf_proof_free(&proof);
    }
    v.about.accepted = v.err == 0;
    ebpf_verify_get_cost(&v.about.cost);
    if (!o->trace || strcmp(o->trace, "json") != 0) {
        if (v.err || o->level)
            fputs(load->log->buf, stdout);
        printf("%s: %s, %u insns processed, %u states (peak %u), %lu bytes, %.1f us\n", name,
               v.err ? "reject" : "accept", cost->processed, cost->total_states, cost->peak_states,
               (unsigned long)cost->peak_bytes, (double)v.about.ns / 1000);
    }
    if (o->trace && write_trace(o, load, &v))
        return -1;
    return v.err;
}

/* What PROG_LOAD said, told from the loaded program: references to maps are indices again. */
static int verify_prog(struct ebpf_prog *prog, struct bpf_insn *insns, struct ebpf_log *log,
                       const struct options *o)
{
    struct ebpf_prog_load load = {.type = prog->type,
                                  .insns = insns,
                                  .nr_insns = prog->nr_insns,
                                  .maps = prog->maps,
                                  .nr_maps = prog->nr_maps,
                                  .btf = prog->btf,
                                  .line_info = prog->line_info,
                                  .nr_line_info = prog->nr_line_info,
                                  .func_info = prog->func_info,
                                  .nr_func_info = prog->nr_func_info,
                                  .log = log};

    memcpy(insns, prog->insns, prog->nr_insns * sizeof(*insns));
    for (uint32_t i = 0; i < prog->nr_insns; i++) {
        if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        for (uint32_t m = 0; m < prog->nr_maps; m++) {
            bool map =
                insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE;

            if (map && insns[i].imm == (int32_t)prog->maps[m]->object.id) {
                insns[i].imm = (int32_t)m;
                break;
            }
        }
        i++;
    }
    return verify(prog->name, &load, prog, o);
}

static int verify_object(const struct options *o, struct ebpf_log *log)
{
    struct bpf_object *object = vm_object_open(o->path);
    struct bpf_program *program, *only = NULL;
    int err = object ? 0 : -1;

    if (!err && (o->program || o->trace) && !(only = vm_object_choose(object, o->program)))
        err = -1;
    if (!err)
        err = vm_object_load(object, only, o->type);
    if (!err) {
        bpf_object__for_each_program(program, object)
        {
            struct ebpf_prog *prog;
            struct bpf_insn *insns;

            if (only && program != only)
                continue;
            prog = vm_prog(bpf_program__fd(program));
            insns = calloc(prog->nr_insns, sizeof(*insns));
            if (!insns || verify_prog(prog, insns, log, o))
                err = -1;
            free(insns);
        }
    }
    bpf_object__close(object);
    return err;
}

static int verify_hex(const struct options *o, struct ebpf_log *log)
{
    uint8_t *text = NULL, *bytes = NULL;
    struct ebpf_prog *prog = NULL;
    size_t len, size;
    int err = vm_read_file("-", &text, &len);

    if (!err)
        err = vm_parse_hex((const char *)text, len, &bytes, &size);
    if (!err && size % sizeof(struct bpf_insn))
        err = vm_error("%zu bytes are not whole instructions of 8", size);
    if (!err) {
        struct ebpf_prog_load load = {.type = o->type == VM_TYPE_OF_SECTION ? EBPF_PROG_TYPE_MEM
                                                                            : o->type,
                                      .license = "GPL",
                                      .insns = (const struct bpf_insn *)bytes,
                                      .nr_insns = (uint32_t)(size / sizeof(struct bpf_insn)),
                                      .unverified = true,
                                      .log = log};

        err = ebpf_prog_create(&load, &prog);
        if (err)
            printf("%shex: reject\n", log->buf);
        else
            err = verify("hex", &load, prog, o);
        if (prog)
            ebpf_prog_put(prog);
    }
    free(text);
    free(bytes);
    return err;
}

int verify_main(int argc, char **argv)
{
    struct options o = {.type = VM_TYPE_OF_SECTION, .repeat = 1};
    struct ebpf_log log = {.size = LOG_SIZE};
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    log.level = o.level ? o.level : 4;
    log.buf = calloc(1, LOG_SIZE);
    if (!log.buf || vm_start()) {
        free(log.buf);
        return 1;
    }
    ebpf_load_unverified(true);
    err = o.path ? verify_object(&o, &log) : verify_hex(&o, &log);
    vm_stop();
    free(log.buf);
    return err ? 1 : 0;
}
