/*
 * Decision trees back into jump tables. Compilers for BPF turn a switch into a tree of comparisons
 * of one register with constants, whose jumps the machine mispredicts; where the register is small,
 * a table of targets needs one jump. The table is filled by walking the tree with each value.
 */
#include "ebpf/lower_internal.h"

#include <linux/errno.h>

#include "ebpf/alu.h"
#include "ebpf/base.h"
#include "ebpf/port.h"

#define NODES_MIN  6u /* fewer comparisons are as fast */
#define NODES_MAX  512u
#define VALUES_MAX 256u
#define LOOK_BACK  8u /* slots that are searched for what made the register */

struct tree {
    struct lowering *l;
    uint8_t *seen; /* of each slot */
    uint8_t reg;
    uint32_t nodes;
};

static bool is_node(const struct tree *t, uint32_t slot)
{
    const struct ebpf_decoded *i = &t->l->code[slot];

    return low_is_conditional(i->op) &&
           (low_form(i->op) == FORM_64_K || low_form(i->op) == FORM_32_K) && i->dst == t->reg;
}

static bool taken(const struct ebpf_decoded *i, uint64_t value)
{
    switch (i->op) {
#define JUMP(NAME, name, code, text)                                                               \
    case OP_##NAME##64_K:                                                                          \
        return alu_##name##64(value, i->imm);                                                      \
    case OP_##NAME##32_K:                                                                          \
        return alu_##name##32(value, i->imm);
#include "ebpf/opcodes.def"
    }
    return false;
}

/* Counts the comparisons below a slot; each is counted once in the whole program. */
static void count(struct tree *t, uint32_t root)
{
    uint32_t stack[64], depth = 0;

    stack[depth++] = root;
    while (depth && t->nodes < NODES_MAX) {
        uint32_t slot = stack[--depth];

        if (t->seen[slot] || !is_node(t, slot))
            continue;
        t->seen[slot] = 1;
        t->nodes++;
        if (depth + 2 > ARRAY_LEN(stack))
            return;
        stack[depth++] = (uint32_t)t->l->code[slot].off;
        stack[depth++] = slot + 1;
    }
}

/* Where a value comes out of the tree; UINT32_MAX: it goes round in circles. */
static uint32_t leaf(const struct tree *t, uint32_t slot, uint64_t value)
{
    for (uint32_t steps = 0; is_node(t, slot); steps++) {
        if (steps > NODES_MAX)
            return UINT32_MAX;
        slot = taken(&t->l->code[slot], value) ? (uint32_t)t->l->code[slot].off : slot + 1;
    }
    return slot;
}

/* How many values, from 0 up, an instruction leaves for the register it writes; 0: too many. */
static uint32_t values_left_by(const struct ebpf_decoded *i)
{
    uint64_t nr = 0;

    switch (i->op) {
    case OP_RSH64_K:
        nr = i->imm >= 64 - 8 && i->imm < 64 ? 1u << (64 - i->imm) : 0;
        break;
    case OP_RSH32_K:
        nr = i->imm >= 32 - 8 && i->imm < 32 ? 1u << (32 - i->imm) : 0;
        break;
    case OP_AND64_K:
    case OP_AND32_K:
        nr = i->imm < VALUES_MAX ? i->imm + 1 : 0;
        break;
    case OP_LDX_B:
        nr = VALUES_MAX;
        break;
    }
    return (uint32_t)nr;
}

static uint32_t values_at(const struct tree *t, uint32_t root)
{
    for (uint32_t n = 1; n <= LOOK_BACK && n <= root; n++) {
        const struct ebpf_decoded *i = &t->l->code[root - n];

        if (t->l->low->flags[root - n + 1] & (LOW_TARGET | LOW_FUNCTION) ||
            low_is_conditional(i->op))
            return 0;
        if (low_effect(i).writes >> t->reg & 1)
            return values_left_by(i);
    }
    return 0;
}

/* `if r > n goto other` at the root bounds the values from above. */
static uint32_t values_bounded_by(const struct ebpf_decoded *root)
{
    bool bounds = root->op == OP_JGT64_K || root->op == OP_JGT32_K;

    return bounds && root->imm < VALUES_MAX ? (uint32_t)root->imm + 1 : 0;
}

static int add_switch(struct tree *t, uint32_t root, struct low_switch *s)
{
    struct lowering *l = t->l;

    s->slots = port_alloc(s->nr * sizeof(s->slots[0]));
    if (!s->slots)
        return -ENOMEM;
    for (uint32_t value = 0; value < s->nr; value++) {
        s->slots[value] = leaf(t, root, value);
        if (s->slots[value] == UINT32_MAX) {
            port_free(s->slots);
            return 0;
        }
    }
    for (uint32_t value = 0; value < s->nr; value++)
        low_mark_target(l, root, s->slots[value]);
    low_mark_target(l, root, s->otherwise);
    l->code[root] =
        (struct ebpf_decoded){.op = LOW_SWITCH, .dst = t->reg, .imm = l->low->nr_switches};
    l->low->switches[l->low->nr_switches++] = *s;
    l->low->nr_fixups += 2;
    return 0;
}

static int try_root(struct tree *t, uint32_t root)
{
    const struct ebpf_decoded *i = &t->l->code[root];
    struct low_switch s = {.wide = low_form(i->op) == FORM_64_K};

    t->reg = i->dst;
    t->nodes = 0;
    if (t->seen[root] || !is_node(t, root))
        return 0;
    count(t, root);
    if (t->nodes < NODES_MIN)
        return 0;
    s.nr = values_at(t, root);
    s.complete = s.nr != 0;
    if (!s.nr)
        s.nr = values_bounded_by(i);
    s.otherwise = s.complete ? leaf(t, root, 0) : (uint32_t)i->off;
    if (s.nr == 0 || s.nr > 4 * t->nodes || s.otherwise == UINT32_MAX)
        return 0;
    return add_switch(t, root, &s);
}

/* 0 or -ENOMEM. */
int low_switches(struct lowering *l)
{
    struct tree t = {.l = l, .seen = port_alloc(l->nr)};
    int err = 0;

    l->low->switches = port_alloc((l->nr / NODES_MIN + 1) * sizeof(l->low->switches[0]));
    if (!t.seen || !l->low->switches)
        err = -ENOMEM;
    for (uint32_t root = 0; root < l->nr && !err; root++)
        if (low_is_conditional(l->code[root].op) && l->proof->slots[root].reached)
            err = try_root(&t, root);
    port_free(t.seen);
    return err;
}
