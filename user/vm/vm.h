/*
 * skep-vm: the engine as a host program. What its verbs share: the machine that the engine stands
 * on, opening object files with libbpf, and reading files and hexadecimal text.
 */
#ifndef SKEP_USER_VM_VM_H
#define SKEP_USER_VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebpf/prog.h"

struct bpf_object;
struct bpf_program;
struct ebpf_map;

/* Verbs: argv[0] is the verb. Exit status: 0, 1 it failed, 2 wrong usage. */
int run_main(int argc, char **argv);
int disasm_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int dump_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int plugin_main(int argc, char **argv);
int batch_main(int argc, char **argv);
int diff_main(int argc, char **argv);
int step_main(int argc, char **argv);

/* vm_machine.c */
int vm_start(void);
void vm_stop(void);
struct ebpf_prog *vm_prog(int fd);
struct ebpf_map *vm_map(int fd);
size_t vm_take_trace(char *text, size_t room, uint64_t *lost);
void vm_print_trace(void);

/* vm_object.c */
#define VM_TYPE_OF_SECTION UINT32_MAX
bool vm_type_find(const char *name, uint32_t *type);
int vm_type_by_name(const char *name, uint32_t *type);
struct bpf_object *vm_object_open(const char *path);
struct bpf_program *vm_object_choose(struct bpf_object *object, const char *name);
int vm_object_load(struct bpf_object *object, struct bpf_program *only, uint32_t type);

/* vm_file.c */
int vm_read_file(const char *path, uint8_t **data, size_t *size);
void vm_hex(const char *text, size_t len, uint8_t *out, size_t *size, size_t *bad);
int vm_parse_hex(const char *text, size_t len, uint8_t **data, size_t *size);

/* vm_engine.c */
#define VM_ENGINES        "checked, interp, jit"
#define VM_NR_ENGINES     3
#define VM_ENGINE_DEFAULT (-1)
const char *vm_engine_name(enum ebpf_engine engine);
bool vm_engine_find(const char *name, int *engine);
int vm_engine_parse(const char *name, int *engine);
int vm_engine_check(int engine, bool unverified);
int vm_engine_set(struct ebpf_prog *prog, int engine);
int vm_engine_choose(struct ebpf_prog *prog, int engine);
void vm_give_input(const struct ebpf_prog *prog, const void *data, size_t size,
                   struct ebpf_test_run *run);
size_t vm_default_input(const struct ebpf_prog *prog);
const char *vm_error_text(int err);
char *vm_find_reason(char *log);

/* A sentence on stderr, with skep-vm in front; returns -1. */
int vm_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
