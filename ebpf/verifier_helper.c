/*
 * Calls of helpers: what the arguments must be is verifier_args.c's; here are the maps that a
 * helper is for, what it returns, and references that it gives and takes. Linux: check_helper_call.
 */
#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_helper.h"

#define MAX_ERRNO 4095

static struct ebpf_proof_slot *slot_now(struct verifier *v)
{
    return &v->proof->slots[v->now->pc];
}

/* ---- references ---------------------------------------------------------------------------------
 */

static bool forget_ref(struct verifier *v, struct reg *reg, void *arg)
{
    (void)v;
    if (reg->ref == *(const uint32_t *)arg)
        reg_set_unknown(reg);
    return true;
}

/* The reference is no longer held. */
bool release_ref(struct verifier *v, uint32_t ref)
{
    struct state *s = v->now;

    for (uint32_t i = 0; i < s->nr_refs; i++) {
        if (s->refs[i].id != ref)
            continue;
        s->refs[i] = s->refs[--s->nr_refs];
        return true;
    }
    return false;
}

/* Given back: nothing may use what it was to. */
static void give_back(struct verifier *v, uint32_t ref)
{
    release_ref(v, ref);
    dynptr_release(v, ref);
    regs_visit(v, forget_ref, &ref);
}

static uint32_t acquire_ref(struct verifier *v)
{
    struct state *s = v->now;

    if (s->nr_refs == REFS_MAX) {
        verifier_reject(v, -E2BIG, RULE_REFERENCES_HELD, NO_REG,
                        "more than %u references are held at once", REFS_MAX);
        return 0;
    }
    s->refs[s->nr_refs++] =
        (struct ref){.id = ++v->next_id, .slot = s->pc, .level = callback_level(s)};
    return v->next_id;
}

/* ---- which maps a helper is for (Linux: check_map_func_compatibility) ---------------------------
 */

static bool check_map(struct verifier *v, const struct call *c)
{
    const struct ebpf_map *map = c->map;

    if (!map)
        return true;
    if (!(c->rules->maps >> map->type & 1))
        return verifier_reject(v, -EINVAL, RULE_MAP_TYPE, 1,
                               "cannot pass map_type %u into func bpf_%s#%u: not for a %s",
                               map->type, c->helper->name, ebpf_helper_id(c->helper),
                               map->ops->name);
    if ((map->flags & BPF_F_RDONLY_PROG) && (c->rules->what & HELPER_WRITES_MAP))
        return verifier_reject(v, -EACCES, RULE_MAP_FORBIDDEN, 1,
                               "write into map forbidden: %s was made with "
                               "BPF_F_RDONLY_PROG",
                               map->name);
    return true;
}

/* ---- results ------------------------------------------------------------------------------------
 */

/* An array, and not one of many lengths. */
static bool is_sized_array(const struct ebpf_map *map)
{
    return !map->is_template &&
           (map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY);
}

static void set_map_value(struct verifier *v, const struct call *c, struct reg *r0)
{
    bool found = c->key_known && is_sized_array(c->map) && c->key < c->map->max_entries;

    *r0 = (struct reg){.type = found ? REG_MAP_VALUE : REG_MAP_VALUE_OR_NULL,
                       .map = c->map,
                       .map_uid = c->map_uid,
                       .id = found && c->map->lock_offset < 0 ? 0 : ++v->next_id,
                       .n = scalar_const(0)};
}

static bool set_result(struct verifier *v, const struct call *c)
{
    struct reg *r0 = reg_now(v, 0);
    uint32_t ref;

    switch (c->helper->ret) {
    case RET_INTEGER:
        reg_set_unknown(r0);
        return true;
    case RET_LENGTH:
        reg_set_scalar(r0, scalar_signed_range(-MAX_ERRNO, (int64_t)c->size));
        return true;
    case RET_CPU:
        reg_set_scalar(r0, scalar_range(0, PORT_NR_CPUS - 1));
        return true;
    case RET_VOID:
        r0->type = REG_NONE;
        return true;
    case RET_MAP_VALUE_OR_NULL:
        set_map_value(v, c, r0);
        return true;
    case RET_ALLOC_MEM_OR_NULL:
        ref = acquire_ref(v);
        *r0 = (struct reg){.type = REG_RECORD_OR_NULL,
                           .id = ref,
                           .ref = ref,
                           .size = c->size,
                           .n = scalar_const(0)};
        return ref != 0;
    case RET_MEM_OR_NULL:
        *r0 = (struct reg){.type = REG_MEM_OR_NULL,
                           .id = ++v->next_id,
                           .ref = c->dynptr_ref,
                           .size = c->size,
                           .n = scalar_const(0)};
        return true;
    }
    return false;
}

/* What is the same on every path, for the JIT. */
static void note_call(struct verifier *v, const struct call *c)
{
    struct ebpf_proof_slot *slot = slot_now(v);
    bool first = !v->info[v->now->pc].explored;
    struct ebpf_map *map = c->map && !c->map->is_template ? c->map : NULL;
    bool known = c->key_known && map;

    slot->map = first || slot->map == map ? map : NULL;
    slot->key_constant = known && (first || (slot->key_constant && slot->key == (uint32_t)c->key));
    slot->key = slot->key_constant ? (uint32_t)c->key : 0;
    slot->null_impossible = known && is_sized_array(map) && c->key < map->max_entries &&
                            (first || slot->null_impossible);
}

static bool forget_packet(struct verifier *v, struct reg *reg, void *arg)
{
    (void)v, (void)arg;
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META || reg->type == REG_PACKET_END)
        reg_set_unknown(reg);
    return true;
}

/* The packet may be elsewhere now: pointers to it, in all frames, are numbers. */
void forget_packets(struct verifier *v)
{
    regs_visit(v, forget_packet, NULL);
}

bool helper_step(struct verifier *v, const struct ebpf_decoded *insn)
{
    struct call c = {.helper = (const struct ebpf_helper *)insn->imm};
    uint32_t made_ref = 0;

    c.rules = ebpf_helper_rules(c.helper);
    if (!(c.rules->what & HELPER_UNLOCKS) && !lock_check_call(v))
        return false;
    for (unsigned regno = 1; regno <= 5; regno++)
        if (!call_check_argument(v, &c, regno))
            return false;
    if (!check_map(v, &c) || !call_check_format(v, &c))
        return false;
    note_call(v, &c);
    if (helper_calls_back(insn))
        return callback_step(v, &c);
    if (insn->op == OP_TAIL_CALL && v->now->nr_refs)
        return verifier_reject(v, -EINVAL, RULE_REFERENCE, NO_REG,
                               "tail_call would lead to reference leak: reference id=%u of insn "
                               "%u is not given back",
                               v->now->refs[0].id, v->now->refs[0].slot);
    if (insn->op == OP_TAIL_CALL)
        return tail_call_step(v);
    if (c.function &&
        !entry_add(v, (struct entry){.slot = c.function, .kind = ENTRY_TIMER, .map = c.map}))
        return false;
    if (c.ref)
        give_back(v, c.ref);
    call_clobber(v);
    if (c.rules->what & HELPER_MOVES_PACKET)
        forget_packets(v);
    if (c.made && c.made_kind == DYNPTR_RINGBUF) {
        made_ref = acquire_ref(v);
        if (!made_ref)
            return false;
    }
    if (c.made)
        dynptr_make(v, &c, made_ref);
    if (!set_result(v, &c))
        return false;
    v->now->pc++;
    return true;
}
