/*
 * Many objects: the table of numbers against a model, thousands of maps, programs and pins made,
 * found and ended, and their memory given back. That each step stays short however many there are
 * is measured by tests/bench/maps.py.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/ebpf.h"
#include "ebpf/id_table.h"
#include "ebpf/map.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

static struct ebpf_session *session;

static void set_up(void)
{
    cr_assert_eq(ebpf_init(64u << 20), 0);
    session = ebpf_session_create();
}

static void tear_down(void)
{
    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left");
    cr_assert_eq(ebpf_map_bytes(NULL), 0, "map memory is left");
    cr_assert_eq(host_port_blocks(), 0, "blocks are left");
    leakcheck();
}

TestSuite(objects, .init = set_up, .fini = tear_down);

/* ---- the table --------------------------------------------------------------------------- */

#define IDS 5000u

/* Ids as objects get them, dense and rising, or anywhere. */
static void table_behaves(uint32_t spread)
{
    static char there[IDS];
    struct id_table table = {0};

    memset(there, 0, sizeof(there));
    for (unsigned step = 0; step < 20000; step++) {
        uint32_t n = (uint32_t)rand() % IDS, next = n;

        if (there[n])
            id_table_remove(&table, n * spread);
        else
            cr_assert_eq(id_table_put(&table, n * spread, &there[n]), 0);
        there[n] = !there[n];
        n = (uint32_t)rand() % IDS;
        cr_assert_eq(id_table_get(&table, n * spread), there[n] ? &there[n] : NULL);
        for (next = n; next < IDS && !there[next];)
            next++;
        cr_assert_eq(id_table_from(&table, n * spread), next < IDS ? &there[next] : NULL);
    }
    for (uint32_t n = 0; n < IDS; n++)
        if (there[n])
            id_table_remove(&table, n * spread);
    cr_assert_null(table.root, "an empty table holds no memory");
}

Test(objects, a_table_of_dense_ids_behaves_as_the_model)
{
    table_behaves(1);
}

Test(objects, a_table_of_ids_far_apart_behaves_as_the_model)
{
    table_behaves(UINT32_MAX / IDS);
}

Test(objects, a_table_knows_nothing_beyond_its_highest_id)
{
    struct id_table table = {0};
    int entry;

    cr_expect_null(id_table_get(&table, 1));
    cr_expect_null(id_table_from(&table, 0));
    cr_assert_eq(id_table_put(&table, 3, &entry), 0);
    cr_expect_null(id_table_get(&table, 3 + 64));
    cr_expect_null(id_table_get(&table, UINT32_MAX));
    cr_expect_null(id_table_from(&table, 4));
    cr_expect_null(id_table_from(&table, UINT32_MAX));
    cr_expect_eq(id_table_from(&table, 0), &entry);
    id_table_remove(&table, 3);
}

Test(objects, a_table_without_memory_stays_as_it_was)
{
    struct id_table table = {0};
    int entry;

    cr_assert_eq(id_table_put(&table, 1, &entry), 0);
    for (unsigned failing = 1; failing < 14; failing++) {
        host_port_fail_after(failing);
        int err = id_table_put(&table, 1u << 30, &entry);
        host_port_fail_after(0);
        cr_assert(err == 0 || err == -ENOMEM);
        cr_expect_eq(id_table_get(&table, 1), &entry);
        cr_expect_eq(id_table_get(&table, 1u << 30), err == 0 ? &entry : NULL);
        if (err == 0)
            id_table_remove(&table, 1u << 30);
    }
    id_table_remove(&table, 1);
}

/* ---- objects ----------------------------------------------------------------------------- */

#define MANY 10000

#define CALL(cmd, ...)                                                                             \
    ({                                                                                             \
        union bpf_attr attr_ = {__VA_ARGS__};                                                      \
        ebpf_sys(session, cmd, &attr_, sizeof(attr_));                                             \
    })

static int make_map(void)
{
    return (int)CALL(BPF_MAP_CREATE, .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8,
                     .max_entries = 1);
}

static int make_prog(void)
{
    const struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
                                     {.code = BPF_JMP | BPF_EXIT}};

    return (int)CALL(BPF_PROG_LOAD, .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
                     .insns = (uintptr_t)insns, .license = (uintptr_t) "GPL");
}

/* Every third one is closed while the others are there; ids are walked with the holes. */
static void many(int (*make)(void), uint32_t next_command, uint32_t open_command)
{
    static int handles[MANY];
    union bpf_attr attr = {0};
    uint32_t seen = 0, last = 0;

    for (unsigned i = 0; i < MANY; i++) {
        handles[i] = make();
        cr_assert_gt(handles[i], 0);
    }
    for (unsigned i = 0; i < MANY; i += 3)
        cr_assert_eq(ebpf_close(session, handles[i]), 0);
    while (ebpf_sys(session, next_command, &attr, sizeof(attr)) == 0) {
        union bpf_attr open = {.map_id = attr.next_id};
        long handle = ebpf_sys(session, open_command, &open, sizeof(open));

        cr_assert_gt(attr.next_id, last);
        last = attr.next_id;
        cr_assert_gt(handle, 0);
        cr_assert_eq(ebpf_close(session, (int)handle), 0);
        attr = (union bpf_attr){.start_id = last};
        seen++;
    }
    cr_expect_eq(seen, MANY - (MANY + 2) / 3);
    attr = (union bpf_attr){.map_id = last + 1};
    cr_expect_eq(ebpf_sys(session, open_command, &attr, sizeof(attr)), -ENOENT);
    for (unsigned i = 0; i < MANY; i++)
        if (i % 3 != 0)
            cr_assert_eq(ebpf_close(session, handles[i]), 0);
}

Test(objects, ten_thousand_maps_come_and_go)
{
    many(make_map, BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID);
}

Test(objects, ten_thousand_programs_come_and_go)
{
    many(make_prog, BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID);
}

/* ---- pins -------------------------------------------------------------------------------- */

Test(objects, thousands_of_pins_are_listed_in_order_and_found)
{
    struct skep_pin_attr pin = {0};
    char last[SKEP_PIN_MAX] = "", name[32];
    unsigned seen = 0;

    for (unsigned i = 0; i < 3000; i++) {
        int map = make_map();

        snprintf(name, sizeof(name), "dir%u/map%u", i % 7, i * 7919 % 3000);
        cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = (uintptr_t)name, .bpf_fd = (uint32_t)map), 0);
        cr_assert_eq(CALL(BPF_OBJ_PIN, .pathname = (uintptr_t)name, .bpf_fd = (uint32_t)map),
                     -EEXIST);
        cr_assert_eq(ebpf_close(session, map), 0);
    }
    while (ebpf_sys(session, SKEP_PIN_NEXT, (union bpf_attr *)&pin, sizeof(pin)) == 0) {
        cr_assert_gt(strcmp(pin.name, last), 0);
        strcpy(last, pin.name);
        cr_assert_eq(pin.kind, EBPF_MAP);
        seen++;
    }
    cr_expect_eq(seen, 3000);
    for (unsigned i = 0; i < 3000; i += 2) {
        snprintf(name, sizeof(name), "dir%u/map%u", i % 7, i * 7919 % 3000);
        strcpy(pin.name, name);
        cr_assert_eq(ebpf_sys(session, SKEP_UNPIN, (union bpf_attr *)&pin, sizeof(pin)), 0);
        cr_assert_eq(CALL(BPF_OBJ_GET, .pathname = (uintptr_t)name), -ENOENT);
    }
}
