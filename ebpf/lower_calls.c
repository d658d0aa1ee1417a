/*
 * Calls of helpers that need no call, or a shorter one: lookups in arrays, whose elements never
 * move, go to the element; lookups in hash tables to the function for the key's size; and there is
 * one CPU.
 */
#include "ebpf/lower_values.h"

#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

/* The one map that the call is about; NULL: not known. */
static struct ebpf_map *map_of(const struct values *v)
{
    const struct ebpf_prog *prog = v->l->prog;

    if (v->l->proof->slots[v->slot].map)
        return v->l->proof->slots[v->slot].map;
    for (uint32_t n = 0; v->reg[1].constant && n < prog->nr_maps; n++)
        if (v->reg[1].known == (uintptr_t)prog->maps[n])
            return prog->maps[n];
    return NULL;
}

static int add_lookup(struct lowering *l, const struct low_lookup *lookup)
{
    struct ebpf_lowered *low = l->low;

    if (!low->lookups) {
        uint32_t most = 0;

        for (uint32_t slot = 0; slot < l->nr; slot++)
            most += l->code[slot].op == OP_CALL_HELPER;
        low->lookups = port_alloc(most * sizeof(low->lookups[0]));
        if (!low->lookups)
            return -ENOMEM;
    }
    low->lookups[low->nr_lookups++] = *lookup;
    return 0;
}

/* A test of r0 for NULL right after a lookup that always finds something. */
static void drop_null_check(struct values *v, struct ebpf_decoded *next)
{
    if (v->slot + 1 >= v->l->nr || (v->l->low->flags[v->slot + 1] & LOW_TARGET) || next->dst != 0 ||
        next->imm != 0)
        return;
    if (next->op == OP_JEQ64_K)
        low_drop(next);
    else if (next->op == OP_JNE64_K)
        next->op = OP_JA;
}

static int look_up(struct values *v, struct ebpf_decoded *i)
{
    const struct ebpf_proof_slot *proof = &v->l->proof->slots[v->slot];
    const struct sum *key = &v->reg[2].sum;
    struct ebpf_map *map = map_of(v);
    struct low_lookup lookup = {.key = proof->key};
    bool key_known = sum_holds(v, key) && !key->narrow && key->index == LOW_NO_INDEX;
    int err;

    if (map && map->ops->direct_lookup)
        *i = (struct ebpf_decoded){.op = LOW_CALL_DIRECT,
                                   .imm = (uintptr_t)map->ops->direct_lookup(map)};
    if (!map || !map->ops->elements)
        return 0;
    map->ops->elements(map, &lookup.data, &lookup.stride);
    lookup.nr = map->max_entries;
    lookup.in_bounds =
        proof->null_impossible || (proof->key_constant && proof->key < map->max_entries);
    if (lookup.stride > INT32_MAX || lookup.nr > INT32_MAX)
        return 0;
    err = add_lookup(v->l, &lookup);
    if (err)
        return err;
    *i = (struct ebpf_decoded){
        .op = proof->key_constant ? LOW_ARRAY_ELEMENT : LOW_ARRAY_LOOKUP,
        .src = key_known ? key->base : 2,
        .off = key_known ? key->disp : 0,
        .imm = v->l->low->nr_lookups - 1,
    };
    if (lookup.in_bounds)
        drop_null_check(v, i + 1);
    return 0;
}

/* A call of a helper; what it writes is forgotten by the caller. 0 or -ENOMEM. */
int values_call(struct values *v, struct ebpf_decoded *i)
{
    const struct ebpf_helper *helper = (const struct ebpf_helper *)i->imm;

    if (helper == ebpf_helper_get(BPF_FUNC_map_lookup_elem))
        return look_up(v, i);
    if (helper == ebpf_helper_get(BPF_FUNC_get_smp_processor_id) && PORT_NR_CPUS == 1)
        *i = (struct ebpf_decoded){.op = OP_MOV32_K};
    return 0;
}
