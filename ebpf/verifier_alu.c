/*
 * Arithmetic on registers: numbers are scalar.c's; here are pointers, what may be added to them,
 * and what an operation does to links between registers. Linux: adjust_reg_min_max_vals,
 * adjust_ptr_min_max_vals.
 */
#include "ebpf/base.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define IS(op, NAME) ((op) / 4 == OP_##NAME##64_K / 4)

static bool is_wide(enum ebpf_op op)
{
    return op % 4 <= FORM_64_X;
}

static bool not_readable(struct verifier *v, unsigned reg)
{
    return verifier_reject(v, -EACCES, RULE_UNWRITTEN, (int)reg,
                           "R%u !read_ok: it was never written on this path", reg);
}

/* ---- pointers -----------------------------------------------------------------------------------
 */

/* May n, which is in register by_regno, be added to such a pointer? */
static bool check_movable(struct verifier *v, const struct reg *ptr, unsigned regno,
                          const struct scalar *n, int by_regno, bool add)
{
    if (is_or_null((enum reg_type)ptr->type))
        return verifier_reject(v, -EACCES, RULE_MAYBE_NULL, (int)regno,
                               "R%u pointer arithmetic on %s prohibited, null-check it first",
                               regno, reg_type_name((enum reg_type)ptr->type));
    if (ptr->type == REG_PACKET_END || ptr->type == REG_FUNC || ptr->type == REG_MAP) {
        if (ptr->type == REG_MAP && add && scalar_is_const(n) && n->umin == 0)
            return true;
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, (int)regno,
                               "R%u pointer arithmetic on %s prohibited", regno,
                               reg_type_name((enum reg_type)ptr->type));
    }
    if (n->smin == INT64_MIN)
        return verifier_reject(v, -EACCES, RULE_POINTER_RANGE, by_regno,
                               "math between %s pointer and register with unbounded min value is "
                               "not allowed",
                               reg_type_name((enum reg_type)ptr->type));
    if (n->smin < -OFFSET_MAX || n->smin > OFFSET_MAX)
        return verifier_reject(v, -EACCES, RULE_POINTER_RANGE, by_regno,
                               "value %ld makes %s pointer be out of bounds", (long)n->smin,
                               reg_type_name((enum reg_type)ptr->type));
    return true;
}

static bool check_place(struct verifier *v, const struct reg *ptr, int by_regno)
{
    if (ptr->off > OFFSET_MAX || ptr->off < -OFFSET_MAX || ptr->n.smin < -OFFSET_MAX ||
        ptr->n.smin > OFFSET_MAX)
        return verifier_reject(
            v, -EACCES, RULE_POINTER_RANGE, by_regno, "%s pointer offset %ld is not allowed",
            reg_type_name((enum reg_type)ptr->type), (long)(ptr->off + ptr->n.smin));
    return true;
}

static bool is_packet(const struct reg *reg)
{
    return reg->type == REG_PACKET || reg->type == REG_PACKET_META;
}

/* In programs of type mem, memory + length is its end. */
static bool is_memory_end(const struct reg *ptr, const struct reg *n)
{
    return ptr->type == REG_PACKET && ptr->id == 0 && ptr->off == 0 && n->id == ID_LENGTH &&
           n->off == 0;
}

/* dst = ptr + n, or ptr - n. */
static bool move_pointer(struct verifier *v, const struct ebpf_decoded *insn, const struct reg *ptr,
                         const struct reg *n, unsigned ptr_regno)
{
    bool add = IS(insn->op, ADD);
    int by_regno = ptr_regno == insn->dst && insn->op % 2 == 1 ? insn->src : insn->dst;
    struct reg moved = *ptr;

    if (!check_movable(v, ptr, ptr_regno, &n->n, by_regno, add))
        return false;
    if (add && is_memory_end(ptr, n)) {
        moved = (struct reg){.type = REG_PACKET_END, .n = scalar_const(0)};
    } else if (scalar_is_const(&n->n)) {
        moved.off += add ? n->n.smin : -n->n.smin;
    } else {
        struct scalar zero = scalar_const(0);
        struct scalar by = add ? n->n : scalar_alu(OP_SUB64_X, &zero, &n->n);

        add_range(&moved, &by);
        moved.id = is_packet(&moved) ? ++v->next_id : 0;
    }
    if (!check_place(v, &moved, by_regno))
        return false;
    *reg_now(v, insn->dst) = moved;
    return true;
}

static bool pointer_alu(struct verifier *v, const struct ebpf_decoded *insn, const struct reg *src,
                        bool src_is_reg)
{
    enum ebpf_op op = (enum ebpf_op)insn->op;
    struct reg *dst = reg_now(v, insn->dst), left = *dst;
    const char *const names[] = {
        "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "%=", "^=", "=", "s>>=", "s/=", "s%="};
    unsigned ptr_regno = left.type == REG_SCALAR ? insn->src : insn->dst;

    /* The distance of two pointers is a number like any other. */
    if (IS(op, SUB) && (!is_wide(op) || (left.type != REG_SCALAR && src->type != REG_SCALAR))) {
        reg_set_unknown(dst);
        if (!is_wide(op))
            dst->n = scalar_zero_extend(&dst->n, 32);
        return true;
    }
    if (left.type != REG_SCALAR && src->type != REG_SCALAR)
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, insn->dst,
                               "R%u pointer %s pointer prohibited", insn->dst, names[op / 4]);
    if (!is_wide(op))
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, (int)ptr_regno,
                               "R%u 32-bit pointer arithmetic prohibited", ptr_regno);
    if (IS(op, SUB) && left.type == REG_SCALAR)
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, insn->src,
                               "R%u tried to subtract pointer from scalar", insn->dst);
    if (IS(op, SUB) && left.type == REG_STACK)
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, insn->dst,
                               "R%u subtraction from stack pointer prohibited", insn->dst);
    if (IS(op, AND) || IS(op, OR) || IS(op, XOR))
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, (int)ptr_regno,
                               "R%u bitwise operator %s on pointer prohibited", ptr_regno,
                               names[op / 4]);
    if (!IS(op, ADD) && !IS(op, SUB))
        return verifier_reject(v, -EACCES, RULE_POINTER_MATH, (int)ptr_regno,
                               "R%u pointer arithmetic with %s operator prohibited", ptr_regno,
                               names[op / 4]);
    if (left.type == REG_SCALAR) {
        precise_reg(v, insn->dst);
        return move_pointer(v, insn, src, &left, ptr_regno);
    }
    if (src_is_reg)
        precise_reg(v, insn->src);
    return move_pointer(v, insn, &left, src, ptr_regno);
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

/* A number plus a constant is still linked to what it was, as long as the sum of 32 bits does
 * not wrap. */
static void keep_link(struct reg *dst, const struct reg *before, enum ebpf_op op,
                      const struct scalar *by, bool constant)
{
    uint64_t distance = IS(op, ADD) ? by->umin : 0 - by->umin;

    if (!before->id || !constant || !(IS(op, ADD) || IS(op, SUB)))
        return;
    if (!is_wide(op)) {
        struct scalar n = scalar_const((uint64_t)(int64_t)(int32_t)distance), sum;

        distance = (uint64_t)(int64_t)(int32_t)distance;
        sum = scalar_alu(OP_ADD64_X, &before->n, &n);
        if (before->n.umax > UINT32_MAX || sum.umax > UINT32_MAX)
            return;
    }
    dst->id = before->id;
    dst->off = (int64_t)((uint64_t)before->off + distance);
}

/* Mistakes, most likely, that Linux refuses. RFC 9669 4.1 says what they give, and for programs of
 * type mem, which Linux has not, that is enough. */
static bool check_constant(struct verifier *v, const struct ebpf_decoded *insn)
{
    enum ebpf_op op = (enum ebpf_op)insn->op;
    unsigned width = is_wide(op) ? 64 : 32;

    if (v->load->type == EBPF_PROG_TYPE_MEM)
        return true;
    if ((IS(op, DIV) || IS(op, MOD) || IS(op, SDIV) || IS(op, SMOD)) &&
        (is_wide(op) ? insn->imm : (uint32_t)insn->imm) == 0)
        return verifier_reject(v, -EINVAL, RULE_DIVISOR, NO_REG,
                               "div by zero: the divisor is the constant 0");
    if ((IS(op, LSH) || IS(op, RSH) || IS(op, ARSH)) && insn->imm >= width)
        return verifier_reject(v, -EINVAL, RULE_SHIFT, NO_REG,
                               "invalid shift %d: a register has %u bits", (int)insn->imm, width);
    return true;
}

static void note_divisor(struct verifier *v, enum ebpf_op op, const struct scalar *divisor)
{
    struct ebpf_proof_slot *slot = &v->proof->slots[v->now->pc];
    bool zero;

    if (!IS(op, DIV) && !IS(op, MOD) && !IS(op, SDIV) && !IS(op, SMOD))
        return;
    zero = is_wide(op) ? scalar_contains(divisor, 0) : divisor->umin32 == 0;
    slot->divisor_nonzero = !zero && (slot->divisor_nonzero || !v->info[v->now->pc].explored);
}

static bool move(struct verifier *v, const struct ebpf_decoded *insn, struct reg *src)
{
    struct reg *dst = reg_now(v, insn->dst);
    bool wide = insn->op == OP_MOV64_X;

    if (src->type != REG_SCALAR && wide) {
        *dst = *src;
    } else if (src->type != REG_SCALAR) {
        reg_set_scalar(dst, scalar_range(0, UINT32_MAX)); /* part of a pointer */
    } else if (wide || src->n.umax <= UINT32_MAX) {
        if (src->id == 0 && !scalar_is_const(&src->n))
            src->id = ++v->next_id, src->off = 0;
        *dst = *src;
    } else {
        reg_set_scalar(dst, scalar_zero_extend(&src->n, 32));
    }
    return true;
}

/* Is the instruction before this one, on every path, the shift that v->shifted is from? */
static bool follows_shift(const struct verifier *v, const struct ebpf_decoded *insn)
{
    const struct ebpf_decoded *last = insn - 1;

    return v->now->pc > 0 && !v->info[v->now->pc].merge && last->op == OP_LSH64_K &&
           last->imm == 32 && last->dst == insn->dst && v->shifted_at + 1 == v->cost.processed;
}

/* Without 32-bit comparisons (cpu v1, v2) compilers make a word of a register by a shift to the
 * left and one back, each by 32. Where that leaves the number as it was, it stays linked to what it
 * is a copy of; by the shifts alone, that would be lost. */
static void shift_word(struct verifier *v, const struct ebpf_decoded *insn,
                       const struct reg *before)
{
    struct reg *dst = reg_now(v, insn->dst);
    bool is_signed = insn->op == OP_ARSH64_K;
    const struct scalar *n = &v->shifted.n;

    if (insn->imm != 32)
        return;
    if (insn->op == OP_LSH64_K) {
        v->shifted = *before;
        v->shifted_at = v->cost.processed;
        return;
    }
    if ((insn->op != OP_RSH64_K && !is_signed) || !follows_shift(v, insn))
        return;
    if (is_signed ? n->smin >= INT32_MIN && n->smax <= INT32_MAX : n->umax <= UINT32_MAX)
        *dst = v->shifted;
}

static bool binary(struct verifier *v, const struct ebpf_decoded *insn)
{
    enum ebpf_op op = (enum ebpf_op)insn->op;
    bool src_is_reg = op % 2 == 1;
    struct reg *dst = reg_now(v, insn->dst), immediate, *src = &immediate, before;
    struct scalar by;

    if (src_is_reg)
        src = reg_now(v, insn->src);
    else
        reg_set_scalar(&immediate, scalar_const(insn->imm));
    if (src->type == REG_NONE)
        return not_readable(v, insn->src);
    if (!IS(op, MOV) && dst->type == REG_NONE)
        return not_readable(v, insn->dst);
    if (IS(op, MOV) && src_is_reg)
        return move(v, insn, src);
    if (!src_is_reg && !check_constant(v, insn))
        return false;
    if (!IS(op, MOV) && (dst->type != REG_SCALAR || src->type != REG_SCALAR))
        return pointer_alu(v, insn, src, src_is_reg);
    note_divisor(v, op, &src->n);
    if (src_is_reg && v->proof->slots[v->now->pc].divisor_nonzero)
        precise_reg(v, insn->src); /* no other path may be cut off here for which it is not so */
    before = *dst;
    by = src->n;
    reg_set_scalar(dst, scalar_alu(op, &before.n, &by));
    if (!IS(op, MOV))
        keep_link(dst, &before, op, &by, scalar_is_const(&by));
    if (!src_is_reg)
        shift_word(v, insn, &before);
    return true;
}

static bool unary(struct verifier *v, const struct ebpf_decoded *insn)
{
    enum ebpf_op op = (enum ebpf_op)insn->op;
    bool moves = op >= OP_MOVSX8_32 && op <= OP_MOVSX32_64;
    unsigned from = moves ? insn->src : insn->dst;
    const struct reg *src = reg_now(v, from);
    struct scalar unknown = scalar_unknown();

    if (src->type == REG_NONE)
        return not_readable(v, from);
    reg_set_scalar(reg_now(v, insn->dst),
                   scalar_unary(op, src->type == REG_SCALAR ? &src->n : &unknown));
    return true;
}

/* Arithmetic, negation, sign extension, byte order. */
bool alu_step(struct verifier *v, const struct ebpf_decoded *insn)
{
    return insn->op < OP_MOVSX8_32 ? binary(v, insn) : unary(v, insn);
}
