/*
 * BTF for cases of tests/data that say what functions they have: see data_case.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/btf.h>

#include "ebpf/btf.h"
#include "ebpf/prog.h"
#include "tests/unit/data_case.h"

#define TYPES_MAX     4096u
#define STRINGS_MAX   512u
#define FUNCTIONS_MAX 8u

struct builder {
    uint8_t types[TYPES_MAX];
    char strings[STRINGS_MAX];
    uint32_t types_len, strings_len, nr_types;
};

static _Noreturn void refuse(const char *what)
{
    fprintf(stderr, "functions: %s\n", what);
    exit(99);
}

static uint32_t add_string(struct builder *b, const char *text)
{
    uint32_t at = b->strings_len, len = (uint32_t)strlen(text) + 1;

    if (at + len > STRINGS_MAX)
        refuse("too many names");
    memcpy(b->strings + at, text, len);
    b->strings_len += len;
    return at;
}

static void add_words(struct builder *b, const uint32_t *words, uint32_t nr)
{
    if (b->types_len + nr * 4 > TYPES_MAX)
        refuse("too many types");
    memcpy(b->types + b->types_len, words, nr * 4);
    b->types_len += nr * 4;
}

/* A type with its size or the type that it refers to; its id. */
static uint32_t add_type(struct builder *b, const char *name, uint32_t kind, uint32_t vlen,
                         uint32_t size)
{
    const uint32_t words[] = {name[0] ? add_string(b, name) : 0, kind << 24 | vlen, size};

    add_words(b, words, 3);
    return ++b->nr_types;
}

static uint32_t add_int(struct builder *b)
{
    const uint32_t encoding = BTF_INT_SIGNED << 24 | 32;
    uint32_t id = add_type(b, "int", BTF_KIND_INT, 0, 4);

    add_words(b, &encoding, 1);
    return id;
}

static uint32_t add_named(struct builder *b, const char *text)
{
    if (strcmp(text, "void") == 0)
        return 0;
    if (strcmp(text, "int") == 0)
        return add_int(b);
    if (strcmp(text, "struct") == 0)
        return add_type(b, "thing", BTF_KIND_STRUCT, 0, 4);
    if (strcmp(text, "opaque") == 0)
        return add_type(b, "", BTF_KIND_PTR, 0, add_type(b, "opaque", BTF_KIND_FWD, 0, 0));
    if (strncmp(text, "ptr:", 4) == 0)
        return add_type(b, "", BTF_KIND_PTR, 0,
                        add_type(b, "memory", BTF_KIND_STRUCT, 0, (uint32_t)atoi(text + 4)));
    if (strncmp(text, "ctx:", 4) == 0)
        return add_type(b, "", BTF_KIND_PTR, 0, add_type(b, text + 4, BTF_KIND_STRUCT, 0, 4));
    refuse(text);
}

/* One line; what it is about. */
static struct bpf_func_info add_function(struct builder *b, char *line)
{
    char *save, *slot = strtok_r(line, " ", &save), *name = strtok_r(NULL, " ", &save);
    char *linkage = strtok_r(NULL, " ", &save), *result = strtok_r(NULL, " ", &save), *param;
    uint32_t ids[16], nr = 0, returns, proto;

    if (!result)
        refuse("a line is SLOT NAME static|global RESULT PARAMETER...");
    returns = add_named(b, result);
    while ((param = strtok_r(NULL, " ", &save)) && nr < 8) {
        ids[2 * nr] = 0;
        ids[2 * nr++ + 1] = add_named(b, param);
    }
    proto = add_type(b, "", BTF_KIND_FUNC_PROTO, nr, returns);
    add_words(b, ids, 2 * nr);
    return (struct bpf_func_info){
        .insn_off = (uint32_t)atoi(slot),
        .type_id = add_type(b, name, BTF_KIND_FUNC, strcmp(linkage, "global") == 0, proto)};
}

static struct ebpf_btf *make_btf(const struct builder *b)
{
    struct btf_header header = {.magic = BTF_MAGIC,
                                .version = BTF_VERSION,
                                .hdr_len = sizeof(header),
                                .type_len = b->types_len,
                                .str_off = b->types_len,
                                .str_len = b->strings_len};
    uint8_t bytes[sizeof(header) + TYPES_MAX + STRINGS_MAX];
    struct ebpf_btf *btf;

    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), b->types, b->types_len);
    memcpy(bytes + sizeof(header) + b->types_len, b->strings, b->strings_len);
    if (ebpf_btf_create(bytes, sizeof(header) + b->types_len + b->strings_len, NULL, &btf))
        refuse("the BTF made of it is not good");
    return btf;
}

void data_add_functions(const char *text, struct ebpf_prog_load *load)
{
    struct builder b = {.strings_len = 1};
    struct bpf_func_info *infos;
    char *copy, *line, *save;

    if (!text)
        return;
    infos = calloc(FUNCTIONS_MAX, sizeof(*infos));
    copy = strdup(text);
    for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (load->nr_func_info == FUNCTIONS_MAX)
            refuse("too many");
        infos[load->nr_func_info++] = add_function(&b, line);
    }
    free(copy);
    load->func_info = infos;
    load->btf = make_btf(&b);
}

void data_remove_functions(struct ebpf_prog_load *load)
{
    ebpf_btf_put(load->btf);
    free((void *)load->func_info);
    load->btf = NULL;
    load->func_info = NULL;
    load->nr_func_info = 0;
}
