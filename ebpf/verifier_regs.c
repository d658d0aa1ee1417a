/*
 * Registers of the verifier: making them, and refining those that hold one number together.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_state.h"

void reg_set_scalar(struct reg *reg, struct scalar n)
{
    *reg = (struct reg){.type = REG_SCALAR, .n = n};
}

void reg_set_unknown(struct reg *reg)
{
    reg_set_scalar(reg, scalar_unknown());
}

bool reg_is_const(const struct reg *reg)
{
    return reg->type == REG_SCALAR && scalar_is_const(&reg->n);
}

bool is_or_null(enum reg_type type)
{
    return type == REG_MAP_VALUE_OR_NULL || type == REG_RECORD_OR_NULL || type == REG_MEM_OR_NULL;
}

/* A pointer's variable part grows by n. For packets, what is known to be inside shrinks by the most
 * that n can be. */
void add_range(struct reg *reg, const struct scalar *n)
{
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META) {
        bool small = n->smin >= 0 && n->umax <= OFFSET_MAX;

        reg->range = small && reg->range > (int64_t)n->umax ? reg->range - (int64_t)n->umax : 0;
    }
    reg->n = scalar_alu(OP_ADD64_X, &reg->n, n);
}

/* Calls visit for each register and spilled register of the state. False as soon as one does. */
bool regs_visit(struct verifier *v, reg_visitor visit, void *arg)
{
    for (unsigned i = 0; i <= v->now->depth; i++) {
        struct frame *f = &v->now->frames[i];

        for (unsigned r = 0; r < ISA_FP; r++)
            if (f->regs[r].type != REG_NONE && !visit(v, &f->regs[r], arg))
                return false;
        for (uint32_t s = 0; s < f->nr_slots; s++)
            if (f->slots[s].size && !visit(v, &f->slots[s].spill, arg))
                return false;
    }
    return true;
}

static bool sync_one(struct verifier *v, struct reg *reg, void *arg)
{
    const struct reg *known = arg;
    struct scalar by, moved;

    if (reg == known || reg->type != REG_SCALAR || reg->id != known->id)
        return true;
    v->trace[v->nr_trace - 1] |= TRACE_LINKED;
    by = scalar_const((uint64_t)reg->off - (uint64_t)known->off);
    reg->precise = false; /* it now depends on what known was compared with */
    moved = reg->off == known->off ? known->n : scalar_alu(OP_ADD64_X, &known->n, &by);
    return scalar_intersect(&reg->n, &moved);
}

/* After the instruction under way refined known: so are all that hold its number, whatever constant
 * was added to them.
 * False: no value is left. */
bool regs_sync_link(struct verifier *v, const struct reg *known)
{
    return known->id == 0 || regs_visit(v, sync_one, (void *)known);
}

static bool forget_one(struct verifier *v, struct reg *reg, void *arg)
{
    (void)v, (void)arg;
    reg->precise = false;
    return true;
}

/* After v->now was kept: what mattered before that says nothing of the kept state. */
void regs_forget_precise(struct verifier *v)
{
    regs_visit(v, forget_one, NULL);
}

/* Which register of the innermost frame that is; NO_REG for another one. */
int reg_number(struct verifier *v, const struct reg *reg)
{
    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        if (reg == reg_now(v, r))
            return (int)r;
    return NO_REG;
}

/* Do they say something else of what the register holds? */
bool reg_differs(const struct reg *a, const struct reg *b)
{
    if (a->type == REG_NONE && b->type == REG_NONE)
        return false;
    return a->type != b->type || a->id != b->id || a->off != b->off || a->size != b->size ||
           a->ref != b->ref || __builtin_memcmp(&a->n, &b->n, sizeof(a->n)) != 0;
}
