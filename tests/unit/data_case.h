/*
 * Programs as data: the files of tests/data, each a list of cases that every engine runs.
 *
 *     == name: the rule that the case checks
 *     -- SECTION [value]      the value may also be the lines that follow
 *
 * Sections: type (mem unless said), maps (a line each: TYPE KEY VALUE ENTRIES [FLAGS [lock=OFFSET]
 * [timer=OFFSET] [inner=INDEX]] ["TEXT"]; TEXT is the first value, and the map is then frozen;
 * INDEX is that of an earlier map, which becomes the first element of a map of maps), functions
 * (what BTF says of them, a line each: SLOT NAME static|global RESULT PARAMETER...; types are int,
 * void, ptr:BYTES, ctx:STRUCT, opaque and struct), budget, license (GPL unless said), engines
 * (checked: what the verifier does not know), unverified (why the verifier refuses a program that
 * runs well on its one input), asm or raw (hex, slots in order), mem (hex; the packet for xdp and
 * socket_filter), exact (the load says how much memory there is, and not only how much at least),
 * ctx (hex). Then what must come of it: result (r0, 64 bits), after (memory then,
 * hex), trace (what was printed), or error (a part of the load's log) or fault (of the run's
 * description); or, in tests/data/log, log (the verifier's, all of it) at level N, with lines of C
 * (a line each: SLOT NUMBER TEXT). With processed, the verifier comes to its verdict in no more
 * than that many instructions.
 *
 * What has a result is verified and runs in every engine, what is unverified or faults in the
 * checked interpreter alone.
 */
#ifndef SKEP_TESTS_DATA_CASE_H
#define SKEP_TESTS_DATA_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

struct data_bytes {
    uint8_t *bytes;
    uint32_t size;
    bool given;
};

/* Text fields are NULL when the case does not have the section. */
struct data_case {
    char *file, *name, *rule;
    char *type, *maps, *functions, *license, *asm_text, *raw, *result, *engines, *trace, *error;
    char *unverified, *exact, *fault, *lines, *log;
    uint32_t level;
    uint32_t budget;    /* 0: the default */
    uint32_t processed; /* 0: as many instructions as it takes */
    struct data_bytes mem, ctx, after;
    struct bpf_insn *insns;
    unsigned nr_insns;
    struct data_case *next;
};

/* Reads one file and assembles its cases, in order. Exits with a sentence when it is malformed: a
 * test file that cannot be read must not look like one that passed. */
struct data_case *data_read(const char *path);
/* All files of a folder ending in .data, in the order of their names. */
struct data_case *data_read_all(const char *folder);
void data_free(struct data_case *cases);

struct ebpf_map;
struct ebpf_prog_load;

#define DATA_MAPS_MAX 8u
#define DATA_BTF_MAX  192u

/* One line of the section maps. lock, timer, inner: -1 when they are not there. */
struct data_map {
    char type[32], text[256];
    unsigned key_size, value_size, max_entries, flags;
    long lock, timer, inner;
    bool has_text;
};

/* Reads the line at *text and moves on behind it. -1: it is malformed. */
int data_map_parse(const char **text, struct data_map *map);
/* The BTF of a map with a lock or a timer, and its size; 0: it needs none. */
uint32_t data_map_btf(const struct data_map *map, uint8_t out[DATA_BTF_MAX]);
#define DATA_BTF_KEY   1u /* its types */
#define DATA_BTF_VALUE 4u

/* UINT32_MAX when there is no such type. */
uint32_t data_type_by_name(const char *name);
/* A case's section maps. Returns how many there are, or -1. The caller puts each. */
int data_make_maps(const char *text, struct ebpf_map **maps);

struct ebpf_log;
/* Adds BTF and func_info from a case's section functions (may be NULL) to load; to be taken away
 * again when the program was created or not. */
void data_add_functions(const char *text, struct ebpf_prog_load *load);
void data_remove_functions(struct ebpf_prog_load *load);

/* What loads a case; maps, nr_maps of them, are made already. data_remove_functions is to follow.
 */
void data_load(const struct data_case *c, struct ebpf_map *const *maps, int nr_maps,
               struct ebpf_log *log, struct ebpf_prog_load *load);

/* What running one case gave: 0 when all was as expected, else -1 and in why a sentence. */
int data_run(const struct data_case *c, char *why, size_t size);

#endif
