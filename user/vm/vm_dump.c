/*
 * `skep-vm dump jited`: a program's machine code, disassembled by Capstone, each instruction's
 * lines under the bytecode they were made from and its line of C.
 */
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "ebpf/jit.h"
#include "ebpf/prog.h"
#include "user/vm/listing.h"
#include "user/vm/vm.h"

static int print_program(const struct btf *btf, const struct bpf_program *program)
{
    const struct ebpf_prog *prog = vm_prog(bpf_program__fd(program));
    struct listing listing;
    int err;

    printf("%s:\n", bpf_program__name(program));
    if (!prog->jit)
        return vm_error("program %s has no machine code: %s", bpf_program__name(program),
                        prog->proof ? "the JIT does not take it" : "it was not verified");
    err = listing_make(&listing, btf, prog, prog->jit);
    for (uint32_t n = 0; n < listing.nr && !err; n++)
        puts(listing.lines[n].text);
    if (!err)
        printf("%zu bytes\n", prog->jit->size);
    listing_free(&listing);
    return err;
}

static int dump(const char *path, const char *name)
{
    struct bpf_object *object = vm_object_open(path);
    struct bpf_program *program, *only = NULL;
    int err = object ? 0 : -1;

    if (!err && name && !(only = vm_object_choose(object, name)))
        err = -1;
    if (!err)
        err = vm_object_load(object, only, VM_TYPE_OF_SECTION);
    if (!err) {
        bpf_object__for_each_program(program, object)
        {
            if (!err && (!only || program == only))
                err = print_program(bpf_object__btf(object), program);
        }
    }
    bpf_object__close(object);
    return err;
}

int dump_main(int argc, char **argv)
{
    int err;

    if (!(argc == 3 || (argc == 5 && strcmp(argv[3], "-s") == 0)) ||
        strcmp(argv[1], "jited") != 0) {
        vm_error("dump takes what to dump, which is jited, and one object file");
        fputs("usage: skep-vm dump jited OBJ [-s PROG]\n", stderr);
        return 2;
    }
    if (vm_start())
        return 1;
    err = dump(argv[2], argc == 5 ? argv[4] : NULL);
    vm_stop();
    return err ? 1 : 0;
}
