/*
 * `skep-vm plugin [MEMORY] [--engine E]`: the plugin form of the public BPF conformance suite. The
 * program's bytes come as hex on standard input, its memory as hex in the argument; r0 goes out in
 * hex. A program that is refused or stopped gives a sentence and exit status 1.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define INSNS_BYTES_MAX (1u << 20)
#define BUDGET          (100 * EBPF_BUDGET) /* the suite's programs end by themselves */
#define LOG_SIZE        65536u

struct options {
    const char *memory; /* hex; NULL: none */
    int engine;
    bool unverified;
};

static int run(struct ebpf_prog *prog, const uint8_t *memory, size_t size)
{
    struct ebpf_test_run run = {.data_in = memory, .data_size_in = (uint32_t)size};
    int err;

    prog->budget = BUDGET;
    err = ebpf_prog_test_run(prog, &run);
    if (err)
        return vm_error("the program was stopped: %s", prog->last_fault);
    printf("%lx\n", (unsigned long)run.result);
    return 0;
}

static int load_and_run(const struct options *o, const uint8_t *insns, size_t insns_size,
                        const uint8_t *memory, size_t memory_size)
{
    static char text[LOG_SIZE];
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 4};
    struct ebpf_prog_load load = {
        .type = EBPF_PROG_TYPE_MEM,
        .name = "plugin",
        .license = "GPL",
        .insns = (const struct bpf_insn *)insns,
        .nr_insns = (uint32_t)(insns_size / sizeof(struct bpf_insn)),
        .mem_size = (uint32_t)memory_size,
        .mem_exact = true,
        .unverified = o->unverified,
        .log = &log,
    };
    struct ebpf_prog *prog;
    int err;

    if (insns_size % sizeof(struct bpf_insn) || insns_size > INSNS_BYTES_MAX)
        return vm_error("a program of %zu bytes: it must be instructions of 8, 1 MiB at most",
                        insns_size);
    err = ebpf_prog_create(&load, &prog);
    if (err)
        return vm_error("the program is rejected: %s",
                        text[0] ? vm_find_reason(text) : vm_error_text(err));
    err = vm_engine_choose(prog, o->engine);
    if (!err)
        err = run(prog, memory, memory_size);
    ebpf_prog_put(prog);
    return err;
}

static int usage(void)
{
    fputs("usage: skep-vm plugin [MEMORY] [--engine checked|interp|jit] [--unverified]\n"
          "  The program comes as hex on standard input, its memory is hex too.\n",
          stderr);
    return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"engine", required_argument, NULL, 'e'},
                                          {"unverified", no_argument, NULL, 'u'},
                                          {NULL, 0, NULL, 0}};
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'e':
            err = vm_engine_parse(optarg, &o->engine);
            break;
        case 'u':
            o->unverified = true;
            break;
        default:
            return usage();
        }
    }
    if (!err && argc - optind > 1) {
        vm_error("plugin takes one memory, not %d", argc - optind);
        return usage();
    }
    o->memory = argv[optind];
    return err ? err : vm_engine_check(o->engine, o->unverified);
}

int plugin_main(int argc, char **argv)
{
    struct options o = {.engine = VM_ENGINE_DEFAULT};
    uint8_t *text = NULL, *insns = NULL, *memory = NULL;
    size_t len, insns_size = 0, memory_size = 0;
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    err = vm_start() || vm_read_file("-", &text, &len) ||
          vm_parse_hex((const char *)text, len, &insns, &insns_size) ||
          (o.memory && vm_parse_hex(o.memory, strlen(o.memory), &memory, &memory_size));
    if (!err)
        err = load_and_run(&o, insns, insns_size, memory, memory_size);
    free(text);
    free(insns);
    free(memory);
    return err ? 1 : 0;
}
