/*
 * What a map's BTF must say about its keys and values, and where it says that a value holds a
 * struct bpf_spin_lock or bpf_timer. Called by map.c when a map is made. Linux:
 * kernel/bpf/syscall.c map_check_btf, btf.c btf_find_field, and each type's map_check_btf.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/map.h"

#define STEPS_MAX 32u /* Linux: MAX_RESOLVE_DEPTH */

/* The type behind typedefs and qualifiers; NULL: void, or too many of them. */
static const struct btf_type *resolve(const struct ebpf_btf *btf, uint32_t id)
{
    const struct btf_type *type = ebpf_btf_type(btf, id);

    for (unsigned step = 0; type != NULL && step < STEPS_MAX; step++) {
        switch (BTF_INFO_KIND(type->info)) {
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_VAR:
        case BTF_KIND_TYPE_TAG:
            type = ebpf_btf_type(btf, type->type);
            break;
        default:
            return type;
        }
    }
    return NULL;
}

static bool is_kind(const struct btf_type *type, uint32_t kind)
{
    return type != NULL && BTF_INFO_KIND(type->info) == kind;
}

/* ---- keys -------------------------------------------------------------------------------- */

static bool is_u32(const struct btf_type *type)
{
    uint32_t data;

    if (!is_kind(type, BTF_KIND_INT))
        return false;
    __builtin_memcpy(&data, type + 1, sizeof(data));
    return BTF_INT_BITS(data) == 32 && BTF_INT_OFFSET(data) == 0;
}

/* What each type asks of its key's type (NULL: void), sizes being right. */
static int check_key(const union bpf_attr *attr, const struct btf_type *key,
                     const struct btf_type *value)
{
    switch (attr->map_type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
        if (key != NULL)
            return is_u32(key) ? 0 : -EINVAL;
        /* Global data: a section, which has no key. */
        return attr->map_type == BPF_MAP_TYPE_ARRAY && attr->max_entries == 1 &&
                       is_kind(value, BTF_KIND_DATASEC)
                   ? 0
                   : -EINVAL;
    case BPF_MAP_TYPE_LPM_TRIE:
        return is_kind(key, BTF_KIND_STRUCT) ? 0 : -EINVAL; /* a length comes first in it */
    case BPF_MAP_TYPE_BLOOM_FILTER:
        return key == NULL ? 0 : -EINVAL;
    case BPF_MAP_TYPE_PROG_ARRAY:
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
    case BPF_MAP_TYPE_STACK_TRACE:
    case BPF_MAP_TYPE_ARRAY_OF_MAPS:
    case BPF_MAP_TYPE_HASH_OF_MAPS:
        return -EBPF_ENOTSUPP; /* their elements are the kernel's own */
    default:
        return key != NULL ? 0 : -EINVAL;
    }
}

/* ---- what values hold -------------------------------------------------------------------- */

static bool is_struct_named(const struct ebpf_btf *btf, uint32_t id, const char *name,
                            uint32_t size)
{
    const struct btf_type *type = resolve(btf, id);

    return is_kind(type, BTF_KIND_STRUCT) && type->size == size &&
           text_equal(ebpf_btf_name(btf, type->name_off), name);
}

struct field {
    const char *name;
    uint32_t size;
    uint32_t found;  /* how many there are */
    uint32_t offset; /* of the last one, in bits */
};

static void find_in_struct(const struct ebpf_btf *btf, const struct btf_type *type,
                           struct field *field)
{
    const struct btf_member *member = (const struct btf_member *)(type + 1);
    bool bit_fields = BTF_INFO_KFLAG(type->info);

    for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
        if (!is_struct_named(btf, member[i].type, field->name, field->size))
            continue;
        field->offset = bit_fields ? BTF_MEMBER_BIT_OFFSET(member[i].offset) : member[i].offset;
        field->found++;
    }
}

static void find_in_section(const struct ebpf_btf *btf, const struct btf_type *type,
                            struct field *field)
{
    const struct btf_var_secinfo *var = (const struct btf_var_secinfo *)(type + 1);

    for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
        if (!is_struct_named(btf, var[i].type, field->name, field->size))
            continue;
        field->offset = var[i].offset * 8;
        field->found++;
    }
}

/* Offset of the one struct of this name right in the value's own struct or section; -1: there is
 * none, there are several, or it is not where a program could use it. */
static int32_t find_field(const union bpf_attr *attr, const struct ebpf_btf *btf,
                          const struct btf_type *value, const char *name, uint32_t size,
                          uint32_t align)
{
    struct field field = {.name = name, .size = size};

    if (is_kind(value, BTF_KIND_STRUCT))
        find_in_struct(btf, value, &field);
    else if (is_kind(value, BTF_KIND_DATASEC))
        find_in_section(btf, value, &field);
    if (field.found != 1 || field.offset % (8 * align) != 0 ||
        field.offset / 8 > attr->value_size || attr->value_size - field.offset / 8 < size)
        return -1;
    return (int32_t)(field.offset / 8);
}

/* Programs write locks and timers, and elements that hold them stay where they are. */
static int check_fields(const union bpf_attr *attr, int32_t lock, int32_t timer)
{
    uint32_t type = attr->map_type;
    bool plain = type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY;

    if ((lock >= 0 || timer >= 0) && (attr->map_flags & BPF_F_RDONLY_PROG) != 0)
        return -EACCES;
    if (lock >= 0 && !plain)
        return -EBPF_ENOTSUPP;
    return timer >= 0 && !plain && type != BPF_MAP_TYPE_LRU_HASH ? -EOPNOTSUPP : 0;
}

/* Holds the attributes of a new map against the BTF that they name (btf, borrowed; NULL: none).
 * *lock, *timer: where its values hold one; -1: they do not. -EINVAL: sizes or kinds do not agree;
 * -EACCES, -EBPF_ENOTSUPP, -EOPNOTSUPP: not with such a map. */
int ebpf_map_check_btf(const union bpf_attr *attr, const struct ebpf_btf *btf, int32_t *lock,
                       int32_t *timer)
{
    const struct btf_type *key = NULL, *value;
    uint32_t size;
    int err;

    *lock = *timer = -1;
    if (btf == NULL)
        return 0;
    if (attr->btf_key_type_id != 0) {
        if (ebpf_btf_type_size(btf, attr->btf_key_type_id, &size) != 0 || size != attr->key_size)
            return -EINVAL;
        key = resolve(btf, attr->btf_key_type_id);
    }
    if (ebpf_btf_type_size(btf, attr->btf_value_type_id, &size) != 0 || size != attr->value_size)
        return -EINVAL;
    value = resolve(btf, attr->btf_value_type_id);
    *lock = find_field(attr, btf, value, "bpf_spin_lock", sizeof(struct bpf_spin_lock), 4);
    *timer = find_field(attr, btf, value, "bpf_timer", sizeof(struct bpf_timer), 8);
    err = check_fields(attr, *lock, *timer);
    return err != 0 ? err : check_key(attr, key, value);
}
