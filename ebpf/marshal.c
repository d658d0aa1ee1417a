/*
 * The walk over a command's rules that finds each of its buffers and their lengths. The client
 * finds the bytes where the attributes point, the server takes them from the message
 * (marshal_message.c); the rest is the same, so both ends come to the same plan.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/marshal.h"
#include "ebpf/marshal_rules.h"

#define FD_ARRAY_MAX 65536u

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

static int map_length(const struct marshal_walk *walk, const struct marshal_rule *rule,
                      const struct marshal_holder *holder, uint32_t *type, uint64_t *len)
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
static int rule_length(const struct marshal_walk *walk, const struct marshal_rule *rule,
                       const struct marshal_holder *holder, uint32_t *type, uint64_t *len)
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
        if (*len > MARSHAL_INFO_MAX)
            err = -E2BIG;
        break;
    }
    return err;
}

static int walk_rules(struct marshal_walk *walk, const struct marshal_rule *rules, unsigned count,
                      int parent, const struct marshal_holder *holder);

/* An info struct: the pointers in it depend on what the handle is. */
static int walk_info(struct marshal_walk *walk, unsigned index)
{
    struct marshal_plan *plan = walk->plan;
    struct marshal_holder info = {plan->buffers[index].data, plan->buffers[index].len};

    plan->kind = walk->ops->object_kind(walk->ops->arg, plan->attr.bpf.info.bpf_fd);
    if (plan->kind < 0)
        return plan->kind;
    if (plan->kind >= EBPF_NR_KINDS)
        return -EINVAL;
    return walk_rules(walk, marshal_info_rules[plan->kind].rules,
                      marshal_info_rules[plan->kind].count, (int)index, &info);
}

static int walk_rule(struct marshal_walk *walk, const struct marshal_rule *rule, int parent,
                     const struct marshal_holder *holder)
{
    struct marshal_plan *plan = walk->plan;
    struct marshal_buffer *buffer = &plan->buffers[plan->count];
    uint32_t type = BPF_MAP_TYPE_UNSPEC;
    uint64_t len = 0;
    int err;

    if (!marshal_rule_applies(rule, holder))
        return 0;
    /* Whoever executes the command would take the part that is there for an address. */
    if (rule->offset < holder->len && holder->len - rule->offset < sizeof(uint64_t))
        return -EINVAL;
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
    if ((rule->length == KEY_KIND || rule->length == VALUE_KIND) && rule->b != NO_FIELD) {
        uint32_t count = field_u32(holder, rule->b);
        buffer->each = count != 0 ? (uint32_t)len / count : 0;
    }
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

static int walk_rules(struct marshal_walk *walk, const struct marshal_rule *rules, unsigned count,
                      int parent, const struct marshal_holder *holder)
{
    for (unsigned i = 0; i < count; i++) {
        int err = walk_rule(walk, &rules[i], parent, holder);
        if (err != 0)
            return err;
    }
    return 0;
}

/* As many keys and values as a reply carries; at least one, which then may not fit. */
static int limit_batch(struct marshal_walk *walk)
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
int marshal_walk(struct marshal_walk *walk, uint32_t cmd, const void *attr, uint32_t attr_size)
{
    struct marshal_plan *plan = walk->plan;
    struct marshal_holder holder = {(uint8_t *)&plan->attr, sizeof(plan->attr)};
    uint32_t known;
    int err;

    __builtin_memset(plan, 0, sizeof(*plan));
    plan->cmd = cmd;
    plan->kind = -1;
    walk->command = marshal_find_command(cmd);
    if (walk->command == NULL)
        return -EINVAL;
    known = cmd < SKEP_HELLO ? (uint32_t)sizeof(union bpf_attr) : walk->command->attr_end;
    if (attr_size > MARSHAL_INFO_MAX)
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
