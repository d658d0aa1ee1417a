/*
 * `skep-vm run OBJ`: one program of an object file, run on a packet, a record or memory, timed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define DEFAULT_PACKET 64u   /* zeroes, for xdp and socket_filter without --data */
#define DEFAULT_RECORD 4096u /* likewise for tracepoints: larger than any record */

struct options {
    const char *path, *program, *data;
    uint32_t type, repeat, budget;
};

static int usage(void)
{
    fputs(
        "usage: skep-vm run OBJ [-s PROG] [--type TYPE] [--data FILE] [--repeat N] [--budget N]\n"
        "  --data FILE   the packet (xdp, socket_filter), the record (tracepoint), the arguments\n"
        "                (raw_tracepoint) or the memory (mem); zeroes without it\n"
        "  --type TYPE   load as this type instead of what its section says\n"
        "  --budget N    instructions that one run may take\n",
        stderr);
    return 2;
}

static int parse_count(const char *option, const char *text, uint32_t *value)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (*end || end == text || number == 0 || number > UINT32_MAX)
        return vm_error("%s takes a number from 1 to %u, not '%s'", option, UINT32_MAX, text);
    *value = (uint32_t)number;
    return 0;
}

/* 0, 2 for wrong usage, -1 after saying what is wrong. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"type", required_argument, NULL, 't'},
                                          {"data", required_argument, NULL, 'd'},
                                          {"repeat", required_argument, NULL, 'r'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {NULL, 0, NULL, 0}};
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, "s:", longs, NULL)) != -1) {
        switch (c) {
        case 's':
            o->program = optarg;
            break;
        case 't':
            err = vm_type_by_name(optarg, &o->type);
            break;
        case 'd':
            o->data = optarg;
            break;
        case 'r':
            err = parse_count("--repeat", optarg, &o->repeat);
            break;
        case 'b':
            err = parse_count("--budget", optarg, &o->budget);
            break;
        default:
            return usage();
        }
    }
    if (!err && optind + 1 != argc)
        return usage();
    o->path = argv[optind];
    return err;
}

/* Puts the input where the program's type takes it; without a file, zeroes. *data is the caller's
 * to free. */
static int take_input(const struct options *o, const struct ebpf_prog *prog,
                      struct ebpf_test_run *run, uint8_t **data)
{
    bool record =
        prog->type == BPF_PROG_TYPE_TRACEPOINT || prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT;
    size_t size = 0;

    if (o->data) {
        if (vm_read_file(o->data, data, &size))
            return -1;
    } else if (prog->type == BPF_PROG_TYPE_TRACEPOINT) {
        size = DEFAULT_RECORD;
    } else if (prog->type == BPF_PROG_TYPE_XDP || prog->type == BPF_PROG_TYPE_SOCKET_FILTER) {
        size = DEFAULT_PACKET;
    }
    if (!o->data && size) {
        *data = calloc(1, size);
        if (!*data)
            return vm_error("out of memory");
    }
    if (size > UINT32_MAX)
        return vm_error("%s has %zu bytes, too many for a run", o->data, size);
    if (record) {
        run->ctx_in = size ? *data : NULL;
        run->ctx_size_in = (uint32_t)size;
    } else {
        run->data_in = size ? *data : NULL;
        run->data_size_in = (uint32_t)size;
    }
    return 0;
}

static int run_prog(const struct options *o, struct ebpf_prog *prog)
{
    struct ebpf_test_run run = {.repeat = o->repeat};
    uint8_t *data = NULL;
    int err = take_input(o, prog, &run, &data);

    if (!err) {
        if (o->budget)
            prog->budget = o->budget;
        err = ebpf_prog_test_run(prog, &run);
        vm_print_trace();
        if (prog->last_fault[0])
            vm_error("program %s was stopped: %s", prog->name, prog->last_fault);
        else if (err)
            vm_error("program %s does not run on this input: %s", prog->name, strerror(-err));
        else
            printf("Return value: %lu, duration (average): %.2fns\n", (unsigned long)run.result,
                   (double)run.total_ns / o->repeat);
    }
    free(data);
    return err;
}

int run_main(int argc, char **argv)
{
    struct options o = {.type = VM_TYPE_OF_SECTION, .repeat = 1};
    struct bpf_program *program;
    struct bpf_object *object;
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    if (vm_start())
        return 1;
    object = vm_object_open(o.path);
    program = object ? vm_object_choose(object, o.program) : NULL;
    err = program ? vm_object_load(object, program, o.type) : -1;
    if (!err)
        err = run_prog(&o, vm_prog(bpf_program__fd(program)));
    bpf_object__close(object);
    vm_stop();
    return err ? 1 : 0;
}
