/*
 * Jumps, and where everything ends up: the lengths of jumps and calls depend on distances, which
 * depend on lengths. All start long; those whose distance fits in a byte shrink, which brings
 * others nearer, a few times over. Then the code is put together in executable memory and sealed.
 */
#include <linux/errno.h>

#include "ebpf/jit_x86.h"

#include "ebpf/base.h"
#include "ebpf/jit.h"
#include "ebpf/port.h"

#define SHORT_SIZE    2u
#define JUMP_SIZE     5u
#define JCC_SIZE      6u
#define CALL_SIZE     5u
#define FAR_CALL_SIZE 13u /* mov r11, imm64; call r11 */
#define LEA_SIZE      7u
#define SHRINK_ROUNDS 4u

/* ---- instructions ---------------------------------------------------------------------------- */

/* Compares with 0: the flags may be there already, from what made the value. */
static void emit_compare_zero(struct jit *j, const struct ebpf_decoded *i, bool wide, uint8_t cc)
{
    unsigned dst = home(i->dst);

    if ((cc == CC_E || cc == CC_NE) && j->flags_of == i->dst && j->flags_wide == wide)
        return;
    op_rr(j, wide, 0x85, dst, dst);
}

static void emit_test_imm(struct jit *j, unsigned dst, int32_t imm, bool wide)
{
    if (imm >= 0 && imm <= 0xff) {
        put_rex(j, false, 0, 0, dst, dst >= RSP && dst <= RDI);
        if (dst == RAX)
            put1(j, 0xa8);
        else
            op_rr_bare(j, 0xf6, 0, dst);
        put1(j, (uint8_t)imm);
        return;
    }
    if (imm >= 0)
        wide = false;
    put_rex(j, wide, 0, 0, dst, false);
    if (dst == RAX)
        put1(j, 0xa9);
    else
        op_rr_bare(j, 0xf7, 0, dst);
    put4(j, (uint32_t)imm);
}

/* Sets the flags for a conditional jump; under which condition it jumps. */
static uint8_t emit_compare(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    bool wide = op.flags & OP_WIDE, imm = op.flags & OP_IMM;
    unsigned dst = home(i->dst);

    if (op.code == CC_TEST && imm)
        emit_test_imm(j, dst, (int32_t)i->imm, wide);
    else if (op.code == CC_TEST)
        op_rr(j, wide, 0x85, home(i->src), dst);
    else if (imm && (int32_t)i->imm == 0)
        emit_compare_zero(j, i, wide, op.code);
    else if (imm)
        alu_ri(j, wide, X86_CMP, dst, (int32_t)i->imm);
    else
        alu_rr(j, wide, X86_CMP, dst, home(i->src));
    return op.code == CC_TEST ? CC_NE : op.code;
}

static bool is_nothing(uint16_t op)
{
    return op == LOW_NOP || op == OP_LD_IMM64_HIGH;
}

/* The one move that a conditional jump jumps over, or 0: compilers for BPF, which has no
 * conditional move, write `if c goto over; a = b; over:` for a = c ? a : b. */
static uint32_t move_over(const struct jit *j, uint32_t target)
{
    const struct ebpf_lowered *low = j->low;
    uint32_t slot = j->pc + 1;

    while (slot < target && is_nothing(low->code[slot].op) && !(low->flags[slot] & LOW_TARGET))
        slot++;
    if (slot >= target || (low->flags[slot] & (LOW_TARGET | LOW_FUNCTION)) ||
        jit_ops[low->code[slot].op].kind != KIND_MOV)
        return 0;
    for (uint32_t rest = slot + 1; rest < target; rest++)
        if (!is_nothing(low->code[rest].op))
            return 0;
    return slot;
}

/* Where what is moved stands as 64 bits; r11 where it does not yet. Keeps flags. */
static unsigned emit_moved(struct jit *j, const struct ebpf_decoded *move)
{
    uint8_t flags = jit_ops[move->op].flags;

    if (flags & OP_IMM)
        jit_mov_imm_keeping_flags(j, R11, flags & OP_WIDE ? move->imm : (uint32_t)move->imm);
    else if (flags & OP_WIDE)
        return home(move->src);
    else
        mov_rr(j, false, R11, home(move->src));
    return R11;
}

void jit_emit_jcc(struct jit *j, const struct ebpf_decoded *i, struct jit_op op)
{
    uint32_t move = move_over(j, (uint32_t)i->off);

    if (move) {
        unsigned moved = emit_moved(j, &j->low->code[move]);
        uint8_t cc = emit_compare(j, i, op);

        op0f_rr(j, true, 0x40 + (cc ^ 1), home(j->low->code[move].dst), moved, false); /* cmov */
        j->skip = move;
        return;
    }
    op.code = emit_compare(j, i, op);
    jit_add_fixup(j, FIX_JCC, (uint32_t)i->off)->cc = op.code;
}

/* Table of 32-bit distances from its own start. */
void jit_emit_switch(struct jit *j, const struct ebpf_decoded *i)
{
    const struct low_switch *s = &j->low->switches[i->imm];
    unsigned value = home(i->dst);

    if (!s->complete) {
        if (!s->wide) {
            mov_rr(j, false, R10, value);
            value = R10;
        }
        alu_ri(j, true, X86_CMP, value, (int32_t)s->nr - 1);
        jit_add_fixup(j, FIX_JCC, s->otherwise)->cc = CC_A;
    }
    jit_add_fixup(j, FIX_TABLE, (uint32_t)i->imm)->reg = R11;
    op_rm(j, true, 0x63, R10, (struct x86_mem){R11, (uint8_t)value, 2, 0}); /* movsxd */
    alu_rr(j, true, X86_ADD, R10, R11);
    put1(j, 0x41);
    put2(j, 0xff, 0xe2); /* jmp r10 */
}

/* ---- layout ---------------------------------------------------------------------------------- */

struct layout {
    const struct jit *j;
    uint32_t *before; /* bytes of the fixups before each; nr_fixups + 1 */
    uint32_t *tables; /* offset of each switch's table */
    uint32_t code_size, size;
    bool far_helpers;
};

static uint32_t start_of(const struct layout *l, uint32_t slot)
{
    return l->j->offsets[slot] + l->before[l->j->first_fixup[slot]];
}

static uint32_t entry_of(const struct layout *l, uint32_t function)
{
    const struct jit_entry *entry = &l->j->entries[function];

    return entry->offset + l->before[entry->first_fixup];
}

static uint32_t end_of(const struct layout *l, uint32_t fixup)
{
    return l->j->fixups[fixup].at + l->before[fixup + 1];
}

static void sum(struct layout *l)
{
    l->before[0] = 0;
    for (uint32_t n = 0; n < l->j->nr_fixups; n++)
        l->before[n + 1] = l->before[n] + l->j->fixups[n].size;
}

static uint8_t long_size(const struct layout *l, const struct fixup *f)
{
    switch ((enum fixup_kind)f->kind) {
    case FIX_JUMP:
        return JUMP_SIZE;
    case FIX_JCC:
        return JCC_SIZE;
    case FIX_CALL:
        return CALL_SIZE;
    case FIX_HELPER:
        return l->far_helpers ? FAR_CALL_SIZE : CALL_SIZE;
    case FIX_TABLE:
    case FIX_FUNCTION:
        return LEA_SIZE;
    }
    return 0;
}

/* Distances only ever shrink, so one that fits by the sums of the round before still does. */
static bool shrink(struct layout *l)
{
    bool changed = false;

    for (uint32_t n = 0; n < l->j->nr_fixups; n++) {
        struct fixup *f = &l->j->fixups[n];
        int64_t distance;

        if (f->kind > FIX_JCC || f->size <= SHORT_SIZE)
            continue;
        distance = (int64_t)start_of(l, f->target) - end_of(l, n);
        if (distance == 0)
            f->size = 0;
        else if (fits8(distance) || (distance < 0 && fits8(distance + f->size - SHORT_SIZE)))
            f->size = SHORT_SIZE; /* a jump back that shrinks ends nearer to its target */
        else
            continue;
        changed = true;
    }
    if (changed)
        sum(l);
    return changed;
}

static void place_tables(struct layout *l)
{
    const struct ebpf_lowered *low = l->j->low;
    uint32_t at;

    l->code_size = start_of(l, low->nr);
    at = low->nr_switches ? (uint32_t)round_up_to(l->code_size, sizeof(int32_t)) : l->code_size;
    for (uint32_t n = 0; n < low->nr_switches; n++) {
        l->tables[n] = at;
        at += low->switches[n].nr * (uint32_t)sizeof(int32_t);
    }
    l->size = at;
}

static void lay_out(struct layout *l)
{
    for (uint32_t n = 0; n < l->j->nr_fixups; n++)
        l->j->fixups[n].size = long_size(l, &l->j->fixups[n]);
    sum(l);
    for (unsigned round = 0; round < SHRINK_ROUNDS && shrink(l); round++)
        ;
    place_tables(l);
}

static bool helpers_in_reach(const struct layout *l, const uint8_t *code)
{
    for (uint32_t n = 0; n < l->j->nr_fixups; n++) {
        const struct fixup *f = &l->j->fixups[n];
        int64_t first = (int64_t)(f->address - (uintptr_t)code);

        if (f->kind == FIX_HELPER && (!fits32(first) || !fits32(first - (int64_t)l->size)))
            return false;
    }
    return true;
}

/* Writes one fixup's bytes, which end at code + end. */
static void put_fixup(const struct layout *l, uint8_t *code, const struct fixup *f, uint32_t end)
{
    struct jit out = {.at = code + end - f->size};
    int32_t distance;

    if (f->size == 0)
        return;
    if (f->kind == FIX_HELPER && l->far_helpers) {
        put2(&out, 0x49, 0xbb);
        put8(&out, f->address);
        put1(&out, 0x41);
        put2(&out, 0xff, 0xd3);
        return;
    }
    if (f->kind == FIX_HELPER)
        distance = (int32_t)(f->address - (uintptr_t)(code + end));
    else if (f->kind == FIX_TABLE)
        distance = (int32_t)(l->tables[f->target] - end);
    else if (f->kind == FIX_CALL || f->kind == FIX_FUNCTION)
        distance = (int32_t)(entry_of(l, f->target) - end);
    else
        distance = (int32_t)(start_of(l, f->target) - end);
    if (f->kind == FIX_TABLE || f->kind == FIX_FUNCTION) {
        put_rex(&out, true, f->reg, 0, 0, false);
        put1(&out, 0x8d);
        put_modrm(&out, 0, f->reg, RBP); /* rip */
    } else if (f->kind == FIX_CALL || f->kind == FIX_HELPER) {
        put1(&out, 0xe8);
    } else if (f->size == SHORT_SIZE) {
        put2(&out, f->kind == FIX_JUMP ? SHORT_JMP : SHORT_JCC(f->cc), (uint8_t)distance);
        return;
    } else if (f->kind == FIX_JUMP) {
        put1(&out, 0xe9);
    } else {
        put2(&out, 0x0f, (uint8_t)(0x80 + f->cc));
    }
    put4(&out, (uint32_t)distance);
}

static void assemble(const struct layout *l, uint8_t *code)
{
    const struct jit *j = l->j;
    uint32_t from = 0;

    for (uint32_t n = 0; n < j->nr_fixups; n++) {
        const struct fixup *f = &j->fixups[n];

        __builtin_memcpy(code + from + l->before[n], j->buffer + from, f->at - from);
        put_fixup(l, code, f, end_of(l, n));
        from = f->at;
    }
    __builtin_memcpy(code + from + l->before[j->nr_fixups], j->buffer + from,
                     (size_t)(j->at - j->buffer) - from);
    __builtin_memset(code + l->code_size, 0xcc, l->size - l->code_size); /* int3 */
    for (uint32_t t = 0; t < j->low->nr_switches; t++) {
        const struct low_switch *s = &j->low->switches[t];

        for (uint32_t n = 0; n < s->nr; n++) {
            int32_t distance = (int32_t)(start_of(l, s->slots[n]) - l->tables[t]);

            __builtin_memcpy(code + l->tables[t] + n * sizeof(distance), &distance,
                             sizeof(distance));
        }
    }
}

static int make_code(struct layout *l, struct ebpf_jit *out)
{
    out->code = port_exec_alloc(l->size);
    out->size = l->size;
    if (!out->code)
        return -ENOMEM;
    if (helpers_in_reach(l, out->code))
        return 0;
    port_exec_free(out->code, out->size);
    l->far_helpers = true;
    lay_out(l);
    out->code = port_exec_alloc(l->size);
    out->size = l->size;
    return out->code ? 0 : -ENOMEM;
}

/* From the buffer and its fixups to sealed code; out's offsets are filled in too. 0, -ENOMEM, or
 * what sealing says; out is then to be freed all the same. */
int jit_layout(struct jit *j, struct ebpf_jit *out)
{
    struct layout l = {.j = j};
    int err = -ENOMEM;

    l.before = port_alloc((j->nr_fixups + 1) * sizeof(l.before[0]));
    l.tables = port_alloc((j->low->nr_switches + 1) * sizeof(l.tables[0]));
    if (l.before && l.tables) {
        lay_out(&l);
        err = make_code(&l, out);
    }
    if (!err) {
        assemble(&l, out->code);
        for (uint32_t slot = 0; slot <= j->low->nr; slot++)
            out->offsets[slot] = start_of(&l, slot);
        for (uint32_t n = 0; n < j->low->nr_functions; n++)
            out->offsets[j->low->functions[n].first] = entry_of(&l, n);
        err = port_exec_seal(out->code, out->size);
    }
    port_free(l.before);
    port_free(l.tables);
    return err;
}
