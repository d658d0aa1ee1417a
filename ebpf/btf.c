/*
 * BTF as clients load it: checked for structure, kept as it came, and asked for the sizes of
 * types. Called by sys_btf.c and map.c. Format: Linux's Documentation/bpf/btf.rst.
 *
 * Checked: header, bounds of every section, type, name and reference. Not checked: whether the
 * types make sense together (member offsets, loops of types); whoever follows references here
 * bounds its steps instead.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"

#define BTF_SIZE_MAX  (16u << 20) /* Linux: BTF_MAX_SIZE */
#define BTF_TYPES_MAX 0x000fffffu /* Linux: BTF_MAX_TYPE */
#define STEPS_MAX     32u         /* Linux: MAX_RESOLVE_DEPTH */

/* What follows a struct btf_type, by kind: fixed bytes, and bytes for each of its vlen entries. */
static const struct {
    uint8_t known, fixed, each;
} kinds[] = {
    [BTF_KIND_INT] = {1, 4, 0},
    [BTF_KIND_PTR] = {1, 0, 0},
    [BTF_KIND_ARRAY] = {1, sizeof(struct btf_array), 0},
    [BTF_KIND_STRUCT] = {1, 0, sizeof(struct btf_member)},
    [BTF_KIND_UNION] = {1, 0, sizeof(struct btf_member)},
    [BTF_KIND_ENUM] = {1, 0, sizeof(struct btf_enum)},
    [BTF_KIND_FWD] = {1, 0, 0},
    [BTF_KIND_TYPEDEF] = {1, 0, 0},
    [BTF_KIND_VOLATILE] = {1, 0, 0},
    [BTF_KIND_CONST] = {1, 0, 0},
    [BTF_KIND_RESTRICT] = {1, 0, 0},
    [BTF_KIND_FUNC] = {1, 0, 0}, /* vlen is its linkage */
    [BTF_KIND_FUNC_PROTO] = {1, 0, sizeof(struct btf_param)},
    [BTF_KIND_VAR] = {1, sizeof(struct btf_var), 0},
    [BTF_KIND_DATASEC] = {1, 0, sizeof(struct btf_var_secinfo)},
    [BTF_KIND_FLOAT] = {1, 0, 0},
    [BTF_KIND_DECL_TAG] = {1, sizeof(struct btf_decl_tag), 0},
    [BTF_KIND_TYPE_TAG] = {1, 0, 0},
    [BTF_KIND_ENUM64] = {1, 0, sizeof(struct btf_enum64)},
};

/* Where types and strings are, after the header was checked. */
struct layout {
    uint32_t types, types_len, strings, strings_len;
};

static int check_header(const uint8_t *bytes, uint32_t size, struct ebpf_log *log,
                        struct layout *out)
{
    struct btf_header h;
    uint64_t body;

    if (size < sizeof(h)) {
        ebpf_log_write(log, "BTF: %u bytes are too few for a header\n", size);
        return -EINVAL;
    }
    __builtin_memcpy(&h, bytes, sizeof(h));
    if (h.magic != BTF_MAGIC || h.hdr_len < sizeof(h) || h.hdr_len > size) {
        ebpf_log_write(log, "BTF: invalid magic %#x or header length %u\n", h.magic, h.hdr_len);
        return -EINVAL;
    }
    if (h.version != BTF_VERSION || h.flags != 0) {
        ebpf_log_write(log, "BTF: unsupported version %u or flags %#x\n", h.version, h.flags);
        return -EBPF_ENOTSUPP;
    }
    if (!all_zero(bytes + sizeof(h), h.hdr_len - sizeof(h)))
        return -E2BIG;
    body = size - h.hdr_len;
    if ((uint64_t)h.type_off + h.type_len > body || (uint64_t)h.str_off + h.str_len > body ||
        (h.hdr_len + h.type_off) % 4 != 0 || h.type_len % 4 != 0 || h.str_len == 0) {
        ebpf_log_write(log, "BTF: a section lies outside of the %llu bytes, or is not aligned\n",
                       (unsigned long long)body);
        return -EINVAL;
    }
    *out = (struct layout){h.hdr_len + h.type_off, h.type_len, h.hdr_len + h.str_off, h.str_len};
    if (bytes[out->strings] != '\0' || bytes[out->strings + out->strings_len - 1] != '\0') {
        ebpf_log_write(log, "BTF: the string section does not begin and end with NUL\n");
        return -EINVAL;
    }
    return 0;
}

/* Bytes of the type at an offset within the types, or 0: it is cut off, or of an unknown kind. */
static uint32_t type_length(const uint8_t *types, uint32_t len, uint32_t offset)
{
    struct btf_type type;
    uint32_t kind;
    uint64_t need;

    if (len - offset < sizeof(type))
        return 0;
    __builtin_memcpy(&type, types + offset, sizeof(type));
    kind = BTF_INFO_KIND(type.info);
    if (kind >= ARRAY_LEN(kinds) || !kinds[kind].known)
        return 0;
    need = sizeof(type) + kinds[kind].fixed + (uint64_t)kinds[kind].each * BTF_INFO_VLEN(type.info);
    return need <= len - offset ? (uint32_t)need : 0;
}

/* Counts the types, void included, and says where they stand (where may be NULL). -EINVAL. */
static int index_types(const uint8_t *bytes, const struct layout *layout, struct ebpf_log *log,
                       uint32_t *where, uint32_t *count)
{
    uint32_t offset = 0, n = 1;

    while (offset < layout->types_len) {
        uint32_t length = type_length(bytes + layout->types, layout->types_len, offset);

        if (length == 0) {
            ebpf_log_write(log, "BTF: type %u is cut off or of an unknown kind\n", n);
            return -EINVAL;
        }
        if (n > BTF_TYPES_MAX)
            return -E2BIG;
        if (where != NULL)
            where[n] = layout->types + offset;
        offset += length;
        n++;
    }
    *count = n;
    return 0;
}

static bool is_reference(uint32_t kind)
{
    return kind == BTF_KIND_PTR || kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_VOLATILE ||
           kind == BTF_KIND_CONST || kind == BTF_KIND_RESTRICT || kind == BTF_KIND_FUNC ||
           kind == BTF_KIND_FUNC_PROTO || kind == BTF_KIND_VAR || kind == BTF_KIND_DECL_TAG ||
           kind == BTF_KIND_TYPE_TAG;
}

/* True when entries of this kind begin with a name and a type (members and parameters). */
static bool entries_are_named(uint32_t kind)
{
    return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_FUNC_PROTO;
}

static bool entry_is_good(const struct ebpf_btf *btf, uint32_t kind, const uint8_t *entry)
{
    uint32_t first, second;

    __builtin_memcpy(&first, entry, 4);
    __builtin_memcpy(&second, entry + 4, 4);
    if (kind == BTF_KIND_DATASEC)
        return first < btf->nr_types;
    return first < btf->strings_len && (!entries_are_named(kind) || second < btf->nr_types);
}

/* Are the type's name and references within bounds? */
static bool type_is_good(const struct ebpf_btf *btf, uint32_t id)
{
    const struct btf_type *type = ebpf_btf_type(btf, id);
    uint32_t kind = BTF_INFO_KIND(type->info);
    const uint8_t *entry = (const uint8_t *)(type + 1);

    if (type->name_off >= btf->strings_len || (is_reference(kind) && type->type >= btf->nr_types))
        return false;
    if (kind == BTF_KIND_ARRAY) {
        const struct btf_array *array = (const struct btf_array *)(type + 1);
        return array->type < btf->nr_types && array->index_type < btf->nr_types;
    }
    for (uint32_t i = 0; kinds[kind].each != 0 && i < BTF_INFO_VLEN(type->info); i++)
        if (!entry_is_good(btf, kind, entry + i * kinds[kind].each))
            return false;
    return true;
}

static void destroy_btf(struct ebpf_object *object)
{
    struct ebpf_btf *btf = CONTAINER_OF(object, struct ebpf_btf, object);

    port_free_pages(btf->bytes, round_up_to(btf->size, 4096));
    port_free_pages(btf->types, round_up_to((uint64_t)btf->nr_types * 4, 4096));
    port_free(btf);
}

/* Copies the bytes and indexes the types. */
static int fill(struct ebpf_btf *btf, const void *bytes, const struct layout *layout,
                struct ebpf_log *log)
{
    btf->bytes = port_alloc_pages(round_up_to(btf->size, 4096));
    btf->types = port_alloc_pages(round_up_to((uint64_t)btf->nr_types * 4, 4096));
    if (btf->bytes == NULL || btf->types == NULL)
        return -ENOMEM;
    __builtin_memcpy(btf->bytes, bytes, btf->size);
    btf->strings = (const char *)btf->bytes + layout->strings;
    btf->strings_len = layout->strings_len;
    index_types(btf->bytes, layout, log, btf->types, &btf->nr_types);
    for (uint32_t id = 1; id < btf->nr_types; id++)
        if (!type_is_good(btf, id)) {
            ebpf_log_write(log, "BTF: type %u names a string or a type that is not there\n", id);
            return -EINVAL;
        }
    return 0;
}

/* Makes a BTF object from BTF_LOAD's bytes, which it copies. *out has one reference, the
 * caller's. -EINVAL and a sentence in the log (may be NULL); -E2BIG; -ENOMEM. */
int ebpf_btf_create(const void *bytes, uint32_t size, struct ebpf_log *log, struct ebpf_btf **out)
{
    struct layout layout;
    struct ebpf_btf *btf;
    uint32_t count;
    int err;

    if (size > BTF_SIZE_MAX)
        return -E2BIG;
    err = check_header(bytes, size, log, &layout);
    if (err == 0)
        err = index_types(bytes, &layout, log, NULL, &count);
    if (err != 0)
        return err;
    btf = port_alloc(sizeof(*btf));
    if (btf == NULL)
        return -ENOMEM;
    btf->size = size;
    btf->nr_types = count;
    err = fill(btf, bytes, &layout, log);
    if (err == 0)
        err = ebpf_object_init(&btf->object, EBPF_BTF, destroy_btf);
    if (err != 0) {
        destroy_btf(&btf->object);
        return err;
    }
    *out = btf;
    return 0;
}

void ebpf_btf_get(struct ebpf_btf *btf)
{
    ebpf_object_get(&btf->object);
}

/* NULL is fine. */
void ebpf_btf_put(struct ebpf_btf *btf)
{
    if (btf != NULL)
        ebpf_object_put(&btf->object);
}

/* The type with this id, inside of the object; NULL for void and for an id that is none. */
const struct btf_type *ebpf_btf_type(const struct ebpf_btf *btf, uint32_t id)
{
    if (id == 0 || id >= btf->nr_types)
        return NULL;
    return (const struct btf_type *)(btf->bytes + btf->types[id]);
}

/* Likewise, behind its names and qualifiers. NULL too for a chain of them that is too long. */
const struct btf_type *ebpf_btf_resolve(const struct ebpf_btf *btf, uint32_t id)
{
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        const struct btf_type *type = ebpf_btf_type(btf, id);

        switch (type ? BTF_INFO_KIND(type->info) : BTF_KIND_UNKN) {
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_TYPE_TAG:
            id = type->type;
            break;
        default:
            return type;
        }
    }
    return NULL;
}

/* A name by its offset; "" when it is none. */
const char *ebpf_btf_name(const struct ebpf_btf *btf, uint32_t offset)
{
    return offset < btf->strings_len ? btf->strings + offset : "";
}

/* Bytes of a value of this type. -EINVAL for what has no size (void, functions, forward
 * declarations) and for a chain of types that is too long. */
int ebpf_btf_type_size(const struct ebpf_btf *btf, uint32_t id, uint32_t *size)
{
    uint64_t elements = 1;

    for (unsigned step = 0; step < STEPS_MAX; step++) {
        const struct btf_type *type = ebpf_btf_type(btf, id);

        if (type == NULL)
            return -EINVAL;
        switch (BTF_INFO_KIND(type->info)) {
        case BTF_KIND_INT:
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
        case BTF_KIND_ENUM:
        case BTF_KIND_ENUM64:
        case BTF_KIND_FLOAT:
        case BTF_KIND_DATASEC:
            elements *= type->size;
            *size = (uint32_t)elements;
            return elements <= UINT32_MAX ? 0 : -EINVAL;
        case BTF_KIND_PTR:
            elements *= 8;
            *size = (uint32_t)elements;
            return elements <= UINT32_MAX ? 0 : -EINVAL;
        case BTF_KIND_ARRAY: {
            const struct btf_array *array = (const struct btf_array *)(type + 1);
            elements *= array->nelems;
            if (elements > UINT32_MAX)
                return -EINVAL;
            id = array->type;
            break;
        }
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_VAR:
        case BTF_KIND_TYPE_TAG:
            id = type->type;
            break;
        default:
            return -EINVAL;
        }
    }
    return -EINVAL;
}
