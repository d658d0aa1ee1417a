/*
 * The program that `diff` and `step` watch: from an object file or as hex, with its input, its
 * lines of C and its text. target.c finds and loads it; target_text.c tells of it.
 */
#ifndef SKEP_USER_VM_TARGET_H
#define SKEP_USER_VM_TARGET_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "user/vm/observe.h"

struct btf;

struct target {
    /* What was asked for. */
    const char *path, *program, *data_path; /* path NULL: hex on standard input */
    uint32_t type;
    bool hex, unverified;
    /* What came of it. */
    struct bpf_object *object;
    const struct btf *btf;
    struct ebpf_prog *own; /* made here, not libbpf's */
    uint8_t *data;
    struct watched watched;
};

/* For getopt_long: options of every verb that has a target. */
#define TARGET_SHORT "s:"
#define TARGET_LONG                                                                                \
    {"type", required_argument, NULL, 't'}, {"data", required_argument, NULL, 'd'},                \
        {"hex", no_argument, NULL, 'x'},                                                           \
    {                                                                                              \
        "unverified", no_argument, NULL, 'u'                                                       \
    }
#define TARGET_USAGE "OBJ [-s PROG] [--type TYPE] [--data FILE] | --hex"

int target_option(struct target *t, int option, const char *value);
int target_load(struct target *t, int passes);
void target_close(struct target *t);

const char *target_line(const struct target *t, uint32_t prog, uint32_t slot);
unsigned target_insn(const struct target *t, uint32_t prog, uint32_t slot, char *text, size_t size);
bool target_holds(const struct moment *m, unsigned reg);
void target_value(uint64_t value, bool on_stack, char *text, size_t size);
void target_place(uint64_t place, char *text, size_t size);

#endif
