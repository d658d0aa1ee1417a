/*
 * Context access by program type. Linux's rules (is_valid_access of net/core/filter.c and
 * kernel/trace/bpf_trace.c): aligned to the size, inside one field, in the widths that contexts.def
 * says.
 */
#include <stddef.h>

#include <asm/ptrace.h>
#include <linux/bpf_perf_event.h>

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/ebpf.h"
#include "ebpf/prog.h"

struct ctx_field {
    uint16_t offset, size; /* in the program's view */
    uint16_t internal;     /* offset in the machine's struct */
    uint8_t kind;          /* enum ebpf_ctx_kind */
};

struct ebpf_context {
    uint32_t prog_type;
    const char *name;
    uint32_t first, view_size;
    const struct ctx_field *fields;
    unsigned nr_fields;
};

static const struct ctx_field perf_event_fields[] = {
#define PERF_EVENT_FIELD(field, kind)                                                              \
    {offsetof(struct bpf_perf_event_data, field),                                                  \
     sizeof(((struct bpf_perf_event_data *)0)->field),                                             \
     offsetof(struct bpf_perf_event_data, field), kind},
#include "ebpf/contexts.def"
};

static const struct ctx_field xdp_fields[] = {
#define XDP_FIELD(view, internal, kind)                                                            \
    {offsetof(struct xdp_md, view), 4, offsetof(struct ebpf_xdp, internal), kind},
#include "ebpf/contexts.def"
};

/* Pointers of the view have a member of their name in struct ebpf_skb. */
#define SKB_MEMBER_CTX_POINTER(field)     offsetof(struct ebpf_skb, field)
#define SKB_MEMBER_CTX_NONE(field)        0
#define SKB_MEMBER_CTX_READ(field)        offsetof(struct ebpf_skb, view.field)
#define SKB_MEMBER_CTX_WRITE(field)       offsetof(struct ebpf_skb, view.field)
#define SKB_MEMBER_CTX_WHOLE(field)       offsetof(struct ebpf_skb, view.field)
#define SKB_MEMBER_CTX_WRITE_WHOLE(field) offsetof(struct ebpf_skb, view.field)
#define SKB_MEMBER_CTX_BYTES(field)       offsetof(struct ebpf_skb, view.field)
#define SKB_ENTRY(field, kind)                                                                     \
    {offsetof(struct __sk_buff, field), sizeof(((struct __sk_buff *)0)->field),                    \
     SKB_MEMBER_##kind(field), kind},

static const struct ctx_field skb_fields[] = {
#define SKB_FIELD(field, filter, classifier) SKB_ENTRY(field, filter)
#include "ebpf/contexts.def"
};

static const struct ctx_field classifier_fields[] = {
#define SKB_FIELD(field, filter, classifier) SKB_ENTRY(field, classifier)
#include "ebpf/contexts.def"
};

static const struct ebpf_context contexts[] = {
#define CONTEXT(TYPE, name, first, view, fields, nr) {TYPE, name, first, view, fields, nr},
#include "ebpf/contexts.def"
};

/* An address within the view must belong to nothing else. */
_Static_assert(sizeof(struct ebpf_xdp) >= sizeof(struct xdp_md), "the view fits the struct");
/* Linux's, that the offsets in programs refer to. */
_Static_assert(sizeof(struct pt_regs) == 21 * 8, "x86-64's registers");
_Static_assert(sizeof(struct ebpf_skb) >= sizeof(struct __sk_buff), "the view fits the struct");

/* NULL when Skep has no such program type. */
const struct ebpf_context *ebpf_context_get(uint32_t prog_type)
{
    for (unsigned i = 0; i < ARRAY_LEN(contexts); i++)
        if (contexts[i].prog_type == prog_type)
            return &contexts[i];
    return NULL;
}

const char *ebpf_context_name(const struct ebpf_context *context)
{
    return context->name;
}

/* How many bytes from r1 on are context; ctx_size is the size of the run's record. */
uint32_t ebpf_context_size(const struct ebpf_context *context, uint32_t ctx_size)
{
    return context->view_size ? context->view_size : ctx_size;
}

static bool is_written(enum ebpf_ctx_kind kind)
{
    return kind == CTX_WRITE || kind == CTX_WRITE_WHOLE || kind == CTX_BYTES;
}

/* Is the field used in such pieces? */
static bool width_fits(const struct ctx_field *field, uint32_t size, bool write)
{
    switch ((enum ebpf_ctx_kind)field->kind) {
    case CTX_WHOLE:
    case CTX_WRITE_WHOLE:
    case CTX_POINTER:
        return size == field->size;
    case CTX_LONGS:
        return size == sizeof(uint64_t);
    case CTX_WRITE:
        return !write || size == field->size;
    default:
        return true;
    }
}

static const char *field_access(const struct ebpf_context *context, void *ctx, uint64_t off,
                                uint32_t size, bool write, struct ebpf_ctx_slot *slot)
{
    for (unsigned i = 0; i < context->nr_fields; i++) {
        const struct ctx_field *field = &context->fields[i];

        if (off < field->offset || off + size > (uint64_t)field->offset + field->size)
            continue;
        if (field->kind == CTX_NONE)
            break;
        if (write && !is_written((enum ebpf_ctx_kind)field->kind))
            return "this field of the context is read only";
        if (!width_fits(field, size, write))
            return write ? "this field of the context is written whole"
                         : "this field of the context is read whole";
        slot->addr = (uint8_t *)ctx + field->internal + (off - field->offset);
        slot->pointer = field->kind == CTX_POINTER;
        return NULL;
    }
    return "no field of the context that this program type may access";
}

/* Resolves an access to [off, off + size) of the context, where off is below ebpf_context_size.
 * NULL and *slot filled in, or the rule that it broke. */
const char *ebpf_context_access(const struct ebpf_context *context, void *ctx, uint32_t ctx_size,
                                uint64_t off, uint32_t size, bool write, struct ebpf_ctx_slot *slot)
{
    if (off + size > ebpf_context_size(context, ctx_size))
        return "the access runs over the end of the context";
    if (off % size)
        return "context accesses are aligned to their size";
    if (context->fields)
        return field_access(context, ctx, off, size, write, slot);
    if (write)
        return "the context is read only";
    if (off < context->first)
        return "the first 8 bytes of a tracepoint record are not for programs";
    *slot = (struct ebpf_ctx_slot){.addr = (uint8_t *)ctx + off};
    return NULL;
}

/* The memory, beside the context, that the program may read and write because of what the context
 * is: a packet with its metadata, or EBPF_PROG_TYPE_MEM's memory. Empty (*start == *end)
 * for other types. */
void ebpf_context_packet(uint32_t prog_type, const void *ctx, uintptr_t *start, uintptr_t *end)
{
    *start = *end = 0;
    if (prog_type == BPF_PROG_TYPE_XDP) {
        const struct ebpf_xdp *xdp = ctx;
        *start = (uintptr_t)(xdp->data_meta ? xdp->data_meta : xdp->data);
        *end = (uintptr_t)xdp->data_end;
    } else if (prog_type == BPF_PROG_TYPE_SCHED_CLS) {
        const struct ebpf_skb *skb = ctx;
        *start = (uintptr_t)skb->data_meta;
        *end = (uintptr_t)skb->data_end;
    } else if (prog_type == EBPF_PROG_TYPE_MEM) {
        const struct ebpf_mem *mem = ctx;
        *start = (uintptr_t)mem->data;
        *end = (uintptr_t)mem->data_end;
    }
}
