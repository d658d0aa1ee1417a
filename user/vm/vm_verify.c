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
#include "user/vm/vm.h"

#define LOG_SIZE (1u << 24)

struct options {
    const char *path, *program;
    uint32_t type, level, repeat, flags;
};

static int usage(void)
{
    fputs(
        "usage: skep-vm verify OBJ | --hex [-s PROG] [--type TYPE] [--level N] [--repeat N]\n"
        "                      [--strict]\n"
        "  --hex         instructions as hex on standard input, of type mem unless said\n"
        "  --level N     what to print: 1 each instruction once, 2 each as it is walked, with the\n"
        "                registers, 4 totals\n"
        "  --repeat N    verify N times and print the shortest time\n"
        "  --strict      refuse accesses that are not aligned\n",
        stderr);
    return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"type", required_argument, NULL, 't'},   {"level", required_argument, NULL, 'l'},
        {"repeat", required_argument, NULL, 'r'}, {"strict", no_argument, NULL, 'a'},
        {"hex", no_argument, NULL, 'x'},          {NULL, 0, NULL, 0}};
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
        default:
            return usage();
        }
    }
    if (!err && (optind + !hex != argc || o->repeat == 0))
        return usage();
    o->path = hex ? NULL : argv[optind];
    return err;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int verify(const char *name, const struct ebpf_prog_load *load,
                  const struct ebpf_decoded *decoded, const struct options *o)
{
    struct ebpf_verify_cost cost;
    uint64_t best = UINT64_MAX;
    int err = 0;

    for (uint32_t i = 0; i < o->repeat; i++) {
        struct ebpf_proof proof;
        uint64_t start = now_ns(), took;

        load->log->used = 0;
        err = ebpf_verify(load, decoded, o->flags, &proof);
        took = now_ns() - start;
        best = took < best ? took : best;
        ebpf_proof_free(&proof);
    }
    ebpf_verify_get_cost(&cost);
    if (err || o->level)
        fputs(load->log->buf, stdout);
    printf("%s: %s, %u insns processed, %u states (peak %u), %lu bytes, %.1f us\n", name,
           err ? "reject" : "accept", cost.processed, cost.total_states, cost.peak_states,
           (unsigned long)cost.peak_bytes, (double)best / 1000);
    return err;
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
    return verify(prog->name, &load, prog->decoded, o);
}

static int verify_object(const struct options *o, struct ebpf_log *log)
{
    struct bpf_object *object = vm_object_open(o->path);
    struct bpf_program *program, *only = NULL;
    int err = object ? 0 : -1;

    if (!err && o->program && !(only = vm_object_choose(object, o->program)))
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
            err = verify("hex", &load, prog->decoded, o);
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
    if (!log.buf || vm_start())
        return 1;
    ebpf_load_unverified(true);
    err = o.path ? verify_object(&o, &log) : verify_hex(&o, &log);
    vm_stop();
    free(log.buf);
    return err ? 1 : 0;
}
