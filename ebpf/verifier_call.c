/*
 * Calls: helpers held against their signatures of helpers.def, what they return, references they
 * give and take; functions of the program, walked where they are called; and returning. Linux:
 * check_helper_call, check_func_arg, prepare_func_exit.
 */
#include "ebpf/base.h"
#include "ebpf/helper.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define MAX_ERRNO 4095

/* What the arguments of one call said. */
struct call {
    const struct ebpf_helper *helper;
    struct ebpf_map *map;
    uint64_t size; /* constant size of a record, or the most that a string can be */
    uint32_t ref;  /* reference that is given back */
    bool key_known;
    uint64_t key;
};

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
        verifier_reject(v, -E2BIG, "more than %u references are held at once", REFS_MAX);
        return 0;
    }
    s->refs[s->nr_refs++] = (struct ref){++v->next_id, s->pc};
    return v->next_id;
}

/* ---- arguments ----------------------------------------------------------------------------------
 */

static bool wrong_type(struct verifier *v, unsigned regno, const char *expected)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type == REG_NONE)
        return verifier_reject(v, -EACCES, "R%u !read_ok: it was never written on this path",
                               regno);
    return verifier_reject(v, -EACCES, "R%u type=%s expected=%s", regno,
                           reg_type_name((enum reg_type)reg->type), expected);
}

static bool is_memory(const struct reg *reg)
{
    return reg->type == REG_STACK || reg->type == REG_PACKET || reg->type == REG_PACKET_META ||
           reg->type == REG_MAP_VALUE || reg->type == REG_RECORD;
}

static bool check_memory(struct verifier *v, unsigned regno, uint64_t size, bool write)
{
    if (!is_memory(reg_now(v, regno)))
        return wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem");
    return memory_region(v, regno, size, write, "helper");
}

static bool check_key(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (!check_memory(v, regno, c->map->key_size, false))
        return false;
    c->key_known =
        c->map->key_size == 4 && reg->type == REG_STACK && stack_constant(v, reg, 0, 4, &c->key);
    return true;
}

/* The size of the memory that the argument before points at. */
static bool check_size(struct verifier *v, struct call *c, unsigned regno, bool zero_allowed)
{
    const struct reg *size = reg_now(v, regno), *memory = reg_now(v, regno - 1);
    enum ebpf_arg kind = c->helper->args[regno - 2];
    bool write = kind == ARG_UNINIT_MEM;

    if (size->type != REG_SCALAR)
        return wrong_type(v, regno, "scalar");
    precise_reg(v, regno);
    if (size->n.smin < 0)
        return verifier_reject(
            v, -EACCES, "R%u min value is negative, either use unsigned or 'var &= const'", regno);
    if (size->n.umin == 0 && !zero_allowed)
        return verifier_reject(v, -EACCES, "R%u invalid zero-sized read: u64=[%lu,%lu]", regno,
                               (unsigned long)size->n.umin, (unsigned long)size->n.umax);
    if (size->n.umax >= OFFSET_MAX)
        return verifier_reject(v, -EACCES,
                               "R%u unbounded memory access, use 'var &= const' or 'if (var < "
                               "const)'",
                               regno);
    c->size = size->n.umax;
    if (size->n.umax == 0 && reg_is_const(memory) && memory->n.umin == 0) {
        precise_reg(v, regno - 1);
        return true;
    }
    if (kind == ARG_MEM_OR_NULL && reg_is_const(memory) && memory->n.umin == 0) {
        precise_reg(v, regno - 1);
        return true;
    }
    /* Bytes that may or may not be written keep what they may have been. */
    if (write && memory->type == REG_STACK && !scalar_is_const(&size->n) && c->size)
        return memory_region(v, regno - 1, c->size, false, "helper") &&
               memory_region(v, regno - 1, c->size, true, "helper");
    return check_memory(v, regno - 1, c->size, write);
}

static bool check_string(struct verifier *v, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);
    const struct ebpf_map *map = reg->map;
    uint64_t saved, at;
    void *addr = NULL;
    bool ended = false;
    int err;

    if (reg->type != REG_MAP_VALUE)
        return wrong_type(v, regno, "map_value");
    if (!(map->flags & BPF_F_RDONLY_PROG) || !map->frozen || !map->ops->direct_value)
        return verifier_reject(v, -EACCES, "R%u does not point to a readonly map", regno);
    if (!scalar_is_const(&reg->n))
        return verifier_reject(v, -EACCES, "R%u is not a constant address", regno);
    at = (uint64_t)reg->off + reg->n.umin;
    if (!memory_region(v, regno, 1, false, "string"))
        return false;
    saved = port_lock();
    err = map->ops->direct_value((struct ebpf_map *)map, (uint32_t)at, &addr);
    if (!err)
        ended = bounded_length(addr, map->value_size - at) < map->value_size - at;
    port_unlock(saved);
    return ended || verifier_reject(v, -EINVAL, "R%u: the string is not zero-terminated", regno);
}

static bool check_record(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_RECORD)
        return wrong_type(v, regno, "ringbuf_mem");
    if (reg->off || !scalar_is_const(&reg->n) || reg->n.umin)
        return verifier_reject(v, -EACCES,
                               "R%u must have zero offset when passed to release func: it is "
                               "%ld bytes into its record",
                               regno, (long)reg->off);
    c->ref = reg->ref;
    return true;
}

static bool check_context_argument(struct verifier *v, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_CTX)
        return wrong_type(v, regno, "ctx");
    return (reg->off == 0 && scalar_is_const(&reg->n)) ||
           verifier_reject(v, -EACCES, "dereference of modified ctx ptr R%u off=%ld disallowed",
                           regno, (long)reg->off);
}

static bool check_argument(struct verifier *v, struct call *c, unsigned regno)
{
    struct reg *reg = reg_now(v, regno);
    enum ebpf_arg kind = c->helper->args[regno - 1];

    if (kind != ARG_NONE && kind != ARG_VARIADIC && reg->type == REG_NONE)
        return wrong_type(v, regno, "");
    switch (kind) {
    case ARG_NONE:
    case ARG_ANYTHING:
    case ARG_VARIADIC:
        return true;
    case ARG_CONST_MAP_PTR:
        if (reg->type != REG_MAP)
            return wrong_type(v, regno, "map_ptr");
        c->map = reg->map;
        return true;
    case ARG_MAP_KEY:
        return check_key(v, c, regno);
    case ARG_MAP_VALUE:
        return check_memory(v, regno, c->map->value_size, false);
    case ARG_UNINIT_MAP_VALUE:
        return check_memory(v, regno, c->map->value_size, true);
    case ARG_CTX:
        return check_context_argument(v, regno);
    case ARG_MEM:
    case ARG_UNINIT_MEM:
        return is_memory(reg) || (reg_is_const(reg) && reg->n.umin == 0) ||
               wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem");
    case ARG_MEM_OR_NULL:
        return is_memory(reg) || reg_is_const(reg) ||
               wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem, or NULL");
    case ARG_SIZE:
        return check_size(v, c, regno, false);
    case ARG_SIZE_OR_ZERO:
        return check_size(v, c, regno, true);
    case ARG_CONST_ALLOC_SIZE:
        precise_reg(v, regno);
        if (!reg_is_const(reg))
            return verifier_reject(v, -EACCES,
                                   "R%u is not a known constant: the size must be the same on "
                                   "every run",
                                   regno);
        c->size = reg->n.umin;
        return true;
    case ARG_ALLOC_MEM:
        return check_record(v, c, regno);
    case ARG_CONST_STR:
        return check_string(v, regno);
    case ARG_LONG_PTR:
        return check_memory(v, regno, sizeof(uint64_t), true);
    default:
        return verifier_reject(v, -EINVAL, "bpf_%s: the verifier does not know its argument R%u",
                               c->helper->name, regno);
    }
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
        return verifier_reject(v, -EINVAL, "cannot pass map_type %u (%s) into func bpf_%s",
                               map->type, map->ops->name, name);
    if ((map->flags & BPF_F_RDONLY_PROG) &&
        (text_equal(name, "map_update_elem") || text_equal(name, "map_delete_elem") ||
         text_equal(name, "map_push_elem") || text_equal(name, "map_pop_elem")))
        return verifier_reject(v, -EACCES,
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
    return verifier_reject(v, -EINVAL, "bpf_%s: the verifier does not know what it returns",
                           c->helper->name);
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

static void clobber(struct verifier *v)
{
    for (unsigned r = 0; r <= 5; r++)
        reg_now(v, r)->type = REG_NONE;
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
        if (!check_argument(v, &c, regno))
            return false;
    if (!check_map(v, &c))
        return false;
    note_call(v, &c);
    if (insn->op == OP_TAIL_CALL && v->now->nr_refs)
        return verifier_reject(v, -EINVAL,
                               "tail_call would lead to reference leak: reference id=%u of insn "
                               "%u is not given back",
                               v->now->refs[0].id, v->now->refs[0].slot);
    if (c.ref) {
        release_ref(v, c.ref);
        regs_visit(v, forget_ref, &c.ref);
    }
    clobber(v);
    if (starts_with(c.helper->name, "xdp_adjust_"))
        regs_visit(v, forget_packet, NULL);
    if (insn->op == OP_TAIL_CALL)
        reg_set_unknown(reg_now(v, 0)); /* it goes on here when there is no such program */
    else if (!set_result(v, &c))
        return false;
    v->now->pc++;
    return true;
}

/* ---- functions of the program -------------------------------------------------------------------
 */

bool call_step(struct verifier *v, const struct ebpf_decoded *insn)
{
    struct state *s = v->now;
    struct frame *caller = frame_now(v), *callee;

    if (s->depth + 1 == ISA_FRAMES_MAX)
        return verifier_reject(v, -E2BIG,
                               "the call stack of %u frames is too deep, %u are allowed; does a "
                               "function call itself?",
                               ISA_FRAMES_MAX + 1, ISA_FRAMES_MAX);
    callee = &s->frames[++s->depth];
    callee->call_slot = s->pc;
    callee->nr_slots = 0;
    for (unsigned r = 0; r < ISA_FP; r++)
        callee->regs[r].type = REG_NONE;
    for (unsigned r = 1; r <= 5; r++)
        callee->regs[r] = caller->regs[r];
    for (unsigned r = 0; r <= 5; r++)
        caller->regs[r].type = REG_NONE;
    callee->regs[ISA_FP] =
        (struct reg){.type = REG_STACK, .frame = (uint8_t)s->depth, .n = scalar_const(0)};
    if (s->depth + 1 > v->proof->max_frames)
        v->proof->max_frames = (uint8_t)(s->depth + 1);
    s->pc = (uint32_t)insn->off;
    return true;
}

/* The end of the program, or back to the caller. */
bool exit_step(struct verifier *v, bool *ended)
{
    struct state *s = v->now;
    const struct reg *r0 = reg_now(v, 0);

    if (s->depth == 0) {
        if (s->nr_refs)
            return verifier_reject(v, -EINVAL,
                                   "Unreleased reference id=%u alloc_insn=%u: submit or discard "
                                   "what was reserved there on every path",
                                   s->refs[0].id, s->refs[0].slot);
        if (r0->type == REG_NONE)
            return verifier_reject(v, -EACCES,
                                   "R0 !read_ok: the program ends without a return value on this "
                                   "path");
        *ended = true;
        return true;
    }
    if (r0->type == REG_STACK)
        return verifier_reject(v, -EINVAL, "cannot return stack pointer to the caller");
    s->frames[s->depth - 1].regs[0] = *r0;
    s->pc = s->frames[s->depth].call_slot + 1;
    s->depth--;
    return true;
}
