/*
 * The stack: what each byte holds, registers spilled to it, and reads and writes whose offset is
 * known only as a range.
 */
#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/verifier_state.h"

static unsigned slot_at(int64_t off)
{
    return (unsigned)((-off - 1) / 8);
}

/* Byte of its slot; the lowest address is byte 0. */
static unsigned byte_at(int64_t off)
{
    return (unsigned)((uint64_t)off & 7);
}

static void use_slots(struct verifier *v, unsigned frame, int64_t off)
{
    struct state *s = v->now;
    struct frame *f = &s->frames[frame];
    uint32_t pc = frame == s->depth ? s->pc : s->frames[frame + 1].call_slot;
    uint16_t *stack = &v->info[v->info[pc].function].stack;

    for (unsigned need = slot_at(off) + 1; f->nr_slots < need; f->nr_slots++)
        f->slots[f->nr_slots] = (struct slot){.size = 0};
    if (f->nr_slots * 8 > *stack)
        *stack = (uint16_t)(f->nr_slots * 8);
}

/* Does the instruction under way name the stack by r10 itself? */
static bool is_direct(const struct verifier *v)
{
    const struct ebpf_decoded *i = &v->code[v->now->pc];

    if (i->op >= OP_LDX_B && i->op <= OP_ST_DW)
        return ((i->op - OP_LDX_B) % 3 ? i->dst : i->src) == ISA_FP;
    if (i->op >= OP_LDSX_B && i->op <= OP_LDSX_W)
        return i->src == ISA_FP;
    return i->op >= OP_ATOMIC_ADD64 && i->op <= OP_ATOMIC_CMPXCHG32 && i->dst == ISA_FP;
}

/* For the proof: bytes [low, high) of a frame may be touched by other ways than r10. */
static void note_shared(struct verifier *v, int64_t low, int64_t high)
{
    if (!is_direct(v))
        for (unsigned slot = slot_at(high - 1); slot <= slot_at(low); slot++)
            v->proof->shared_stack |= UINT64_C(1) << slot;
}

/* Bounds of an access at base + off: *low and *high are the lowest and highest place where it can
 * start. */
static bool bounds(struct verifier *v, const struct reg *base, int64_t off, uint64_t size,
                   int64_t *low, int64_t *high)
{
    int64_t at = base->off + off;

    if (base->n.smin < -OFFSET_MAX || base->n.smax > OFFSET_MAX)
        return verifier_reject(v, -EACCES, RULE_STACK_BOUNDS, reg_number(v, base),
                               "invalid unbounded variable-offset access to stack: offset %ld to "
                               "%ld",
                               (long)base->n.smin, (long)base->n.smax);
    *low = at + base->n.smin;
    *high = at + base->n.smax;
    if (*low < -(int64_t)ISA_STACK_SIZE || *high + (int64_t)size > 0 || size > ISA_STACK_SIZE)
        return verifier_reject(v, -EACCES, RULE_STACK_BOUNDS, reg_number(v, base),
                               "invalid access to stack: bytes %ld to %ld from the frame pointer, "
                               "must be between -%u and 0",
                               (long)*low, (long)(*high + (int64_t)size), ISA_STACK_SIZE);
    if (size) {
        use_slots(v, base->frame, *low);
        note_shared(v, *low, *high + (int64_t)size);
    }
    return true;
}

/* The spilled register is no longer whole: its bytes are numbers now. */
static void scrub(struct slot *slot)
{
    if (!slot->size)
        return;
    for (unsigned i = 0; i < 8; i++)
        if (slot->bytes[i] == BYTE_SPILL)
            slot->bytes[i] = BYTE_MISC;
    slot->size = 0;
}

/* Is the whole number in its low size bytes? */
static bool fits(const struct reg *reg, uint32_t size)
{
    return size == 8 || reg->n.umax >> (size * 8) == 0;
}

static void spill(struct verifier *v, struct slot *slot, unsigned start, uint32_t size,
                  const struct reg *from)
{
    scrub(slot);
    slot->start = (uint8_t)start;
    slot->size = (uint8_t)size;
    slot->spill = *from;
    if (from->type == REG_SCALAR && !fits(from, size)) {
        slot->spill.n = scalar_zero_extend(&from->n, size * 8);
        slot->spill.id = 0;
        slot->spill.off = 0;
    }
    for (uint32_t i = 0; i < size; i++)
        slot->bytes[start + i] = BYTE_SPILL;
    v->trace[v->nr_trace - 1] |= TRACE_STACK;
}

/* Remembers which slot the instruction under way spills to or fills from. */
static void note_slot(struct verifier *v, const struct reg *base, unsigned slot)
{
    v->trace[v->nr_trace - 1] |= (uint32_t)base->frame << 20 | slot << 23;
}

/* Bytes [low, high) of which some are written, with what is not known. */
static void maybe_write(struct frame *f, int64_t low, int64_t high)
{
    for (int64_t at = low; at < high; at++) {
        struct slot *slot = &f->slots[slot_at(at)];

        scrub(slot);
        if (slot->bytes[byte_at(at)] != BYTE_NONE)
            slot->bytes[byte_at(at)] = BYTE_MISC;
    }
}

static bool is_zero(const struct reg *reg)
{
    return reg_is_const(reg) && reg->n.umin == 0;
}

/* Is it worth keeping as the register it was? Pointers only whole. */
static bool spills(const struct reg *from, int64_t low, uint32_t size)
{
    if (size == 8)
        return byte_at(low) == 0;
    return byte_at(low) % size == 0 && from->type == REG_SCALAR && !is_zero(from);
}

/* Is [base + off, + size) in the frame? Its slots are then in use. */
bool stack_reach(struct verifier *v, const struct reg *base, int64_t off, uint32_t size)
{
    int64_t low = 0, high = 0;

    return bounds(v, base, off, size, &low, &high);
}

/* Bytes [low, high) are going to be written: dynptrs among them end. */
static bool end_dynptrs(struct verifier *v, struct frame *f, int64_t low, int64_t high)
{
    for (int64_t at = low; at < high; at = (at | 7) + 1)
        if (!dynptr_overwrite(v, f, slot_at(at)))
            return false;
    return true;
}

/* Stores the low size bytes of from, which is register regno, or with -1 an immediate. */
bool stack_write(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                 const struct reg *from, int regno)
{
    struct frame *f = &v->now->frames[base->frame];
    enum byte_kind kind = is_zero(from) ? BYTE_ZERO : BYTE_MISC;
    int64_t low = 0, high = 0;

    if (!bounds(v, base, off, size, &low, &high))
        return false;
    if (from->type == REG_STACK && base->frame < v->now->depth)
        return verifier_reject(v, -EINVAL, RULE_STACK_POINTER, regno,
                               "cannot spill pointers to stack into stack frame of the caller");
    if (!end_dynptrs(v, f, low, high + size))
        return false;
    if (low != high) {
        maybe_write(f, low, high + size);
        return true;
    }
    if (spills(from, low, size)) {
        note_slot(v, base, slot_at(low));
        spill(v, &f->slots[slot_at(low)], byte_at(low), size, from);
        return true;
    }
    /* Zeroes are compared as they are, so that the number that made them matters. */
    if (kind == BYTE_ZERO && regno >= 0)
        precise_reg(v, (unsigned)regno);
    for (uint32_t i = 0; i < size; i++) {
        struct slot *slot = &f->slots[slot_at(low + i)];

        scrub(slot);
        slot->bytes[byte_at(low + i)] = kind;
    }
    return true;
}

static bool has_dynptr(const struct frame *f, int64_t low, int64_t high)
{
    for (int64_t at = low; at < high; at = (at | 7) + 1)
        if (f->slots[slot_at(at)].bytes[0] == BYTE_DYNPTR)
            return true;
    return false;
}

/* [base + off, + size) gets bytes that are not known, as by a helper. */
bool stack_fill(struct verifier *v, const struct reg *base, int64_t off, uint32_t size)
{
    struct frame *f = &v->now->frames[base->frame];
    int64_t low = 0, high = 0;

    if (!bounds(v, base, off, size, &low, &high))
        return false;
    /* The helper may have been given the dynptr itself too. */
    if (has_dynptr(f, low, high + size))
        return verifier_reject(v, -EACCES, RULE_DYNPTR_BYTES, NO_REG,
                               "potential write to dynptr at off=%ld disallowed", (long)low);
    if (low != high) {
        maybe_write(f, low, high + size);
        return true;
    }
    for (uint32_t i = 0; i < size; i++) {
        struct slot *slot = &f->slots[slot_at(low + i)];

        scrub(slot);
        slot->bytes[byte_at(low + i)] = BYTE_MISC;
    }
    return true;
}

static void note_unwritten(struct verifier *v, const struct frame *f, int64_t low, int64_t high)
{
    for (int64_t at = low; at < high; at++)
        if (f->slots[slot_at(at)].bytes[byte_at(at)] == BYTE_NONE)
            v->proof->reads_unwritten_stack = true;
}

static bool all_are(const struct frame *f, int64_t low, uint32_t size, enum byte_kind kind)
{
    for (uint32_t i = 0; i < size; i++)
        if (f->slots[slot_at(low + i)].bytes[byte_at(low + i)] != kind)
            return false;
    return true;
}

/* Are these bytes those of a spilled number, or a whole spilled pointer? */
static bool in_spill(const struct slot *slot, int64_t low, uint32_t size)
{
    unsigned at = byte_at(low);

    if (!slot->size || at < slot->start || at + size > (unsigned)slot->start + slot->size)
        return false;
    return slot->spill.type == REG_SCALAR || size == 8;
}

/* Loads size bytes, zero-extended; to NULL: they are only read (by a helper). */
bool stack_read(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                struct reg *to)
{
    struct frame *f = &v->now->frames[base->frame];
    const struct slot *slot;
    int64_t low = 0, high = 0;

    if (!bounds(v, base, off, size, &low, &high))
        return false;
    if (has_dynptr(f, low, high + size))
        return verifier_reject(v, -EACCES, RULE_DYNPTR_BYTES, NO_REG,
                               "invalid read from stack off %ld size %u: a dynptr is there, which "
                               "only helpers look into",
                               (long)low, size);
    note_unwritten(v, f, low, high + size);
    if (!to)
        return true;
    reg_set_scalar(to,
                   size == 8 ? scalar_unknown() : scalar_range(0, (UINT64_C(1) << size * 8) - 1));
    if (low != high)
        return true;
    slot = &f->slots[slot_at(low)];
    if (all_are(f, low, size, BYTE_ZERO)) {
        reg_set_scalar(to, scalar_const(0));
        return true;
    }
    if (!in_spill(slot, low, size))
        return true;
    note_slot(v, base, slot_at(low));
    v->trace[v->nr_trace - 1] |= TRACE_STACK;
    if (slot->size == size) {
        *to = slot->spill;
        to->precise = false;
    } else {
        struct scalar shift = scalar_const(8 * (byte_at(low) - slot->start)),
                      part = scalar_alu(OP_RSH64_K, &slot->spill.n, &shift);

        to->n = scalar_zero_extend(&part, size * 8);
    }
    return true;
}

/* The bytes of a constant that stands at base + off, which then matters. False: they are not
 * known; nothing is rejected. */
bool stack_constant(struct verifier *v, const struct reg *base, int64_t off, uint32_t size,
                    uint64_t *value)
{
    struct frame *f = &v->now->frames[base->frame];
    int64_t low = base->off + off + base->n.smin;
    const struct slot *slot;

    if (!scalar_is_const(&base->n) || low < -(int64_t)ISA_STACK_SIZE || low + size > 0 ||
        slot_at(low) >= f->nr_slots || byte_at(low) + size > 8)
        return false;
    slot = &f->slots[slot_at(low)];
    if (all_are(f, low, size, BYTE_ZERO)) {
        *value = 0;
        return true;
    }
    if (!in_spill(slot, low, size) || !reg_is_const(&slot->spill))
        return false;
    *value = slot->spill.n.umin >> 8 * (byte_at(low) - slot->start);
    if (size < 8)
        *value &= (UINT64_C(1) << size * 8) - 1;
    return precise_slot(v, base->frame, slot_at(low));
}
