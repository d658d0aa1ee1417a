/*
 * `skep-vm run OBJ`: one program of an object file, run on a packet, a record or memory, timed.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "ebpf/prog.h"
#include "user/client/map_data.h"
#include "user/vm/vm.h"

struct options {
    const char *path, *program, *data;
    uint32_t type, repeat, budget;
    int engine;
    bool as_json, unverified;
};

static int usage(void)
{
    fputs(
        "usage: skep-vm run OBJ [-s PROG] [--type TYPE] [--data FILE] [--repeat N] [-j]\n"
        "                   [--engine checked|interp|jit] [--unverified] [--budget N]\n"
        "  --data FILE   the packet (xdp, socket_filter, sched_cls), the record (tracepoint), the\n"
        "                arguments (raw_tracepoint) or the memory (mem); zeroes without it\n"
        "  --type TYPE   load as this type instead of what its section says\n"
        "  -j            print JSON, with what is then in the maps\n"
        "  --unverified  run what the verifier has not seen, in the checked interpreter\n"
        "  --budget N    instructions that one run may take in the checked interpreter\n",
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

static int parse_option(int c, struct options *o)
{
    switch (c) {
    case 's':
        o->program = optarg;
        return 0;
    case 't':
        return vm_type_by_name(optarg, &o->type);
    case 'd':
        o->data = optarg;
        return 0;
    case 'r':
        return parse_count("--repeat", optarg, &o->repeat);
    case 'b':
        return parse_count("--budget", optarg, &o->budget);
    case 'e':
        return vm_engine_parse(optarg, &o->engine);
    case 'u':
        o->unverified = true;
        return 0;
    case 'j':
        o->as_json = true;
        return 0;
    }
    return usage();
}

/* 0, 2 for wrong usage, -1 after saying what is wrong. */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"type", required_argument, NULL, 't'},
                                          {"data", required_argument, NULL, 'd'},
                                          {"repeat", required_argument, NULL, 'r'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {"engine", required_argument, NULL, 'e'},
                                          {"unverified", no_argument, NULL, 'u'},
                                          {NULL, 0, NULL, 0}};
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, "js:", longs, NULL)) != -1)
        err = parse_option(c, o);
    if (!err && optind + 1 != argc) {
        vm_error("run takes one object file");
        return usage();
    }
    o->path = argv[optind];
    return err ? err : vm_engine_check(o->engine, o->unverified);
}

/* The file's bytes, or the zeroes that stand for input that was not given. *data is the caller's to
 * free. */
static int take_input(const struct options *o, const struct ebpf_prog *prog, uint8_t **data,
                      size_t *size)
{
    if (o->data && vm_read_file(o->data, data, size))
        return -1;
    if (*size > UINT32_MAX)
        return vm_error("%s has %zu bytes, too many for a run", o->data, *size);
    if (o->data)
        return 0;
    *size = vm_default_input(prog);
    *data = calloc(1, *size + 1);
    return *data ? 0 : vm_error("out of memory");
}

static int print_maps(struct bpf_object *object)
{
    struct bpf_map *map;
    int err = 0;

    jsonw_begin(json, "maps", '[');
    bpf_object__for_each_map(map, object)
    {
        int fd = err ? -1 : dup(bpf_map__fd(map));
        struct map entries;

        if (fd < 0 || map_open(fd, &entries)) {
            err = -1;
            continue;
        }
        err = map_print_entries(&entries, json, true);
        map_close(&entries);
    }
    jsonw_end(json, ']');
    return err;
}

static int print_result(const struct options *o, const struct ebpf_test_run *run,
                        struct bpf_object *object)
{
    double ns = (double)run->total_ns / o->repeat;
    struct json out = {.out = stdout};
    int err;

    if (!o->as_json) {
        printf("Return value: %lu, duration (average): %.2fns\n", (unsigned long)run->result, ns);
        return 0;
    }
    json = &out;
    jsonw_begin(json, NULL, '{');
    jsonw_uint(json, "retval", run->result);
    jsonw_printf(json, "duration", "%.2f", ns);
    err = print_maps(object);
    jsonw_end(json, '}');
    putchar('\n');
    json = NULL;
    return err;
}

static int run_prog(const struct options *o, struct ebpf_prog *prog, struct bpf_object *object)
{
    struct ebpf_test_run run = {.repeat = o->repeat};
    uint8_t *data = NULL;
    size_t size = 0;
    int err = take_input(o, prog, &data, &size);

    if (!err) {
        if (o->budget)
            prog->budget = o->budget;
        vm_give_input(prog, data, size, &run);
        err = ebpf_prog_test_run(prog, &run);
        vm_print_trace();
        if (prog->last_fault[0])
            vm_error("program %s was stopped: %s", prog->name, prog->last_fault);
        else if (err)
            vm_error("program %s does not run on this input: %s", prog->name, vm_error_text(err));
        else
            err = print_result(o, &run, object);
    }
    free(data);
    return err;
}

int run_main(int argc, char **argv)
{
    struct options o = {.type = VM_TYPE_OF_SECTION, .repeat = 1, .engine = VM_ENGINE_DEFAULT};
    struct bpf_program *program;
    struct bpf_object *object;
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    if (vm_start())
        return 1;
    ebpf_load_unverified(o.unverified);
    object = vm_object_open(o.path);
    program = object ? vm_object_choose(object, o.program) : NULL;
    err = program ? vm_object_load(object, program, o.type) : -1;
    if (!err)
        err = vm_engine_choose(vm_prog(bpf_program__fd(program)), o.engine);
    if (!err)
        err = run_prog(&o, vm_prog(bpf_program__fd(program)), object);
    bpf_object__close(object);
    vm_stop();
    return err ? 1 : 0;
}
