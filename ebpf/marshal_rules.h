/*
 * Inside of the marshaller: the form of commands.def as a table, and the walk over one command's
 * rules that both ends share. Internal to marshal*.c.
 */
#ifndef SKEP_EBPF_MARSHAL_RULES_H
#define SKEP_EBPF_MARSHAL_RULES_H

#include "ebpf/base.h"
#include "ebpf/marshal.h"

#define MARSHAL_INFO_MAX 4096u /* longest info struct, and longest attributes */

enum length_kind {
    COUNT_KIND,
    PRODUCT_KIND,
    KEY_KIND,
    VALUE_KIND,
    TOKEN_KIND,
    STRING_KIND,
    TEXT_KIND,
    FD_ARRAY_KIND,
    INFO_KIND
};

#define NO_FIELD 0xffff

struct marshal_rule {
    uint16_t offset;
    uint8_t dir;
    bool optional;
    uint8_t content;
    uint8_t length;     /* enum length_kind */
    bool shrinks;       /* the server may give less than field a says, and then says so there */
    uint16_t a, b;      /* fields that the length depends on */
    uint32_t n;         /* bytes each, or a string's bound */
    uint32_t link_type; /* in a bpf_link_info: see marshal_rule_applies; else 0 */
};

struct marshal_command {
    uint32_t cmd;
    const char *name;
    uint16_t attr_end;
    uint8_t flags;
    uint8_t nr_handles, nr_rules;
    const uint16_t *handles;
    const struct marshal_rule *rules;
};

enum { NEW_HANDLE = 1, ATTR_BACK = 2, ON_ERROR = 4, BATCH = 8 };

struct marshal_rules {
    const struct marshal_rule *rules;
    unsigned count;
};

/* NULL: unknown command. */
const struct marshal_command *marshal_find_command(uint32_t cmd);
/* Pointers in the info struct of a kind of object; none for most. */
extern const struct marshal_rules marshal_info_rules[EBPF_NR_KINDS];

/* A struct that holds pointers: the attributes, or an info struct. Fields beyond its end are 0. */
struct marshal_holder {
    uint8_t *bytes;
    uint32_t len;
};

/* Reads a message; what it points at stays where it is. */
struct marshal_reader {
    const uint8_t *at;
    size_t left;
    uint32_t buffers; /* that are still to come */
};

struct marshal_walk {
    struct marshal_plan *plan;
    const struct marshal_command *command;
    const struct marshal_ops *ops;
    /* Finds the bytes of one buffer, whose rule, holder and length are known: data, and len where
     * it may differ. */
    int (*place)(struct marshal_walk *walk, const struct marshal_holder *holder,
                 struct marshal_buffer *buffer);
    struct marshal_reader message; /* server: what is left of the request */
    uint8_t *arena;
    size_t arena_left;
};

static inline uint32_t field_u32(const struct marshal_holder *h, unsigned offset)
{
    uint32_t value = 0;
    if (offset + sizeof(value) <= h->len)
        __builtin_memcpy(&value, h->bytes + offset, sizeof(value));
    return value;
}

static inline uint64_t field_u64(const struct marshal_holder *h, unsigned offset)
{
    uint64_t value = 0;
    if (offset + sizeof(value) <= h->len)
        __builtin_memcpy(&value, h->bytes + offset, sizeof(value));
    return value;
}

/* What the bytes of a bpf_link_info are depends on its type. A caller who leaves it 0 means a raw
 * tracepoint: that was all there was before Linux 6.6. */
static inline bool marshal_rule_applies(const struct marshal_rule *rule,
                                        const struct marshal_holder *h)
{
    uint32_t type = rule->link_type != 0 ? field_u32(h, 0) : 0;

    return rule->link_type == type ||
           (type == 0 && rule->link_type == BPF_LINK_TYPE_RAW_TRACEPOINT);
}

static inline void set_u32(const struct marshal_holder *h, unsigned offset, uint32_t value)
{
    __builtin_memcpy(h->bytes + offset, &value, sizeof(value));
}

static inline void set_pointer(const struct marshal_holder *h, unsigned offset, const void *pointer)
{
    uint64_t value = (uintptr_t)pointer;
    __builtin_memcpy(h->bytes + offset, &value, sizeof(value));
}

int marshal_walk(struct marshal_walk *walk, uint32_t cmd, const void *attr, uint32_t attr_size);

#endif
