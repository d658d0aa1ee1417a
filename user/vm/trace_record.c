/*
 * Keeps what the verifier's walk tells: paths, the instructions on them, and by how the registers
 * changed from one to the next. What is kept is bounded: beyond it, the oldest paths keep their
 * ends and lose their steps.
 */
#include <stdlib.h>
#include <string.h>

#include "user/vm/trace.h"

#define STEPS_MAX  100000u
#define PART_MAX   10000u /* steps of one part of a path */
#define BUCKETS    65536u
#define NONE       UINT32_MAX
#define FRAME_SIZE (TRACE_CELLS / 8)

/* ---- memory ---------------------------------------------------------------------------------- */

static void *checked(void *block)
{
    if (!block) {
        fputs("skep-vm: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

/* Makes room for one more element. */
static void *grown(void *array, uint32_t nr, uint32_t *room, size_t size)
{
    if (nr < *room)
        return array;
    *room = *room ? *room * 2 : 16;
    return checked(realloc(array, *room * size));
}

#define GROW(array, nr, room) ((array) = grown((array), (nr), &(room), sizeof(*(array))))

/* ---- values ---------------------------------------------------------------------------------- */

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h % BUCKETS;
}

/* Chains run through a second array behind the buckets: next[value]. */
static uint32_t intern(struct trace *t, const char *text)
{
    uint32_t slot = hash(text);

    if (!t->buckets) {
        t->buckets = checked(calloc(BUCKETS, sizeof(*t->buckets)));
        GROW(t->values, 0, t->values_room);
        t->values[t->nr_values++] = checked(strdup(""));
    }
    while (t->buckets[slot]) {
        if (strcmp(t->values[t->buckets[slot]], text) == 0)
            return t->buckets[slot];
        slot = (slot + 1) % BUCKETS;
    }
    /* A table that is almost full is searched no further: the text stands there twice. */
    GROW(t->values, t->nr_values, t->values_room);
    t->values[t->nr_values] = checked(strdup(text));
    if (t->nr_values < BUCKETS / 4 * 3)
        t->buckets[slot] = t->nr_values;
    return t->nr_values++;
}

/* ---- paths ----------------------------------------------------------------------------------- */

static bool is_on_the_way(const struct trace *t, uint32_t path)
{
    for (uint32_t at = t->now; at != NONE; at = t->paths[at].parent)
        if (at == path)
            return true;
    return false;
}

static void drop_steps(struct trace *t, struct trace_path *path)
{
    t->nr_steps -= path->cut ? 0 : path->nr_steps;
    free(path->pcs);
    free(path->first_change);
    free(path->changes);
    path->pcs = path->first_change = NULL;
    path->changes = NULL;
    path->nr_changes = 0;
    path->cut = true;
}

/* First goes what is no part of the path under way, then its own beginning. */
static void make_room(struct trace *t)
{
    for (; t->nr_steps > STEPS_MAX && t->next_drop < t->now; t->next_drop++)
        if (!is_on_the_way(t, t->next_drop))
            drop_steps(t, &t->paths[t->next_drop]);
    for (uint32_t i = 0; t->nr_steps > STEPS_MAX && i < t->now; i++)
        if (!t->paths[i].cut)
            drop_steps(t, &t->paths[i]);
}

static struct trace_path *begin(struct trace *t, const struct ebpf_walk *walk, enum trace_begin how)
{
    struct trace_path *path;

    GROW(t->paths, t->nr_paths, t->paths_room);
    path = &t->paths[t->nr_paths];
    *path = (struct trace_path){.parent = walk->length ? t->owners[walk->length - 1] : NONE,
                                .start = walk->length,
                                .pc = walk->pc,
                                .begin = how,
                                .by = walk->state,
                                .trips = walk->trips};
    t->now = t->nr_paths++;
    memset(t->cells, 0, sizeof(t->cells));
    make_room(t);
    return path;
}

static void end(struct trace *t, enum trace_end how, uint32_t by, const char *why)
{
    struct trace_path *path = &t->paths[t->now];

    if (path->end != END_NONE)
        return;
    path->end = how;
    if (how == END_PRUNED || how == END_CLOSED)
        path->by = by;
    if (why[0])
        path->why = checked(strdup(why));
}

/* ---- steps ----------------------------------------------------------------------------------- */

struct reading {
    struct trace *trace;
    uint32_t frame;
    uint32_t cells[TRACE_CELLS];
};

static void read_cell(void *arg, const char *name, const char *value)
{
    struct reading *r = arg;
    uint32_t cell = name[0] == 'R' ? (uint32_t)atoi(name + 1) : 10 + (uint32_t)atoi(name + 3) / 8;

    r->cells[r->frame * FRAME_SIZE + cell] = intern(r->trace, value);
}

static void add_step(struct trace *t, const struct ebpf_walk *walk)
{
    struct trace_path *path = &t->paths[t->now];
    struct reading r = {.trace = t};

    for (r.frame = 0; r.frame < walk->frames; r.frame++)
        ebpf_walk_cells(walk, r.frame, read_cell, &r);
    GROW(path->pcs, path->nr_steps, path->pcs_room);
    GROW(path->first_change, path->nr_steps, path->first_room);
    path->pcs[path->nr_steps] = walk->pc;
    path->first_change[path->nr_steps++] = path->nr_changes;
    t->nr_steps++;
    for (uint32_t cell = 0; cell < TRACE_CELLS; cell++) {
        if (r.cells[cell] == t->cells[cell])
            continue;
        GROW(path->changes, path->nr_changes, path->changes_room);
        path->changes[path->nr_changes++] = (struct trace_change){(uint16_t)cell, r.cells[cell]};
    }
    memcpy(t->cells, r.cells, sizeof(t->cells));
}

/* Where the path stands when it ends before an instruction. */
static void stop(struct trace *t, const struct ebpf_walk *walk, enum trace_end how)
{
    add_step(t, walk);
    t->paths[t->now].stops = true;
    end(t, how, walk->state, "");
}

static void note_insn(struct trace *t, const struct ebpf_walk *walk)
{
    if (t->paths[t->now].nr_steps == PART_MAX)
        begin(t, walk, BEGIN_ON);
    while (t->owners_room <= walk->length)
        GROW(t->owners, t->owners_room, t->owners_room);
    t->owners[walk->length] = t->now;
    add_step(t, walk);
}

static void note_state(struct trace *t, const struct ebpf_walk *walk)
{
    while (t->states_room <= walk->state)
        GROW(t->states, t->states_room, t->states_room);
    while (t->nr_states <= walk->state)
        t->states[t->nr_states++] = (struct trace_state){NONE, 0, 0};
    t->states[walk->state] = (struct trace_state){t->now, walk->length, walk->pc};
}

static void note_cause(struct trace *t, const struct ebpf_walk *walk)
{
    if (t->nr_causes < sizeof(t->causes) / sizeof(t->causes[0]))
        t->causes[t->nr_causes++] =
            (struct trace_cause){walk->pc, walk->length, checked(strdup(walk->why))};
}

/* Is told of one step: a watch of struct ebpf_watch, whose arg is a zeroed struct trace. */
void trace_see(void *arg, const struct ebpf_walk *walk)
{
    struct trace *t = arg;

    switch (walk->event) {
    case WALK_STARTED:
        begin(t, walk, BEGIN_START);
        break;
    case WALK_INSN:
        note_insn(t, walk);
        break;
    case WALK_EXITED:
        end(t, END_EXIT, 0, "");
        break;
    case WALK_DEAD_END:
        end(t, END_DEAD, 0, "");
        break;
    case WALK_KEPT:
        note_state(t, walk);
        break;
    case WALK_PRUNED:
        stop(t, walk, END_PRUNED);
        break;
    case WALK_LOOP_CLOSED:
        stop(t, walk, END_CLOSED);
        break;
    case WALK_LOOP_STARTED:
        end(t, END_FOLDED, 0, "");
        begin(t, walk, BEGIN_LOOP);
        note_state(t, walk);
        break;
    case WALK_LOOP_UNDONE:
        end(t, END_UNDONE, 0, walk->why);
        begin(t, walk, BEGIN_AGAIN);
        break;
    case WALK_RESUMED:
        begin(t, walk, BEGIN_BRANCH);
        break;
    case WALK_IMPOSSIBLE:
        t->impossible++;
        break;
    case WALK_REJECTED:
        end(t, END_REJECTED, 0, walk->why);
        t->rejected = walk->length;
        break;
    case WALK_CAUSE:
        note_cause(t, walk);
        break;
    case WALK_STEPPED:
    case WALK_PUT_ASIDE:
    case WALK_LOOP_PROVEN:
        break;
    }
}

void trace_free(struct trace *t)
{
    for (uint32_t i = 0; i < t->nr_paths; i++) {
        drop_steps(t, &t->paths[i]);
        free(t->paths[i].why);
    }
    for (uint32_t i = 0; i < t->nr_values; i++)
        free(t->values[i]);
    for (uint32_t i = 0; i < t->nr_causes; i++)
        free(t->causes[i].what);
    free(t->paths);
    free(t->owners);
    free(t->values);
    free(t->buckets);
    free(t->states);
}
