/*
 * Loads the program that is to be watched. Called by `diff` and `step` after vm_start.
 */
#include "user/vm/target.h"

#include <stdlib.h>

#include <bpf/libbpf.h>

#include "ebpf/ebpf.h"
#include "user/vm/vm.h"

#define LOG_SIZE 65536u

/* One option that getopt_long gave: 0, 2 when it is none of these, -1 after saying what is wrong.
 */
int target_option(struct target *t, int option, const char *value)
{
    switch (option) {
    case 's':
        t->program = value;
        return 0;
    case 't':
        return vm_type_by_name(value, &t->type);
    case 'd':
        t->data_path = value;
        return 0;
    case 'x':
        t->hex = true;
        return 0;
    case 'u':
        t->unverified = true;
        return 0;
    }
    return 2;
}

static int load_object(struct target *t)
{
    struct bpf_program *program;
    int err;

    t->object = vm_object_open(t->path);
    program = t->object ? vm_object_choose(t->object, t->program) : NULL;
    err = program ? vm_object_load(t->object, program, t->type) : -1;
    if (err)
        return err;
    t->btf = bpf_object__btf(t->object);
    t->watched.progs[0] = vm_prog(bpf_program__fd(program));
    return 0;
}

static int load_insns(struct target *t, const uint8_t *bytes, size_t size)
{
    static char text[LOG_SIZE];
    struct ebpf_log log = {.buf = text, .size = sizeof(text), .level = 4};
    struct ebpf_prog_load load = {
        .type = t->type == VM_TYPE_OF_SECTION ? EBPF_PROG_TYPE_MEM : t->type,
        .name = "hex",
        .license = "GPL",
        .insns = (const struct bpf_insn *)bytes,
        .nr_insns = (uint32_t)(size / sizeof(struct bpf_insn)),
        .mem_size = (uint32_t)t->watched.size,
        .mem_exact = true,
        .unverified = t->unverified,
        .log = &log,
    };
    int err;

    if (size % sizeof(struct bpf_insn))
        return vm_error("%zu bytes are not whole instructions of 8", size);
    err = ebpf_prog_create(&load, &t->own);
    t->watched.progs[0] = t->own;
    return err ? vm_error("the program is rejected: %s",
                          text[0] ? vm_find_reason(text) : vm_error_text(err))
               : 0;
}

static int load_hex(struct target *t)
{
    uint8_t *text = NULL, *bytes = NULL;
    size_t len, size;
    int err = vm_read_file("-", &text, &len);

    if (!err)
        err = vm_parse_hex((const char *)text, len, &bytes, &size);
    if (!err)
        err = load_insns(t, bytes, size);
    free(text);
    free(bytes);
    return err;
}

/* Zeroes stand for input that was not given. */
static int take_input(struct target *t)
{
    size_t size;

    if (t->data_path)
        return 0;
    size = vm_default_input(t->watched.progs[0]);
    t->data = calloc(1, size + 1);
    if (!t->data)
        return vm_error("out of memory");
    t->watched.data = t->data;
    t->watched.size = size;
    return 0;
}

/* Loads it and makes it ready to be watched. 0, or -1 after saying why not; the caller closes the
 * target in any case. */
int target_load(struct target *t, int passes)
{
    int err = 0;

    ebpf_load_unverified(t->unverified);
    if (t->data_path) {
        err = vm_read_file(t->data_path, &t->data, &t->watched.size);
        t->watched.data = t->data;
    }
    if (!err && t->watched.size > UINT32_MAX)
        err = vm_error("%s has %zu bytes, too many for a run", t->data_path, t->watched.size);
    if (!err)
        err = t->hex ? load_hex(t) : load_object(t);
    if (!err)
        err = take_input(t);
    if (err)
        return -1;
    t->watched.nr_progs = 1;
    err = observe_prepare(&t->watched, passes);
    return err ? vm_error("program %s cannot be watched: %s", t->watched.progs[0]->name,
                          vm_error_text(err))
               : 0;
}

void target_close(struct target *t)
{
    if (t->own)
        ebpf_prog_put(t->own);
    bpf_object__close(t->object);
    free(t->data);
}
