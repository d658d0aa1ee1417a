/*
 * The states that are kept: where each instruction's are, and those on the path under way. Later
 * paths are compared with them, and what mattered is marked in them.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_state.h"

#define STATES_MAX 48u /* at one instruction */

/* The oldest state of a full list goes, unless the path under way stands on all. */
static void make_room(struct verifier *v, struct insn_info *info)
{
    struct kept *oldest = NULL;

    if (info->nr_states < STATES_MAX)
        return;
    for (struct kept *k = info->states; k; k = k->next)
        if (k->done)
            oldest = k;
    if (oldest)
        states_remove(v, oldest);
}

/* Puts a state where later ones are compared with it. A list is as long as STATES_MAX and the heads
 * of loops on trial, whatever the program: what an instruction costs is bounded. */
void states_add(struct verifier *v, struct kept *kept)
{
    struct insn_info *info = &v->info[kept->pc];

    make_room(v, info);
    if (++info->nr_states > v->cost.max_states_per_insn)
        v->cost.max_states_per_insn = info->nr_states;
    kept->serial = ++v->serial;
    kept->next = info->states;
    info->states = kept;
    kept->older = v->newest;
    if (v->newest)
        v->newest->newer = kept;
    v->newest = kept;
    v->cost.total_states++;
    if (++v->nr_states > v->cost.peak_states)
        v->cost.peak_states = v->nr_states;
}

/* Out of its list, and freed. */
void states_remove(struct verifier *v, struct kept *kept)
{
    struct kept **link = &v->info[kept->pc].states;

    while (*link != kept)
        link = &(*link)->next;
    *link = kept->next;
    if (kept->newer)
        kept->newer->older = kept->older;
    else
        v->newest = kept->older;
    v->info[kept->pc].nr_states--;
    if (kept->older)
        kept->older->newer = kept->newer;
    v->nr_states--;
    keep_free(v, kept);
}

/* Removes what was kept after the state with this serial number. */
void states_drop_since(struct verifier *v, uint32_t serial)
{
    while (v->newest && v->newest->serial > serial)
        states_remove(v, v->newest);
}

bool path_push(struct verifier *v, struct kept *kept)
{
    if (!verifier_grow(v, (void **)&v->path, &v->path_room, v->nr_path + 1, sizeof(v->path[0])))
        return false;
    kept->trace = v->nr_trace;
    kept->branches = v->nr_branches;
    v->path[v->nr_path++] = kept;
    return true;
}

/* Takes states off the path: all ways on from them have been walked. */
void path_cut(struct verifier *v, uint32_t nr_path)
{
    while (v->nr_path > nr_path) {
        struct kept *kept = v->path[--v->nr_path];

        kept->loop = NULL;
        if (kept->serial == 0) /* kept for the way back alone */
            keep_free(v, kept);
        else
            keep_close(v, kept);
    }
}

/* Instructions of the path since a state was kept on it. */
uint32_t path_since_kept(const struct verifier *v)
{
    return v->nr_trace - (v->nr_path ? v->path[v->nr_path - 1]->trace : 0);
}

/* Keeps v->now, to compare others with, or for the way back alone. */
bool path_keep(struct verifier *v, bool compare)
{
    struct kept *kept = keep(v, v->now, v->now->pc);

    if (!kept)
        return false;
    if (!path_push(v, kept)) {
        keep_free(v, kept);
        return false;
    }
    regs_forget_precise(v);
    if (compare) {
        states_add(v, kept);
        verifier_tell(v, WALK_KEPT, kept->pc, kept);
    }
    return true;
}

/* Is v->now among what an older state can be? States that are of no use any more go. *open: how
 * many states the path itself has here. */
bool states_include(struct verifier *v, unsigned *open)
{
    struct kept *next;

    *open = 0;
    for (struct kept *k = v->info[v->now->pc].states; k; k = next) {
        next = k->next;
        if (!k->done) {
            ++*open;
            continue;
        }
        if (kept_includes(v, k, v->now, LIKE_USED)) {
            k->hits++;
            keep_marks(v, k);
            verifier_tell(v, WALK_PRUNED, k->pc, k);
            return true;
        }
        if (++k->misses > k->hits * 3 + 16)
            states_remove(v, k);
    }
    return false;
}
