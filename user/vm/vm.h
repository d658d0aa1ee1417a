/*
 * skep-vm: the engine as a host program. What its verbs share: the machine that the engine stands
 * on, opening object files with libbpf, and reading files and hexadecimal text.
 */
#ifndef SKEP_USER_VM_VM_H
#define SKEP_USER_VM_VM_H

#include <stddef.h>
#include <stdint.h>

struct bpf_object;
struct bpf_program;
struct ebpf_map;
struct ebpf_prog;

/* Verbs: argv[0] is the verb. Exit status: 0, 1 it failed, 2 wrong usage. */
int run_main(int argc, char **argv);
int disasm_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int dump_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int plugin_main(int argc, char **argv);

/* vm_machine.c */
int vm_start(void);
void vm_stop(void);
struct ebpf_prog *vm_prog(int fd);
struct ebpf_map *vm_map(int fd);
void vm_print_trace(void);

/* vm_object.c */
#define VM_TYPE_OF_SECTION UINT32_MAX
int vm_type_by_name(const char *name, uint32_t *type);
struct bpf_object *vm_object_open(const char *path);
struct bpf_program *vm_object_choose(struct bpf_object *object, const char *name);
int vm_object_load(struct bpf_object *object, struct bpf_program *only, uint32_t type);

/* vm_file.c */
int vm_read_file(const char *path, uint8_t **data, size_t *size);
int vm_parse_hex(const char *text, size_t len, uint8_t **data, size_t *size);

/* A sentence on stderr, with skep-vm in front; returns -1. */
int vm_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
