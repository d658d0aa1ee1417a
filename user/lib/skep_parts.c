/*
 * Commands whose answer is longer than a reply may be (64 KiB): a large map value, the code of a
 * long program, large BTF. The caller sees one command; here it is carried by parts, with
 * SKEP_MAP_READ and SKEP_INFO_READ. Called by skep.c. What these cannot do (take a large value out
 * of a map, or read several in a batch) stays -EMSGSIZE, as the guest says.
 */
#include <string.h>

#include "ebpf/marshal.h"
#include "user/lib/skep_internal.h"

#define INFO_MAX 4096u /* longest info struct: ebpf/marshal.c refuses longer ones */

struct parts {
    struct skep *skep;
    const struct marshal_plan *plan;
    const struct marshal_ops *ops;
    unsigned timeout_ms;
};

/* True when the plan's command can be carried by parts and its answer would not fit in a reply. */
bool skep_needs_parts(const struct marshal_plan *plan)
{
    size_t size = 0;

    for (unsigned i = 0; i < plan->count; i++)
        if ((plan->buffers[i].dir & MARSHAL_OUT) != 0)
            size += (plan->buffers[i].len + 7u) & ~7u;
    return size > MARSHAL_ARENA_SIZE &&
           (plan->cmd == BPF_MAP_LOOKUP_ELEM || plan->cmd == BPF_OBJ_GET_INFO_BY_FD);
}

static uint32_t part_size(uint32_t left)
{
    return left < SKEP_TEXT_MAX ? left : SKEP_TEXT_MAX;
}

static int run(struct parts *p, uint32_t cmd, void *attr, uint32_t size, long *result)
{
    return skep_run_command(p->skep, cmd, attr, size, p->ops, p->timeout_ms, result);
}

static int lookup(struct parts *p, long *result)
{
    const union bpf_attr *attr = &p->plan->attr.bpf;
    const struct marshal_buffer *value = &p->plan->buffers[p->plan->count - 1];
    uint32_t offset = 0;
    int err = 0;

    while (err == 0 && *result == 0 && offset < value->len) {
        struct skep_map_read_attr part = {.key = attr->key,
                                          .buf = (uintptr_t)value->data + offset,
                                          .flags = attr->flags,
                                          .handle = attr->map_fd,
                                          .offset = offset,
                                          .size = part_size(value->len - offset)};

        err = run(p, SKEP_MAP_READ, &part, sizeof(part), result);
        offset += part.size;
    }
    return err;
}

/* One array into the caller's buffer, as far as both go. */
static int read_array(struct parts *p, const struct marshal_buffer *buffer, long *result)
{
    uint32_t offset = 0, end = buffer->len;
    int err = 0;

    while (err == 0 && *result == 0 && offset < end) {
        struct skep_info_read_attr part = {.buf = (uintptr_t)buffer->data + offset,
                                           .handle = p->plan->attr.bpf.info.bpf_fd,
                                           .field = buffer->offset,
                                           .offset = offset,
                                           .size = part_size(end - offset)};

        err = run(p, SKEP_INFO_READ, &part, sizeof(part), result);
        if (part.total < end)
            end = part.total;
        if (part.size == 0) /* the caller's buffer ends within a record */
            break;
        offset += part.size;
    }
    return err;
}

/* The struct itself first, with its arrays left out, then each of these. */
static int get_info(struct parts *p, union bpf_attr *attr, long *result)
{
    const struct marshal_plan *plan = p->plan;
    uint8_t info[INFO_MAX], *caller = plan->buffers[0].data;
    union bpf_attr first = plan->attr.bpf;
    int err;

    memcpy(info, caller, plan->buffers[0].len);
    for (unsigned i = 1; i < plan->count; i++)
        memset(info + plan->buffers[i].offset, 0, sizeof(uint64_t));
    first.info.info = (uintptr_t)info;
    err = run(p, BPF_OBJ_GET_INFO_BY_FD, &first, plan->attr_size, result);
    for (unsigned i = 1; i < plan->count && err == 0 && *result == 0; i++)
        err = read_array(p, &plan->buffers[i], result);
    if (err != 0 || *result != 0)
        return err;
    for (unsigned i = 1; i < plan->count; i++)
        memcpy(info + plan->buffers[i].offset, caller + plan->buffers[i].offset, sizeof(uint64_t));
    memcpy(caller, info, first.info.info_len);
    attr->info.info_len = first.info.info_len;
    return 0;
}

/* Carries out the plan's command, of attributes attr, by parts. As skep_run_command. */
int skep_run_parts(struct skep *skep, const struct marshal_plan *plan, void *attr,
                   const struct marshal_ops *ops, unsigned timeout_ms, long *result)
{
    struct parts parts = {skep, plan, ops, timeout_ms};

    *result = 0;
    return plan->cmd == BPF_MAP_LOOKUP_ELEM ? lookup(&parts, result)
                                            : get_info(&parts, attr, result);
}
