/*
 * Commands as bytes: the walk over commands.def that finds each buffer of a command and its
 * length, and the two directions of the two ends (marshal.h has the message's form).
 *
 * A server must expect anything here: every length is computed from the attributes that arrived,
 * compared with what the message holds, and no pointer that arrived is ever followed. What the
 * values in the buffers mean is checked by sys.c and below.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/marshal.h"
#include "ebpf/port.h"

#define INFO_MAX     4096u
#define FD_ARRAY_MAX 65536u

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
    uint32_t link_type; /* in a bpf_link_info: there only when type is this; else 0 */
};

struct command {
    uint32_t cmd;
    const char *name;
    uint16_t attr_end;
    uint8_t flags;
    uint8_t nr_handles, nr_rules;
    const uint16_t *handles;
    const struct marshal_rule *rules;
};

enum { NEW_HANDLE = 1, ATTR_BACK = 2, ON_ERROR = 4, BATCH = 8 };

/* ---- the tables ------------------------------------------------------------------------- */

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
static const struct command commands[] = {
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
};

static const struct {
    const struct marshal_rule *rules;
    unsigned count;
} info_rules[EBPF_NR_KINDS] = {
    [EBPF_PROG] = {prog_info_rules, ARRAY_LEN(prog_info_rules)},
    [EBPF_BTF] = {btf_info_rules, ARRAY_LEN(btf_info_rules)},
    [EBPF_LINK] = {link_info_rules, ARRAY_LEN(link_info_rules)},
};

_Static_assert(ARRAY_LEN(prog_info_rules) < MARSHAL_BUFFERS_MAX, "an info struct fits in a plan");
_Static_assert(sizeof(union marshal_attr) <= 512, "attributes stay small");

static const struct command *find_command(uint32_t cmd)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].cmd == cmd)
            return &commands[i];
    return NULL;
}

/* @return "MAP_CREATE"; NULL for an unknown command. */
const char *marshal_command_name(uint32_t cmd)
{
    const struct command *command = find_command(cmd);
    return command != NULL ? command->name : NULL;
}

/* True when the command's result is a new handle. */
bool marshal_returns_handle(uint32_t cmd)
{
    const struct command *command = find_command(cmd);
    return command != NULL && (command->flags & NEW_HANDLE) != 0;
}

/* Where the attributes that a command uses end: what follows must be zero. 0: unknown command. */
uint32_t marshal_attr_end(uint32_t cmd)
{
    const struct command *command = find_command(cmd);
    return command != NULL ? command->attr_end : 0;
}

/* The attribute fields that hold handles, as offsets; how many. attr must be complete (as in a
 * plan). A field that is 0 holds none. */
unsigned marshal_handle_fields(uint32_t cmd, const void *attr, uint16_t offsets[8])
{
    const struct command *command = find_command(cmd);
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

static bool is_hash(uint32_t type)
{
    return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH ||
           type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
           type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

static bool holds_fds(uint32_t type)
{
    return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
           type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* Bytes of one value as commands carry it: per-CPU values are rounded up to 8, one for each CPU. */
uint32_t marshal_value_size(uint32_t type, uint32_t value_size)
{
    return is_per_cpu(type) ? (uint32_t)round_up_to(value_size, 8) * PORT_NR_CPUS : value_size;
}

/* ---- the walk --------------------------------------------------------------------------- */

/* A struct that holds pointers: the attributes, or an info struct. Fields beyond its end are 0. */
struct holder {
    uint8_t *bytes;
    uint32_t len;
};

/* Reads a message; what it points at stays where it is. */
struct reader {
    const uint8_t *at;
    size_t left;
    uint32_t buffers; /* that are still to come */
};

struct walk {
    struct marshal_plan *plan;
    const struct command *command;
    const struct marshal_ops *ops;
    /* Finds the bytes of one buffer, whose rule, holder and length are known: data, and len where
     * it may differ. */
    int (*place)(struct walk *walk, const struct holder *holder, struct marshal_buffer *buffer);
    struct reader message; /* server: what is left of the request */
    uint8_t *arena;
    size_t arena_left;
};

static uint32_t field_u32(const struct holder *h, unsigned offset)
{
    uint32_t value = 0;
    if (offset + sizeof(value) <= h->len)
        __builtin_memcpy(&value, h->bytes + offset, sizeof(value));
    return value;
}

static uint64_t field_u64(const struct holder *h, unsigned offset)
{
    uint64_t value = 0;
    if (offset + sizeof(value) <= h->len)
        __builtin_memcpy(&value, h->bytes + offset, sizeof(value));
    return value;
}

static void set_u32(const struct holder *h, unsigned offset, uint32_t value)
{
    __builtin_memcpy(h->bytes + offset, &value, sizeof(value));
}

static void set_pointer(const struct holder *h, unsigned offset, const void *pointer)
{
    uint64_t value = (uintptr_t)pointer;
    __builtin_memcpy(h->bytes + offset, &value, sizeof(value));
}

/* One entry of fd_array for each index up to the highest that an instruction names. */
static int fd_array_length(const struct marshal_plan *plan, const struct marshal_rule *rule,
                           uint64_t *len)
{
    const struct marshal_buffer *code = NULL;
    uint32_t entries = 0;

    for (unsigned i = 0; i < plan->count; i++)
        if (plan->buffers[i].parent < 0 && plan->buffers[i].offset == rule->a)
            code = &plan->buffers[i];
    *len = 0;
    if (code == NULL)
        return 0;
    for (uint32_t at = 0; at + sizeof(struct bpf_insn) <= code->len;
         at += sizeof(struct bpf_insn)) {
        struct bpf_insn insn;
        uint32_t index;

        __builtin_memcpy(&insn, (const uint8_t *)code->data + at, sizeof(insn));
        if (insn.code == (BPF_LD | BPF_IMM | BPF_DW)) {
            at += sizeof(struct bpf_insn);
            if (insn.src_reg != BPF_PSEUDO_MAP_IDX && insn.src_reg != BPF_PSEUDO_MAP_IDX_VALUE)
                continue;
            index = (uint32_t)insn.imm;
        } else if (insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_KFUNC_CALL &&
                   insn.off > 0) {
            index = (uint32_t)insn.off;
        } else {
            continue;
        }
        if (index >= FD_ARRAY_MAX)
            return -E2BIG;
        entries = index + 1 > entries ? index + 1 : entries;
    }
    *len = (uint64_t)entries * 4;
    return 0;
}

static int map_length(const struct walk *walk, const struct marshal_rule *rule,
                      const struct holder *holder, uint32_t *type, uint64_t *len)
{
    uint32_t key_size, value_size;
    int err = walk->ops->map_sizes(walk->ops->arg, field_u32(holder, rule->a), &key_size,
                                   &value_size, type);
    if (err != 0)
        return err;
    if (rule->length == TOKEN_KIND)
        *len = is_hash(*type) ? 4 : key_size;
    else
        *len = rule->length == KEY_KIND ? key_size : value_size;
    if (rule->b != NO_FIELD)
        *len *= field_u32(holder, rule->b);
    return 0;
}

/* Bytes of a buffer as the fields say. STRING: its bound. */
static int rule_length(const struct walk *walk, const struct marshal_rule *rule,
                       const struct holder *holder, uint32_t *type, uint64_t *len)
{
    int err = 0;

    switch ((enum length_kind)rule->length) {
    case COUNT_KIND:
    case TEXT_KIND:
        *len = (uint64_t)field_u32(holder, rule->a) * rule->n;
        break;
    case PRODUCT_KIND:
        *len = (uint64_t)field_u32(holder, rule->a) * field_u32(holder, rule->b);
        break;
    case KEY_KIND:
    case VALUE_KIND:
    case TOKEN_KIND:
        err = map_length(walk, rule, holder, type, len);
        break;
    case STRING_KIND:
        *len = rule->n;
        break;
    case FD_ARRAY_KIND:
        err = fd_array_length(walk->plan, rule, len);
        break;
    case INFO_KIND:
        *len = field_u32(holder, rule->a);
        if (*len > INFO_MAX)
            err = -E2BIG;
        break;
    }
    return err;
}

static int walk_rules(struct walk *walk, const struct marshal_rule *rules, unsigned count,
                      int parent, const struct holder *holder);

/* An info struct: the pointers in it depend on what the handle is. */
static int walk_info(struct walk *walk, unsigned index)
{
    struct marshal_plan *plan = walk->plan;
    struct holder info = {plan->buffers[index].data, plan->buffers[index].len};

    plan->kind = walk->ops->object_kind(walk->ops->arg, plan->attr.bpf.info.bpf_fd);
    if (plan->kind < 0)
        return plan->kind;
    if (plan->kind >= EBPF_NR_KINDS)
        return -EINVAL;
    return walk_rules(walk, info_rules[plan->kind].rules, info_rules[plan->kind].count, (int)index,
                      &info);
}

static int walk_rule(struct walk *walk, const struct marshal_rule *rule, int parent,
                     const struct holder *holder)
{
    struct marshal_plan *plan = walk->plan;
    struct marshal_buffer *buffer = &plan->buffers[plan->count];
    uint32_t type = BPF_MAP_TYPE_UNSPEC;
    uint64_t len = 0;
    int err;

    if (field_u64(holder, rule->offset) == 0 && rule->optional)
        return 0;
    err = rule_length(walk, rule, holder, &type, &len);
    if (err != 0)
        return err;
    if (len == 0) {
        if (rule->offset + sizeof(uint64_t) <= holder->len)
            set_pointer(holder, rule->offset, NULL);
        return 0;
    }
    if (field_u64(holder, rule->offset) == 0)
        return -EFAULT;
    if (len > WIRE_MESSAGE_MAX)
        return -E2BIG;
    *buffer = (struct marshal_buffer){.parent = (int16_t)parent,
                                      .offset = rule->offset,
                                      .dir = rule->dir,
                                      .content = rule->content,
                                      .len = (uint32_t)len,
                                      .rule = rule};
    if (rule->length == KEY_KIND || rule->length == VALUE_KIND)
        buffer->each = rule->b != NO_FIELD ? (uint32_t)len / field_u32(holder, rule->b) : 0;
    if (rule->length == VALUE_KIND && type == BPF_MAP_TYPE_BLOOM_FILTER)
        buffer->dir = MARSHAL_IN; /* a lookup asks whether this value may be there */
    if (rule->length == VALUE_KIND && buffer->dir == MARSHAL_IN && holds_fds(type))
        buffer->content = MARSHAL_FDS;
    err = walk->place(walk, holder, buffer);
    if (err != 0)
        return err;
    plan->count++;
    return rule->length == INFO_KIND ? walk_info(walk, plan->count - 1) : 0;
}

static int walk_rules(struct walk *walk, const struct marshal_rule *rules, unsigned count,
                      int parent, const struct holder *holder)
{
    for (unsigned i = 0; i < count; i++) {
        int err = walk_rule(walk, &rules[i], parent, holder);
        if (err != 0)
            return err;
    }
    return 0;
}

/* As many keys and values as a reply carries; at least one, which then may not fit. */
static int limit_batch(struct walk *walk)
{
    union bpf_attr *attr = &walk->plan->attr.bpf;
    uint32_t key_size, value_size, type, most;
    int err =
        walk->ops->map_sizes(walk->ops->arg, attr->batch.map_fd, &key_size, &value_size, &type);
    if (err != 0)
        return err;
    /* The batch token, at most a key, and the rounding of three parts travel too. */
    uint64_t each = (uint64_t)key_size + value_size;
    uint64_t room = MARSHAL_ARENA_SIZE - 64;
    room = room > key_size ? room - key_size : 0;
    most = each != 0 && room / each > 1 ? (uint32_t)(room / each) : 1;
    if (attr->batch.count > most)
        attr->batch.count = most;
    return 0;
}

/* Checks and copies the attributes, then walks the command's rules. */
static int run_walk(struct walk *walk, uint32_t cmd, const void *attr, uint32_t attr_size)
{
    struct marshal_plan *plan = walk->plan;
    struct holder holder = {(uint8_t *)&plan->attr, sizeof(plan->attr)};
    uint32_t known;
    int err;

    __builtin_memset(plan, 0, sizeof(*plan));
    plan->cmd = cmd;
    plan->kind = -1;
    walk->command = find_command(cmd);
    if (walk->command == NULL)
        return -EINVAL;
    known = cmd < SKEP_HELLO ? (uint32_t)sizeof(union bpf_attr) : walk->command->attr_end;
    if (attr_size > INFO_MAX)
        return -E2BIG;
    if (attr_size > known) {
        if (!all_zero((const uint8_t *)attr + known, attr_size - known))
            return -E2BIG;
        attr_size = known;
    }
    plan->attr_size = attr_size;
    __builtin_memcpy(&plan->attr, attr, attr_size);
    if ((walk->command->flags & BATCH) != 0) {
        err = limit_batch(walk);
        if (err != 0)
            return err;
    }
    return walk_rules(walk, walk->command->rules, walk->command->nr_rules, -1, &holder);
}

/* ---- messages --------------------------------------------------------------------------- */

/* Writes a message: the body's head and attributes first, then buffers. */
struct writer {
    uint8_t *out;
    size_t capacity, used;
    uint32_t buffers;
};

static size_t part_size(uint32_t len)
{
    return 8 + round_up_to(len, 8);
}

/* One part: a head of two words, bytes, padding. @return where the bytes went, or NULL: no room. */
static uint8_t *put_part(struct writer *w, uint32_t first, uint32_t second, const void *bytes,
                         uint32_t len)
{
    uint32_t head[2] = {first, second};
    uint8_t *to = w->out + w->used;

    if (part_size(len) > w->capacity - w->used)
        return NULL;
    __builtin_memcpy(to, head, sizeof(head));
    if (len != 0)
        __builtin_memcpy(to + 8, bytes, len);
    __builtin_memset(to + 8 + len, 0, part_size(len) - 8 - len);
    w->used += part_size(len);
    return to + 8;
}

static uint8_t *put_attr(struct writer *w, const union marshal_attr *attr, uint32_t len)
{
    return put_part(w, len, 0, attr, len);
}

static uint8_t *put_buffer(struct writer *w, unsigned index, const void *bytes, uint32_t len)
{
    w->buffers++;
    return put_part(w, index, len, bytes, len);
}

/* @return the message's bytes; its head now knows how many buffers there are. */
static long end_message(struct writer *w)
{
    __builtin_memcpy(w->out + offsetof(struct marshal_head, buffers), &w->buffers, 4);
    return (long)w->used;
}

static int take_bytes(struct reader *r, const uint8_t **bytes, uint32_t len)
{
    if (len > WIRE_MESSAGE_MAX || part_size(len) > r->left)
        return -EBADMSG;
    *bytes = r->at + 8;
    r->at += part_size(len);
    r->left -= part_size(len);
    return 0;
}

static int take_attr(struct reader *r, const uint8_t **bytes, uint32_t *len)
{
    struct marshal_head body;

    if (r->left < sizeof(body))
        return -EBADMSG;
    __builtin_memcpy(&body, r->at, sizeof(body));
    r->buffers = body.buffers;
    *len = body.attr_size;
    return take_bytes(r, bytes, *len);
}

/* The next buffer, which must be the one with this index in the plan. */
static int take_buffer(struct reader *r, unsigned index, const uint8_t **bytes, uint32_t *len)
{
    struct marshal_part head;

    if (r->left < sizeof(head) || r->buffers == 0)
        return -EBADMSG;
    __builtin_memcpy(&head, r->at, sizeof(head));
    if (head.index != index)
        return -EBADMSG;
    r->buffers--;
    *len = head.len;
    return take_bytes(r, bytes, *len);
}

static bool at_end(const struct reader *r)
{
    return r->left == 0 && r->buffers == 0;
}

/* ---- client ----------------------------------------------------------------------------- */

static int place_local(struct walk *walk, const struct holder *holder,
                       struct marshal_buffer *buffer)
{
    (void)walk;
    buffer->data = (void *)(uintptr_t)field_u64(holder, buffer->offset);
    if (buffer->rule->length == STRING_KIND) {
        size_t n = bounded_length(buffer->data, buffer->len - 1);
        buffer->len = (uint32_t)n + 1; /* a longer text is cut; encode ends it */
    }
    return 0;
}

/* Finds what a command's attributes point at. attr's pointers are addresses here; the bytes are
 * borrowed until the reply is decoded. attr itself is copied into the plan, where batch.count may
 * be lowered to what a reply can carry.
 * Errors: -EINVAL unknown command, -E2BIG non-zero tail or too long, -EBADF, -EFAULT null pointer.
 */
int marshal_plan(uint32_t cmd, const void *attr, uint32_t attr_size, const struct marshal_ops *ops,
                 struct marshal_plan *plan)
{
    struct walk walk = {.plan = plan, .ops = ops, .place = place_local};
    return run_walk(&walk, cmd, attr, attr_size);
}

/* Bytes that marshal_encode_request will write. */
size_t marshal_request_size(const struct marshal_plan *plan)
{
    size_t size = part_size(plan->attr_size);
    for (unsigned i = 0; i < plan->count; i++)
        if ((plan->buffers[i].dir & MARSHAL_IN) != 0)
            size += part_size(plan->buffers[i].len);
    return size;
}

/* No address leaves this machine: a pointer that is there travels as 1. */
static void hide_pointers(uint8_t *bytes, uint32_t len, const struct marshal_rule *rules,
                          unsigned count)
{
    struct holder h = {bytes, len};
    for (unsigned i = 0; i < count; i++) {
        if (rules[i].link_type != 0 && field_u32(&h, 0) != 0 &&
            field_u32(&h, 0) != rules[i].link_type)
            continue;
        if (field_u64(&h, rules[i].offset) != 0)
            set_pointer(&h, rules[i].offset, (void *)1);
    }
}

/* Writes the request. @return its bytes, or -EMSGSIZE. */
long marshal_encode_request(const struct marshal_plan *plan, void *out, size_t capacity)
{
    const struct command *command = find_command(plan->cmd);
    struct writer w = {.out = out,
                       .capacity = capacity < WIRE_MESSAGE_MAX ? capacity : WIRE_MESSAGE_MAX};
    union marshal_attr attr = plan->attr;

    hide_pointers((uint8_t *)&attr, sizeof(attr), command->rules, command->nr_rules);
    if (put_attr(&w, &attr, plan->attr_size) == NULL)
        return -EMSGSIZE;
    for (unsigned i = 0; i < plan->count; i++) {
        const struct marshal_buffer *buffer = &plan->buffers[i];
        uint8_t *bytes;

        if ((buffer->dir & MARSHAL_IN) == 0)
            continue;
        bytes = put_buffer(&w, i, buffer->data, buffer->len);
        if (bytes == NULL)
            return -EMSGSIZE;
        if (buffer->rule->length == STRING_KIND)
            bytes[buffer->len - 1] = '\0';
        if (buffer->rule->length == INFO_KIND)
            hide_pointers(bytes, buffer->len, info_rules[plan->kind].rules,
                          info_rules[plan->kind].count);
    }
    return end_message(&w);
}

/* Copies what came back over to, but not over the pointers that rules name. */
static void copy_keeping_pointers(uint8_t *to, const uint8_t *from, uint32_t len,
                                  const struct marshal_rule *rules, unsigned count)
{
    struct holder received = {(uint8_t *)from, len};
    uint64_t saved[MARSHAL_BUFFERS_MAX];
    bool keep[MARSHAL_BUFFERS_MAX];

    for (unsigned i = 0; i < count; i++) {
        keep[i] = rules[i].offset + sizeof(uint64_t) <= len &&
                  (rules[i].link_type == 0 || field_u32(&received, 0) == rules[i].link_type);
        if (keep[i])
            __builtin_memcpy(&saved[i], to + rules[i].offset, sizeof(uint64_t));
    }
    __builtin_memcpy(to, from, len);
    for (unsigned i = 0; i < count; i++)
        if (keep[i])
            __builtin_memcpy(to + rules[i].offset, &saved[i], sizeof(uint64_t));
}

/* Attributes back to the caller: neither pointers nor handle fields change hands. */
static void return_attr(const struct marshal_plan *plan, const struct command *command,
                        const uint8_t *bytes, void *attr)
{
    uint32_t saved[8];
    uint8_t *fields = attr;

    for (unsigned i = 0; i < command->nr_handles; i++)
        if (command->handles[i] + 4u <= plan->attr_size)
            __builtin_memcpy(&saved[i], fields + command->handles[i], 4);
    copy_keeping_pointers(fields, bytes, plan->attr_size, command->rules, command->nr_rules);
    for (unsigned i = 0; i < command->nr_handles; i++)
        if (command->handles[i] + 4u <= plan->attr_size)
            __builtin_memcpy(fields + command->handles[i], &saved[i], 4);
}

/* Takes the reply to a plan's request: attributes into attr (plan->attr_size bytes there), out
 * buffers to where the plan's pointers say. 0, or -EBADMSG: then some may have been copied. */
int marshal_decode_reply(const struct marshal_plan *plan, const void *message, size_t size,
                         void *attr)
{
    const struct command *command = find_command(plan->cmd);
    struct reader r = {.at = message, .left = size};
    const uint8_t *bytes;
    uint32_t len;

    if (size == 0)
        return 0;
    if (take_attr(&r, &bytes, &len) != 0 || (len != 0 && len != plan->attr_size))
        return -EBADMSG;
    if (len != 0)
        return_attr(plan, command, bytes, attr);
    for (unsigned i = 0; i < plan->count; i++) {
        const struct marshal_buffer *buffer = &plan->buffers[i];

        if ((buffer->dir & MARSHAL_OUT) == 0)
            continue;
        if (take_buffer(&r, i, &bytes, &len) != 0 || len > buffer->len)
            return -EBADMSG;
        if (buffer->rule->length == INFO_KIND)
            copy_keeping_pointers(buffer->data, bytes, len, info_rules[plan->kind].rules,
                                  info_rules[plan->kind].count);
        else
            __builtin_memcpy(buffer->data, bytes, len);
    }
    return at_end(&r) ? 0 : -EBADMSG;
}

/* ---- server ----------------------------------------------------------------------------- */

/* Zeroed room in the arena. A rule that may shrink gets what there is, and the field that
 * says how much is lowered with it. */
static int place_in_arena(struct walk *walk, const struct holder *holder,
                          struct marshal_buffer *buffer)
{
    const struct marshal_rule *rule = buffer->rule;
    size_t room = walk->arena_left & ~(size_t)7;

    if (buffer->len > room) {
        uint32_t each = rule->length == PRODUCT_KIND ? field_u32(holder, rule->b) : rule->n;
        if (!rule->shrinks || room < each)
            return -EMSGSIZE;
        set_u32(holder, rule->a, (uint32_t)(room / each));
        buffer->len = (uint32_t)(room / each) * each;
    }
    buffer->data = walk->arena;
    __builtin_memset(buffer->data, 0, buffer->len);
    walk->arena += round_up_to(buffer->len, 8);
    walk->arena_left -= round_up_to(buffer->len, 8);
    return 0;
}

static int place_received(struct walk *walk, const struct holder *holder,
                          struct marshal_buffer *buffer)
{
    const uint8_t *bytes = NULL;
    uint32_t len = 0;
    int err = 0;

    if ((buffer->dir & MARSHAL_IN) != 0) {
        err = take_buffer(&walk->message, walk->plan->count, &bytes, &len);
        if (err != 0)
            return err;
        if (buffer->rule->length == STRING_KIND) {
            if (len == 0 || len > buffer->len || bytes[len - 1] != '\0')
                return -EBADMSG;
            buffer->len = len;
        }
        if (len != buffer->len)
            return -EBADMSG;
        buffer->data = (void *)bytes;
    }
    if ((buffer->dir & MARSHAL_OUT) != 0) {
        err = place_in_arena(walk, holder, buffer);
        if (err == 0 && bytes != NULL)
            __builtin_memcpy(buffer->data, bytes, len);
    }
    if (err == 0)
        set_pointer(holder, buffer->offset, buffer->data);
    return err;
}

/* Takes a request apart. message must be aligned to 8 and stays in use, as the arena does, until
 * the reply is encoded; plan->attr then holds pointers into both and can be executed. arena_size:
 * MARSHAL_ARENA_SIZE at most, so that the reply has room for all that is written there.
 * Errors: those of marshal_plan; -EBADMSG lengths that do not agree; -EMSGSIZE the answer would be
 * larger than a reply. */
int marshal_decode_request(uint32_t cmd, void *message, size_t size, const struct marshal_ops *ops,
                           void *arena, size_t arena_size, struct marshal_plan *plan)
{
    struct walk walk = {.plan = plan,
                        .ops = ops,
                        .place = place_received,
                        .message = {.at = message, .left = size},
                        .arena = arena,
                        .arena_left = arena_size};
    const uint8_t *attr;
    uint32_t attr_size;
    int err;

    __builtin_memset(plan, 0, sizeof(*plan));
    err = take_attr(&walk.message, &attr, &attr_size);
    if (err == 0)
        err = run_walk(&walk, cmd, attr, attr_size);
    if (err == 0 && !at_end(&walk.message))
        err = -EBADMSG;
    return err;
}

/* Bytes of an out buffer that the command has written. */
static uint32_t written_length(const struct marshal_plan *plan, const struct command *command,
                               const struct marshal_buffer *buffer, long status)
{
    struct holder holder = {(uint8_t *)&plan->attr, sizeof(plan->attr)};
    const struct marshal_rule *rule = buffer->rule;
    uint64_t len = buffer->len;

    if (buffer->parent >= 0)
        holder =
            (struct holder){plan->buffers[buffer->parent].data, plan->buffers[buffer->parent].len};
    if (status < 0 && (command->flags & ON_ERROR) == 0)
        return 0;
    if (rule->link_type != 0 && field_u32(&holder, 0) != rule->link_type)
        return 0;
    if (rule->length == TEXT_KIND) {
        len = bounded_length(buffer->data, buffer->len);
        return len == 0 ? 0 : (uint32_t)(len < buffer->len ? len + 1 : len);
    }
    if (buffer->each != 0)
        len = (uint64_t)field_u32(&holder, rule->b) * buffer->each;
    else if (rule->length == COUNT_KIND)
        len = (uint64_t)field_u32(&holder, rule->a) * rule->n;
    else if (rule->length == PRODUCT_KIND)
        len = (uint64_t)field_u32(&holder, rule->a) * field_u32(&holder, rule->b);
    else if (rule->length == INFO_KIND)
        len = field_u32(&holder, rule->a);
    return (uint32_t)(len < buffer->len ? len : buffer->len);
}

/* Writes the reply of a request that marshal_decode_request took apart and that was executed with
 * this status. @return its bytes, 0 when there is nothing to say beyond the status, or -EMSGSIZE.
 */
long marshal_encode_reply(const struct marshal_plan *plan, long status, void *out, size_t capacity)
{
    const struct command *command = find_command(plan->cmd);
    struct writer w = {.out = out, .capacity = capacity};
    union marshal_attr attr = plan->attr;
    bool anything = (command->flags & ATTR_BACK) != 0;

    hide_pointers((uint8_t *)&attr, sizeof(attr), command->rules, command->nr_rules);
    if (put_attr(&w, &attr, anything ? plan->attr_size : 0) == NULL)
        return -EMSGSIZE;
    for (unsigned i = 0; i < plan->count; i++) {
        const struct marshal_buffer *buffer = &plan->buffers[i];
        uint32_t len = written_length(plan, command, buffer, status);
        uint8_t *bytes;

        if ((buffer->dir & MARSHAL_OUT) == 0)
            continue;
        anything |= len != 0;
        bytes = put_buffer(&w, i, buffer->data, len);
        if (bytes == NULL)
            return -EMSGSIZE;
        if (buffer->rule->length == INFO_KIND)
            hide_pointers(bytes, len, info_rules[plan->kind].rules, info_rules[plan->kind].count);
    }
    return anything ? end_message(&w) : 0;
}
