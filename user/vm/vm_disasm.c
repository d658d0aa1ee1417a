/*
 * `skep-vm disasm`: instructions as text, of an object file's programs as the engine holds them
 * after loading, or of any bytes in hex on standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "ebpf/disasm.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

static void print_insns(const struct bpf_insn *insns, unsigned nr)
{
    char text[DISASM_MAX];

    for (unsigned i = 0, slots; i < nr; i += slots) {
        slots = ebpf_disasm(&insns[i], nr - i, text, sizeof(text));
        printf("%4u: %s\n", i, text);
    }
}

static int disasm_hex(void)
{
    uint8_t *text = NULL, *bytes = NULL;
    size_t len, size;
    int err = vm_read_file("-", &text, &len);

    if (!err)
        err = vm_parse_hex((const char *)text, len, &bytes, &size);
    if (!err && size % sizeof(struct bpf_insn))
        err = vm_error("%zu bytes are not whole instructions of 8", size);
    if (!err)
        print_insns((const struct bpf_insn *)bytes, (unsigned)(size / sizeof(struct bpf_insn)));
    free(text);
    free(bytes);
    return err;
}

static int disasm_object(const char *path, const char *name)
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
            const struct ebpf_prog *prog;

            if (only && program != only)
                continue;
            prog = vm_prog(bpf_program__fd(program));
            printf("%s:\n", bpf_program__name(program));
            print_insns(prog->insns, prog->nr_insns);
        }
    }
    bpf_object__close(object);
    return err;
}

int disasm_main(int argc, char **argv)
{
    int err;

    if (argc == 2 && strcmp(argv[1], "-") == 0)
        return disasm_hex() ? 1 : 0;
    if (argc != 2 && !(argc == 4 && strcmp(argv[2], "-s") == 0)) {
        vm_error("disasm takes one object file, or - and no program's name");
        fputs("usage: skep-vm disasm OBJ [-s PROG], or hex on standard input: skep-vm disasm -\n",
              stderr);
        return 2;
    }
    if (vm_start())
        return 1;
    err = disasm_object(argv[1], argc == 4 ? argv[3] : NULL);
    vm_stop();
    return err ? 1 : 0;
}
