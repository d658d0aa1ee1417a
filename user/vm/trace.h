/*
 * A verification as data: skep-vm verify --trace. trace_record.c is told of the walk's steps and
 * keeps them; trace_json.c writes them (docs/reference/trace.md has the schema); trace_html.c
 * writes the page that shows them.
 */
#ifndef SKEP_USER_VM_TRACE_H
#define SKEP_USER_VM_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ebpf/verifier.h"

struct ebpf_prog;

#define TRACE_CELLS (8u * (11 + 64)) /* registers and slots of all frames */

enum trace_begin {
    BEGIN_START,  /* of the program, or of a function that is walked for itself */
    BEGIN_BRANCH, /* the other way of a branch */
    BEGIN_LOOP,   /* at a loop's head, with a state for all trips */
    BEGIN_AGAIN,  /* likewise, once more without it */
    BEGIN_ON,     /* the part before it is long enough */
};
enum trace_end {
    END_NONE, /* it goes on in another part */
    END_EXIT,
    END_DEAD,   /* neither way of a branch can be */
    END_PRUNED, /* by state `by` */
    END_CLOSED, /* back at the head of a loop, as state `by` foresees */
    END_FOLDED, /* undone: what came of it is the state for all trips of a loop */
    END_UNDONE, /* undone: a loop could not be proven so */
    END_REJECTED,
};

/* From one step to the next: a cell of a frame holds another value. */
struct trace_change {
    uint16_t cell;  /* frame * 75 + register, or + 11 + slot */
    uint32_t value; /* index of its text; 0: nothing any more */
};

/* Part of a path through the program: from a branch to where it ends. */
struct trace_path {
    uint32_t parent; /* path that it goes on from, UINT32_MAX: none */
    uint32_t start;  /* instructions that lie before it on the whole path */
    uint32_t pc;     /* where it begins */
    enum trace_begin begin;
    enum trace_end end;
    uint32_t by;       /* END_PRUNED, END_CLOSED; BEGIN_LOOP: number of the state */
    uint64_t trips;    /* BEGIN_LOOP */
    char *why;         /* END_UNDONE, END_REJECTED */
    bool stops;        /* the last step is where it ends, and was not executed */
    uint32_t nr_steps; /* as walked */
    bool cut;          /* steps and changes were dropped */
    uint32_t *pcs, *first_change, pcs_room, first_room;
    struct trace_change *changes;
    uint32_t nr_changes, changes_room;
};

struct trace_state {
    uint32_t path, step; /* where it was kept: step of the whole path */
    uint32_t pc;
};

struct trace_cause {
    uint32_t pc, step;
    char *what;
};

struct trace {
    struct trace_path *paths;
    uint32_t nr_paths, paths_room;
    uint32_t now;                  /* path under way */
    uint32_t *owners, owners_room; /* for each step of the whole path: its path */
    uint32_t length;
    uint32_t cells[TRACE_CELLS]; /* values of the step before */
    uint64_t nr_steps;           /* that are held */
    uint32_t next_drop;          /* path whose steps go next when there are too many */

    char **values; /* texts, each once; 0 is none */
    uint32_t nr_values, values_room;
    uint32_t *buckets; /* of a hash table over them */

    struct trace_state *states; /* by number */
    uint32_t nr_states, states_room;
    struct trace_cause causes[16];
    uint32_t nr_causes, impossible;
    uint32_t rejected; /* step of the whole path */
};

void trace_see(void *arg, const struct ebpf_walk *walk);
void trace_free(struct trace *trace);

/* What else is said of the program. */
struct trace_about {
    const struct ebpf_prog *prog;
    const char *object; /* file, or "" */
    const char *log;
    bool accepted;
    struct ebpf_verify_cost cost;
    uint64_t ns;
};

void trace_write_json(FILE *out, const struct trace *trace, const struct trace_about *about);
void trace_write_html(FILE *out, const struct trace *trace, const struct trace_about *about);

#endif
