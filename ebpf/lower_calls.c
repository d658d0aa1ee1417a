/*
 * Calls of helpers that need no call, or a shorter one: lookups in arrays, whose elements never
 * move, go to the element; lookups in hash tables to the function for the key's size; records of
 * ring buffers are taken and given back in place; and there is one CPU.
 */
#include "ebpf/lower_values.h"

#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/ringbuf.h"

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

/* The helper's own work, at another address. */
static void make_direct(struct ebpf_decoded *i, ebpf_helper_fn function)
{
    *i = (struct ebpf_decoded){
        .op = LOW_CALL_DIRECT, .off = low_helper_arguments(i), .imm = (uintptr_t)function};
}

static int look_up(struct values *v, struct ebpf_decoded *i)
{
    const struct ebpf_proof_slot *proof = &v->l->proof->slots[v->slot];
    const struct sum *key = &v->reg[2].sum;
    struct ebpf_map *map = map_of(v);
    struct low_lookup lookup = {.key = proof->key};
    bool key_known = sum_holds(v, key) && !key->narrow && key->index == LOW_NO_INDEX;
    unsigned index = key_known && key->base == ISA_FP ? values_on_stack(v, key->disp) : NO_REG;
    int err;

    if (map && map->ops->direct_lookup)
        make_direct(i, map->ops->direct_lookup(map));
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
    if (!proof->key_constant && index != NO_REG)
        *i = (struct ebpf_decoded){
            .op = LOW_ARRAY_INDEX, .src = (uint8_t)index, .imm = v->l->low->nr_lookups - 1};
    if (lookup.in_bounds)
        drop_null_check(v, i + 1);
    return 0;
}

static int reserve_record(struct values *v, struct ebpf_decoded *i)
{
    const struct value *size = &v->reg[2], *flags = &v->reg[3];
    struct ebpf_map *map = map_of(v);

    make_direct(i, ebpf_ringbuf_reserve_direct);
    if (map && map->ops->ring && size->constant && size->known < map->max_entries / 2 &&
        flags->constant && flags->known == 0)
        *i = (struct ebpf_decoded){.op = LOW_RING_RESERVE,
                                   .off = (int32_t)size->known,
                                   .imm = (uintptr_t)map->ops->ring(map)};
    return 0;
}

static int commit_record(struct values *v, struct ebpf_decoded *i, bool discard)
{
    const struct value *flags = &v->reg[2];

    make_direct(i, discard ? ebpf_ringbuf_discard_direct : ebpf_ringbuf_submit_direct);
    if (flags->constant && flags->known == BPF_RB_NO_WAKEUP)
        *i = (struct ebpf_decoded){.op = LOW_RING_COMMIT, .src = 1, .imm = discard};
    return 0;
}

static int submit_record(struct values *v, struct ebpf_decoded *i)
{
    return commit_record(v, i, false);
}

static int discard_record(struct values *v, struct ebpf_decoded *i)
{
    return commit_record(v, i, true);
}

static int cpu_id(struct values *v, struct ebpf_decoded *i)
{
    (void)v;
    if (PORT_NR_CPUS == 1)
        *i = (struct ebpf_decoded){.op = OP_MOV32_K};
    return 0;
}

static const struct {
    uint32_t id;
    int (*lower)(struct values *v, struct ebpf_decoded *i);
} lowered[] = {
    {BPF_FUNC_map_lookup_elem, look_up},      {BPF_FUNC_ringbuf_reserve, reserve_record},
    {BPF_FUNC_ringbuf_submit, submit_record}, {BPF_FUNC_ringbuf_discard, discard_record},
    {BPF_FUNC_get_smp_processor_id, cpu_id},
};

/* A call of a helper; what it writes is forgotten by the caller. 0 or -ENOMEM. */
int values_call(struct values *v, struct ebpf_decoded *i)
{
    for (unsigned n = 0; n < ARRAY_LEN(lowered); n++)
        if ((const struct ebpf_helper *)i->imm == ebpf_helper_get(lowered[n].id))
            return lowered[n].lower(v, i);
    return 0;
}
