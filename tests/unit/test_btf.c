/*
 * BTF: what libbpf sends is taken, what is broken is refused with a sentence, and the sizes of
 * types decide whether a map fits them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

static char text[512];
static struct ebpf_log log_ = {.buf = text, .size = sizeof(text), .level = 1};

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1 << 20), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0);
    cr_assert_eq(host_port_blocks(), 0);
    leakcheck();
}

TestSuite(btf, .init = set_up, .fini = tear_down);

#define INFO(kind, vlen) ((uint32_t)(kind) << 24 | (vlen))

static const char names[] = "\0int\0pair\0a\0b\0.data";

enum { INT = 1, PAIR, ARRAY, CONST, POINTER, VAR, DATASEC, FUNC_PROTO, FUNC, FWD, NR_TYPES };

static uint32_t build(uint8_t *out)
{
    static const uint32_t types[] = {
        1,  INFO(BTF_KIND_INT, 0),        4,          32, /* int */
        5,  INFO(BTF_KIND_STRUCT, 2),     8,          10,   INT,     0,  12, INT,
        32, /* struct pair { int a, b; } */
        0,  INFO(BTF_KIND_ARRAY, 0),      0,          PAIR, INT,     10, /* struct pair [10] */
        0,  INFO(BTF_KIND_CONST, 0),      ARRAY,                         /* const */
        0,  INFO(BTF_KIND_PTR, 0),        PAIR,                          /* struct pair * */
        10, INFO(BTF_KIND_VAR, 0),        CONST,      1,                 /* a */
        14, INFO(BTF_KIND_DATASEC, 1),    80,         VAR,  0,       80, /* .data */
        0,  INFO(BTF_KIND_FUNC_PROTO, 1), INT,        12,   POINTER,     /* int (struct pair *b) */
        10, INFO(BTF_KIND_FUNC, 1),       FUNC_PROTO,                    /* a, global */
        5,  INFO(BTF_KIND_FWD, 0),        0,                             /* struct pair; */
    };
    struct btf_header header = {.magic = BTF_MAGIC,
                                .version = BTF_VERSION,
                                .hdr_len = sizeof(header),
                                .type_len = sizeof(types),
                                .str_off = sizeof(types),
                                .str_len = sizeof(names)};

    memcpy(out, &header, sizeof(header));
    memcpy(out + sizeof(header), types, sizeof(types));
    memcpy(out + sizeof(header) + sizeof(types), names, sizeof(names));
    return (uint32_t)(sizeof(header) + sizeof(types) + sizeof(names));
}

static struct ebpf_btf *must_load(void)
{
    uint8_t bytes[512];
    struct ebpf_btf *btf;

    log_.used = 0;
    cr_assert_eq(ebpf_btf_create(bytes, build(bytes), &log_, &btf), 0, "%s", text);
    return btf;
}

Test(btf, types_names_and_sizes)
{
    struct ebpf_btf *btf = must_load();
    const struct {
        uint32_t id;
        int err;
        uint32_t size;
    } cases[] = {{INT, 0, 4},      {PAIR, 0, 8},           {ARRAY, 0, 80},
                 {CONST, 0, 80},   {POINTER, 0, 8},        {VAR, 0, 80},
                 {DATASEC, 0, 80}, {FUNC, -EINVAL, 0},     {FWD, -EINVAL, 0},
                 {0, -EINVAL, 0},  {NR_TYPES, -EINVAL, 0}, {UINT32_MAX, -EINVAL, 0}};

    cr_assert_eq(btf->nr_types, NR_TYPES);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t size = 0;
        cr_assert_eq(ebpf_btf_type_size(btf, cases[i].id, &size), cases[i].err);
        cr_assert_eq(size, cases[i].size);
    }
    cr_assert_str_eq(ebpf_btf_name(btf, ebpf_btf_type(btf, PAIR)->name_off), "pair");
    cr_assert_str_eq(ebpf_btf_name(btf, 4000), "");
    ebpf_btf_put(btf);
}

Test(btf, a_map_must_fit_its_types)
{
    struct ebpf_btf *btf = must_load();
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
                           .key_size = 4,
                           .value_size = 8,
                           .max_entries = 4,
                           .btf_key_type_id = INT,
                           .btf_value_type_id = PAIR};
    struct ebpf_map *map;

    cr_assert_eq(ebpf_map_create(&attr, btf, &map), 0);
    ebpf_btf_put(btf);
    cr_assert_eq(map->btf, btf, "the map holds it now");
    attr.value_size = 16;
    struct ebpf_map *none;
    cr_assert_eq(ebpf_map_create(&attr, map->btf, &none), -EINVAL);
    attr.value_size = 8;
    attr.map_type = BPF_MAP_TYPE_HASH;
    attr.btf_key_type_id = 0;
    cr_assert_eq(ebpf_map_create(&attr, map->btf, &none), -EINVAL, "only arrays go without");
    ebpf_map_put(map);
}

Test(btf, broken_headers)
{
    uint8_t good[512], bytes[512];
    uint32_t size = build(good);
    struct ebpf_btf *btf;
    const struct {
        size_t at;
        uint32_t value;
        unsigned width;
        int err;
    } cases[] = {
        {offsetof(struct btf_header, magic), 0x1234, 2, -EINVAL},
        {offsetof(struct btf_header, version), 9, 1, -EBPF_ENOTSUPP},
        {offsetof(struct btf_header, flags), 1, 1, -EBPF_ENOTSUPP},
        {offsetof(struct btf_header, hdr_len), 8, 4, -EINVAL},
        {offsetof(struct btf_header, hdr_len), UINT32_MAX, 4, -EINVAL},
        {offsetof(struct btf_header, type_off), 2, 4, -EINVAL},
        {offsetof(struct btf_header, type_off), 0xfffffffc, 4, -EINVAL},
        {offsetof(struct btf_header, type_len), 0x10000, 4, -EINVAL},
        {offsetof(struct btf_header, type_len), 20, 4, -EINVAL},
        {offsetof(struct btf_header, str_off), 0x10000, 4, -EINVAL},
        {offsetof(struct btf_header, str_len), 0, 4, -EINVAL},
        {offsetof(struct btf_header, str_len), 0x10000, 4, -EINVAL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(bytes, good, size);
        memcpy(bytes + cases[i].at, &cases[i].value, cases[i].width);
        text[0] = '\0';
        log_.used = 0;
        cr_assert_eq(ebpf_btf_create(bytes, size, &log_, &btf), cases[i].err, "case %zu", i);
        cr_assert_neq(text[0], '\0', "case %zu says nothing", i);
    }
    cr_assert_eq(ebpf_btf_create(good, 10, NULL, &btf), -EINVAL);
    cr_assert_eq(ebpf_btf_create(good, UINT32_MAX, NULL, &btf), -E2BIG);
}

Test(btf, types_in_a_circle_have_no_size)
{
    uint32_t types[] = {0, INFO(BTF_KIND_CONST, 0), 2, 0, INFO(BTF_KIND_VOLATILE, 0), 1};
    struct btf_header header = {.magic = BTF_MAGIC,
                                .version = BTF_VERSION,
                                .hdr_len = sizeof(header),
                                .type_len = sizeof(types),
                                .str_off = sizeof(types),
                                .str_len = 1};
    uint8_t bytes[64] = {0};
    struct ebpf_btf *btf;
    uint32_t size;

    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), types, sizeof(types));
    cr_assert_eq(ebpf_btf_create(bytes, sizeof(header) + sizeof(types) + 1, NULL, &btf), 0);
    cr_assert_eq(ebpf_btf_type_size(btf, 1, &size), -EINVAL);
    ebpf_btf_put(btf);
}

Test(btf, survives_corruption)
{
    uint8_t good[512];
    uint32_t size = build(good);
    unsigned taken = 0;

    srand(5);
    for (int round = 0; round < 20000; round++) {
        uint32_t length = rand() % 4 == 0 ? (uint32_t)rand() % (size + 1) : size;
        uint8_t *bytes = malloc(length + 1);
        struct ebpf_btf *btf;
        uint32_t type_size;

        memcpy(bytes, good, length);
        for (int flips = rand() % 4; flips > 0 && length != 0; flips--)
            bytes[(uint32_t)rand() % length] = (uint8_t)rand();
        if (ebpf_btf_create(bytes, length, NULL, &btf) == 0) {
            taken++;
            for (uint32_t id = 0; id < btf->nr_types + 2; id++)
                ebpf_btf_type_size(btf, id, &type_size);
            ebpf_btf_put(btf);
        }
        free(bytes);
    }
    cr_assert_gt(taken, 100);
}

Test(btf, every_failing_allocation_is_enomem)
{
    uint8_t bytes[512];
    uint32_t size = build(bytes);
    struct ebpf_btf *btf;
    int err = -ENOMEM;

    for (size_t n = 1; err != 0; n++) {
        host_port_fail_after(n);
        err = ebpf_btf_create(bytes, size, NULL, &btf);
        host_port_fail_after(0);
        cr_assert(err == 0 || (err == -ENOMEM && host_port_blocks() == 0));
        cr_assert_lt(n, 10);
    }
    ebpf_btf_put(btf);
}
