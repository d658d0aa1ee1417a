/*
 * Data in the words of its type: BTF (libbpf) turned into JSON, as bpftool's map dump does, and
 * into a function's signature. `plain` is for the eye: what JSON has no form for (pointers,
 * unprintable characters) is then written as C would.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/client/client.h"

#define DEPTH_MAX 32u /* of types within types: a loop in bad BTF ends here */

struct printer {
    struct json *out;
    const struct btf *btf;
    bool plain;
    unsigned depth;
};

static int print(struct printer *p, const char *name, uint32_t type, const uint8_t *data,
                 unsigned bit_offset, unsigned bits);

static const char *name_of(const struct printer *p, uint32_t offset)
{
    const char *name = btf__name_by_offset(p->btf, offset);

    return name ? name : "";
}

/* The type behind typedefs and qualifiers. */
static const struct btf_type *resolve(const struct btf *btf, uint32_t *id)
{
    const struct btf_type *type = btf__type_by_id(btf, *id);

    for (unsigned i = 0; type && (btf_is_mod(type) || btf_is_typedef(type)) && i < DEPTH_MAX; i++) {
        *id = type->type;
        type = btf__type_by_id(btf, *id);
    }
    return type;
}

/* `bits` bits from bit_offset on, little-endian, zero-extended. bits <= 64. */
static uint64_t load_bits(const uint8_t *data, unsigned bit_offset, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bits; i++) {
        unsigned bit = bit_offset + i;

        value |= (uint64_t)(data[bit / 8] >> (bit % 8) & 1) << i;
    }
    return value;
}

/* A bit field, in hexadecimal whatever its type, as bpftool does. */
static int print_bits(struct printer *p, const char *name, const uint8_t *data, unsigned bit_offset,
                      unsigned bits)
{
    if (bits > 64)
        return -EINVAL;
    jsonw_printf(p->out, name, p->plain ? "0x%llx" : "\"0x%llx\"",
                 (unsigned long long)load_bits(data, bit_offset, bits));
    return 0;
}

static int64_t sign_extend(uint64_t value, unsigned bits)
{
    unsigned shift = 64 - bits;

    return (int64_t)(value << shift) >> shift;
}

static int print_int(struct printer *p, const char *name, const struct btf_type *type,
                     const uint8_t *data)
{
    unsigned encoding = btf_int_encoding(type);
    unsigned bits = btf_int_bits(type), offset = btf_int_offset(type);
    uint64_t value;

    if (bits == 128) {
        uint64_t half[2];

        memcpy(half, data, sizeof(half));
        jsonw_printf(p->out, name, p->plain ? "0x%llx%016llx" : "\"0x%llx%016llx\"",
                     (unsigned long long)half[1], (unsigned long long)half[0]);
        return 0;
    }
    if (bits == 0 || bits > 64 || offset + bits > type->size * 8)
        return -EINVAL;
    if (bits % 8)
        return print_bits(p, name, data, offset, bits);
    value = load_bits(data, offset, bits);
    if (encoding & BTF_INT_BOOL)
        jsonw_bool(p->out, name, value != 0);
    else if (encoding & BTF_INT_SIGNED)
        jsonw_int(p->out, name, sign_extend(value, bits));
    else if (!(encoding & BTF_INT_CHAR))
        jsonw_uint(p->out, name, value);
    else if (isprint((int)value) && value != '"' && value != '\\')
        jsonw_printf(p->out, name, "\"%c\"", (char)value);
    else if (p->plain)
        jsonw_printf(p->out, name, "0x%llx", (unsigned long long)value);
    else
        jsonw_printf(p->out, name, "\"\\u00%02llx\"", (unsigned long long)value);
    return 0;
}

static int print_enum(struct printer *p, const char *name, const struct btf_type *type,
                      const uint8_t *data)
{
    unsigned bits = type->size * 8;
    uint64_t value, mask;

    if (bits == 0 || bits > 64)
        return -EINVAL;
    value = load_bits(data, 0, bits);
    mask = UINT64_MAX >> (64 - bits);
    for (unsigned i = 0; i < btf_vlen(type); i++) {
        bool wide = btf_is_enum64(type);
        uint64_t this_value = wide ? btf_enum64_value(btf_enum64(type) + i)
                                   : (uint64_t)(int64_t)btf_enum(type)[i].val;

        if ((this_value & mask) != value)
            continue;
        jsonw_string(p->out, name,
                     name_of(p, wide ? btf_enum64(type)[i].name_off : btf_enum(type)[i].name_off));
        return 0;
    }
    jsonw_int(p->out, name, sign_extend(value, bits));
    return 0;
}

/* C text: an array of char that has a NUL. */
static bool is_text(const struct printer *p, const struct btf_array *array, const uint8_t *data)
{
    uint32_t id = array->type;
    const struct btf_type *type = resolve(p->btf, &id);

    return type && btf_is_int(type) && type->size == 1 &&
           (btf_int_encoding(type) == BTF_INT_CHAR ||
            strcmp(name_of(p, type->name_off), "char") == 0) &&
           memchr(data, '\0', array->nelems);
}

static int print_array(struct printer *p, const char *name, const struct btf_type *type,
                       const uint8_t *data)
{
    const struct btf_array *array = btf_array(type);
    int64_t size = btf__resolve_size(p->btf, array->type);
    int error = 0;

    if (is_text(p, array, data)) {
        jsonw_string(p->out, name, (const char *)data);
        return 0;
    }
    if (size < 0)
        return (int)size;
    jsonw_begin(p->out, name, '[');
    for (uint32_t i = 0; i < array->nelems && !error; i++)
        error = print(p, NULL, array->type, data + i * (uint64_t)size, 0, 0);
    jsonw_end(p->out, ']');
    return error;
}

static int print_members(struct printer *p, const char *name, const struct btf_type *type,
                         const uint8_t *data)
{
    int error = 0;

    jsonw_begin(p->out, name, '{');
    for (unsigned i = 0; i < btf_vlen(type) && !error; i++) {
        const struct btf_member *member = &btf_members(type)[i];
        unsigned offset = btf_member_bit_offset(type, i);
        unsigned bits = btf_member_bitfield_size(type, i);

        error = print(p, name_of(p, member->name_off), member->type, data + offset / 8, offset % 8,
                      bits);
    }
    jsonw_end(p->out, '}');
    return error;
}

/* A section of global data: {".bss": [{"name": value}, ...]}. */
static int print_section(struct printer *p, const char *name, const struct btf_type *type,
                         const uint8_t *data)
{
    int error = 0;

    jsonw_begin(p->out, name, '{');
    jsonw_begin(p->out, name_of(p, type->name_off), '[');
    for (unsigned i = 0; i < btf_vlen(type) && !error; i++) {
        const struct btf_var_secinfo *info = &btf_var_secinfos(type)[i];
        const struct btf_type *var = btf__type_by_id(p->btf, info->type);

        jsonw_begin(p->out, NULL, '{');
        error = print(p, name_of(p, var->name_off), var->type, data + info->offset, 0, 0);
        jsonw_end(p->out, '}');
    }
    jsonw_end(p->out, ']');
    jsonw_end(p->out, '}');
    return error;
}

/* The value of type `id` at data, bit_offset bits in; bits: width of a bit field, 0 for none. */
static int print(struct printer *p, const char *name, uint32_t id, const uint8_t *data,
                 unsigned bit_offset, unsigned bits)
{
    const struct btf_type *type = resolve(p->btf, &id);
    uint64_t pointer;
    int error;

    if (!type || p->depth == DEPTH_MAX)
        return -EINVAL;
    if (bits)
        return print_bits(p, name, data, bit_offset, bits);
    p->depth++;
    switch (btf_kind(type)) {
    case BTF_KIND_INT:
        error = print_int(p, name, type, data);
        break;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        error = print_enum(p, name, type, data);
        break;
    case BTF_KIND_PTR:
        memcpy(&pointer, data, sizeof(pointer));
        jsonw_printf(p->out, name, p->plain ? "0x%llx" : "%llu", (unsigned long long)pointer);
        error = 0;
        break;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        error = print_members(p, name, type, data);
        break;
    case BTF_KIND_ARRAY:
        error = print_array(p, name, type, data);
        break;
    case BTF_KIND_DATASEC:
        error = print_section(p, name, type, data);
        break;
    default:
        jsonw_printf(p->out, name, "\"(unsupported kind %u)\"", btf_kind(type));
        error = 0;
    }
    p->depth--;
    return error;
}

/* Writes the value at data, which is as long as its type says, as an element of `out`. 0, or
 * -EINVAL when the BTF makes no sense. */
int btf_print(struct json *out, const struct btf *btf, uint32_t type, const void *data, bool plain)
{
    struct printer p = {.out = out, .btf = btf, .plain = plain};

    return print(&p, NULL, type, data, 0, 0);
}

/* ---- signatures --------------------------------------------------------------------------- */

static void append(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *out, size_t size, const char *fmt, ...)
{
    size_t used = strlen(out);
    va_list args;

    va_start(args, fmt);
    vsnprintf(out + used, size - used, fmt, args);
    va_end(args);
}

/* A type as bpftool writes it before a name: "struct record * ". */
static void append_type(const struct btf *btf, uint32_t id, char *out, size_t size, unsigned depth)
{
    static const char *const words[] = {
        [BTF_KIND_STRUCT] = "struct ",     [BTF_KIND_UNION] = "union ",
        [BTF_KIND_ENUM] = "enum ",         [BTF_KIND_ENUM64] = "enum ",
        [BTF_KIND_CONST] = "const ",       [BTF_KIND_FWD] = "struct ",
        [BTF_KIND_VOLATILE] = "volatile ", [BTF_KIND_RESTRICT] = "restrict ",
    };
    const struct btf_type *type = btf__type_by_id(btf, id);
    unsigned kind = type ? btf_kind(type) : BTF_KIND_UNKN;
    const char *word = kind < sizeof(words) / sizeof(words[0]) && words[kind] ? words[kind] : "";

    if (!type || kind == BTF_KIND_UNKN || depth == DEPTH_MAX) {
        append(out, size, "void ");
    } else if (kind == BTF_KIND_PTR) {
        append_type(btf, type->type, out, size, depth + 1);
        append(out, size, "* ");
    } else if (btf_is_mod(type)) {
        append(out, size, "%s", word);
        append_type(btf, type->type, out, size, depth + 1);
    } else {
        append(out, size, "%s%s ", word, btf__name_by_offset(btf, type->name_off));
    }
}

/* The signature of a function, "int count_open(struct openat_record * record)". -EINVAL when the
 * type is none. */
int btf_function(const struct btf *btf, uint32_t id, char *out, size_t size)
{
    const struct btf_type *func = btf__type_by_id(btf, id);
    const struct btf_type *proto =
        func && btf_is_func(func) ? btf__type_by_id(btf, func->type) : NULL;

    out[0] = '\0';
    if (!proto || !btf_is_func_proto(proto))
        return -EINVAL;
    append_type(btf, proto->type, out, size, 0);
    append(out, size, "%s(", btf__name_by_offset(btf, func->name_off));
    for (unsigned i = 0; i < btf_vlen(proto); i++) {
        const struct btf_param *param = &btf_params(proto)[i];

        if (i > 0)
            append(out, size, ", ");
        append_type(btf, param->type, out, size, 0);
        append(out, size, "%s", btf__name_by_offset(btf, param->name_off));
    }
    append(out, size, ")");
    return 0;
}
