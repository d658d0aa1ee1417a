/*
 * commands.def as a table, and what can be asked of it without a command's attributes. What the
 * rules mean is marshal.c's.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/marshal.h"
#include "ebpf/marshal_rules.h"
#include "ebpf/port.h"

#define AT(f) offsetof(union marshal_attr, f)
#define RULE(f, d, o, c, ...)                                                                      \
    {                                                                                              \
        .offset = AT(f), .dir = d, .optional = o, .content = c, __VA_ARGS__                        \
    }
#define IN(f, l, c)         RULE(f, MARSHAL_IN, false, MARSHAL_##c, l)
#define IN_OPT(f, l, c)     RULE(f, MARSHAL_IN, true, MARSHAL_##c, l)
#define OUT(f, l, c)        RULE(f, MARSHAL_OUT, false, MARSHAL_##c, l)
#define OUT_OPT(f, l, c)    RULE(f, MARSHAL_OUT, true, MARSHAL_##c, l)
#define INOUT(f, l, c)      RULE(f, MARSHAL_INOUT, false, MARSHAL_##c, l)
#define COUNT(f, size)      .length = COUNT_KIND, .a = AT(f), .b = NO_FIELD, .n = size
#define COUNT_MOST(f, size) COUNT(f, size), .shrinks = true
#define PRODUCT(f, g)       .length = PRODUCT_KIND, .a = AT(f), .b = AT(g)
#define KEY(map)            .length = KEY_KIND, .a = AT(map), .b = NO_FIELD
#define KEYS(map, f)        .length = KEY_KIND, .a = AT(map), .b = AT(f)
#define VALUE(map)          .length = VALUE_KIND, .a = AT(map), .b = NO_FIELD
#define VALUES(map, f)      .length = VALUE_KIND, .a = AT(map), .b = AT(f)
#define TOKEN(map)          .length = TOKEN_KIND, .a = AT(map), .b = NO_FIELD
#define STRING(bound)       .length = STRING_KIND, .n = bound
#define TEXT(f)             .length = TEXT_KIND, .a = AT(f), .b = NO_FIELD, .n = 1, .shrinks = true
#define FD_ARRAY(f)         .length = FD_ARRAY_KIND, .a = AT(f)
#define INFO(f)             .length = INFO_KIND, .a = AT(f), .b = NO_FIELD
#define F(f)                AT(f)
#define HANDLES(...)        __VA_ARGS__
#define BUFFERS(...)        __VA_ARGS__

/* An array of its own for each command's handles and rules, then the table that points at them. */
#define COMMAND(number, NAME, last, flag, handles, buffers)                                        \
    static const uint16_t handles_##NAME[] = {handles};                                            \
    static const struct marshal_rule rules_##NAME[] = {buffers};
#include "ebpf/commands.def"
#undef COMMAND

#define COMMAND(number, NAME, last, flag, handles, buffers)                                        \
    {number,                                                                                       \
     #NAME,                                                                                        \
     END_OF(union marshal_attr, last),                                                             \
     flag,                                                                                         \
     ARRAY_LEN(handles_##NAME),                                                                    \
     ARRAY_LEN(rules_##NAME),                                                                      \
     handles_##NAME,                                                                               \
     rules_##NAME},
static const struct marshal_command commands[] = {
#include "ebpf/commands.def"
};
#undef COMMAND

/* Pointers in the info structs, by kind of object. */
#define IN_INFO(type, f, count_field, each)                                                        \
    {                                                                                              \
        .offset = offsetof(struct type, f), .dir = MARSHAL_OUT, .optional = true,                  \
        .content = MARSHAL_BYTES, .length = COUNT_KIND, .a = offsetof(struct type, count_field),   \
        .b = NO_FIELD, .n = each, .shrinks = true                                                  \
    }
#define IN_INFO_RECORDS(type, f, count_field, size_field)                                          \
    {                                                                                              \
        .offset = offsetof(struct type, f), .dir = MARSHAL_OUT, .optional = true,                  \
        .content = MARSHAL_BYTES, .length = PRODUCT_KIND, .a = offsetof(struct type, count_field), \
        .b = offsetof(struct type, size_field), .shrinks = true                                    \
    }

static const struct marshal_rule prog_info_rules[] = {
    IN_INFO(bpf_prog_info, jited_prog_insns, jited_prog_len, 1),
    IN_INFO(bpf_prog_info, xlated_prog_insns, xlated_prog_len, 1),
    IN_INFO(bpf_prog_info, map_ids, nr_map_ids, 4),
    IN_INFO(bpf_prog_info, jited_ksyms, nr_jited_ksyms, 8),
    IN_INFO(bpf_prog_info, jited_func_lens, nr_jited_func_lens, 4),
    IN_INFO_RECORDS(bpf_prog_info, func_info, nr_func_info, func_info_rec_size),
    IN_INFO_RECORDS(bpf_prog_info, line_info, nr_line_info, line_info_rec_size),
    IN_INFO_RECORDS(bpf_prog_info, jited_line_info, nr_jited_line_info, jited_line_info_rec_size),
    IN_INFO(bpf_prog_info, prog_tags, nr_prog_tags, BPF_TAG_SIZE),
};
static const struct marshal_rule btf_info_rules[] = {
    IN_INFO(bpf_btf_info, btf, btf_size, 1),
    IN_INFO(bpf_btf_info, name, name_len, 1),
};
static const struct marshal_rule link_info_rules[] = {
    {.offset = offsetof(struct bpf_link_info, raw_tracepoint.tp_name),
     .dir = MARSHAL_OUT,
     .optional = true,
     .content = MARSHAL_BYTES,
     .length = TEXT_KIND,
     .a = offsetof(struct bpf_link_info, raw_tracepoint.tp_name_len),
     .b = NO_FIELD,
     .n = 1,
     .shrinks = true,
     .link_type = BPF_LINK_TYPE_RAW_TRACEPOINT},
    {.offset = offsetof(struct skep_link_info_tracepoint, name),
     .dir = MARSHAL_OUT,
     .optional = true,
     .content = MARSHAL_BYTES,
     .length = TEXT_KIND,
     .a = offsetof(struct skep_link_info_tracepoint, name_len),
     .b = NO_FIELD,
     .n = 1,
     .shrinks = true,
     .link_type = BPF_LINK_TYPE_PERF_EVENT},
};

const struct marshal_rules marshal_info_rules[EBPF_NR_KINDS] = {
    [EBPF_PROG] = {prog_info_rules, ARRAY_LEN(prog_info_rules)},
    [EBPF_BTF] = {btf_info_rules, ARRAY_LEN(btf_info_rules)},
    [EBPF_LINK] = {link_info_rules, ARRAY_LEN(link_info_rules)},
};

_Static_assert(ARRAY_LEN(prog_info_rules) < MARSHAL_BUFFERS_MAX, "an info struct fits in a plan");
_Static_assert(sizeof(union marshal_attr) <= 512, "attributes stay small");

const struct marshal_command *marshal_find_command(uint32_t cmd)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].cmd == cmd)
            return &commands[i];
    return NULL;
}

/* The array whose pointer is the field at this offset in the info struct of a kind of object.
 * -ENOENT: there is none. */
int marshal_info_array(enum ebpf_kind kind, uint32_t field, struct marshal_array *out)
{
    const struct marshal_rules *rules = &marshal_info_rules[kind];

    for (unsigned i = 0; i < rules->count; i++) {
        const struct marshal_rule *rule = &rules->rules[i];

        if (rule->offset != field)
            continue;
        *out = (struct marshal_array){rule->a, rule->length == PRODUCT_KIND ? 0 : rule->n,
                                      rule->length == PRODUCT_KIND ? rule->b : 0};
        return 0;
    }
    return -ENOENT;
}

/* @return "MAP_CREATE"; NULL for an unknown command. */
const char *marshal_command_name(uint32_t cmd)
{
    const struct marshal_command *command = marshal_find_command(cmd);
    return command != NULL ? command->name : NULL;
}

/* True when the command's result is a new handle. */
bool marshal_returns_handle(uint32_t cmd)
{
    const struct marshal_command *command = marshal_find_command(cmd);
    return command != NULL && (command->flags & NEW_HANDLE) != 0;
}

/* Where the attributes that a command uses end: what follows must be zero. 0: unknown command. */
uint32_t marshal_attr_end(uint32_t cmd)
{
    const struct marshal_command *command = marshal_find_command(cmd);
    return command != NULL ? command->attr_end : 0;
}

/* The attribute fields that hold handles, as offsets; how many. attr must be complete (as in a
 * plan). A field that is 0 holds none. */
unsigned marshal_handle_fields(uint32_t cmd, const void *attr, uint16_t offsets[8])
{
    const struct marshal_command *command = marshal_find_command(cmd);
    const union marshal_attr *fields = attr;
    unsigned n = 0;

    if (command == NULL)
        return 0;
    for (unsigned i = 0; i < command->nr_handles; i++) {
        /* XDP: the same four bytes are an interface's index. */
        if (cmd == BPF_LINK_CREATE && fields->bpf.link_create.attach_type == BPF_XDP &&
            command->handles[i] == AT(bpf.link_create.target_fd))
            continue;
        offsets[n++] = command->handles[i];
    }
    return n;
}

static bool is_per_cpu(uint32_t type)
{
    return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* Bytes of one value as commands carry it: per-CPU values are rounded up to 8, one for each CPU. */
uint32_t marshal_value_size(uint32_t type, uint32_t value_size)
{
    return is_per_cpu(type) ? (uint32_t)round_up_to(value_size, 8) * PORT_NR_CPUS : value_size;
}
