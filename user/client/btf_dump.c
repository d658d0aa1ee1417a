/*
 * One type of a BTF object as it is stored, in bpftool's form: a line, and one for each member.
 * Called by btf.c.
 */
#include <inttypes.h>

#include "user/client/client.h"

static const char *const kind_names[] = {
    [BTF_KIND_UNKN] = "UNKNOWN",      [BTF_KIND_INT] = "INT",
    [BTF_KIND_PTR] = "PTR",           [BTF_KIND_ARRAY] = "ARRAY",
    [BTF_KIND_STRUCT] = "STRUCT",     [BTF_KIND_UNION] = "UNION",
    [BTF_KIND_ENUM] = "ENUM",         [BTF_KIND_FWD] = "FWD",
    [BTF_KIND_TYPEDEF] = "TYPEDEF",   [BTF_KIND_VOLATILE] = "VOLATILE",
    [BTF_KIND_CONST] = "CONST",       [BTF_KIND_RESTRICT] = "RESTRICT",
    [BTF_KIND_FUNC] = "FUNC",         [BTF_KIND_FUNC_PROTO] = "FUNC_PROTO",
    [BTF_KIND_VAR] = "VAR",           [BTF_KIND_DATASEC] = "DATASEC",
    [BTF_KIND_FLOAT] = "FLOAT",       [BTF_KIND_DECL_TAG] = "DECL_TAG",
    [BTF_KIND_TYPE_TAG] = "TYPE_TAG", [BTF_KIND_ENUM64] = "ENUM64",
};

static const char *kind_name(uint32_t kind)
{
    return kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : "UNKNOWN";
}

static const char *name_at(const struct btf *btf, uint32_t offset)
{
    return offset ? btf__name_by_offset(btf, offset) : "(anon)";
}

static const char *linkage_name(uint32_t linkage)
{
    static const char *const names[] = {"static", "global", "extern"};

    return linkage < 3 ? names[linkage] : "(unknown)";
}

static const char *encoding_name(uint8_t encoding)
{
    switch (encoding) {
    case 0:
        return "(none)";
    case BTF_INT_SIGNED:
        return "SIGNED";
    case BTF_INT_CHAR:
        return "CHAR";
    case BTF_INT_BOOL:
        return "BOOL";
    default:
        return "UNKN";
    }
}

/* ` NAME=VALUE`, or a member of the JSON object. */
static void put_uint(const char *name, uint32_t value)
{
    if (json)
        jsonw_uint(json, name, value);
    else
        printf(" %s=%u", name, value);
}

static void put_word(const char *name, const char *value)
{
    if (json)
        jsonw_string(json, name, value);
    else
        printf(" %s=%s", name, value);
}

/* Members stand on lines of their own, their names in quotes. */
static void begin_members(const char *name)
{
    if (json)
        jsonw_begin(json, name, '[');
}

static void end_members(void)
{
    if (json)
        jsonw_end(json, ']');
}

static void begin_member(const struct btf *btf, uint32_t name)
{
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_string(json, "name", name_at(btf, name));
    } else {
        printf("\n\t'%s'", name_at(btf, name));
    }
}

static void end_member(void)
{
    if (json)
        jsonw_end(json, '}');
}

static void put_int(const struct btf_type *type)
{
    put_uint("size", type->size);
    put_uint("bits_offset", btf_int_offset(type));
    put_uint("nr_bits", btf_int_bits(type));
    put_word("encoding", encoding_name(btf_int_encoding(type)));
}

static void put_array(const struct btf_type *type)
{
    const struct btf_array *array = btf_array(type);

    put_uint("type_id", array->type);
    put_uint("index_type_id", array->index_type);
    put_uint("nr_elems", array->nelems);
}

static void put_struct(const struct btf *btf, const struct btf_type *type)
{
    const struct btf_member *member = btf_members(type);

    put_uint("size", type->size);
    put_uint("vlen", btf_vlen(type));
    begin_members("members");
    for (unsigned i = 0; i < btf_vlen(type); i++) {
        begin_member(btf, member[i].name_off);
        put_uint("type_id", member[i].type);
        put_uint("bits_offset", btf_member_bit_offset(type, i));
        if (btf_member_bitfield_size(type, i))
            put_uint("bitfield_size", btf_member_bitfield_size(type, i));
        end_member();
    }
    end_members();
}

static void put_enum_head(const struct btf_type *type)
{
    put_word("encoding", btf_kflag(type) ? "SIGNED" : "UNSIGNED");
    put_uint("size", type->size);
    put_uint("vlen", btf_vlen(type));
    begin_members("values");
}

/* suffix: what bpftool writes behind values of 64 bits. */
static void put_value(const struct btf *btf, uint32_t name, uint64_t value, bool is_signed,
                      const char *suffix)
{
    begin_member(btf, name);
    if (json && is_signed)
        jsonw_int(json, "val", (int64_t)value);
    else if (json)
        jsonw_uint(json, "val", value);
    else if (is_signed)
        printf(" val=%" PRId64 "%s", (int64_t)value, suffix);
    else
        printf(" val=%" PRIu64 "%s%s", value, *suffix ? "U" : "", suffix);
    end_member();
}

static void put_enum(const struct btf *btf, const struct btf_type *type)
{
    const struct btf_enum *value = btf_enum(type);
    bool is_signed = btf_kflag(type);

    put_enum_head(type);
    for (unsigned i = 0; i < btf_vlen(type); i++)
        put_value(btf, value[i].name_off,
                  is_signed ? (uint64_t)(int64_t)value[i].val : (uint32_t)value[i].val, is_signed,
                  "");
    end_members();
}

static void put_enum64(const struct btf *btf, const struct btf_type *type)
{
    const struct btf_enum64 *value = btf_enum64(type);

    put_enum_head(type);
    for (unsigned i = 0; i < btf_vlen(type); i++)
        put_value(btf, value[i].name_off, btf_enum64_value(&value[i]), btf_kflag(type), "LL");
    end_members();
}

static void put_prototype(const struct btf *btf, const struct btf_type *type)
{
    const struct btf_param *param = btf_params(type);

    put_uint("ret_type_id", type->type);
    put_uint("vlen", btf_vlen(type));
    begin_members("params");
    for (unsigned i = 0; i < btf_vlen(type); i++) {
        begin_member(btf, param[i].name_off);
        put_uint("type_id", param[i].type);
        end_member();
    }
    end_members();
}

static void put_section(const struct btf *btf, const struct btf_type *type)
{
    const struct btf_var_secinfo *var = btf_var_secinfos(type);

    put_uint("size", type->size);
    put_uint("vlen", btf_vlen(type));
    begin_members("vars");
    for (unsigned i = 0; i < btf_vlen(type); i++) {
        const struct btf_type *what = btf__type_by_id(btf, var[i].type);

        if (json)
            jsonw_begin(json, NULL, '{');
        else
            printf("\n\t");
        if (json)
            jsonw_uint(json, "type_id", var[i].type);
        else
            printf("type_id=%u", var[i].type);
        put_uint("offset", var[i].offset);
        put_uint("size", var[i].size);
        if (!json && what)
            printf(" (%s '%s')", kind_name(btf_kind(what)), name_at(btf, what->name_off));
        end_member();
    }
    end_members();
}

static void put_var(const struct btf_type *type)
{
    const char *linkage = linkage_name(btf_var(type)->linkage);

    put_uint("type_id", type->type);
    if (json)
        jsonw_string(json, "linkage", linkage);
    else
        printf(", linkage=%s", linkage);
}

static void put_tag(const struct btf_type *type)
{
    put_uint("type_id", type->type);
    if (json)
        jsonw_int(json, "component_idx", btf_decl_tag(type)->component_idx);
    else
        printf(" component_idx=%d", btf_decl_tag(type)->component_idx);
}

static void put_rest(const struct btf *btf, const struct btf_type *type)
{
    switch (btf_kind(type)) {
    case BTF_KIND_INT:
        put_int(type);
        break;
    case BTF_KIND_ARRAY:
        put_array(type);
        break;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        put_struct(btf, type);
        break;
    case BTF_KIND_ENUM:
        put_enum(btf, type);
        break;
    case BTF_KIND_ENUM64:
        put_enum64(btf, type);
        break;
    case BTF_KIND_FWD:
        put_word("fwd_kind", btf_kflag(type) ? "union" : "struct");
        break;
    case BTF_KIND_FUNC:
        put_uint("type_id", type->type);
        put_word("linkage", linkage_name(btf_vlen(type)));
        break;
    case BTF_KIND_FUNC_PROTO:
        put_prototype(btf, type);
        break;
    case BTF_KIND_VAR:
        put_var(type);
        break;
    case BTF_KIND_DATASEC:
        put_section(btf, type);
        break;
    case BTF_KIND_FLOAT:
        put_uint("size", type->size);
        break;
    case BTF_KIND_DECL_TAG:
        put_tag(type);
        break;
    default:
        put_uint("type_id", type->type);
        break;
    }
}

/* A line, or a JSON object, about one type. */
void btf_dump_type(const struct btf *btf, uint32_t id)
{
    const struct btf_type *type = btf__type_by_id(btf, id);
    const char *kind = kind_name(btf_kind(type)), *name = name_at(btf, type->name_off);

    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "id", id);
        jsonw_string(json, "kind", kind);
        jsonw_string(json, "name", name);
        put_rest(btf, type);
        jsonw_end(json, '}');
    } else {
        printf("[%u] %s '%s'", id, kind, name);
        put_rest(btf, type);
        printf("\n");
    }
}
