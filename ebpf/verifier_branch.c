/*
 * Conditional jumps: which ways they can go, and what each way says about the registers compared:
 * numbers, pointers that may be NULL, and packet pointers against the packet's end. Linux:
 * check_cond_jmp_op.
 */
#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

/* The way that the jump goes is on a stack of its own; comes back to it with state at pc. */
bool push_branch(struct verifier *v, const struct state *state, uint32_t pc)
{
    struct kept *kept;

    if (!verifier_grow(v, (void **)&v->branches, &v->branches_room, v->nr_branches + 1,
                       sizeof(v->branches[0])))
        return false;
    kept = keep(v, state, pc);
    if (!kept)
        return false;
    v->branches[v->nr_branches++] =
        (struct branch){.state = kept, .nr_trace = v->nr_trace, .nr_path = v->nr_path};
    verifier_tell(v, WALK_PUT_ASIDE, pc, NULL);
    return true;
}

/* The call under way once more, later, and then with TRIPS_STOPPED. */
bool push_again(struct verifier *v)
{
    struct frame *f = frame_now(v);
    uint32_t trips = f->trips;
    bool ok;

    f->trips = TRIPS_STOPPED;
    ok = push_branch(v, v->now, v->now->pc);
    f->trips = trips;
    if (ok)
        v->branches[v->nr_branches - 1].nr_trace--;
    return ok;
}

static void note_way(struct verifier *v, bool taken, bool only)
{
    struct ebpf_proof_slot *slot = &v->proof->slots[v->now->pc];
    bool first = !v->info[v->now->pc].explored;

    slot->always_taken = only && taken && (first || slot->always_taken);
    slot->never_taken = only && !taken && (first || slot->never_taken);
}

/* ---- NULL ---------------------------------------------------------------------------------------
 */

struct null_check {
    uint32_t id;
    bool null;
};

/* Linux: mark_ptr_not_null_reg. */
/* It is not NULL. */
void reg_set_not_null(struct reg *reg)
{
    bool timed;

    if (reg->type == REG_MAP_VALUE_OR_NULL && reg->map->inner) {
        reg->type = REG_MAP;
        reg->map = reg->map->inner;
        reg->map_uid = 0;
        timed = reg->map->timer_offset >= 0; /* a timer belongs to one map of those */
        reg->id = timed ? reg->id : 0;
        return;
    }
    if (reg->type == REG_MAP_VALUE_OR_NULL) {
        reg->type = REG_MAP_VALUE;
        reg->id = reg->map->lock_offset >= 0 ? reg->id : 0;
        return;
    }
    reg->type = reg->type == REG_MEM_OR_NULL ? REG_MEM : REG_RECORD;
    reg->id = 0;
}

static bool mark_null(struct verifier *v, struct reg *reg, void *arg)
{
    const struct null_check *check = arg;

    (void)v;
    if (!is_or_null((enum reg_type)reg->type) || reg->id != check->id)
        return true;
    if (check->null)
        reg_set_scalar(reg, scalar_const(0));
    else
        reg_set_not_null(reg);
    return true;
}

static void decide_null(struct verifier *v, const struct reg *reg, bool null)
{
    struct null_check check = {reg->id, null};
    uint32_t ref = reg->ref;
    bool own = ref && ref == reg->id; /* else a dynptr's, which is there all the same */

    regs_visit(v, mark_null, &check);
    if (null && own)
        release_ref(v, ref);
}

/* Is insn a comparison with 0 for equality, in all 64 bits? *null: what its jump means. */
static bool is_null_check(const struct ebpf_decoded *insn, const struct reg *src, bool *null)
{
    unsigned condition = (insn->op - OP_JEQ64_K) / 4 * 4 + OP_JEQ64_K;
    bool wide = (insn->op - OP_JEQ64_K) % 4 <= FORM_64_X;

    *null = condition == OP_JEQ64_K;
    return wide && (condition == OP_JEQ64_K || condition == OP_JNE64_K) && reg_is_const(src) &&
           src->n.umin == 0;
}

/* ---- packets ------------------------------------------------------------------------------------
 */

struct packet_check {
    uint8_t type;
    uint32_t id;
    int64_t range;
};

static bool raise_range(struct verifier *v, struct reg *reg, void *arg)
{
    const struct packet_check *check = arg;

    (void)v;
    if (reg->type == check->type && reg->id == check->id && reg->range < check->range)
        reg->range = check->range;
    return true;
}

/* ptr <= end, or with strict ptr < end: everything before ptr is inside. */
static void packet_inside(struct verifier *v, const struct reg *ptr, bool strict)
{
    struct packet_check check = {ptr->type, ptr->id, ptr->off + (strict ? 1 : 0)};
    uint64_t limit = v->load->type == EBPF_PROG_TYPE_MEM ? OFFSET_MAX : PACKET_OFF_MAX;

    if (ptr->off < 0 || ptr->n.smin < 0 || ptr->n.umax > limit ||
        (uint64_t)ptr->off + ptr->n.umax > limit)
        return;
    regs_visit(v, raise_range, &check);
}

/* Is it the end of what ptr is in? */
static bool is_end_of(const struct reg *ptr, const struct reg *end)
{
    if (ptr->type == REG_PACKET)
        return end->type == REG_PACKET_END;
    return ptr->type == REG_PACKET_META && end->type == REG_PACKET && end->id == 0 &&
           end->off == 0 && scalar_is_const(&end->n) && end->n.umin == 0;
}

/* What the outcome of a comparison says when one side is a packet pointer and the other its end. */
static void learn_packet(struct verifier *v, const struct ebpf_decoded *insn, bool taken)
{
    static const struct {
        uint16_t op;
        bool below; /* dst < src or dst <= src when the jump is taken */
        bool equal;
    } comparisons[] = {
        {OP_JLT64_X, true, false},
        {OP_JLE64_X, true, true},
        {OP_JGT64_X, false, false},
        {OP_JGE64_X, false, true},
    };
    const struct reg dst = *reg_now(v, insn->dst), src = *reg_now(v, insn->src);

    for (unsigned i = 0; i < ARRAY_LEN(comparisons); i++) {
        bool below = comparisons[i].below == taken;
        bool equal = taken ? comparisons[i].equal : !comparisons[i].equal;

        if (comparisons[i].op != insn->op)
            continue;
        if (below && is_end_of(&dst, &src))
            packet_inside(v, &dst, !equal);
        if (!below && is_end_of(&src, &dst))
            packet_inside(v, &src, !equal);
    }
}

struct length {
    int64_t least;
    bool news; /* some pointer did not know */
};

static bool raise_all(struct verifier *v, struct reg *reg, void *arg)
{
    struct length *length = arg;

    (void)v;
    if (reg->type == REG_PACKET && reg->id == 0 && reg->range < length->least) {
        reg->range = length->least;
        length->news = true;
    }
    return true;
}

/* In programs of type mem: the memory is at least as long as its length is. That it is the length
 * which was compared then matters. */
static void learn_length(struct verifier *v, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);
    struct length length = {.least = reg->n.umin < OFFSET_MAX ? (int64_t)reg->n.umin : OFFSET_MAX};

    if (reg->type != REG_SCALAR || reg->id != ID_LENGTH || reg->off)
        return;
    regs_visit(v, raise_all, &length);
    if (length.news)
        precise_reg(v, regno);
}

/* ---- numbers ------------------------------------------------------------------------------------
 */

/* Assumes that the jump is taken, or not. False: it cannot be so. */
static bool learn_numbers(struct verifier *v, const struct ebpf_decoded *insn, bool taken,
                          bool src_is_reg)
{
    struct reg *dst = reg_now(v, insn->dst), immediate, *src = &immediate;

    if (src_is_reg)
        src = reg_now(v, insn->src);
    else
        reg_set_scalar(&immediate, scalar_const(insn->imm));
    if (dst == src)
        return true;
    if (!scalar_refine((enum ebpf_op)insn->op, taken, &dst->n, &src->n))
        return false;
    if (src_is_reg) {
        dst->precise = src->precise = false;
        if (!regs_sync_link(v, src))
            return false;
        learn_length(v, insn->src);
    }
    if (!regs_sync_link(v, dst))
        return false;
    learn_length(v, insn->dst);
    return true;
}

/* Assumes one way of the jump. False: it cannot be. */
static bool assume(struct verifier *v, const struct ebpf_decoded *insn, bool taken, bool src_is_reg)
{
    struct reg *dst = reg_now(v, insn->dst), immediate, *src = &immediate;
    bool null;

    if (src_is_reg)
        src = reg_now(v, insn->src);
    else
        reg_set_scalar(&immediate, scalar_const(insn->imm));
    if (dst->type == REG_SCALAR && src->type == REG_SCALAR)
        return learn_numbers(v, insn, taken, src_is_reg);
    if (is_or_null((enum reg_type)dst->type) && is_null_check(insn, src, &null)) {
        if (src_is_reg)
            precise_reg(v, insn->src); /* that it is 0 */
        decide_null(v, dst, null == taken);
    } else if (src_is_reg) {
        learn_packet(v, insn, taken);
    }
    return true;
}

/* A pointer that is not or-null is not 0. */
static int decide_pointer(const struct ebpf_decoded *insn, const struct reg *dst,
                          const struct reg *src)
{
    bool null;

    if (!is_null_check(insn, src, &null) || is_or_null((enum reg_type)dst->type) ||
        dst->type == REG_PACKET || dst->type == REG_PACKET_END || dst->type == REG_PACKET_META ||
        dst->type == REG_FUNC)
        return -1;
    return !null;
}

/* How far from the packet's beginning it points. */
static struct scalar place(const struct reg *reg)
{
    struct scalar off = scalar_const((uint64_t)reg->off);

    return scalar_alu(OP_ADD64_X, &reg->n, &off);
}

/* Pointers into the packet compare as their places in it do. */
static int decide_places(const struct ebpf_decoded *insn, const struct reg *dst,
                         const struct reg *src)
{
    struct scalar left = place(dst), right = place(src);

    if (dst->type != REG_PACKET || src->type != REG_PACKET || left.smin < 0 || right.smin < 0)
        return -1;
    switch (insn->op) {
    case OP_JEQ64_X:
    case OP_JNE64_X:
    case OP_JGT64_X:
    case OP_JGE64_X:
    case OP_JLT64_X:
    case OP_JLE64_X:
        return scalar_decide((enum ebpf_op)insn->op, &left, &right);
    default:
        return -1;
    }
}

static int decide(struct verifier *v, const struct ebpf_decoded *insn, const struct reg *dst,
                  const struct reg *src, bool src_is_reg)
{
    int way = -1;

    if (dst->type == REG_SCALAR && src->type == REG_SCALAR) {
        way = scalar_decide((enum ebpf_op)insn->op, &dst->n, &src->n);
        if (way >= 0) {
            precise_reg(v, insn->dst);
            if (src_is_reg)
                precise_reg(v, insn->src);
        }
    } else if (dst->type != REG_SCALAR) {
        way = decide_pointer(insn, dst, src);
        if (way >= 0 && src_is_reg)
            precise_reg(v, insn->src);
        if (way < 0)
            way = decide_places(insn, dst, src);
    }
    return way;
}

/* A conditional jump; moves v->now to one way and puts the other on the stack. *ended: neither is
 * possible. */
bool branch_step(struct verifier *v, const struct ebpf_decoded *insn, bool *ended)
{
    bool src_is_reg = (insn->op - OP_JEQ64_K) % 2 == 1;
    struct reg *dst = reg_now(v, insn->dst), immediate, *src = &immediate;
    uint32_t pc = v->now->pc, next = pc + 1, target = (uint32_t)insn->off;
    bool back;
    int way;

    if (src_is_reg)
        src = reg_now(v, insn->src);
    else
        reg_set_scalar(&immediate, scalar_const(insn->imm));
    if (dst->type == REG_NONE || src->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN,
                               dst->type == REG_NONE ? insn->dst : insn->src,
                               "R%u !read_ok: it was never written on this path",
                               dst->type == REG_NONE ? insn->dst : insn->src);
    way = decide(v, insn, dst, src, src_is_reg);
    note_way(v, way == 1, way >= 0);
    if (way >= 0) {
        v->now->pc = way ? target : next;
        return true;
    }
    /* The state before: what is learned on the other way is learned when it is walked. Back to a
     * loop's head first, so that all its trips are proven before what follows it is looked at. */
    back = target <= pc && !v->info[target].walk_loop && !(v->flags & EBPF_VERIFY_WALK_LOOPS);
    if (!push_branch(v, v->now, pc))
        return false;
    v->branches[v->nr_branches - 1].way = back ? WAY_FALL : WAY_JUMP;
    if (!branch_take(v, back)) {
        struct kept *before = v->branches[--v->nr_branches].state;

        unkeep(v, before, v->now);
        keep_free(v, before);
        *ended = !branch_take(v, !back);
    }
    return true;
}

/* v->now stands at a conditional jump: takes it, or falls through. False: it cannot go that way. */
bool branch_take(struct verifier *v, bool jump)
{
    const struct ebpf_decoded *insn = &v->code[v->now->pc];

    v->now->pc = jump ? (uint32_t)insn->off : v->now->pc + 1;
    if (assume(v, insn, jump, (insn->op - OP_JEQ64_K) % 2 == 1))
        return true;
    precise_condition(v, insn);
    return false;
}
