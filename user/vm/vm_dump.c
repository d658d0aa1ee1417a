/*
 * `skep-vm dump jited`: a program's machine code, disassembled by Capstone, each instruction's
 * lines under the bytecode they were made from and its line of C.
 */
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <capstone/capstone.h>

#include "ebpf/disasm.h"
#include "ebpf/jit.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

/* Machine code [from, to) of the program. */
static void print_code(csh capstone, const struct ebpf_jit *jit, uint32_t from, uint32_t to)
{
    const uint8_t *code = jit->code + from;
    size_t left = to - from;
    uint64_t address = from;
    cs_insn *insn = cs_malloc(capstone);

    while (insn && left && cs_disasm_iter(capstone, &code, &left, &address, insn))
        printf("        %4lx: %s%s%s\n", (unsigned long)insn->address, insn->mnemonic,
               insn->op_str[0] ? " " : "", insn->op_str);
    if (insn)
        cs_free(insn, 1);
}

/* The line of C that begins at a slot, as the object file has it. */
static void print_source(const struct btf *btf, const struct ebpf_prog *prog, uint32_t slot)
{
    const struct bpf_line_info *lines = prog->line_info;

    for (uint32_t n = 0; btf && n < prog->nr_line_info; n++) {
        const char *text;

        if (lines[n].insn_off != slot)
            continue;
        text = btf__name_by_offset(btf, lines[n].line_off);
        if (text)
            printf("; %s\n", text + strspn(text, " \t"));
    }
}

static int print_program(csh capstone, const struct btf *btf, const struct bpf_program *program)
{
    const struct ebpf_prog *prog = vm_prog(bpf_program__fd(program));
    char text[DISASM_MAX];

    printf("%s:\n", bpf_program__name(program));
    if (!prog->jit)
        return vm_error("program %s has no machine code: it was not verified",
                        bpf_program__name(program));
    for (uint32_t slot = 0, slots; slot < prog->nr_insns; slot += slots) {
        slots = ebpf_disasm(&prog->insns[slot], prog->nr_insns - slot, text, sizeof(text));
        print_source(btf, prog, slot);
        printf("%4u: %s\n", slot, text);
        print_code(capstone, prog->jit, prog->jit->offsets[slot], prog->jit->offsets[slot + slots]);
    }
    printf("%zu bytes\n", prog->jit->size);
    return 0;
}

static int dump(const char *path, const char *name)
{
    struct bpf_object *object = vm_object_open(path);
    struct bpf_program *program, *only = NULL;
    csh capstone;
    int err = object ? 0 : -1;

    if (!err && name && !(only = vm_object_choose(object, name)))
        err = -1;
    if (!err)
        err = vm_object_load(object, only, VM_TYPE_OF_SECTION);
    if (!err && cs_open(CS_ARCH_X86, CS_MODE_64, &capstone) != CS_ERR_OK)
        err = vm_error("Capstone does not know x86-64");
    if (!err) {
        bpf_object__for_each_program(program, object)
        {
            if (!err && (!only || program == only))
                err = print_program(capstone, bpf_object__btf(object), program);
        }
        cs_close(&capstone);
    }
    bpf_object__close(object);
    return err;
}

int dump_main(int argc, char **argv)
{
    int err;

    if (!(argc == 3 || (argc == 5 && strcmp(argv[3], "-s") == 0)) ||
        strcmp(argv[1], "jited") != 0) {
        fputs("usage: skep-vm dump jited OBJ [-s PROG]\n", stderr);
        return 2;
    }
    if (vm_start())
        return 1;
    err = dump(argv[2], argc == 5 ? argv[4] : NULL);
    vm_stop();
    return err ? 1 : 0;
}
