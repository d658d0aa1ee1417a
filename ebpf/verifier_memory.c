/*
 * Loads, stores and atomic operations: what kind of memory a register points at, and whether the
 * access stays inside it. Linux: check_mem_access and what it calls.
 */
#include <stddef.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

#define RAW_ARGUMENTS_SIZE (12 * sizeof(uint64_t))

/* One access: base + off, size bytes. */
struct access {
    const struct reg *base;
    unsigned regno;
    int64_t off;
    uint64_t size;
    bool write;
};

/* ---- what the proof says of a slot --------------------------------------------------------------
 */

static enum proof_memory memory_of(const struct reg *base)
{
    switch ((enum reg_type)base->type) {
    case REG_STACK:
        return PROOF_MEM_STACK;
    case REG_CTX:
        return PROOF_MEM_CTX;
    case REG_MAP_VALUE:
        return PROOF_MEM_MAP_VALUE;
    case REG_MAP_KEY:
        return PROOF_MEM_MIXED;
    case REG_RECORD:
    case REG_MEM:
        return PROOF_MEM_RECORD;
    default:
        return PROOF_MEM_PACKET;
    }
}

/* The context is read in another way than all else, so no instruction may do both. */
static bool note_access(struct verifier *v, const struct reg *base)
{
    enum proof_memory memory = memory_of(base);
    uint8_t *known = &v->proof->slots[v->now->pc].memory;

    if (*known != PROOF_MEM_NONE && (*known == PROOF_MEM_CTX) != (memory == PROOF_MEM_CTX))
        return verifier_reject(v, -EINVAL, RULE_MIXED_POINTERS, NO_REG,
                               "same insn cannot be used with different pointers: the context on "
                               "one path, other memory on another");
    *known = *known == PROOF_MEM_NONE || *known == memory ? memory : PROOF_MEM_MIXED;
    return true;
}

/* ---- bounds -------------------------------------------------------------------------------------
 */

static bool check_low(struct verifier *v, const struct access *a, const char *what)
{
    const struct scalar *n = &a->base->n;

    if (n->smin < 0 && (n->smin == INT64_MIN || a->base->off + a->off + n->smin < 0))
        return verifier_reject(v, -EACCES, RULE_NEGATIVE, (int)a->regno,
                               "R%u min value is negative: the access to %s may begin %ld bytes "
                               "before it",
                               a->regno, what, (long)-(a->base->off + a->off + n->smin));
    return true;
}

static const char *size_name(const struct reg *base)
{
    switch ((enum reg_type)base->type) {
    case REG_MAP_VALUE:
        return "value_size";
    case REG_MAP_KEY:
        return "key_size";
    default:
        return "mem_size";
    }
}

/* Inside of [0, limit), where everything is known when the program is loaded. */
static bool check_inside(struct verifier *v, const struct access *a, uint64_t limit,
                         const char *what)
{
    const struct scalar *n = &a->base->n;
    int64_t at = a->base->off + a->off;

    if (!check_low(v, a, what))
        return false;
    if (at + n->smin < 0 || (scalar_is_const(n) && (uint64_t)(at + n->smin) + a->size > limit))
        return verifier_reject(v, -EACCES, RULE_VALUE_BOUNDS, (int)a->regno,
                               "invalid access to %s, %s=%lu off=%ld size=%lu: R%u reaches out "
                               "of it",
                               what, size_name(a->base), (unsigned long)limit, (long)(at + n->smin),
                               (unsigned long)a->size, a->regno);
    if (n->umax >= OFFSET_MAX)
        return verifier_reject(v, -EACCES, RULE_VALUE_BOUNDS, (int)a->regno,
                               "R%u unbounded memory access to %s, make sure to bounds check any "
                               "such access",
                               a->regno, what);
    if ((uint64_t)at + n->umax + a->size > limit)
        return verifier_reject(v, -EACCES, RULE_VALUE_BOUNDS, (int)a->regno,
                               "invalid access to %s, %s=%lu off=%ld size=%lu: R%u max value is "
                               "outside of the allowed memory range",
                               what, size_name(a->base), (unsigned long)limit,
                               (long)(at + (int64_t)n->umax), (unsigned long)a->size, a->regno);
    return true;
}

static bool check_packet(struct verifier *v, const struct access *a)
{
    int64_t at = a->base->off + a->off;

    if (!check_low(v, a, "the packet"))
        return false;
    if (at < 0 || (a->size && at + (int64_t)a->size > a->base->range))
        return verifier_reject(v, -EACCES, RULE_PACKET_BOUNDS, (int)a->regno,
                               "invalid access to packet, off=%ld size=%lu, R%u(id=%u,off=%ld,"
                               "r=%ld): R%u offset is outside of the packet",
                               (long)at, (unsigned long)a->size, a->regno, a->base->id,
                               (long)a->base->off, (long)a->base->range, a->regno);
    return true;
}

static const char *alignment_name(enum reg_type type)
{
    switch (type) {
    case REG_STACK:
        return "stack ";
    case REG_MAP_VALUE:
        return "value ";
    case REG_CTX:
        return "context ";
    case REG_PACKET:
    case REG_PACKET_META:
        return "packet ";
    default:
        return "";
    }
}

/* Linux: check_ptr_alignment. */
static bool check_alignment(struct verifier *v, const struct access *a, bool strict)
{
    struct tnum at = tnum_add(a->base->n.bits, tnum_const((uint64_t)(a->base->off + a->off)));

    /* What is spilled to the stack is found by whole slots. */
    strict |= a->base->type == REG_STACK;
    if (!strict && !(v->flags & EBPF_VERIFY_STRICT_ALIGNMENT))
        return true;
    /* A packet starts two bytes after a multiple of four (Linux: NET_IP_ALIGN). */
    if ((a->base->type == REG_PACKET || a->base->type == REG_PACKET_META) &&
        v->load->type != EBPF_PROG_TYPE_MEM)
        at = tnum_add(at, tnum_const(2));
    if ((at.value | at.mask) & (a->size - 1))
        return verifier_reject(v, -EACCES, RULE_ALIGNMENT, (int)a->regno,
                               "misaligned %saccess off %ld size %lu through R%u: %s",
                               alignment_name((enum reg_type)a->base->type),
                               (long)(a->base->off + a->off), (unsigned long)a->size, a->regno,
                               a->base->type == REG_STACK ? "the stack is always accessed aligned"
                               : strict                   ? "it is aligned to its size here"
                                                          : "strict alignment was asked for");
    return true;
}

/* Is what a helper accesses through register regno at a multiple of size? */
bool memory_aligned(struct verifier *v, unsigned regno, uint64_t size)
{
    const struct access a = {reg_now(v, regno), regno, 0, size, false};

    return check_alignment(v, &a, true);
}

static bool check_map_value(struct verifier *v, const struct access *a)
{
    const struct ebpf_map *map = a->base->map;

    if (map->flags & (a->write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG))
        return verifier_reject(v, -EACCES, RULE_MAP_FORBIDDEN, (int)a->regno,
                               "%s map forbidden: %s was made with %s",
                               a->write ? "write into" : "read from", map->name,
                               a->write ? "BPF_F_RDONLY_PROG" : "BPF_F_WRONLY_PROG");
    return check_inside(v, a, map->value_size, "map value") &&
           lock_check_access(v, a->base, a->off, a->size);
}

static bool bad_base(struct verifier *v, const struct access *a)
{
    const struct reg *base = a->base;

    if (base->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN, (int)a->regno,
                               "R%u !read_ok: it was never written on this path", a->regno);
    return verifier_reject(
        v, -EACCES, is_or_null((enum reg_type)base->type) ? RULE_MAYBE_NULL : RULE_NOT_POINTER,
        (int)a->regno, "R%u invalid mem access '%s'", a->regno,
        reg_type_name((enum reg_type)base->type));
}

/* Everything but stack and context. */
static bool check_access(struct verifier *v, const struct access *a)
{
    switch ((enum reg_type)a->base->type) {
    case REG_MAP_VALUE:
        return check_map_value(v, a);
    case REG_MAP_KEY:
        if (a->write)
            return verifier_reject(v, -EACCES, RULE_KEY, (int)a->regno,
                                   "write to change key R%u not allowed", a->regno);
        return check_inside(v, a, a->base->map->key_size, "map key");
    case REG_RECORD:
    case REG_MEM:
        return check_inside(v, a, a->base->size, "memory");
    case REG_PACKET:
    case REG_PACKET_META:
        return check_packet(v, a);
    default:
        return bad_base(v, a);
    }
}

/* Memory of size bytes that a helper reads or writes, through register regno. */
bool memory_region(struct verifier *v, unsigned regno, uint64_t size, bool write, const char *what)
{
    const struct access a = {reg_now(v, regno), regno, 0, size, write};

    (void)what;
    if (a.base->type != REG_STACK)
        return check_access(v, &a);
    return write ? stack_fill(v, a.base, 0, (uint32_t)size)
                 : stack_read(v, a.base, 0, (uint32_t)size, NULL);
}

/* ---- the context --------------------------------------------------------------------------------
 */

static uint32_t context_limit(const struct verifier *v)
{
    return v->load->type == BPF_PROG_TYPE_RAW_TRACEPOINT ? RAW_ARGUMENTS_SIZE : RECORD_SIZE_MAX;
}

/* What a pointer field of struct ebpf_xdp or struct ebpf_skb holds. */
static void load_context_pointer(struct verifier *v, const struct ebpf_ctx_slot *slot,
                                 struct reg *to)
{
    uintptr_t field = (uintptr_t)slot->addr - (uintptr_t)v->scratch;
    bool xdp = v->load->type == BPF_PROG_TYPE_XDP;

    *to = (struct reg){.type = REG_PACKET, .n = scalar_const(0)};
    if (field == (xdp ? offsetof(struct ebpf_xdp, data_end) : offsetof(struct ebpf_skb, data_end)))
        to->type = REG_PACKET_END;
    else if (field ==
             (xdp ? offsetof(struct ebpf_xdp, data_meta) : offsetof(struct ebpf_skb, data_meta)))
        to->type = REG_PACKET_META;
}

static bool check_context(struct verifier *v, const struct access *a, bool sign,
                          struct ebpf_ctx_slot *slot)
{
    int64_t off = a->off;
    uint32_t limit = ebpf_context_size(v->context, context_limit(v));
    const char *rule = "offset outside of the context";

    if (!scalar_is_const(&a->base->n) || a->base->off || a->base->n.umin)
        return verifier_reject(v, -EACCES, RULE_CTX_OFFSET, (int)a->regno,
                               "dereference of modified ctx ptr R%u off=%ld disallowed: the "
                               "context is accessed at constant offsets from r1 itself",
                               a->regno, (long)(a->base->off + (int64_t)a->base->n.umin));
    if (v->load->type == EBPF_PROG_TYPE_MEM)
        return bad_base(v, a);
    if (off >= 0 && off < limit)
        rule = ebpf_context_access(v->context, v->scratch, limit, (uint64_t)off, (uint32_t)a->size,
                                   a->write, slot);
    if (!rule && sign && slot->pointer)
        rule = "a packet pointer is not sign-extended";
    if (rule)
        return verifier_reject(v, -EACCES, RULE_CTX_FIELD, NO_REG,
                               "invalid bpf_context access off=%ld size=%lu: %s", (long)off,
                               (unsigned long)a->size, rule);
    if ((uint64_t)off + a->size > v->proof->ctx_end)
        v->proof->ctx_end = (uint32_t)((uint64_t)off + a->size);
    return true;
}

/* ---- loads --------------------------------------------------------------------------------------
 */

/* The value of a map that neither programs nor clients can change is a constant (Linux:
 * bpf_map_is_rdonly, bpf_map_direct_read). */
static void load_frozen(const struct access *a, struct reg *to)
{
    struct ebpf_map *map = a->base->map;
    int64_t at = a->base->off + a->off + a->base->n.smin;
    uint64_t saved, value = 0;
    void *addr = NULL;
    int err;

    if (!map->frozen || !(map->flags & BPF_F_RDONLY_PROG) || !map->ops->direct_value ||
        !scalar_is_const(&a->base->n))
        return;
    saved = port_lock();
    err = map->ops->direct_value(map, (uint32_t)at, &addr);
    if (!err)
        __builtin_memcpy(&value, addr, a->size);
    port_unlock(saved);
    if (!err)
        reg_set_scalar(to, scalar_const(value));
}

static bool load(struct verifier *v, const struct access *a, bool sign, struct reg *to)
{
    struct ebpf_ctx_slot slot = {0};
    uint64_t largest = a->size == 8 ? UINT64_MAX : (UINT64_C(1) << a->size * 8) - 1;

    if (a->base->type == REG_STACK)
        return stack_read(v, a->base, a->off, (uint32_t)a->size, to);
    if (a->base->type == REG_CTX ? !check_context(v, a, sign, &slot) : !check_access(v, a))
        return false;
    reg_set_scalar(to, scalar_range(0, largest));
    if (a->base->type == REG_CTX && slot.pointer)
        load_context_pointer(v, &slot, to);
    if (a->base->type == REG_MAP_VALUE)
        load_frozen(a, to);
    return true;
}

/* dst = *(src + off), size bytes, extended by zeroes or by the sign. */
bool memory_load(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size, bool sign)
{
    const struct access a = {reg_now(v, insn->src), insn->src, insn->off, size, false};
    struct reg to;

    if (!check_alignment(v, &a, false) || !load(v, &a, sign, &to) || !note_access(v, a.base))
        return false;
    if (sign) {
        struct scalar n = to.type == REG_SCALAR ? to.n : scalar_unknown();

        reg_set_scalar(&to, scalar_sign_extend(&n, size * 8));
    }
    *reg_now(v, insn->dst) = to;
    return true;
}

/* ---- stores -------------------------------------------------------------------------------------
 */

/* What a trial of a loop is refused for must leave no trace, so the access is noted last. */
static bool store(struct verifier *v, const struct access *a, const struct reg *from, int regno)
{
    struct ebpf_ctx_slot slot;
    bool ok;

    if (!check_alignment(v, a, false))
        return false;
    if (a->base->type == REG_STACK)
        ok = stack_write(v, a->base, a->off, (uint32_t)a->size, from, regno);
    else if (a->base->type == REG_CTX)
        ok = check_context(v, a, false, &slot);
    else
        ok = check_access(v, a);
    return ok && note_access(v, a->base);
}

/* *(dst + off) = src, or the immediate. */
bool memory_store(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size,
                  bool immediate)
{
    const struct access a = {reg_now(v, insn->dst), insn->dst, insn->off, size, true};
    struct reg value, *src = reg_now(v, insn->src);

    if (immediate) {
        struct scalar n = scalar_const(insn->imm);

        reg_set_scalar(&value, size == 8 ? n : scalar_zero_extend(&n, size * 8));
        return store(v, &a, &value, -1);
    }
    if (src->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN, insn->src,
                               "R%u !read_ok: it was never written on this path", insn->src);
    /* What is spilled and what stays in the register are one number. */
    if (src->type == REG_SCALAR && src->id == 0 && !scalar_is_const(&src->n) &&
        a.base->type == REG_STACK)
        src->id = ++v->next_id, src->off = 0;
    return store(v, &a, src, insn->src);
}

/* Reads and writes; what was there goes to src (r0 for cmpxchg) when imm has BPF_FETCH. */
bool memory_atomic(struct verifier *v, const struct ebpf_decoded *insn, uint32_t size, uint32_t imm)
{
    struct access a = {reg_now(v, insn->dst), insn->dst, insn->off, size, false};
    struct reg old, *src = reg_now(v, insn->src);
    unsigned to = imm == BPF_CMPXCHG ? 0 : insn->src;
    struct scalar unknown = scalar_unknown();

    if (src->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN, insn->src,
                               "R%u !read_ok: it was never written on this path", insn->src);
    if (imm == BPF_CMPXCHG && reg_now(v, 0)->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN, 0,
                               "R0 !read_ok: cmpxchg compares with it");
    if (a.base->type == REG_CTX || a.base->type == REG_PACKET || a.base->type == REG_PACKET_META)
        if (v->load->type != EBPF_PROG_TYPE_MEM || a.base->type == REG_CTX)
            return verifier_reject(v, -EACCES, RULE_ATOMIC, insn->dst,
                                   "BPF_ATOMIC stores into R%u %s is not allowed", insn->dst,
                                   reg_type_name((enum reg_type)a.base->type));
    if (!check_alignment(v, &a, true) || !load(v, &a, false, &old) || !note_access(v, a.base))
        return false;
    a.write = true;
    if (a.base->type == REG_STACK ? !stack_fill(v, a.base, a.off, size) : !check_access(v, &a))
        return false;
    v->trace[v->nr_trace - 1] &= ~TRACE_STACK;
    if ((imm & BPF_FETCH) && old.type != REG_SCALAR)
        *reg_now(v, to) = old; /* a pointer that was spilled there */
    else if (imm & BPF_FETCH)
        reg_set_scalar(reg_now(v, to), size == 8 ? unknown : scalar_zero_extend(&unknown, 32));
    return true;
}
