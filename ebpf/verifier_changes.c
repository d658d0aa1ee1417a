/*
 * What came back to a loop's head otherwise than the head says: numbers become ranges that include
 * both, the rest is forgotten, and the trial begins again. See verifier_loop.h.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_loop.h"

static struct counter *counter_of(struct loop *l, struct cell cell)
{
    for (unsigned i = 0; i < l->nr_counters; i++)
        if (cell_same(l->counters[i].cell, cell))
            return &l->counters[i];
    return NULL;
}

/* Is what the slot holds of the kind that the head says? */
static bool is_same_kind(struct verifier *v, struct cell cell, const struct slot *head)
{
    const struct frame *f = &v->now->frames[cell.frame];
    const struct slot *now = &f->slots[cell.index];

    if (cell.index >= f->nr_slots || (head->size && !same_spill(head, now)))
        return false;
    for (unsigned i = 0; i < 8; i++)
        if (head->bytes[i] != now->bytes[i])
            return false;
    return true;
}

static void forget_cell(struct changes *changes, struct cell cell)
{
    changes->any = true;
    if (cell.slot)
        changes->forgotten.slots[cell.frame] |= UINT64_C(1) << cell.index;
    else
        changes->forgotten.regs[cell.frame] |= (uint16_t)(1u << cell.index);
}

static bool find_changed(struct verifier *v, struct cell cell, struct reg *head, void *arg)
{
    struct changes *changes = arg;
    const struct reg *now = cell_now(v, cell);
    struct counter *counter = counter_of(changes->l, cell);
    bool includes;

    if (cell.slot && !is_same_kind(v, cell, kept_slot(changes->l->head, cell.frame, cell.index)))
        return true; /* find_forgotten */
    if (counter && counter_stepped(counter, head, now))
        return true;
    if (counter)
        *counter = changes->l->counters[--changes->l->nr_counters];
    if (head->type == REG_NONE ||
        (head->type != REG_SCALAR && same_pointer_but_offset(head, now) && head->off == now->off))
        return true;
    if (head->type != REG_SCALAR || now->type != REG_SCALAR) {
        forget_cell(changes, cell);
        return true;
    }
    includes = scalar_includes(&head->n, &now->n);
    if (!counter && includes && (head->id == 0 || (head->id == now->id && head->off == now->off)))
        return true;
    if (changes->nr == ARRAY_LEN(changes->cells))
        return false;
    changes->any = true;
    changes->cells[changes->nr] = cell;
    changes->n[changes->nr++] = includes ? head->n : widen(&head->n, &now->n);
    return true;
}

static void find_forgotten(struct verifier *v, struct changes *changes)
{
    struct kept *head = changes->l->head;

    for (unsigned f = 0; f <= head->depth; f++) {
        for (uint64_t slots = head->frames[f].slots; slots; slots &= slots - 1) {
            struct cell cell = {(uint8_t)f, (uint8_t)__builtin_ctzll(slots), true};
            const struct slot *slot = kept_slot(head, f, cell.index);
            bool says = false;

            for (unsigned i = 0; i < 8; i++)
                says |= slot->bytes[i] != BYTE_NONE && slot->bytes[i] != BYTE_DYNPTR;
            if (says && !is_same_kind(v, cell, slot))
                forget_cell(changes, cell);
        }
    }
}

/* Collects what of v->now, come back to the head, is not as it says: numbers, and the rest, which
 * is to be forgotten. Counters that did not step are none any more. False: nothing, or too much. */
bool counters_changed(struct verifier *v, struct changes *changes)
{
    find_forgotten(v, changes);
    return visit_cells(v, changes->l->head, find_changed, changes) && changes->any;
}

static void forget_bytes(struct slot *slot)
{
    __builtin_memset(slot->bytes, BYTE_NONE, sizeof(slot->bytes));
    slot->size = 0;
}

/* Makes v->now, which is as the head was, include what was collected. */
void counters_include(struct verifier *v, const struct changes *changes)
{
    for (unsigned i = 0; i < changes->nr; i++)
        reg_set_scalar(cell_now(v, changes->cells[i]), changes->n[i]);
    for (unsigned f = 0; f <= v->now->depth; f++) {
        struct frame *frame = &v->now->frames[f];

        for (uint32_t regs = changes->forgotten.regs[f]; regs; regs &= regs - 1)
            frame->regs[__builtin_ctz(regs)].type = REG_NONE;
        for (uint64_t slots = changes->forgotten.slots[f]; slots; slots &= slots - 1)
            forget_bytes(&frame->slots[__builtin_ctzll(slots)]);
    }
}
