/*
 * skep-vm: runs, disassembles and serves eBPF programs on the host, without booting and without
 * the host's own bpf(2).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/vm/serve.h"
#include "user/vm/target.h"
#include "user/vm/vm.h"

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *arguments, *help;
} verbs[] = {
    {"run", run_main, "OBJ [-s PROG] [--type TYPE] [--data FILE] [--repeat N] [--engine E] [-j]",
     "run a program and print what it returns"},
    {"disasm", disasm_main, "OBJ [-s PROG] | -",
     "print instructions: of an object file, or of hex on standard input"},
    {"verify", verify_main, "OBJ [-s PROG] [--type TYPE] [--level N] [--trace FILE | json] | --hex",
     "print the verifier's verdict and what it cost"},
    {"dump", dump_main, "jited OBJ [-s PROG]",
     "print machine code, under the bytecode and the line of C that it comes from"},
    {"bench", bench_main, "OBJ [-s PROG] [--engine E]", "time a program in each engine"},
    {"plugin", plugin_main, "[MEMORY] [--engine E]",
     "program as hex on standard input, memory as hex; prints r0 in hex"},
    {"step", step_main, TARGET_USAGE " [--engine E] [--steps A..B]",
     "a run instruction by instruction: C, bytecode, machine code, registers and stack"},
    {"diff", diff_main, TARGET_USAGE " [--engines A,B]",
     "run a program in two engines and say where they part"},
    {"batch", batch_main, "",
     "verify and run what comes as JSON on standard input, one object a line; answer likewise"},
    {"serve", serve_main, "[--port N] [--key FILE | --insecure]",
     "serve the guest's commands on 127.0.0.1"},
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

int vm_error(const char *fmt, ...)
{
    va_list args;

    fputs("skep-vm: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return -1;
}

static int usage(FILE *to, int status)
{
    fputs("usage: skep-vm VERB ...\n", to);
    for (size_t i = 0; i < NR_VERBS; i++)
        fprintf(to, "  %s %s\n      %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr, 2);
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    for (size_t i = 0; i < NR_VERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].main(argc - 1, argv + 1);
    vm_error("there is no verb '%s'", argv[1]);
    return usage(stderr, 2);
}
