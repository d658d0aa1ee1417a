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

/* The reference is given back; nothing may use what it was to. */
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

static bool starts_with(const char *text, const char *start)
{
    while (*start)
        if (*text++ != *start++)
            return false;
    return true;
}

static bool check_map(struct verifier *v, const struct call *c)
{
    const struct ebpf_map *map = c->map;
    const char *name = c->helper->name;
    bool fits;

    if (!map)
        return true;
    if (starts_with(name, "ringbuf_"))
        fits = map->type == BPF_MAP_TYPE_RINGBUF;
    else if (text_equal(name, "tail_call"))
        fits = map->type == BPF_MAP_TYPE_PROG_ARRAY;
    else if (text_equal(name, "perf_event_output"))
        fits = map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
    else if (text_equal(name, "get_stackid"))
        fits = map->type == BPF_MAP_TYPE_STACK_TRACE;
    else if (text_equal(name, "map_push_elem") || text_equal(name, "map_pop_elem") ||
             text_equal(name, "map_peek_elem"))
        fits = map->ops->push != NULL;
    else
        fits = map->ops->lookup != NULL;
    if (!fits)
        return verifier_reject(v, -EINVAL, RULE_MAP_TYPE, 1,
                               "cannot pass map_type %u (%s) into func bpf_%s", map->type,
                               map->ops->name, name);
    if ((map->flags & BPF_F_RDONLY_PROG) &&
        (text_equal(name, "map_update_elem") || text_equal(name, "map_delete_elem") ||
         text_equal(name, "map_push_elem") || text_equal(name, "map_pop_elem")))
        return verifier_reject(v, -EACCES, RULE_MAP_FORBIDDEN, 1,
                               "write into map forbidden: %s was made with "
                               "BPF_F_RDONLY_PROG",
                               map->name);
    return true;
}

/* ---- results ------------------------------------------------------------------------------------
 */

static bool is_array(const struct ebpf_map *map)
{
    return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static void set_map_value(struct verifier *v, const struct call *c, struct reg *r0)
{
    bool found = c->key_known && is_array(c->map) && c->key < c->map->max_entries;

    *r0 = (struct reg){.type = found ? REG_MAP_VALUE : REG_MAP_VALUE_OR_NULL,
                       .map = c->map,
                       .id = found ? 0 : ++v->next_id,
                       .n = scalar_const(0)};
}

static bool set_result(struct verifier *v, const struct call *c)
{
    struct reg *r0 = reg_now(v, 0);
    uint32_t ref;

    switch (c->helper->ret) {
    case RET_INTEGER:
        reg_set_unknown(r0);
        if (starts_with(c->helper->name, "probe_read") && c->helper->args[1] == ARG_SIZE_OR_ZERO &&
            c->size <= INT32_MAX)
            r0->n = scalar_signed_range(-MAX_ERRNO, (int64_t)c->size);
        if (text_equal(c->helper->name, "get_smp_processor_id"))
            r0->n = scalar_range(0, PORT_NR_CPUS - 1);
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
        break;
    }
    return verifier_reject(v, -EINVAL, RULE_HELPER_UNKNOWN, NO_REG,
                           "bpf_%s: the verifier does not know what it returns", c->helper->name);
}

/* What is the same on every path, for the JIT. */
static void note_call(struct verifier *v, const struct call *c)
{
    struct ebpf_proof_slot *slot = slot_now(v);
    bool first = !v->info[v->now->pc].explored;
    bool known = c->key_known && c->map;

    slot->map = first || slot->map == c->map ? c->map : NULL;
    slot->key_constant = known && (first || (slot->key_constant && slot->key == (uint32_t)c->key));
    slot->key = slot->key_constant ? (uint32_t)c->key : 0;
    slot->null_impossible = known && is_array(c->map) && c->key < c->map->max_entries &&
                            (first || slot->null_impossible);
}

static bool forget_packet(struct verifier *v, struct reg *reg, void *arg)
{
    (void)v, (void)arg;
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META || reg->type == REG_PACKET_END)
        reg_set_unknown(reg);
    return true;
}

bool helper_step(struct verifier *v, const struct ebpf_decoded *insn)
{
    struct call c = {.helper = (const struct ebpf_helper *)insn->imm};

    for (unsigned regno = 1; regno <= 5; regno++)
        if (!call_check_argument(v, &c, regno))
            return false;
    if (!check_map(v, &c))
        return false;
    note_call(v, &c);
    if (helper_calls_back(insn))
        return callback_step(v, &c);
    if (insn->op == OP_TAIL_CALL && v->now->nr_refs)
        return verifier_reject(v, -EINVAL, RULE_REFERENCE, NO_REG,
                               "tail_call would lead to reference leak: reference id=%u of insn "
                               "%u is not given back",
                               v->now->refs[0].id, v->now->refs[0].slot);
    if (c.ref) {
        release_ref(v, c.ref);
        regs_visit(v, forget_ref, &c.ref);
    }
    call_clobber(v);
    if (starts_with(c.helper->name, "xdp_adjust_"))
        regs_visit(v, forget_packet, NULL);
    if (insn->op == OP_TAIL_CALL)
        reg_set_unknown(reg_now(v, 0)); /* it goes on here when there is no such program */
    else if (!set_result(v, &c))
        return false;
    v->now->pc++;
    return true;
}
