/*
 * `skep-vm plugin [MEMORY]`: the plugin form of the public BPF conformance suite. The program's
 * bytes come as hex on standard input, its memory as hex in the argument; r0 goes out in hex. A
 * program that is refused or stopped gives a sentence and exit status 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define INSNS_BYTES_MAX (1u << 20)
#define BUDGET          (100 * EBPF_BUDGET) /* the suite's programs end by themselves */
#define LOG_SIZE        16384u

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

/* The line of a log that says what is wrong: the verifier's stands before the rule. */
static char *sentence(char *log)
{
    char *rule = strstr(log, "\nrule: "), *line;

    if (!rule)
        rule = log + strcspn(log, "\n");
    *rule = 0;
    line = strrchr(log, '\n');
    return line ? line + 1 : log;
}

static int load_and_run(const uint8_t *insns, size_t insns_size, const uint8_t *memory,
                        size_t memory_size)
{
    char text[LOG_SIZE] = "";
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 4};
    struct ebpf_prog_load load = {
        .type = EBPF_PROG_TYPE_MEM,
        .name = "plugin",
        .license = "GPL",
        .insns = (const struct bpf_insn *)insns,
        .nr_insns = (uint32_t)(insns_size / sizeof(struct bpf_insn)),
        .mem_size = (uint32_t)memory_size,
        .mem_exact = true,
        .log = &log,
    };
    struct ebpf_prog *prog;
    int err;

    if (insns_size % sizeof(struct bpf_insn) || insns_size > INSNS_BYTES_MAX)
        return vm_error("a program of %zu bytes: it must be instructions of 8, 1 MiB at most",
                        insns_size);
    err = ebpf_prog_create(&load, &prog);
    if (err)
        return vm_error("the program is rejected: %s", text[0] ? sentence(text) : strerror(-err));
    err = run(prog, memory, memory_size);
    ebpf_prog_put(prog);
    return err;
}

int plugin_main(int argc, char **argv)
{
    uint8_t *text = NULL, *insns = NULL, *memory = NULL;
    size_t len, insns_size = 0, memory_size = 0;
    int err;

    if (argc > 2) {
        fputs("usage: skep-vm plugin [MEMORY]   (hex; the program as hex on standard input)\n",
              stderr);
        return 2;
    }
    err = vm_start() || vm_read_file("-", &text, &len) ||
          vm_parse_hex((const char *)text, len, &insns, &insns_size) ||
          (argc == 2 && vm_parse_hex(argv[1], strlen(argv[1]), &memory, &memory_size));
    if (!err)
        err = load_and_run(insns, insns_size, memory, memory_size);
    free(text);
    free(insns);
    free(memory);
    return err ? 1 : 0;
}
