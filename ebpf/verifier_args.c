/*
 * The arguments of a call of a helper, held against its signature in helpers.def. Linux:
 * check_func_arg.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_helper.h"

bool call_wrong_type(struct verifier *v, unsigned regno, const char *expected)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type == REG_NONE)
        return verifier_reject(v, -EACCES, RULE_UNWRITTEN, (int)regno,
                               "R%u !read_ok: it was never written on this path", regno);
    return verifier_reject(v, -EACCES,
                           is_or_null((enum reg_type)reg->type) ? RULE_MAYBE_NULL : RULE_ARGUMENT,
                           (int)regno, "R%u type=%s expected=%s", regno,
                           reg_type_name((enum reg_type)reg->type), expected);
}

static bool is_memory(const struct reg *reg)
{
    return reg->type == REG_STACK || reg->type == REG_PACKET || reg->type == REG_PACKET_META ||
           reg->type == REG_MAP_VALUE || reg->type == REG_MAP_KEY || reg->type == REG_RECORD ||
           reg->type == REG_MEM;
}

static bool is_null(const struct reg *reg)
{
    return reg_is_const(reg) && reg->n.umin == 0;
}

/* May memory arguments of this helper be so? The packet is no ordinary memory to most. */
static bool check_kind(struct verifier *v, const struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (!is_memory(reg))
        return call_wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem, alloc_mem");
    if ((reg->type == REG_PACKET || reg->type == REG_PACKET_META) &&
        !(c->rules->what & HELPER_PACKET) && v->load->type != EBPF_PROG_TYPE_MEM)
        return verifier_reject(v, -EACCES, RULE_PACKET_ARGUMENT, (int)regno,
                               "helper access to the packet is not allowed: bpf_%s does not take "
                               "R%u",
                               c->helper->name, regno);
    return true;
}

static bool check_memory(struct verifier *v, const struct call *c, unsigned regno, uint64_t size,
                         bool write)
{
    return check_kind(v, c, regno) && memory_region(v, regno, size, write, "helper");
}

static bool check_key(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (!check_memory(v, c, regno, c->map->key_size, false))
        return false;
    c->key_known =
        c->map->key_size == 4 && reg->type == REG_STACK && stack_constant(v, reg, 0, 4, &c->key);
    return true;
}

/* The size of the memory that the argument before points at. */
static bool check_size(struct verifier *v, struct call *c, unsigned regno, bool zero_allowed)
{
    const struct reg *size = reg_now(v, regno), *memory = reg_now(v, regno - 1);
    enum ebpf_arg kind = c->helper->args[regno - 2];
    bool write = kind == ARG_UNINIT_MEM || kind == ARG_UNINIT_MEM_OR_NULL;
    bool optional = kind == ARG_MEM_OR_NULL || kind == ARG_UNINIT_MEM_OR_NULL;

    if (size->type != REG_SCALAR)
        return call_wrong_type(v, regno, "scalar");
    precise_reg(v, regno);
    if (size->n.smin < 0)
        return verifier_reject(v, -EACCES, RULE_NEGATIVE, (int)regno,
                               "R%u min value is negative, either use unsigned or 'var &= const'",
                               regno);
    if (size->n.umin == 0 && !zero_allowed)
        return verifier_reject(v, -EACCES, RULE_ZERO_SIZE, (int)regno,
                               "R%u invalid zero-sized read: u64=[%lu,%lu]", regno,
                               (unsigned long)size->n.umin, (unsigned long)size->n.umax);
    if (size->n.umax >= OFFSET_MAX)
        return verifier_reject(v, -EACCES, RULE_UNBOUNDED, (int)regno,
                               "R%u unbounded memory access, use 'var &= const' or 'if (var < "
                               "const)'",
                               regno);
    c->size = size->n.umax;
    c->memory = regno - 1;
    if (optional && size->n.umax == 0 && is_null(memory)) {
        precise_reg(v, regno - 1);
        return true;
    }
    /* Bytes that may or may not be written keep what they may have been. */
    if (write && memory->type == REG_STACK && !scalar_is_const(&size->n) && c->size)
        return check_memory(v, c, regno - 1, c->size, false) &&
               check_memory(v, c, regno - 1, c->size, true);
    return check_memory(v, c, regno - 1, c->size, write);
}

static bool check_string(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);
    const struct ebpf_map *map = reg->map;
    uint64_t saved, at;
    void *addr = NULL;
    bool ended = false;
    int err;

    if (reg->type != REG_MAP_VALUE)
        return call_wrong_type(v, regno, "map_value");
    if (!(map->flags & BPF_F_RDONLY_PROG) || !map->frozen || !map->ops->direct_value)
        return verifier_reject(v, -EACCES, RULE_CONSTANT_STRING, (int)regno,
                               "R%u does not point to a readonly map", regno);
    if (!scalar_is_const(&reg->n))
        return verifier_reject(v, -EACCES, RULE_CONSTANT_STRING, (int)regno,
                               "R%u is not a constant address", regno);
    at = (uint64_t)reg->off + reg->n.umin;
    if (!memory_region(v, regno, 1, false, "string"))
        return false;
    saved = port_lock();
    err = map->ops->direct_value((struct ebpf_map *)map, (uint32_t)at, &addr);
    if (!err)
        ended = bounded_length(addr, map->value_size - at) < map->value_size - at;
    port_unlock(saved);
    c->string_map = map;
    c->string_at = (uint32_t)at;
    return ended || verifier_reject(v, -EINVAL, RULE_CONSTANT_STRING, (int)regno,
                                    "R%u: the string is not zero-terminated", regno);
}

/* The conversions of a constant format fit what is printed. Linux: check_bpf_snprintf_call. */
bool call_check_format(struct verifier *v, const struct call *c)
{
    const struct reg *length = reg_now(v, 5);
    const struct ebpf_map *map = c->string_map;
    uint64_t saved;
    void *addr = NULL;
    long err;

    if (!(c->rules->what & HELPER_FORMATS) || !reg_is_const(length))
        return true;
    if (length->n.umin % sizeof(uint64_t))
        return verifier_reject(v, -EINVAL, RULE_FORMAT, 5,
                               "R5 is %lu: the arguments of bpf_%s are numbers of 8 bytes each",
                               (unsigned long)length->n.umin, c->helper->name);
    saved = port_lock();
    err = map->ops->direct_value((struct ebpf_map *)map, c->string_at, &addr);
    if (!err)
        err = ebpf_format_check(addr, map->value_size - c->string_at,
                                (unsigned)(length->n.umin / sizeof(uint64_t)));
    port_unlock(saved);
    return !err ||
           verifier_reject(v, -EINVAL, RULE_FORMAT, NO_REG,
                           "Invalid format string: an unknown conversion, a character that is not "
                           "printable, or more conversions than the %lu arguments",
                           (unsigned long)length->n.umin / sizeof(uint64_t));
}

static bool check_map_argument(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_MAP)
        return call_wrong_type(v, regno, "map_ptr");
    if (c->map && (c->map != reg->map || c->map_uid != reg->id))
        return verifier_reject(v, -EINVAL, RULE_TIMER_MAP, (int)regno,
                               "timer pointer in R%u map_uid=%u doesn't match map pointer in R%u "
                               "map_uid=%u: the timer is in a value of another map",
                               regno - 1, c->map_uid, regno, reg->id);
    c->map = reg->map;
    c->map_uid = reg->id;
    return true;
}

static bool check_record(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_RECORD)
        return call_wrong_type(v, regno, "alloc_mem");
    if (reg->off || !scalar_is_const(&reg->n) || reg->n.umin)
        return verifier_reject(v, -EACCES, RULE_RELEASE_OFFSET, (int)regno,
                               "R%u must have zero offset when passed to release func: it is "
                               "%ld bytes into its record",
                               regno, (long)reg->off);
    c->ref = reg->ref;
    return true;
}

static bool check_context_argument(struct verifier *v, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_CTX)
        return call_wrong_type(v, regno, "ctx");
    return (reg->off == 0 && scalar_is_const(&reg->n)) ||
           verifier_reject(v, -EACCES, RULE_CTX_OFFSET, (int)regno,
                           "dereference of modified ctx ptr R%u off=%ld disallowed", regno,
                           (long)reg->off);
}

/* Holds r<regno> against the helper's signature, and notes in c what it says. */
bool call_check_argument(struct verifier *v, struct call *c, unsigned regno)
{
    struct reg *reg = reg_now(v, regno);
    enum ebpf_arg kind = c->helper->args[regno - 1];

    if (kind != ARG_NONE && kind != ARG_VARIADIC && reg->type == REG_NONE)
        return call_wrong_type(v, regno, "");
    switch (kind) {
    case ARG_NONE:
        return true;
    case ARG_ANYTHING:
    case ARG_VARIADIC:
        /* probe_read and %s read at any address that they are given. */
        if (reg->type == REG_STACK)
            v->proof->shared_stack = UINT64_MAX;
        return true;
    case ARG_CONST_MAP_PTR:
        return check_map_argument(v, c, regno);
    case ARG_MAP_KEY:
        return check_key(v, c, regno);
    case ARG_MAP_VALUE:
        return check_memory(v, c, regno, c->map->value_size, false);
    case ARG_UNINIT_MAP_VALUE:
        /* A bloom filter's peek asks for a value instead of giving one. */
        return check_memory(v, c, regno, c->map->value_size,
                            c->map->type != BPF_MAP_TYPE_BLOOM_FILTER);
    case ARG_CTX:
        return check_context_argument(v, regno);
    case ARG_MEM:
    case ARG_UNINIT_MEM:
        return check_kind(v, c, regno);
    case ARG_MEM_OR_NULL:
    case ARG_UNINIT_MEM_OR_NULL:
        return is_null(reg) || check_kind(v, c, regno);
    case ARG_SIZE:
        return check_size(v, c, regno, false);
    case ARG_SIZE_OR_ZERO:
        return check_size(v, c, regno, true);
    case ARG_CONST_ALLOC_SIZE:
        precise_reg(v, regno);
        if (!reg_is_const(reg))
            return verifier_reject(v, -EACCES, RULE_CONSTANT_SIZE, (int)regno,
                                   "R%u is not a known constant: the size must be the same on "
                                   "every run",
                                   regno);
        c->size = (uint32_t)reg->n.umin; /* as the helpers take it */
        return true;
    case ARG_ALLOC_MEM:
        return check_record(v, c, regno);
    case ARG_CONST_STR:
        return check_string(v, c, regno);
    case ARG_LONG_PTR:
        return check_memory(v, c, regno, sizeof(uint64_t), true) &&
               memory_aligned(v, regno, sizeof(uint64_t));
    case ARG_FUNC:
        return callback_argument(v, c, regno);
    case ARG_STACK_OR_NULL:
        precise_reg(v, regno);
        return reg->type == REG_STACK || (reg_is_const(reg) && reg->n.umin == 0) ||
               call_wrong_type(v, regno, "fp, or NULL");
    case ARG_SPIN_LOCK:
        return lock_argument(v, c, regno);
    case ARG_TIMER:
        return timer_argument(v, c, regno);
    case ARG_DYNPTR:
    case ARG_UNINIT_DYNPTR:
    case ARG_RINGBUF_DYNPTR:
    case ARG_UNINIT_RINGBUF_DYNPTR:
        return dynptr_argument(v, c, regno);
    default:
        return verifier_reject(v, -EINVAL, RULE_HELPER_UNKNOWN, NO_REG,
                               "bpf_%s: the verifier does not know its argument R%u",
                               c->helper->name, regno);
    }
}
