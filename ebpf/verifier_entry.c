/*
 * What a walk starts from: the program itself; functions that timers call, when and with what map
 * the walk has found out; and global functions, which are walked once for all their calls
 * (verifier_function.c). And what the end of each must leave. Linux: do_check_main,
 * do_check_subprogs, push_async_cb, check_return_code.
 */
#include "ebpf/base.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

/* Adds one, unless it is there. False: out of memory. */
bool entry_add(struct verifier *v, struct entry entry)
{
    for (uint32_t i = 0; i < v->nr_entries; i++)
        if (v->entries[i].slot == entry.slot && v->entries[i].map == entry.map)
            return true;
    if (!verifier_grow(v, (void **)&v->entries, &v->entries_room, v->nr_entries + 1,
                       sizeof(v->entries[0])))
        return false;
    v->entries[v->nr_entries++] = entry;
    return true;
}

static void begin_program(struct verifier *v)
{
    struct frame *f = &v->now->frames[0];
    uint64_t size = v->load->mem_size;

    if (v->load->type != EBPF_PROG_TYPE_MEM) {
        f->regs[1] = (struct reg){.type = REG_CTX, .n = scalar_const(0)};
        return;
    }
    if (v->load->mem_exact && size == 0)
        reg_set_scalar(&f->regs[1], scalar_const(0));
    else
        f->regs[1] = (struct reg){.type = REG_PACKET, .range = (int64_t)size, .n = scalar_const(0)};
    reg_set_scalar(&f->regs[2], scalar_range(size, v->load->mem_exact ? size : UINT32_MAX));
    if (!v->load->mem_exact)
        f->regs[2].id = ID_LENGTH;
}

/* Its timer is in a value of the map. */
static void begin_timer(struct verifier *v, struct ebpf_map *map)
{
    struct reg *arg = &v->now->frames[0].regs[1];

    arg[0] = (struct reg){.type = REG_MAP, .map = map, .n = scalar_const(0)};
    arg[1] = (struct reg){.type = REG_MAP_KEY, .map = map, .n = scalar_const(0)};
    arg[2] = callback_value(v, map, 0);
}

/* v->now becomes the state that the entry begins with. False: rejected. */
bool entry_begin(struct verifier *v, uint32_t index)
{
    const struct entry *entry = &v->entries[index];
    struct frame *f = &v->now->frames[0];

    v->entry = entry->kind;
    v->err_slot = entry->slot;
    v->now->pc = entry->slot;
    v->now->depth = v->now->nr_refs = 0;
    v->now->lock = (struct held_lock){.map = NULL};
    v->nr_trace = 0;
    f->call_slot = entry->slot;
    f->activation = ++v->next_activation;
    f->nr_slots = f->may_gotos = f->trips = 0;
    f->called_back = false;
    for (unsigned r = 0; r < ISA_FP; r++)
        f->regs[r].type = REG_NONE;
    f->regs[ISA_FP] = (struct reg){.type = REG_STACK, .n = scalar_const(0)};
    switch (entry->kind) {
    case ENTRY_PROGRAM:
        begin_program(v);
        return true;
    case ENTRY_TIMER:
        begin_timer(v, entry->map);
        return true;
    case ENTRY_GLOBAL:
        return function_begin(v);
    }
    return false;
}

static bool check_timer_result(struct verifier *v)
{
    const struct reg *r0 = reg_now(v, 0);

    if (r0->type != REG_SCALAR)
        return verifier_reject(v, -EINVAL, RULE_TIMER_RESULT, 0,
                               "In async callback the register R0 is not a known value (%s)",
                               reg_type_name((enum reg_type)r0->type));
    precise_reg(v, 0);
    return r0->n.umax == 0 ||
           verifier_reject(v, -EINVAL, RULE_TIMER_RESULT, 0,
                           "At async callback the register R0 has value (0x%lx; 0x%lx) should "
                           "have been in (0x0; 0x0)",
                           (unsigned long)r0->n.bits.value, (unsigned long)r0->n.bits.mask);
}

/* v->now is about to exit its outermost function. */
bool entry_end(struct verifier *v)
{
    const struct state *s = v->now;
    const struct reg *r0 = reg_now(v, 0);

    if (s->nr_refs)
        return verifier_reject(v, -EINVAL, RULE_REFERENCE, NO_REG,
                               "Unreleased reference id=%u alloc_insn=%u", s->refs[0].id,
                               s->refs[0].slot);
    if (r0->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_NO_RESULT, 0,
                               "R0 !read_ok: the program ends without a return value on this "
                               "path");
    if (v->entry == ENTRY_TIMER)
        return check_timer_result(v);
    if (v->entry == ENTRY_GLOBAL && r0->type != REG_SCALAR)
        return verifier_reject(v, -EINVAL, RULE_GLOBAL_RESULT, 0,
                               "At subprogram exit the register R0 is not a scalar value (%s)",
                               reg_type_name((enum reg_type)r0->type));
    return true;
}
