/*
 * The arguments of a call of a helper, held against its signature in helpers.def. Linux:
 * check_func_arg.
 */
#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
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
           reg->type == REG_MAP_VALUE || reg->type == REG_MAP_KEY || reg->type == REG_RECORD;
}

static bool check_memory(struct verifier *v, unsigned regno, uint64_t size, bool write)
{
    if (!is_memory(reg_now(v, regno)))
        return call_wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem");
    return memory_region(v, regno, size, write, "helper");
}

static bool check_key(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (!check_memory(v, regno, c->map->key_size, false))
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
    bool write = kind == ARG_UNINIT_MEM;

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
    if (size->n.umax == 0 && reg_is_const(memory) && memory->n.umin == 0) {
        precise_reg(v, regno - 1);
        return true;
    }
    if (kind == ARG_MEM_OR_NULL && reg_is_const(memory) && memory->n.umin == 0) {
        precise_reg(v, regno - 1);
        return true;
    }
    /* Bytes that may or may not be written keep what they may have been. */
    if (write && memory->type == REG_STACK && !scalar_is_const(&size->n) && c->size)
        return memory_region(v, regno - 1, c->size, false, "helper") &&
               memory_region(v, regno - 1, c->size, true, "helper");
    return check_memory(v, regno - 1, c->size, write);
}

static bool check_string(struct verifier *v, unsigned regno)
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
    return ended || verifier_reject(v, -EINVAL, RULE_CONSTANT_STRING, (int)regno,
                                    "R%u: the string is not zero-terminated", regno);
}

static bool check_record(struct verifier *v, struct call *c, unsigned regno)
{
    const struct reg *reg = reg_now(v, regno);

    if (reg->type != REG_RECORD)
        return call_wrong_type(v, regno, "ringbuf_mem");
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
    case ARG_ANYTHING:
    case ARG_VARIADIC:
        return true;
    case ARG_CONST_MAP_PTR:
        if (reg->type != REG_MAP)
            return call_wrong_type(v, regno, "map_ptr");
        c->map = reg->map;
        return true;
    case ARG_MAP_KEY:
        return check_key(v, c, regno);
    case ARG_MAP_VALUE:
        return check_memory(v, regno, c->map->value_size, false);
    case ARG_UNINIT_MAP_VALUE:
        return check_memory(v, regno, c->map->value_size, true);
    case ARG_CTX:
        return check_context_argument(v, regno);
    case ARG_MEM:
    case ARG_UNINIT_MEM:
        return is_memory(reg) || (reg_is_const(reg) && reg->n.umin == 0) ||
               call_wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem");
    case ARG_MEM_OR_NULL:
        return is_memory(reg) || reg_is_const(reg) ||
               call_wrong_type(v, regno, "fp, pkt, pkt_meta, map_value, mem, or NULL");
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
        c->size = reg->n.umin;
        return true;
    case ARG_ALLOC_MEM:
        return check_record(v, c, regno);
    case ARG_CONST_STR:
        return check_string(v, regno);
    case ARG_LONG_PTR:
        return check_memory(v, regno, sizeof(uint64_t), true);
    case ARG_FUNC:
        if (reg->type != REG_FUNC)
            return call_wrong_type(v, regno, "func");
        c->function = (uint32_t)reg->target;
        return true;
    case ARG_STACK_OR_NULL:
        precise_reg(v, regno);
        return reg->type == REG_STACK || (reg_is_const(reg) && reg->n.umin == 0) ||
               call_wrong_type(v, regno, "fp, or NULL");
    default:
        return verifier_reject(v, -EINVAL, RULE_HELPER_UNKNOWN, NO_REG,
                               "bpf_%s: the verifier does not know its argument R%u",
                               c->helper->name, regno);
    }
}
