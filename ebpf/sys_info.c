/*
 * OBJ_GET_INFO_BY_FD, and INFO_READ and HANDLE_INFO beside it. The struct of the former may be
 * shorter or longer than ours; its pointers name buffers of the lengths that stand beside them, and
 * come back with what there is to tell. Linux: kernel/bpf/syscall.c bpf_*_get_info_by_fd, btf.c
 * btf_get_info_by_fd.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/jit.h"
#include "ebpf/port.h"
#include "ebpf/sys.h"

#define INFO_MAX 4096u /* Linux: PAGE_SIZE */

/* As much of an array, from `skip` bytes on, as its buffer has room for. */
static void put_array(uint64_t buffer, uint64_t room, const void *from, uint64_t size,
                      uint32_t skip)
{
    if (buffer == 0 || from == NULL || skip >= size)
        return;
    size -= skip;
    __builtin_memcpy(ebpf_attr_pointer(buffer), (const uint8_t *)from + skip,
                     room < size ? room : size);
}

static void put_map_ids(const struct bpf_prog_info *info, const struct ebpf_prog *prog,
                        uint32_t skip)
{
    uint32_t *ids = ebpf_attr_pointer(info->map_ids), first = skip / (uint32_t)sizeof(*ids);

    for (uint32_t i = 0; ids != NULL && i < info->nr_map_ids && first + i < prog->nr_maps; i++)
        __builtin_memcpy(&ids[i], &prog->maps[first + i]->object.id, sizeof(ids[i]));
}

static int prog_info(const struct ebpf_prog *prog, void *out, uint32_t skip)
{
    struct bpf_prog_info *info = out;
    uint32_t code_size = prog->nr_insns * (uint32_t)sizeof(struct bpf_insn);

    info->type = prog->type;
    info->id = prog->object.id;
    __builtin_memcpy(info->tag, prog->tag, sizeof(info->tag));
    info->load_time = prog->object.created_ns;
    info->created_by_uid = 0;
    copy_text(info->name, prog->name, sizeof(info->name));
    info->ifindex = 0;
    info->gpl_compatible = prog->gpl_compatible;
    info->netns_dev = info->netns_ino = 0;
    info->btf_id = prog->btf != NULL ? prog->btf->object.id : 0;
    info->run_time_ns = prog->run_time_ns;
    info->run_cnt = prog->run_cnt;
    info->recursion_misses = prog->recursion_misses;
    info->verified_insns = prog->nr_insns;
    info->attach_btf_obj_id = info->attach_btf_id = 0;

    put_map_ids(info, prog, skip);
    info->nr_map_ids = prog->nr_maps;
    put_array(info->xlated_prog_insns, info->xlated_prog_len, prog->insns, code_size, skip);
    info->xlated_prog_len = code_size;
    put_array(info->prog_tags, (uint64_t)info->nr_prog_tags * sizeof(prog->tag), prog->tag,
              sizeof(prog->tag), skip);
    info->nr_prog_tags = 1;
    put_array(info->func_info, (uint64_t)info->nr_func_info * info->func_info_rec_size,
              prog->func_info, prog->nr_func_info * sizeof(struct bpf_func_info), skip);
    info->nr_func_info = prog->nr_func_info;
    info->func_info_rec_size = sizeof(struct bpf_func_info);
    put_array(info->line_info, (uint64_t)info->nr_line_info * info->line_info_rec_size,
              prog->line_info, prog->nr_line_info * sizeof(struct bpf_line_info), skip);
    info->nr_line_info = prog->nr_line_info;
    info->line_info_rec_size = sizeof(struct bpf_line_info);

    /* Machine code is one piece, whose functions have no names and no lines of their own. */
    if (prog->jit)
        put_array(info->jited_prog_insns, info->jited_prog_len, prog->jit->code, prog->jit->size,
                  skip);
    info->jited_prog_len = prog->jit ? (uint32_t)prog->jit->size : 0;
    info->nr_jited_ksyms = info->nr_jited_func_lens = info->nr_jited_line_info = 0;
    info->jited_line_info_rec_size = sizeof(uint64_t);
    return 0;
}

static int map_info(const struct ebpf_map *map, void *out)
{
    struct bpf_map_info *info = out;

    *info = (struct bpf_map_info){
        .type = map->type,
        .id = map->object.id,
        .key_size = map->key_size,
        .value_size = map->value_size,
        .max_entries = map->max_entries,
        .map_flags = map->flags,
        .btf_id = map->btf != NULL ? map->btf->object.id : 0,
        .btf_key_type_id = map->btf_key_type_id,
        .btf_value_type_id = map->btf_value_type_id,
        .map_extra = map->extra,
    };
    copy_text(info->name, map->name, sizeof(info->name));
    return 0;
}

static int btf_info(const struct ebpf_btf *btf, void *out, uint32_t skip)
{
    struct bpf_btf_info *info = out;

    put_array(info->btf, info->btf_size, btf->bytes, btf->size, skip);
    info->btf_size = btf->size;
    info->id = btf->object.id;
    info->kernel_btf = 0;
    put_array(info->name, info->name_len, "", 1, skip); /* only the kernel's own BTF has names */
    info->name_len = 0;
    return 0;
}

/* A name with its NUL into a buffer that the caller gave, and how long it is. */
static int put_name(uint64_t buffer, const char *name, uint32_t *len)
{
    uint32_t room = *len, size = (uint32_t)__builtin_strlen(name) + 1;

    if ((buffer == 0) != (room == 0))
        return -EINVAL;
    *len = size;
    if (buffer == 0)
        return 0;
    copy_text(ebpf_attr_pointer(buffer), name, room);
    return room < size ? -ENOSPC : 0;
}

/* asked: what the caller put there. Where it said another type, its bytes are no pointers: the
 * marshaller has not looked at them (marshal_rule_applies). */
static int raw_tracepoint_info(const struct ebpf_link *link, const struct bpf_link_info *asked,
                               struct bpf_link_info *info)
{
    if (asked->type == 0 || asked->type == BPF_LINK_TYPE_RAW_TRACEPOINT)
        info->raw_tracepoint = asked->raw_tracepoint;
    return put_name(info->raw_tracepoint.tp_name, link->name, &info->raw_tracepoint.tp_name_len);
}

static int tracepoint_info(const struct ebpf_link *link, const struct bpf_link_info *asked,
                           struct bpf_link_info *out)
{
    struct skep_link_info_tracepoint info, in;
    int err;

    __builtin_memcpy(&info, out, sizeof(info));
    __builtin_memcpy(&in, asked, sizeof(in));
    info.event = SKEP_PERF_EVENT_TRACEPOINT;
    info.cookie = link->cookie;
    if (in.type == BPF_LINK_TYPE_PERF_EVENT) {
        info.name = in.name;
        info.name_len = in.name_len;
    }
    err = put_name(info.name, port_tracepoint_name(link->target), &info.name_len);
    __builtin_memcpy(out, &info, sizeof(info));
    return err;
}

static int link_info(const struct ebpf_link *link, void *out)
{
    struct bpf_link_info *info = out, asked = *info;

    *info = (struct bpf_link_info){
        .type = link->type, .id = link->object.id, .prog_id = link->prog->object.id};
    if (link->type == BPF_LINK_TYPE_RAW_TRACEPOINT)
        return raw_tracepoint_info(link, &asked, info);
    if (link->type == BPF_LINK_TYPE_PERF_EVENT)
        return tracepoint_info(link, &asked, info);
    if (link->type == BPF_LINK_TYPE_XDP)
        info->xdp.ifindex = link->attached ? link->ifindex : 0;
    return 0;
}

/* skip: bytes at the beginning of each array that are left out. */
static int fill_info(const struct ebpf_object *object, void *out, uint32_t skip)
{
    switch (object->kind) {
    case EBPF_PROG:
        return prog_info(CONTAINER_OF(object, struct ebpf_prog, object), out, skip);
    case EBPF_MAP:
        return map_info(CONTAINER_OF(object, struct ebpf_map, object), out);
    case EBPF_BTF:
        return btf_info(CONTAINER_OF(object, struct ebpf_btf, object), out, skip);
    case EBPF_LINK:
        return link_info(CONTAINER_OF(object, struct ebpf_link, object), out);
    default:
        return -EINVAL;
    }
}

union any_info {
    struct bpf_prog_info prog;
    struct bpf_map_info map;
    struct bpf_btf_info btf;
    struct bpf_link_info link;
};

long ebpf_cmd_OBJ_GET_INFO_BY_FD(struct ebpf_session *session, union marshal_attr *attr)
{
    static const uint32_t sizes[EBPF_NR_KINDS] = {
        [EBPF_PROG] = sizeof(struct bpf_prog_info),
        [EBPF_MAP] = sizeof(struct bpf_map_info),
        [EBPF_BTF] = sizeof(struct bpf_btf_info),
        [EBPF_LINK] = sizeof(struct bpf_link_info),
    };
    union any_info info;
    union bpf_attr *a = &attr->bpf;
    struct ebpf_object *object = ebpf_handle_object(session, a->info.bpf_fd);
    uint8_t *theirs = ebpf_attr_pointer(a->info.info);
    uint32_t len = a->info.info_len, known;
    int err;

    if (object == NULL)
        return -EBADF;
    known = sizes[object->kind];
    if (known == 0)
        return -EINVAL;
    if (len > INFO_MAX)
        return -E2BIG;
    if (len > known && !all_zero(theirs + known, len - known))
        return -E2BIG;
    if (len > known)
        len = known;
    __builtin_memset(&info, 0, sizeof(info));
    if (len != 0)
        __builtin_memcpy(&info, theirs, len);
    err = fill_info(object, &info, 0);
    if (err != 0 && err != -ENOSPC)
        return err;
    if (len != 0)
        __builtin_memcpy(theirs, &info, len);
    a->info.info_len = len;
    return err;
}

static uint32_t get_u32(const union any_info *info, uint32_t offset)
{
    uint32_t value;
    __builtin_memcpy(&value, (const uint8_t *)info + offset, sizeof(value));
    return value;
}

/* The part of an array that begins offset bytes in it. -EINVAL: the object has no such array, or
 * offset is not where a record of it begins. */
long ebpf_cmd_INFO_READ(struct ebpf_session *session, union marshal_attr *attr)
{
    struct skep_info_read_attr *a = &attr->info_read;
    const struct ebpf_object *object = ebpf_handle_object(session, a->handle);
    struct marshal_array array;
    union any_info info = {0};
    uint32_t each, room;
    int err;

    if (object == NULL)
        return -EBADF;
    if (a->buf == 0)
        return -EFAULT;
    if (object->kind == EBPF_LINK || marshal_info_array(object->kind, a->field, &array) != 0)
        return -EINVAL;
    err = fill_info(object, &info, 0); /* without buffers: how much there is */
    if (err != 0)
        return err;
    each = array.each != 0 ? array.each : get_u32(&info, array.each_field);
    a->total = get_u32(&info, array.count_field) * each;
    if (a->offset > a->total || a->offset % each != 0)
        return -EINVAL;
    room = (a->size < a->total - a->offset ? a->size : a->total - a->offset) / each;
    __builtin_memcpy((uint8_t *)&info + a->field, &a->buf, sizeof(a->buf));
    __builtin_memcpy((uint8_t *)&info + array.count_field, &room, sizeof(room));
    a->size = room * each;
    return fill_info(object, &info, a->offset);
}

/* What marshalling must know of a handle, and what Linux tells of a map in fdinfo. */
long ebpf_cmd_HANDLE_INFO(struct ebpf_session *session, union marshal_attr *attr)
{
    struct skep_handle_attr *out = &attr->handle;
    const struct ebpf_object *object = ebpf_handle_object(session, out->handle);
    const struct ebpf_map *map;

    if (object == NULL)
        return -EBADF;
    *out = (struct skep_handle_attr){.handle = out->handle, .kind = (uint32_t)object->kind};
    if (object->kind != EBPF_MAP)
        return 0;
    map = CONTAINER_OF(object, struct ebpf_map, object);
    out->map_type = map->type;
    out->key_size = map->key_size;
    out->value_size = ebpf_map_value_size(map);
    out->frozen = map->frozen;
    out->memory = map->bytes;
    if (map->type == BPF_MAP_TYPE_PROG_ARRAY)
        out->owner = ebpf_prog_array_owner(map, &out->owner_type);
    return 0;
}
