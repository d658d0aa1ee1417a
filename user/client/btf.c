/*
 * skepctl btf: which BTF objects there are in the guest and who uses them, and their types, as
 * they are stored or as C.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/client/client.h"

/* ---- list ------------------------------------------------------------------------------------
 */

/* Programs or maps with BTF: whose is whose. */
struct users {
    struct user {
        uint32_t id, btf_id;
    } * user;
    unsigned count;
};

static struct users programs, maps;

static int add_user(struct users *users, uint32_t id, uint32_t btf_id)
{
    struct user *grown;

    if (!btf_id)
        return 0;
    grown = realloc(users->user, (users->count + 1) * sizeof(*grown));
    if (!grown) {
        p_err("out of memory");
        return -1;
    }
    grown[users->count++] = (struct user){id, btf_id};
    users->user = grown;
    return 0;
}

static int see_program(int fd)
{
    struct bpf_prog_info info = {0};

    return handle_info(EBPF_PROG, fd, &info, sizeof(info)) ||
           add_user(&programs, info.id, info.btf_id);
}

static int see_map(int fd)
{
    struct bpf_map_info info = {0};

    return handle_info(EBPF_MAP, fd, &info, sizeof(info)) || add_user(&maps, info.id, info.btf_id);
}

static void forget_users(struct users *users)
{
    free(users->user);
    *users = (struct users){0};
}

static void show_users(const struct users *users, uint32_t btf_id, const char *name)
{
    const char *separator = "";

    if (json)
        jsonw_begin(json, name, '[');
    for (unsigned i = 0; i < users->count; i++) {
        if (users->user[i].btf_id != btf_id)
            continue;
        if (json)
            jsonw_uint(json, NULL, users->user[i].id);
        else if (*separator)
            printf("%s%u", separator, users->user[i].id);
        else
            printf("  %s %u", name, users->user[i].id);
        separator = ",";
    }
    if (json)
        jsonw_end(json, ']');
}

static int show(int fd)
{
    char name[64] = "";
    struct bpf_btf_info info = {.name = (uintptr_t)name, .name_len = sizeof(name)};

    if (handle_info(EBPF_BTF, fd, &info, sizeof(info)))
        return -1;
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "id", info.id);
        jsonw_uint(json, "size", info.btf_size);
    } else {
        printf("%u: name %s  size %uB", info.id, *name ? name : "<anon>", info.btf_size);
    }
    show_users(&programs, info.id, "prog_ids");
    show_users(&maps, info.id, "map_ids");
    if (json) {
        jsonw_bool(json, "kernel", info.kernel_btf);
        if (*name)
            jsonw_string(json, "name", name);
        jsonw_end(json, '}');
    } else {
        printf("\n");
    }
    return 0;
}

static int do_show(struct args *args)
{
    bool one = args->left > 0;
    int fd = one ? handle_parse(args, EBPF_BTF) : -1, error = -1;

    if (one && fd < 0)
        return -1;
    if (args_none(args) || each_handle(EBPF_PROG, see_program) || each_handle(EBPF_MAP, see_map))
        goto out;
    if (json && !one)
        jsonw_begin(json, NULL, '[');
    error = one ? show(fd) : each_handle(EBPF_BTF, show);
    if (json && !one)
        jsonw_end(json, ']');
out:
    forget_users(&programs);
    forget_users(&maps);
    if (one)
        close(fd);
    return error;
}

/* ---- dump ------------------------------------------------------------------------------------
 */

/* What is dumped: all of a BTF object, or those types of it that a map's keys and values have. */
struct source {
    struct btf *btf;
    uint32_t roots[2];
    unsigned nr_roots; /* 0: all */
};

static int from_id(uint32_t id, struct source *out)
{
    if (id == 0) {
        p_err("it was loaded without BTF");
        return -1;
    }
    out->btf = btf__load_from_kernel_by_id(id);
    if (out->btf)
        return 0;
    p_err("get btf by id (%u): %s", id, strerror(errno));
    return -1;
}

static int from_map(struct args *args, struct source *out)
{
    struct bpf_map_info info = {0};
    int fd = handle_parse(args, EBPF_MAP), error;

    if (fd < 0)
        return -1;
    error = handle_info(EBPF_MAP, fd, &info, sizeof(info));
    close(fd);
    if (error)
        return -1;
    if (args_match(args, "key")) {
        out->roots[out->nr_roots++] = info.btf_key_type_id;
    } else if (args_match(args, "value")) {
        out->roots[out->nr_roots++] = info.btf_value_type_id;
    } else if (!args_match(args, "all")) {
        args_match(args, "kv"); /* what is meant without a word too */
        out->roots[out->nr_roots++] = info.btf_key_type_id;
        out->roots[out->nr_roots++] = info.btf_value_type_id;
    }
    return from_id(info.btf_id, out);
}

static int from_program(struct args *args, struct source *out)
{
    struct bpf_prog_info info = {0};
    int fd = handle_parse(args, EBPF_PROG), error;

    if (fd < 0)
        return -1;
    error = handle_info(EBPF_PROG, fd, &info, sizeof(info));
    close(fd);
    return error ? -1 : from_id(info.btf_id, out);
}

static int from_file(const char *path, struct source *out)
{
    if (!path) {
        p_err("file's name not given");
        return -1;
    }
    out->btf = btf__parse(path, NULL);
    if (out->btf)
        return 0;
    p_err("failed to load BTF from %s: %s", path, strerror(errno));
    return -1;
}

static int parse_source(struct args *args, struct source *out)
{
    uint32_t id = 0;

    if (args_match(args, "id"))
        return args_u32(args, "BTF's id", &id) ? -1 : from_id(id, out);
    if (args_match(args, "map"))
        return from_map(args, out);
    if (args_match(args, "prog"))
        return from_program(args, out);
    if (args_match(args, "file"))
        return from_file(args_take(args), out);
    p_err("expected 'id', 'map', 'prog' or 'file', got: '%s'?",
          args->left ? args->next[0] : "nothing");
    return -1;
}

static bool is_root(const struct source *source, uint32_t id)
{
    for (unsigned i = 0; i < source->nr_roots; i++)
        if (source->roots[i] == id)
            return true;
    return source->nr_roots == 0;
}

static void dump_raw(const struct source *source)
{
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_begin(json, "types", '[');
    }
    for (uint32_t id = 1; id < btf__type_cnt(source->btf); id++)
        if (is_root(source, id))
            btf_dump_type(source->btf, id);
    if (json) {
        jsonw_end(json, ']');
        jsonw_end(json, '}');
    }
}

static void print_c(void *arg, const char *fmt, va_list args)
{
    (void)arg;
    vprintf(fmt, args);
}

static int dump_c(const struct source *source)
{
    struct btf_dump *dump;
    int error = 0;

    if (json) {
        p_err("JSON output for C-syntax dump is not supported");
        return -1;
    }
    dump = btf_dump__new(source->btf, print_c, NULL, NULL);
    if (!dump) {
        p_err("failed to dump as C: %s", strerror(errno));
        return -1;
    }
    printf(
        "#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n"
        "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
        "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)"
        "\n#endif\n\n");
    for (uint32_t id = 1; id < btf__type_cnt(source->btf) && !error; id++)
        if (is_root(source, id))
            error = btf_dump__dump_type(dump, id);
    printf("#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n"
           "#endif /* __VMLINUX_H__ */\n");
    if (error)
        p_err("failed to dump as C: %s", strerror(-error));
    btf_dump__free(dump);
    return error ? -1 : 0;
}

static int do_dump(struct args *args)
{
    struct source source = {0};
    bool as_c = false;
    int error = parse_source(args, &source);

    if (error)
        return error;
    if (args_match(args, "format")) {
        as_c = args_match(args, "c");
        if (!as_c && !args_match(args, "raw")) {
            p_err("unrecognized format specifier: '%s', possible values: raw, c",
                  args->left ? args->next[0] : "nothing");
            error = -1;
        }
    }
    if (!error)
        error = args_none(args);
    if (!error && as_c)
        error = dump_c(&source);
    else if (!error)
        dump_raw(&source);
    btf__free(source.btf);
    return error;
}

static const struct verb verbs[] = {
    {"show", do_show, "[id BTF_ID]",
     "BTF objects in the guest, and the programs and maps that use them."},
    {"list", do_show, NULL, NULL},
    {"dump", do_dump, "BTF_SRC [format { raw | c }]",
     "Types: as they are stored, or as C declarations."},
    {0},
};

const struct noun noun_btf = {
    .name = "btf",
    .verbs = verbs,
    .terms = "       BTF_SRC := { id BTF_ID | prog PROG | map MAP [{ key | value | kv | all }] |\n"
             "                    file FILE }\n"
             "       PROG := { id PROG_ID | pinned NAME | tag PROG_TAG | name PROG_NAME }\n"
             "       MAP := { id MAP_ID | pinned NAME | name MAP_NAME }\n",
};
