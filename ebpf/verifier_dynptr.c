/*
 * Dynptrs: 16 bytes of stack that helpers fill in and that programs pass on without looking inside.
 * Two slots hold one, marked by BYTE_DYNPTR and a register of type REG_DYNPTR each, which share an
 * id. One over a ring buffer's record carries the reference that submitting or discarding it gives
 * back; the slices that dynptr_data makes of it end with it. Linux: process_dynptr_func and, in
 * 6.1, what check_func_arg does of it; what may not happen to its bytes is as in 6.3, which closed
 * the holes that 6.1 has.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_helper.h"

#define HALVES 2u

static struct reg *half_at(struct frame *f, unsigned slot)
{
    struct slot *s = &f->slots[slot];

    if (slot >= f->nr_slots || s->bytes[0] != BYTE_DYNPTR)
        return NULL;
    return &s->spill;
}

/* The dynptr whose lower half is in this slot; NULL: there is no whole one. */
static struct reg *dynptr_at(struct frame *f, unsigned slot)
{
    struct reg *low = half_at(f, slot), *high = slot > 0 ? half_at(f, slot - 1) : NULL;

    return low && high && low->off == 0 && high->off == 1 && low->id == high->id ? low : NULL;
}

static void clear_slot(struct frame *f, unsigned slot)
{
    if (!half_at(f, slot))
        return;
    __builtin_memset(f->slots[slot].bytes, BYTE_MISC, sizeof(f->slots[slot].bytes));
    f->slots[slot].size = 0;
}

/* Bytes of this slot get another value: the dynptr that they are of, if any, is none any more.
 * False: it must be given back first. */
bool dynptr_overwrite(struct verifier *v, struct frame *f, unsigned slot)
{
    const struct reg *half = half_at(f, slot);

    if (!half)
        return true;
    if (half->ref)
        return verifier_reject(v, -EINVAL, RULE_DYNPTR_BYTES, NO_REG,
                               "cannot overwrite referenced dynptr of reference id=%u", half->ref);
    clear_slot(f, half->off ? slot + 1 : slot - 1);
    clear_slot(f, slot);
    return true;
}

/* Where in the stack a dynptr argument is. */
static bool find_place(struct verifier *v, unsigned regno, int64_t *at)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_STACK)
        return call_wrong_type(v, regno, "fp, dynptr_ptr");
    if (!scalar_is_const(&reg->n))
        return verifier_reject(v, -EACCES, RULE_DYNPTR_PLACE, (int)regno,
                               "R%u variable fp access disallowed: a dynptr is at a constant "
                               "offset from the frame pointer",
                               regno);
    *at = reg->off + reg->n.smin;
    if (*at % 8)
        return verifier_reject(v, -EINVAL, RULE_DYNPTR_PLACE, (int)regno,
                               "cannot pass in dynptr at an offset: R%u is at %ld from the frame "
                               "pointer, not at a multiple of 8",
                               regno, (long)*at);
    return true;
}

static bool check_uninitialized(struct verifier *v, struct call *c, unsigned regno, int64_t at)
{
    const struct reg *reg = reg_now(v, regno);
    struct frame *f = &v->now->frames[reg->frame];
    unsigned slot = (unsigned)(-at / 8 - 1);

    if (!stack_reach(v, reg, 0, HALVES * 8))
        return false;
    if (half_at(f, slot) || half_at(f, slot - 1))
        return verifier_reject(v, -EINVAL, RULE_DYNPTR, (int)regno,
                               "Dynptr has to be an uninitialized dynptr: R%u points at one that "
                               "is in use",
                               regno);
    c->made = true;
    c->made_frame = reg->frame;
    c->made_slot = slot;
    c->made_kind = DYNPTR_RINGBUF;
    if (c->helper->args[regno - 1] == ARG_UNINIT_RINGBUF_DYNPTR)
        return true;
    c->made_kind = DYNPTR_LOCAL;
    if (reg_now(v, c->memory)->type != REG_MAP_VALUE)
        return verifier_reject(v, -EACCES, RULE_DYNPTR_MEMORY, (int)c->memory,
                               "Unsupported reg type %s for bpf_%s data: R%u must point into a map "
                               "value",
                               reg_type_name((enum reg_type)reg_now(v, c->memory)->type),
                               c->helper->name, c->memory);
    /* It is read and written later, when nobody asks for its map's flags. */
    return memory_region(v, c->memory, c->size, false, "helper");
}

/* One of the dynptr kinds. */
bool dynptr_argument(struct verifier *v, struct call *c, unsigned regno)
{
    enum ebpf_arg kind = c->helper->args[regno - 1];
    const struct reg *dynptr = NULL;
    int64_t at = 0;

    if (!find_place(v, regno, &at))
        return false;
    if (kind == ARG_UNINIT_DYNPTR || kind == ARG_UNINIT_RINGBUF_DYNPTR)
        return check_uninitialized(v, c, regno, at);
    if (at < 0 && at >= -(int64_t)ISA_STACK_SIZE)
        dynptr = dynptr_at(&v->now->frames[reg_now(v, regno)->frame], (unsigned)(-at / 8 - 1));
    if (!dynptr)
        return verifier_reject(v, -EINVAL, RULE_DYNPTR, (int)regno,
                               "Expected an initialized dynptr as arg #%u: R%u points at other "
                               "bytes",
                               regno, regno);
    c->dynptr_ref = dynptr->ref;
    if (kind != ARG_RINGBUF_DYNPTR)
        return true;
    if (!dynptr->ref)
        return verifier_reject(v, -EINVAL, RULE_DYNPTR, (int)regno,
                               "arg %u is an unacquired reference: R%u is no dynptr of a ring "
                               "buffer's record",
                               regno, regno);
    c->ref = dynptr->ref;
    return true;
}

/* After the call: the helper made the dynptr that its argument said. ref: of its record, or 0. */
void dynptr_make(struct verifier *v, const struct call *c, uint32_t ref)
{
    struct frame *f = &v->now->frames[c->made_frame];
    uint32_t id = ++v->next_id;

    for (unsigned half = 0; half < HALVES; half++) {
        struct slot *slot = &f->slots[c->made_slot - half];

        __builtin_memset(slot->bytes, BYTE_DYNPTR, sizeof(slot->bytes));
        slot->start = 0;
        slot->size = 8;
        slot->spill = (struct reg){.type = REG_DYNPTR,
                                   .id = id,
                                   .off = half,
                                   .kind = c->made_kind,
                                   .ref = ref,
                                   .n = scalar_const(0)};
    }
}

/* The reference is given back: its dynptr is bytes again. */
void dynptr_release(struct verifier *v, uint32_t ref)
{
    for (unsigned i = 0; i <= v->now->depth; i++) {
        struct frame *f = &v->now->frames[i];

        for (unsigned slot = 0; slot < f->nr_slots; slot++)
            if (half_at(f, slot) && half_at(f, slot)->ref == ref)
                clear_slot(f, slot);
    }
}
