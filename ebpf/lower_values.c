/*
 * The walk over straight code that knows what registers hold, and hands each instruction to the
 * peephole that may better it. Facts last until a slot that something jumps to; a conditional jump
 * in between keeps them, since only one way leads on. What a better instruction makes useless is
 * left to liveness to remove.
 */
#include "ebpf/lower_values.h"

#include <linux/errno.h>

#include "ebpf/port.h"

/* reg gets a value of which nothing is known. */
void values_redefine(struct values *v, unsigned reg)
{
    struct value *value = &v->reg[reg];

    value->number = value->low_number = v->next_number++;
    value->sum.base = NO_REG;
    value->shifted.kind = SHIFT_NONE;
    value->bytes.n = 0;
    value->mask = 0;
    value->constant = false;
}

static void set_constant(struct values *v, unsigned reg, uint64_t known)
{
    values_redefine(v, reg);
    v->reg[reg].constant = true;
    v->reg[reg].known = known;
}

void values_forget_all(struct values *v)
{
    for (unsigned reg = 0; reg < LOW_REGISTERS; reg++) {
        values_redefine(v, reg);
        v->last_read[reg] = v->slot;
    }
    for (unsigned n = 0; n < v->function->nr_begins; n++)
        if (v->function->begins[n].constant)
            set_constant(v, v->function->begins[n].reg, v->function->begins[n].value);
    values_forget_stack(v);
    v->epoch++;
    v->last_branch = v->slot;
}

/* A copy is a sum of one: where dst is only a step on the way, src will be used instead. */
static void move(struct values *v, const struct ebpf_decoded *i, bool wide)
{
    struct value copy = v->reg[i->src];
    bool narrow_before = copy.sum.narrow;

    if (i->dst == i->src) {
        if (!wide)
            values_redefine(v, i->dst);
        return;
    }
    if (!sum_holds(v, &copy.sum) || narrow_before || !wide || copy.sum.base == i->dst ||
        copy.sum.index == i->dst)
        copy.sum = (struct sum){
            .base = i->src, .index = LOW_NO_INDEX, .base_value = v->reg[i->src].number};
    copy.sum.narrow = !wide;
    copy.sum.last = v->slot;
    if (!wide) {
        copy.number = v->next_number++;
        copy.constant = false;
        if (copy.shifted.width == 64)
            copy.shifted.kind = SHIFT_NONE;
        if (copy.bytes.n * 8u + copy.bytes.shift > 32)
            copy.bytes.n = 0;
    }
    v->reg[i->dst] = copy;
}

static void alu(struct values *v, struct ebpf_decoded *i)
{
    switch (i->op) {
    case OP_MOV64_X:
    case OP_MOV32_X:
        move(v, i, i->op == OP_MOV64_X);
        break;
    case OP_MOV64_K:
        set_constant(v, i->dst, i->imm);
        break;
    case OP_MOV32_K:
        set_constant(v, i->dst, (uint32_t)i->imm);
        break;
    case OP_ADD64_K:
    case OP_ADD32_K:
    case OP_SUB64_K:
    case OP_SUB32_K:
    case OP_ADD64_X:
        values_add(v, i);
        break;
    case OP_MUL64_K:
    case OP_MUL32_K:
        values_mul(v, i);
        break;
    case OP_LSH64_K:
    case OP_LSH32_K:
    case OP_RSH64_K:
    case OP_RSH32_K:
        values_shift(v, i);
        break;
    case OP_AND64_K:
    case OP_AND32_K:
        values_redefine(v, i->dst);
        v->reg[i->dst].mask = v->slot + 1;
        break;
    case OP_LSH64_X:
    case OP_LSH32_X:
    case OP_RSH64_X:
    case OP_RSH32_X:
    case OP_ARSH64_X:
    case OP_ARSH32_X:
        values_shift_by(v, i);
        break;
    case OP_OR64_X:
    case OP_OR32_X:
        if (!values_rotate(v, i) && !values_join_bytes(v, i))
            values_redefine(v, i->dst);
        break;
    default:
        values_redefine(v, i->dst);
        break;
    }
}

static bool is_plain_load(uint16_t op)
{
    return op >= OP_LDX_B && op <= OP_ST_DW && (op - OP_LDX_B) % 3 == 0;
}

static bool is_store(uint16_t op)
{
    return (op >= OP_LDX_B && op <= OP_ST_DW && (op - OP_LDX_B) % 3 != 0) ||
           (op >= OP_ATOMIC_ADD64 && op <= OP_ATOMIC_CMPXCHG32);
}

static void redefine_written(struct values *v, const struct ebpf_decoded *i)
{
    for (unsigned writes = low_effect(i).writes; writes; writes &= writes - 1)
        values_redefine(v, (unsigned)__builtin_ctz(writes));
}

static int call(struct values *v, struct ebpf_decoded *i)
{
    int err = i->op == OP_CALL_HELPER ? values_call(v, i) : 0;

    values_forget_stack(v);
    v->epoch++;
    redefine_written(v, i);
    return err;
}

static void note_reads(struct values *v, const struct ebpf_decoded *i)
{
    for (unsigned reads = low_effect(i).reads; reads; reads &= reads - 1)
        v->last_read[__builtin_ctz(reads)] = v->slot;
}

static int step(struct values *v, struct ebpf_decoded *i)
{
    uint16_t op = i->op;

    values_use_copies(v, i);
    if (low_is_alu(op)) {
        alu(v, i);
    } else if (is_plain_load(op)) {
        values_fold_address(v, i);
        note_reads(v, i);
        values_load(v, i);
        return 0;
    } else if (is_store(op)) {
        values_fold_address(v, i);
        values_store(v, i);
        redefine_written(v, i);
    } else if ((op >= OP_CALL_HELPER && op <= OP_TAIL_CALL) || op == LOW_CALL_BACK) {
        note_reads(v, i);
        return call(v, i);
    } else if (low_is_conditional(op) || op == OP_MAY_GOTO) {
        v->last_branch = v->slot + 1;
    } else if (op == OP_LD_IMM64) {
        set_constant(v, i->dst, i->imm);
    } else {
        if (op >= OP_LDSX_B && op <= OP_LDSX_W)
            values_fold_address(v, i);
        redefine_written(v, i);
    }
    note_reads(v, i);
    return 0;
}

/* Liveness must be there. 0 or -ENOMEM. */
int low_values(struct lowering *l)
{
    struct values *v = port_alloc(sizeof(*v));
    int err = 0;

    if (!v)
        return -ENOMEM;
    v->l = l;
    for (v->slot = 0; v->slot < l->nr && !err; v->slot++) {
        if (l->low->flags[v->slot] & LOW_FUNCTION)
            v->function = v->function ? v->function + 1 : l->low->functions;
        if (l->low->flags[v->slot] & (LOW_TARGET | LOW_FUNCTION))
            values_forget_all(v);
        if (l->proof->slots[v->slot].reached)
            err = step(v, &l->code[v->slot]);
    }
    port_free(v);
    return err;
}
