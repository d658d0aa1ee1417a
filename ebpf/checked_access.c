/*
 * Which memory a program may touch, decided at each access of the checked interpreter: its stack
 * frames, its context, the packet, ring-buffer records it has reserved, and values of its maps.
 * Also what helpers are given: helpers.def says what each argument must be.
 */
#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/decode.h"
#include "ebpf/helpers.h"
#include "ebpf/interp_checked.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define MOVED_MAX (UINT64_C(1) << 30) /* further than the verifier lets pointers be moved */

bool checked_fault(struct checked *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    port_vformat(c->reason, sizeof(c->reason), fmt, args);
    va_end(args);
    c->error = -EFAULT;
    return false;
}

static bool inside(uintptr_t start, uintptr_t end, uint64_t addr, uint64_t size)
{
    return addr >= start && addr <= end && size <= end - addr;
}

/* An access may not cross from one frame into the next. */
static bool on_stack(const struct checked *c, uint64_t addr, uint64_t size)
{
    uintptr_t top = (uintptr_t)c->stack + sizeof(c->stack);
    uintptr_t start = top - (c->depth + 1) * ISA_STACK_SIZE;

    if (!inside(start, top, addr, size))
        return false;
    return size == 0 ||
           (addr - start) / ISA_STACK_SIZE == (addr + size - 1 - start) / ISA_STACK_SIZE;
}

/* Made from a frame pointer, perhaps: it may point out of the stack while nothing is accessed. */
static bool near_stack(const struct checked *c, uint64_t addr)
{
    return addr - (uintptr_t)c->stack + MOVED_MAX < 2 * MOVED_MAX;
}

static bool in_record(const struct checked *c, uint64_t addr, uint64_t size)
{
    for (uint32_t i = 0; i < c->run.nr_records; i++) {
        uintptr_t start = (uintptr_t)c->run.records[i].data;

        if (inside(start, start + c->run.records[i].size, addr, size))
            return true;
    }
    return false;
}

/* Lent by a helper to the function that it calls back. */
static bool in_lent(const struct checked *c, uint64_t addr, uint64_t size)
{
    for (const struct ebpf_lent *lent = c->run.lent; lent; lent = lent->outer)
        if (inside((uintptr_t)lent->data, (uintptr_t)lent->data + lent->size, addr, size))
            return true;
    return false;
}

/* The map in reach of the running program that one of whose values holds [addr, addr + size). */
static struct ebpf_map *owner(const struct checked *c, uint64_t addr, uint64_t size)
{
    return ebpf_maps_owner(c->run.prog->maps, c->run.prog->nr_maps, addr, size);
}

/* Everything but the context. */
static bool may_access(struct checked *c, uint64_t addr, uint64_t size, bool write)
{
    uintptr_t packet = 0, packet_end = 0;
    struct ebpf_map *map;

    if (on_stack(c, addr, size))
        return true;
    if (c->run.ctx) /* a timer's function has none */
        ebpf_context_packet(c->run.prog->type, c->run.ctx, &packet, &packet_end);
    if (packet != packet_end && inside(packet, packet_end, addr, size))
        return true;
    if (in_record(c, addr, size) || (!write && in_lent(c, addr, size)))
        return true;
    map = owner(c, addr, size);
    if (map && (map->flags & (write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG)))
        return checked_fault(c, "map %s does not let programs %s its values", map->name,
                             write ? "write" : "read");
    if (map)
        return true;
    return checked_fault(c,
                         "%s of %lu bytes at 0x%lx: not in the stack, packet, a record or a map "
                         "value",
                         write ? "write" : "read", (unsigned long)size, (unsigned long)addr);
}

static bool in_context(const struct checked *c, uint64_t addr)
{
    uintptr_t ctx = (uintptr_t)c->run.ctx;

    return ctx && addr >= ctx && addr - ctx < ebpf_context_size(c->context, c->ctx_size);
}

/* Resolves an access that begins in the context. False: it faulted. */
static bool context_slot(struct checked *c, uint64_t addr, uint32_t size, bool write,
                         struct ebpf_ctx_slot *slot)
{
    uint64_t off = addr - (uintptr_t)c->run.ctx;
    const char *rule =
        ebpf_context_access(c->context, c->run.ctx, c->ctx_size, off, size, write, slot);

    return rule ? checked_fault(c, "%s of %u bytes at context offset %lu of %u: %s",
                                write ? "write" : "read", size, (unsigned long)off,
                                ebpf_context_size(c->context, c->ctx_size), rule)
                : true;
}

/* Loads size bytes (1, 2, 4 or 8), zero-extended. */
bool checked_load(struct checked *c, uint64_t addr, uint32_t size, uint64_t *value)
{
    struct ebpf_ctx_slot slot = {.addr = (void *)addr};

    if (in_context(c, addr)) {
        if (!context_slot(c, addr, size, false, &slot))
            return false;
        if (slot.pointer)
            size = sizeof(uint64_t);
    } else if (!may_access(c, addr, size, false)) {
        return false;
    }
    *value = 0;
    __builtin_memcpy(value, slot.addr, size);
    return true;
}

/* Stores the low size bytes of value. */
bool checked_store(struct checked *c, uint64_t addr, uint32_t size, uint64_t value)
{
    struct ebpf_ctx_slot slot = {.addr = (void *)addr};

    if (in_context(c, addr) ? !context_slot(c, addr, size, true, &slot)
                            : !may_access(c, addr, size, true))
        return false;
    __builtin_memcpy(slot.addr, &value, size);
    return true;
}

void *checked_atomic(struct checked *c, uint64_t addr, uint32_t size)
{
    if (addr % size) {
        checked_fault(c, "atomic operation at 0x%lx, not aligned to %u bytes", (unsigned long)addr,
                      size);
        return NULL;
    }
    if (in_context(c, addr)) {
        checked_fault(c, "atomic operation on the context");
        return NULL;
    }
    return may_access(c, addr, size, false) && may_access(c, addr, size, true) ? (void *)addr
                                                                               : NULL;
}

/* ---- helper arguments ----------------------------------------------------------------------- */

static bool is_record(const struct checked *c, uint64_t value)
{
    for (uint32_t i = 0; i < c->run.nr_records; i++)
        if ((uintptr_t)c->run.records[i].data == value)
            return true;
    return false;
}

/* A string that ends within a value of a map that neither programs nor clients write. */
static bool is_constant_string(struct checked *c, uint64_t addr)
{
    struct ebpf_map *map = owner(c, addr, 1);

    if (!map || !(map->flags & BPF_F_RDONLY_PROG) || !map->frozen)
        return checked_fault(c, "0x%lx is not in a frozen read-only map", (unsigned long)addr);
    for (; owner(c, addr, 1) == map; addr++)
        if (*(const char *)addr == 0)
            return true;
    return checked_fault(c, "the string does not end within its map value");
}

/* The start of a function that the running program has the address of. */
static bool is_function(struct checked *c, uint64_t value)
{
    const struct ebpf_prog *prog = c->run.prog;

    for (uint32_t pc = 0; pc < prog->nr_insns; pc++)
        if (prog->decoded[pc].op == OP_LD_IMM64 && prog->insns[pc].src_reg == BPF_PSEUDO_FUNC &&
            prog->decoded[pc].imm == value)
            return true;
    return checked_fault(c, "0x%lx is not a function of the program", (unsigned long)value);
}

/* Where the BTF of the map says that its values have a lock, or a timer. */
static bool is_field(struct checked *c, uint64_t addr, bool lock)
{
    struct ebpf_map *map = owner(c, addr, 1);
    int32_t at = !map ? -1 : lock ? map->lock_offset : map->timer_offset;

    return (at >= 0 && map->ops->owns(map, addr - (uint32_t)at, map->value_size)) ||
           checked_fault(c, "0x%lx is not a map value's %s", (unsigned long)addr,
                         lock ? "bpf_spin_lock" : "bpf_timer");
}

/* One lock at a time, and nothing is called under it but its own unlock. */
static bool lock_allows(struct checked *c, const struct ebpf_helper *helper)
{
    if (helper->call == helper_spin_unlock)
        return (c->run.lock && (uintptr_t)c->run.lock == c->reg[1]) ||
               checked_fault(c, "bpf_spin_unlock of a lock that is not held");
    return !c->run.lock || checked_fault(c, "function calls are not allowed while holding a lock");
}

/* What a program made of its dynptr cannot reach further than the program itself. */
static bool is_dynptr(struct checked *c, uint64_t addr, enum ebpf_arg kind)
{
    struct ebpf_dynptr ptr;

    if (addr % sizeof(uint64_t) || !on_stack(c, addr, sizeof(struct bpf_dynptr)))
        return checked_fault(c, "0x%lx is not a dynptr on the stack", (unsigned long)addr);
    if (kind == ARG_UNINIT_DYNPTR || kind == ARG_UNINIT_RINGBUF_DYNPTR)
        return true;
    __builtin_memcpy(&ptr, (const void *)addr, sizeof(ptr));
    if (kind == ARG_RINGBUF_DYNPTR)
        return !ptr.data || is_record(c, (uintptr_t)ptr.data) ||
               checked_fault(c, "this dynptr is not of a ring buffer's reserved record");
    return !ptr.data || (may_access(c, (uintptr_t)ptr.data, ptr.size, false) &&
                         may_access(c, (uintptr_t)ptr.data, ptr.size, true));
}

static bool has_size(struct checked *c, uint64_t size, bool zero_allowed)
{
    if (size > INT32_MAX || (size == 0 && !zero_allowed))
        return checked_fault(c, "size %ld, must be %s and below 2 GiB", (long)size,
                             zero_allowed ? "non-negative" : "positive");
    return true;
}

/* One argument, r1 + n. map is the map argument before it, if any. */
static bool check_argument(struct checked *c, enum ebpf_arg kind, unsigned n,
                           const struct ebpf_map *map)
{
    uint64_t value = c->reg[1 + n], next = n < 4 ? c->reg[2 + n] : 0;

    if (!map && (kind == ARG_MAP_KEY || kind == ARG_MAP_VALUE || kind == ARG_UNINIT_MAP_VALUE))
        return checked_fault(c, "helpers.def has no map argument before it");
    switch (kind) {
    case ARG_CONST_MAP_PTR:
        return ebpf_maps_include(c->run.prog->maps, c->run.prog->nr_maps, value) ||
               checked_fault(c, "0x%lx is not a map", (unsigned long)value);
    case ARG_MAP_KEY:
        return may_access(c, value, map->key_size, false);
    case ARG_MAP_VALUE:
        return may_access(c, value, map->value_size, false);
    case ARG_UNINIT_MAP_VALUE:
        /* A bloom filter's peek asks for a value instead of giving one. */
        return may_access(c, value, map->value_size, map->type != BPF_MAP_TYPE_BLOOM_FILTER);
    case ARG_CTX:
        return (c->run.ctx && value == (uintptr_t)c->run.ctx) ||
               checked_fault(c, "0x%lx is not the context", (unsigned long)value);
    case ARG_MEM_OR_NULL:
        return value == 0 || next == 0 || may_access(c, value, next, false);
    case ARG_MEM:
        return next == 0 || may_access(c, value, next, false);
    case ARG_UNINIT_MEM:
        return next == 0 || may_access(c, value, next, true);
    case ARG_UNINIT_MEM_OR_NULL:
        return value == 0 || next == 0 || may_access(c, value, next, true);
    case ARG_SIZE:
        return has_size(c, value, false);
    case ARG_CONST_ALLOC_SIZE:
    case ARG_SIZE_OR_ZERO:
        return has_size(c, value, true);
    case ARG_ALLOC_MEM:
        return is_record(c, value) ||
               checked_fault(c, "0x%lx is not a reserved record", (unsigned long)value);
    case ARG_CONST_STR:
        return is_constant_string(c, value);
    case ARG_LONG_PTR:
        return may_access(c, value, sizeof(uint64_t), true);
    case ARG_SPIN_LOCK:
        return is_field(c, value, true);
    case ARG_TIMER:
        return is_field(c, value, false);
    case ARG_FUNC:
        return is_function(c, value);
    case ARG_STACK_OR_NULL:
        return value == 0 || near_stack(c, value) ||
               checked_fault(c, "0x%lx is not on the stack", (unsigned long)value);
    case ARG_DYNPTR:
    case ARG_RINGBUF_DYNPTR:
    case ARG_UNINIT_DYNPTR:
    case ARG_UNINIT_RINGBUF_DYNPTR:
        return is_dynptr(c, value, kind);
    case ARG_NONE:
    case ARG_ANYTHING:
    case ARG_VARIADIC:
        break;
    }
    return true;
}

/* Holds r1 to r5 against the helper's signature. False: the run faulted. */
bool checked_arguments(struct checked *c, const struct ebpf_helper *helper)
{
    const struct ebpf_map *map = NULL;
    char rule[sizeof(c->reason)];

    for (unsigned n = 0; n < 5; n++) {
        if (!check_argument(c, helper->args[n], n, map)) {
            __builtin_memcpy(rule, c->reason, sizeof(rule));
            return checked_fault(c, "argument r%u of bpf_%s: %s", n + 1, helper->name, rule);
        }
        if (helper->args[n] == ARG_CONST_MAP_PTR)
            map = (const struct ebpf_map *)c->reg[1 + n];
    }
    return lock_allows(c, helper);
}
