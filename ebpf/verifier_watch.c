/*
 * Telling those who watch the walk of each step: the log, the record that a rejection is explained
 * from, and a tool's own watch; and what a tool may ask about the state that it is told of.
 */
#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/verifier_state.h"

#define VALUE_MAX 320u
#define NAME_MAX_ 16u

/* The state that a loop's trip comes back to: the one of this path, in the same calls. */
static const struct kept *state_of_path(const struct verifier *v, uint32_t pc)
{
    const struct kept *k = v->info[pc].states;

    while (k && (k->done || !kept_calls_same(k, v->now)))
        k = k->next;
    return k;
}

void verifier_watched(struct verifier *v, enum ebpf_walk_event event, uint32_t pc,
                      const struct kept *kept)
{
    struct ebpf_walk walk = {.event = event,
                             .pc = pc,
                             .length = v->nr_trace - (event == WALK_INSN || event == WALK_REJECTED),
                             .why = event == WALK_LOOP_UNDONE || event == WALK_REJECTED ? v->message
                                                                                        : "",
                             .frames = v->now->depth + 1,
                             .v = v};

    if (event == WALK_LOOP_CLOSED)
        kept = state_of_path(v, pc);
    if (kept)
        walk.state = kept->serial;
    if (kept && kept->loop)
        walk.trips = loop_trips(kept->loop);
    if (v->past)
        past_see(v->past, &walk);
    if (v->log)
        log_see(v->log, &walk);
    if (v->watch)
        v->watch->see(v->watch->arg, &walk);
}

/* Calls visit for each register and each stack slot of a frame (0: the outermost) that holds
 * something, in the words of the log: "R1" or "fp-8", and what it holds. */
void ebpf_walk_cells(const struct ebpf_walk *walk, uint32_t frame, ebpf_cell_visitor visit,
                     void *arg)
{
    const struct frame *f = &walk->v->now->frames[frame];
    char name[NAME_MAX_], value[VALUE_MAX];

    for (unsigned r = 0; r < ISA_REGISTERS; r++) {
        if (f->regs[r].type == REG_NONE)
            continue;
        port_format(name, sizeof(name), "R%u", r);
        reg_print(&f->regs[r], value, sizeof(value));
        visit(arg, name, value);
    }
    for (uint32_t s = 0; s < f->nr_slots; s++) {
        if (!slot_print(&f->slots[s], value, sizeof(value)))
            continue;
        port_format(name, sizeof(name), "fp-%u", 8 * (s + 1));
        visit(arg, name, value);
    }
}

/* The slot at which the function of a frame begins. */
uint32_t ebpf_walk_function(const struct ebpf_walk *walk, uint32_t frame)
{
    const struct state *s = walk->v->now;
    uint32_t pc = frame == s->depth ? walk->pc : s->frames[frame + 1].call_slot;

    return walk->v->info[pc].function;
}
