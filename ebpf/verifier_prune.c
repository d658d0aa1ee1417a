/*
 * Comparing states: a path ends where an older one, walked to its end, has been with a state that
 * includes this one. Numbers that did not matter there need not be alike. Linux: states_equal.
 */
#include "ebpf/base.h"
#include "ebpf/verifier_state.h"

#define IDS_MAX 64u

/* Which id of the older state is which of the newer one. */
struct ids {
    uint32_t old[IDS_MAX], now[IDS_MAX];
    unsigned nr;
};

static bool same_id(struct ids *ids, uint32_t old, uint32_t now)
{
    if ((old | now) & ID_LOOP || old == ID_LENGTH || now == ID_LENGTH || old == 0 || now == 0)
        return old == now;
    for (unsigned i = 0; i < ids->nr; i++)
        if (ids->old[i] == old || ids->now[i] == now)
            return ids->old[i] == old && ids->now[i] == now;
    if (ids->nr == IDS_MAX)
        return false;
    ids->old[ids->nr] = old;
    ids->now[ids->nr++] = now;
    return true;
}

static bool scalar_same(struct ids *ids, const struct reg *old, const struct reg *now,
                        enum likeness like)
{
    if (like == LIKE_USED && !old->precise)
        return true;
    if (like == LIKE_EQUAL)
        return __builtin_memcmp(&old->n, &now->n, sizeof(old->n)) == 0;
    if (!scalar_includes(&old->n, &now->n))
        return false;
    /* A link of the older one was used, perhaps; one of the newer is more than was needed. */
    return old->id == 0 || (old->off == now->off && same_id(ids, old->id, now->id));
}

static bool reg_same(struct ids *ids, const struct reg *old, const struct reg *now,
                     enum likeness like)
{
    if (old->type == REG_NONE)
        return true;
    if (old->type != now->type)
        return false;
    switch ((enum reg_type)old->type) {
    case REG_SCALAR:
        return scalar_same(ids, old, now, like);
    case REG_MAP:
    case REG_MAP_VALUE:
    case REG_MAP_VALUE_OR_NULL:
        if (old->map != now->map)
            return false;
        break;
    case REG_MAP_KEY:
        if (old->map != now->map || old->frame != now->frame)
            return false;
        break;
    case REG_PACKET:
    case REG_PACKET_META:
        if (old->range > now->range)
            return false;
        break;
    case REG_RECORD:
    case REG_RECORD_OR_NULL:
    case REG_MEM:
    case REG_MEM_OR_NULL:
        if (old->size != now->size)
            return false;
        break;
    case REG_STACK:
        if (old->frame != now->frame)
            return false;
        break;
    case REG_FUNC:
        if (old->target != now->target)
            return false;
        break;
    case REG_DYNPTR:
        if (old->kind != now->kind)
            return false;
        break;
    default:
        break;
    }
    return old->off == now->off && scalar_includes(&old->n, &now->n) &&
           same_id(ids, old->id, now->id) && same_id(ids, old->ref, now->ref) &&
           same_id(ids, old->map_uid, now->map_uid);
}

static bool byte_same(const struct slot *old, const struct slot *now, unsigned i)
{
    bool number = now->bytes[i] != BYTE_SPILL || now->spill.type == REG_SCALAR;

    switch (old->bytes[i]) {
    case BYTE_NONE:
        return true;
    case BYTE_MISC:
        return now->bytes[i] != BYTE_NONE && now->bytes[i] != BYTE_DYNPTR && number;
    case BYTE_ZERO:
        return now->bytes[i] == BYTE_ZERO;
    default:
        return false;
    }
}

/* Was what is spilled there any number? */
static bool spill_is_any(const struct slot *old, enum likeness like)
{
    return old->spill.type == REG_SCALAR && old->size == 8 &&
           ((like == LIKE_USED && !old->spill.precise) ||
            (scalar_is_unknown(&old->spill.n) && old->spill.id == 0));
}

static bool slot_same(struct ids *ids, const struct slot *old, const struct slot *now,
                      enum likeness like)
{
    struct slot any;

    if (old->size && now->size && old->size == now->size && old->start == now->start &&
        old->spill.type == now->spill.type) {
        if (!reg_same(ids, &old->spill, &now->spill, like))
            return false;
    } else if (old->size && spill_is_any(old, like)) {
        __builtin_memset(any.bytes, BYTE_MISC, sizeof(any.bytes));
        old = &any;
    } else if (old->size) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++)
        if (old->bytes[i] < BYTE_SPILL && !byte_same(old, now, i))
            return false;
    return true;
}

static bool frame_same(struct ids *ids, struct kept *old, unsigned f, const struct frame *now,
                       enum likeness like)
{
    const struct kept_frame *frame = &old->frames[f];

    static const struct slot none;
    const struct reg *reg;
    const struct slot *slot;
    uint64_t slots = frame->slots;

    for (uint32_t regs = frame->regs; regs; regs &= regs - 1) {
        unsigned r = (unsigned)__builtin_ctz(regs);

        reg = kept_reg(old, f, r);
        if (!reg_same(ids, reg, &now->regs[r], like))
            return false;
    }
    for (; slots; slots &= slots - 1) {
        unsigned s = (unsigned)__builtin_ctzll(slots);

        slot = kept_slot(old, f, s);
        if (!slot_same(ids, slot, s < now->nr_slots ? &now->slots[s] : &none, like))
            return false;
    }
    return true;
}

/* Do both stand in the same functions, called from the same places? */
bool kept_calls_same(const struct kept *old, const struct state *now)
{
    if (old->depth != now->depth)
        return false;
    for (unsigned i = 0; i <= now->depth; i++)
        if (old->frames[i].call_slot != now->frames[i].call_slot)
            return false;
    return true;
}

/* Had the older one at least as many trips of helpers that call back before it? */
static bool has_trips_left(const struct kept *old, const struct state *now)
{
    for (unsigned i = 0; i <= now->depth; i++)
        if (old->frames[i].trips > now->frames[i].trips)
            return false;
    return true;
}

/* Is all that now can be among what old can be? */
bool kept_includes(struct verifier *v, struct kept *old, const struct state *now,
                   enum likeness like)
{
    struct ids ids;

    ids.nr = 0;
    if ((v->flags & EBPF_VERIFY_EXACT) && like == LIKE_USED)
        like = LIKE_ALL;
    if (!kept_calls_same(old, now) || !has_trips_left(old, now) || old->nr_refs != now->nr_refs ||
        old->lock.map != now->lock.map)
        return false;
    for (unsigned f = now->depth + 1; f-- > 0;)
        if (!frame_same(&ids, old, f, &now->frames[f], like))
            return false;
    if (old->lock.map && !same_id(&ids, old->lock.id, now->lock.id))
        return false;
    for (uint32_t i = 0; i < now->nr_refs; i++)
        if (kept_refs(old)[i].level != now->refs[i].level ||
            !same_id(&ids, kept_refs(old)[i].id, now->refs[i].id))
            return false;
    return true;
}

/* The path ends here because of old: what mattered to old matters to this path as well. */
void keep_marks(struct verifier *v, struct kept *old)
{
    struct cells cells = {{0}, {0}};
    bool found = false;

    for (unsigned f = 0; f <= old->depth; f++) {
        for (uint32_t regs = old->frames[f].regs; regs; regs &= regs - 1) {
            unsigned r = (unsigned)__builtin_ctz(regs);
            const struct reg *reg = kept_reg(old, f, r);

            if (reg->type == REG_SCALAR && reg->precise)
                cells.regs[f] |= (uint16_t)(1u << r), found = true;
        }
        for (uint64_t slots = old->frames[f].slots; slots; slots &= slots - 1) {
            unsigned s = (unsigned)__builtin_ctzll(slots);
            const struct slot *slot = kept_slot(old, f, s);

            if (slot->size && slot->spill.type == REG_SCALAR && slot->spill.precise)
                cells.slots[f] |= UINT64_C(1) << s, found = true;
        }
    }
    if (found)
        precise_cells(v, cells);
}
