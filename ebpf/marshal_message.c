/*
 * Commands as messages: the two directions of the two ends (marshal.h has the form).
 *
 * A server must expect anything here: every length is computed from the attributes that arrived,
 * compared with what the message holds, and no pointer that arrived is ever followed. What the
 * values in the buffers mean is checked by sys.c and below.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/marshal.h"
#include "ebpf/marshal_rules.h"

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

static int take_bytes(struct marshal_reader *r, const uint8_t **bytes, uint32_t len)
{
    if (len > WIRE_MESSAGE_MAX || part_size(len) > r->left)
        return -EBADMSG;
    *bytes = r->at + 8;
    r->at += part_size(len);
    r->left -= part_size(len);
    return 0;
}

static int take_attr(struct marshal_reader *r, const uint8_t **bytes, uint32_t *len)
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
static int take_buffer(struct marshal_reader *r, unsigned index, const uint8_t **bytes,
                       uint32_t *len)
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

static bool at_end(const struct marshal_reader *r)
{
    return r->left == 0 && r->buffers == 0;
}

/* ---- client ----------------------------------------------------------------------------- */

static int place_local(struct marshal_walk *walk, const struct marshal_holder *holder,
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
 * Errors: -EINVAL unknown command, or an info struct that ends in a pointer, -E2BIG non-zero tail
 * or too long, -EBADF, -EFAULT null pointer.
 */
int marshal_plan(uint32_t cmd, const void *attr, uint32_t attr_size, const struct marshal_ops *ops,
                 struct marshal_plan *plan)
{
    struct marshal_walk walk = {.plan = plan, .ops = ops, .place = place_local};
    return marshal_walk(&walk, cmd, attr, attr_size);
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
    struct marshal_holder h = {bytes, len};
    for (unsigned i = 0; i < count; i++) {
        if (marshal_rule_applies(&rules[i], &h) && field_u64(&h, rules[i].offset) != 0)
            set_pointer(&h, rules[i].offset, (void *)1);
    }
}

/* Writes the request. @return its bytes, or -EMSGSIZE. */
long marshal_encode_request(const struct marshal_plan *plan, void *out, size_t capacity)
{
    const struct marshal_command *command = marshal_find_command(plan->cmd);
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
            hide_pointers(bytes, buffer->len, marshal_info_rules[plan->kind].rules,
                          marshal_info_rules[plan->kind].count);
    }
    return end_message(&w);
}

/* Copies what came back over to, but not over the pointers that rules name. */
static void copy_keeping_pointers(uint8_t *to, const uint8_t *from, uint32_t len,
                                  const struct marshal_rule *rules, unsigned count)
{
    struct marshal_holder received = {(uint8_t *)from, len};
    uint64_t saved[MARSHAL_BUFFERS_MAX];
    bool keep[MARSHAL_BUFFERS_MAX];

    for (unsigned i = 0; i < count; i++) {
        keep[i] =
            rules[i].offset + sizeof(uint64_t) <= len && marshal_rule_applies(&rules[i], &received);
        if (keep[i])
            __builtin_memcpy(&saved[i], to + rules[i].offset, sizeof(uint64_t));
    }
    __builtin_memcpy(to, from, len);
    for (unsigned i = 0; i < count; i++)
        if (keep[i])
            __builtin_memcpy(to + rules[i].offset, &saved[i], sizeof(uint64_t));
}

/* Attributes back to the caller: neither pointers nor handle fields change hands. */
static void return_attr(const struct marshal_plan *plan, const struct marshal_command *command,
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
    const struct marshal_command *command = marshal_find_command(plan->cmd);
    struct marshal_reader r = {.at = message, .left = size};
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
            copy_keeping_pointers(buffer->data, bytes, len, marshal_info_rules[plan->kind].rules,
                                  marshal_info_rules[plan->kind].count);
        else
            __builtin_memcpy(buffer->data, bytes, len);
    }
    return at_end(&r) ? 0 : -EBADMSG;
}

/* ---- server ----------------------------------------------------------------------------- */

/* Zeroed room in the arena. A rule that may shrink gets what there is, and the field that
 * says how much is lowered with it. */
static int place_in_arena(struct marshal_walk *walk, const struct marshal_holder *holder,
                          struct marshal_buffer *buffer)
{
    const struct marshal_rule *rule = buffer->rule;
    size_t room = walk->arena_left & ~(size_t)7;

    if (buffer->len > room) {
        uint32_t each = rule->length == PRODUCT_KIND ? field_u32(holder, rule->b) : rule->n;
        if (!rule->shrinks || each == 0 || room < each)
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

static int place_received(struct marshal_walk *walk, const struct marshal_holder *holder,
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
    struct marshal_walk walk = {.plan = plan,
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
        err = marshal_walk(&walk, cmd, attr, attr_size);
    if (err == 0 && !at_end(&walk.message))
        err = -EBADMSG;
    return err;
}

/* Bytes of an out buffer that the command has written. */
static uint32_t written_length(const struct marshal_plan *plan,
                               const struct marshal_command *command,
                               const struct marshal_buffer *buffer, long status)
{
    struct marshal_holder holder = {(uint8_t *)&plan->attr, sizeof(plan->attr)};
    const struct marshal_rule *rule = buffer->rule;
    uint64_t len = buffer->len;

    if (buffer->parent >= 0)
        holder = (struct marshal_holder){plan->buffers[buffer->parent].data,
                                         plan->buffers[buffer->parent].len};
    if (status < 0 && (command->flags & ON_ERROR) == 0)
        return 0;
    if (!marshal_rule_applies(rule, &holder))
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
    const struct marshal_command *command = marshal_find_command(plan->cmd);
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
            hide_pointers(bytes, len, marshal_info_rules[plan->kind].rules,
                          marshal_info_rules[plan->kind].count);
    }
    return anything ? end_message(&w) : 0;
}
