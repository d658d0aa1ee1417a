/*
 * What skepctl prints and how it ends, held against bpftool's output to the letter. The guest is
 * a table: one program, three maps, one link, two tracepoints, one pin.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ebpf/commands.h"
#include "ebpf/marshal.h"
#include "tests/unit/leakcheck.h"
#include "user/client/client.h"
#include "user/lib/bpf_transport.h"

/* Handles tell kind and id. */
#define HANDLE(kind, id) ((uint32_t)(kind) << 16 | (id))

enum { MAP_PLAIN = 7, MAP_BTF = 8, MAP_WIDE = 9, PROG = 3, LINK = 2, BTF = 5 };

static struct btf *types; /* the guest's BTF object 5 */
static uint32_t type_count, type_file;
static unsigned closed;
static struct skep_tracepoint_attr enabled;
static char pinned[SKEP_PIN_MAX], unpinned[SKEP_PIN_MAX];
static uint8_t updated[64];
static uint64_t update_flags;
static long answer; /* what every command that changes something says */

/* struct file { char name[8]; enum color { RED, BLUE } color; }; unsigned count */
static void make_types(void)
{
    int character, number, array, color;

    types = btf__new_empty();
    character = btf__add_int(types, "char", 1, BTF_INT_SIGNED);
    number = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
    array = btf__add_array(types, number, character, 8);
    color = btf__add_enum(types, "color", 4);
    btf__add_enum_value(types, "RED", 0);
    btf__add_enum_value(types, "BLUE", 1);
    type_file = (uint32_t)btf__add_struct(types, "file", 16);
    btf__add_field(types, "name", array, 0, 0);
    btf__add_field(types, "color", color, 64, 0);
    btf__add_field(types, "low", number, 96, 3);
    btf__add_field(types, "high", number, 99, 29);
    type_count = (uint32_t)btf__add_int(types, "unsigned long long", 8, 0);
}

static long info_of(uint32_t handle, union bpf_attr *attr)
{
    void *out = (void *)(uintptr_t)attr->info.info;
    uint32_t id = handle & 0xffff;

    if (handle >> 16 == EBPF_PROG) {
        static const struct bpf_prog_info prog = {
            .type = BPF_PROG_TYPE_TRACEPOINT,
            .id = PROG,
            .tag = {0x25, 0xb3, 0x65, 0xce, 0x69, 0x32, 0x4c, 0x5c},
            .xlated_prog_len = 344,
            .load_time = 2000000000,
            .nr_map_ids = 2,
            .name = "count_open",
            .gpl_compatible = 1,
            .btf_id = BTF,
        };
        struct bpf_prog_info answered = prog;
        uint32_t *ids = (uint32_t *)(uintptr_t)((struct bpf_prog_info *)out)->map_ids;

        if (ids)
            ids[0] = MAP_PLAIN, ids[1] = MAP_BTF;
        memcpy(out, &answered, attr->info.info_len);
    } else if (handle >> 16 == EBPF_MAP) {
        struct bpf_map_info map = {.type = BPF_MAP_TYPE_HASH, .id = id, .max_entries = 1024};

        strcpy(map.name, id == MAP_PLAIN ? "opens" : id == MAP_BTF ? "files" : "wide");
        map.key_size = id == MAP_BTF ? 16 : 4;
        map.value_size = id == MAP_WIDE ? 20 : 8;
        map.map_flags = id == MAP_WIDE ? BPF_F_NO_PREALLOC : 0;
        if (id == MAP_BTF) {
            map.btf_id = BTF;
            map.btf_key_type_id = type_file;
            map.btf_value_type_id = type_count;
        }
        memcpy(out, &map, sizeof(map));
    } else if (handle >> 16 == EBPF_LINK) {
        struct bpf_link_info link = {.type = BPF_LINK_TYPE_PERF_EVENT, .id = LINK, .prog_id = PROG};

        memcpy(out, &link, attr->info.info_len);
    } else {
        struct bpf_btf_info *info = out;
        uint32_t size;
        const void *data = btf__raw_data(types, &size);

        if (info->btf)
            memcpy((void *)(uintptr_t)info->btf, data,
                   info->btf_size < size ? info->btf_size : size);
        info->btf_size = size;
        info->id = BTF;
    }
    return 0;
}

/* Every map has two entries: keys 1 and 2 in the first byte, the rest zero. */
static long element(uint32_t cmd, union bpf_attr *attr)
{
    uint8_t *key = (uint8_t *)(uintptr_t)attr->key, *value = (uint8_t *)(uintptr_t)attr->value;
    uint32_t id = attr->map_fd & 0xffff;
    size_t key_size = id == MAP_BTF ? 16 : 4;

    if (cmd == BPF_MAP_GET_NEXT_KEY) {
        uint8_t *next = value; /* next_key shares its place */

        memset(next, 0, key_size);
        if (key && key[0] >= '2')
            return -ENOENT;
        next[0] = key && key[0] ? '2' : '1';
        if (id == MAP_BTF)
            next[8] = next[0] == '1' ? 1 : 9, next[12] = 0xf5;
        return 0;
    }
    if (cmd == BPF_MAP_UPDATE_ELEM) {
        memcpy(updated, key, key_size);
        memcpy(updated + key_size, value, 8);
        update_flags = attr->flags;
        return answer;
    }
    if (cmd == BPF_MAP_DELETE_ELEM)
        return answer;
    if (key[0] != '1' && key[0] != '2')
        return -ENOENT;
    memset(value, 0, id == MAP_WIDE ? 20 : 8);
    memset(value, key[0] == '1' ? 0xff : 0x0a, id == MAP_BTF && key[0] == '1' ? 8 : 1);
    return 0;
}

static long next_id(uint32_t cmd, union bpf_attr *attr)
{
    static const uint32_t maps[] = {MAP_PLAIN, MAP_BTF, MAP_WIDE};
    uint32_t only = cmd == BPF_PROG_GET_NEXT_ID ? PROG : cmd == BPF_LINK_GET_NEXT_ID ? LINK : BTF;

    if (cmd != BPF_MAP_GET_NEXT_ID) {
        if (attr->start_id >= only)
            return -ENOENT;
        attr->next_id = only;
        return 0;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (maps[i] > attr->start_id) {
            attr->next_id = maps[i];
            return 0;
        }
    }
    return -ENOENT;
}

static long by_id(enum ebpf_kind kind, uint32_t id)
{
    bool known = kind == EBPF_PROG   ? id == PROG
                 : kind == EBPF_MAP  ? id >= MAP_PLAIN && id <= MAP_WIDE
                 : kind == EBPF_LINK ? id == LINK
                                     : id == BTF;

    return known ? (long)HANDLE(kind, id) : -ENOENT;
}

static long skep_command_of(uint32_t cmd, void *attr)
{
    if (cmd == SKEP_TRACEPOINT_NEXT) {
        struct skep_tracepoint_attr *event = attr;
        uint32_t id = event->id + 1;

        if (id > 2)
            return -ENOENT;
        *event = (struct skep_tracepoint_attr){.id = id, .size = id == 1 ? 48 : 20};
        strcpy(event->system, id == 1 ? "syscalls" : "virtio_net");
        strcpy(event->name, id == 1 ? "sys_enter_openat" : "receive_packet");
        event->programs = id == 1;
        event->hits = id == 1 ? 12 : 0;
        return 0;
    }
    if (cmd == SKEP_TRACEPOINT_ENABLE) {
        enabled = *(struct skep_tracepoint_attr *)attr;
        return strcmp(enabled.system, "syscalls") == 0 ? 0 : -ENOENT;
    }
    if (cmd == SKEP_TRACEPOINT_OPEN)
        return answer;
    if (cmd == SKEP_PIN_NEXT) {
        struct skep_pin_attr *pin = attr;

        if (pin->name[0])
            return -ENOENT;
        *pin = (struct skep_pin_attr){.kind = EBPF_PROG, .id = PROG, .name = "openat"};
        return 0;
    }
    if (cmd == SKEP_HANDLE_INFO) {
        struct skep_handle_attr *info = attr;

        info->memory = 4096;
        info->frozen = (info->handle & 0xffff) != MAP_PLAIN;
        return 0;
    }
    if (cmd == SKEP_UNPIN)
        strcpy(unpinned, ((struct skep_pin_attr *)attr)->name);
    if (cmd == SKEP_KLOG_READ) { /* in two pieces, the second from the middle of a line */
        static const char *const pieces[] = {"<6>[0.1] one\n<3>[0.2] t", "<o>\n"};
        struct skep_read_attr *read = attr;

        if (read->cursor == 2)
            return (long)(read->size = 0);
        read->size = (uint32_t)strlen(pieces[read->cursor]);
        memcpy((void *)(uintptr_t)read->buf, pieces[read->cursor], read->size);
        read->cursor++;
        return 0;
    }
    if (cmd == SKEP_SYS_INFO) {
        struct skep_sys_info_attr *info = attr;

        info->wall_ns = 1700000010000000000u;
        info->uptime_ns = 10000000000u;
        return 0;
    }
    closed += cmd == SKEP_CLOSE;
    return 0;
}

static long guest(void *arg, uint32_t cmd, void *attr, uint32_t size)
{
    union bpf_attr *bpf = attr;

    (void)arg, (void)size;
    if (cmd >= SKEP_HELLO)
        return skep_command_of(cmd, attr);
    switch (cmd) {
    case BPF_PROG_GET_NEXT_ID:
    case BPF_MAP_GET_NEXT_ID:
    case BPF_LINK_GET_NEXT_ID:
    case BPF_BTF_GET_NEXT_ID:
        return next_id(cmd, bpf);
    case BPF_PROG_GET_FD_BY_ID:
        return by_id(EBPF_PROG, bpf->prog_id);
    case BPF_MAP_GET_FD_BY_ID:
        return by_id(EBPF_MAP, bpf->map_id);
    case BPF_LINK_GET_FD_BY_ID:
        return by_id(EBPF_LINK, bpf->link_id);
    case BPF_BTF_GET_FD_BY_ID:
        return by_id(EBPF_BTF, bpf->btf_id);
    case BPF_OBJ_GET_INFO_BY_FD:
        return info_of(bpf->info.bpf_fd, bpf);
    case BPF_OBJ_GET:
        return HANDLE(EBPF_PROG, PROG);
    case BPF_OBJ_PIN:
        strcpy(pinned, (char *)(uintptr_t)bpf->pathname);
        return answer;
    case BPF_MAP_CREATE:
        return answer < 0 ? answer : (long)HANDLE(EBPF_MAP, MAP_PLAIN);
    case BPF_PROG_LOAD: /* libbpf trying out what there is */
        return HANDLE(EBPF_PROG, PROG);
    case BPF_MAP_LOOKUP_ELEM:
    case BPF_MAP_UPDATE_ELEM:
    case BPF_MAP_DELETE_ELEM:
    case BPF_MAP_GET_NEXT_KEY:
        return element(cmd, bpf);
    default:
        return answer;
    }
}

static struct json output;
static char text[16384], errors[4096];

static void set_up(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    make_types();
    bpf_transport_set(&(struct bpf_backend){.command = guest});
}

static void tear_down(void)
{
    bpf_transport_set(NULL);
    btf__free(types);
    leakcheck();
}

TestSuite(skepctl, .init = set_up, .fini = tear_down);

/* Runs a verb of the command line `line` (words with single blanks); what it prints is in `text`
 * and `errors`. Returns what the verb does. */
static int run(const struct noun *noun, const char *line)
{
    FILE *out = stdout, *err = stderr;
    char *words[64], copy[1024];
    struct args args = {.next = words};
    int result;

    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[args.left++] = word;
    words[args.left] = NULL;
    memset(text, 0, sizeof(text));
    memset(errors, 0, sizeof(errors));
    stdout = fmemopen(text, sizeof(text), "w");
    stderr = fmemopen(errors, sizeof(errors), "w");
    if (json)
        *json = (struct json){.out = stdout, .pretty = json->pretty};
    result = select_verb(noun, &args);
    fclose(stdout);
    fclose(stderr);
    stdout = out;
    stderr = err;
    return result;
}

static int run_json(const struct noun *noun, const char *line, bool pretty)
{
    int result;

    json = &output;
    output.pretty = pretty;
    result = run(noun, line);
    json = NULL;
    return result;
}

/* ---- list --------------------------------------------------------------------------------- */

Test(skepctl, prog_list)
{
    cr_assert_eq(run(&noun_prog, "list"), 0);
    cr_assert_str_eq(text, "3: tracepoint  name count_open  tag 25b365ce69324c5c  gpl\n"
                           "\tloaded_at 2023-11-14T22:13:22+0000  uid 0\n"
                           "\txlated 344B  not jited  map_ids 7,8\n"
                           "\tbtf_id 5\n");
}

Test(skepctl, prog_list_with_pins)
{
    show_pinned = true;
    cr_assert_eq(run(&noun_prog, "show id 3"), 0);
    cr_assert_not_null(strstr(text, "map_ids 7,8\n\tpinned /sys/fs/bpf/openat\n\tbtf_id 5\n"));
}

Test(skepctl, prog_list_json)
{
    cr_assert_eq(run_json(&noun_prog, "list", false), 0);
    cr_assert_str_eq(text, "[{\"id\":3,\"type\":\"tracepoint\",\"name\":\"count_open\","
                           "\"tag\":\"25b365ce69324c5c\",\"gpl_compatible\":true,"
                           "\"loaded_at\":1700000002,\"uid\":0,\"bytes_xlated\":344,"
                           "\"jited\":false,\"map_ids\":[7,8],\"btf_id\":5}]");
}

Test(skepctl, one_map_in_pretty_json)
{
    cr_assert_eq(run_json(&noun_map, "show name wide", true), 0);
    cr_assert_str_eq(text, "{\n"
                           "    \"id\": 9,\n"
                           "    \"type\": \"hash\",\n"
                           "    \"name\": \"wide\",\n"
                           "    \"flags\": 1,\n"
                           "    \"bytes_key\": 4,\n"
                           "    \"bytes_value\": 20,\n"
                           "    \"max_entries\": 1024,\n"
                           "    \"bytes_memlock\": 4096,\n"
                           "    \"frozen\": 1\n"
                           "}");
}

Test(skepctl, map_list)
{
    cr_assert_eq(run(&noun_map, "list"), 0);
    cr_assert_str_eq(text, "7: hash  name opens  flags 0x0\n"
                           "\tkey 4B  value 8B  max_entries 1024  memlock 4096B\n"
                           "8: hash  name files  flags 0x0\n"
                           "\tkey 16B  value 8B  max_entries 1024  memlock 4096B\n"
                           "\tbtf_id 5  frozen\n"
                           "9: hash  name wide  flags 0x1\n"
                           "\tkey 4B  value 20B  max_entries 1024  memlock 4096B\n"
                           "\tfrozen\n");
}

Test(skepctl, link_list)
{
    cr_assert_eq(run(&noun_link, "list"), 0);
    cr_assert_str_eq(text, "2: perf_event  prog 3  \n");
}

Test(skepctl, btf_list)
{
    cr_assert_eq(run(&noun_btf, "list"), 0);
    cr_assert_str_eq(text, "5: name <anon>  size 247B  prog_ids 3  map_ids 8\n");
    cr_assert_eq(run_json(&noun_btf, "show id 5", false), 0);
    cr_assert_str_eq(text, "{\"id\":5,\"size\":247,\"prog_ids\":[3],\"map_ids\":[8],"
                           "\"kernel\":false}");
    cr_assert_eq(run(&noun_btf, "show pinned x"), -1);
    cr_assert_str_eq(errors, "Error: expected 'id', got: 'pinned'?\n");
}

Test(skepctl, btf_dump_as_it_is_stored)
{
    cr_assert_eq(run(&noun_btf, "dump id 5"), 0);
    cr_assert_str_eq(text, "[1] INT 'char' size=1 bits_offset=0 nr_bits=8 encoding=SIGNED\n"
                           "[2] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
                           "[3] ARRAY '(anon)' type_id=1 index_type_id=2 nr_elems=8\n"
                           "[4] ENUM 'color' encoding=UNSIGNED size=4 vlen=2\n"
                           "\t'RED' val=0\n"
                           "\t'BLUE' val=1\n"
                           "[5] STRUCT 'file' size=16 vlen=4\n"
                           "\t'name' type_id=3 bits_offset=0\n"
                           "\t'color' type_id=4 bits_offset=64\n"
                           "\t'low' type_id=2 bits_offset=96 bitfield_size=3\n"
                           "\t'high' type_id=2 bits_offset=99 bitfield_size=29\n"
                           "[6] INT 'unsigned long long' size=8 bits_offset=0 nr_bits=64 "
                           "encoding=(none)\n");
    cr_assert_eq(run_json(&noun_btf, "dump prog id 3", false), 0);
    cr_assert_not_null(strstr(text, "{\"id\":4,\"kind\":\"ENUM\",\"name\":\"color\",\"encoding\":"
                                    "\"UNSIGNED\",\"size\":4,\"vlen\":2,\"values\":[{\"name\":"
                                    "\"RED\",\"val\":0},{\"name\":\"BLUE\",\"val\":1}]}"));
}

Test(skepctl, btf_dump_of_what_a_map_holds)
{
    cr_assert_eq(run(&noun_btf, "dump map name files value"), 0);
    cr_assert_str_eq(text, "[6] INT 'unsigned long long' size=8 bits_offset=0 nr_bits=64 "
                           "encoding=(none)\n");
    cr_assert_eq(run(&noun_btf, "dump map id 8 key format c"), 0);
    cr_assert_not_null(strstr(text, "enum color {\n\tRED = 0,\n\tBLUE = 1,\n};\n\n"
                                    "struct file {\n\tchar name[8];\n\tenum color color;\n"
                                    "\tint low: 3;\n\tint high: 29;\n};\n"));
    cr_assert_eq(run(&noun_btf, "dump map id 7"), -1);
    cr_assert_str_eq(errors, "Error: it was loaded without BTF\n");
    cr_assert_eq(run(&noun_btf, "dump id 5 format d"), -1);
    cr_assert_str_eq(errors,
                     "Error: unrecognized format specifier: 'd', possible values: raw, c\n");
    cr_assert_eq(run_json(&noun_btf, "dump id 5 format c", false), -1);
}

Test(skepctl, tracepoint_list)
{
    cr_assert_eq(run(&noun_tracepoint, "list"), 0);
    cr_assert_str_eq(text, "syscalls:sys_enter_openat\n\tid 1  record 48B  progs 1  hits 12\n"
                           "virtio_net:receive_packet\n\tid 2  record 20B\n");
    cr_assert_eq(run(&noun_tracepoint, "list virtio_net"), 0);
    cr_assert_str_eq(text, "virtio_net:receive_packet\n\tid 2  record 20B\n");
}

Test(skepctl, dmesg_leaves_levels_to_json)
{
    cr_assert_eq(run(&noun_sys, "dmesg"), 0);
    cr_assert_str_eq(text, "[0.1] one\n[0.2] t<o>\n");
    cr_assert_eq(run_json(&noun_sys, "dmesg", false), 0);
    cr_assert_str_eq(text, "[\"<6>[0.1] one\",\"<3>[0.2] t\",\"<o>\"]");
}

/* ---- entries ------------------------------------------------------------------------------ */

Test(skepctl, map_dump_without_btf)
{
    cr_assert_eq(run(&noun_map, "dump id 7"), 0);
    cr_assert_str_eq(text, "key: 31 00 00 00  value: ff 00 00 00 00 00 00 00\n"
                           "key: 32 00 00 00  value: 0a 00 00 00 00 00 00 00\n"
                           "Found 2 elements\n");
}

Test(skepctl, map_dump_of_wide_values)
{
    cr_assert_eq(run(&noun_map, "dump id 9"), 0);
    cr_assert_str_eq(text, "key:\n31 00 00 00\n"
                           "value:\nff 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n00 00 00 00\n"
                           "key:\n32 00 00 00\n"
                           "value:\n0a 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00\n00 00 00 00\n"
                           "Found 2 elements\n");
}

Test(skepctl, map_dump_by_btf)
{
    cr_assert_eq(run(&noun_map, "dump name files"), 0);
    cr_assert_str_eq(text, "[{\n"
                           "        \"key\": {\n"
                           "            \"name\": \"1\",\n"
                           "            \"color\": \"BLUE\",\n"
                           "            \"low\": 0x5,\n"
                           "            \"high\": 0x1e\n"
                           "        },\n"
                           "        \"value\": 18446744073709551615\n"
                           "    },{\n"
                           "        \"key\": {\n"
                           "            \"name\": \"2\",\n"
                           "            \"color\": 9,\n"
                           "            \"low\": 0x5,\n"
                           "            \"high\": 0x1e\n"
                           "        },\n"
                           "        \"value\": 10\n"
                           "    }\n"
                           "]\n");
}

Test(skepctl, map_dump_json)
{
    cr_assert_eq(run_json(&noun_map, "dump id 8", false), 0);
    cr_assert_not_null(strstr(text, "\"value\":[\"0x0a\",\"0x00\",\"0x00\",\"0x00\",\"0x00\","
                                    "\"0x00\",\"0x00\",\"0x00\"],\"formatted\":{\"key\":{"
                                    "\"name\":\"2\",\"color\":9,\"low\":\"0x5\",\"high\":\"0x1e\"},"
                                    "\"value\":10}}]"));
}

Test(skepctl, map_lookup)
{
    cr_assert_eq(run(&noun_map, "lookup id 7 key hex 32 0 0 0"), 0);
    cr_assert_str_eq(text, "key: 32 00 00 00  value: 0a 00 00 00 00 00 00 00\n");
    cr_assert_eq(run(&noun_map, "lookup id 7 key 5 0 0 0"), -1);
    cr_assert_str_eq(text, "key:\n05 00 00 00\n\nNot found\n");
    cr_assert_eq(run_json(&noun_map, "lookup id 7 key 5 0 0 0", false), -1);
    cr_assert_str_eq(text, "null");
}

Test(skepctl, map_getnext)
{
    cr_assert_eq(run(&noun_map, "getnext id 7"), 0);
    cr_assert_str_eq(text, "key: None\nnext key:\n31 00 00 00\n");
    cr_assert_eq(run(&noun_map, "getnext id 7 key 0x31 0 0 0"), 0);
    cr_assert_str_eq(text, "key:\n31 00 00 00\nnext key:\n32 00 00 00\n");
    cr_assert_eq(run(&noun_map, "getnext id 7 key 0x32 0 0 0"), -1);
    cr_assert_str_eq(errors, "Error: can't get next key: No such file or directory\n");
}

Test(skepctl, map_update)
{
    static const uint8_t expected[12] = {1, 2, 3, 4, 0xaa, 10, 0, 0, 0, 0, 0, 0};

    cr_assert_eq(run(&noun_map, "update id 7 key 1 2 3 4 value hex aa a 0 0 0 0 0 0 noexist"), 0);
    cr_assert_arr_eq(updated, expected, sizeof(expected));
    cr_assert_eq(update_flags, BPF_NOEXIST);
    cr_assert_str_eq(text, "");
    cr_assert_eq(run_json(&noun_map, "update id 7 key 1 2 3 4 value 1 2 3 4 5 6 7 8", false), 0);
    cr_assert_str_eq(text, "null");
    answer = -E2BIG;
    cr_assert_eq(run(&noun_map, "update id 7 key 1 2 3 4 value 1 2 3 4 5 6 7 8"), -1);
    cr_assert_str_eq(errors, "Error: update failed: Argument list too long\n");
}

/* ---- bad command lines
 * --------------------------------------------------------------------------- */

static const struct {
    const struct noun *noun;
    const char *line, *error;
} bad[] = {
    {&noun_map, "lookup id 7 key 1 2 3", "key expected 4 bytes got 3"},
    {&noun_map, "lookup id 7 key 1 2 3 4 5", "expected key, got: 5"},
    {&noun_map, "lookup id 7 key 1 2 3 256", "error parsing byte: 256"},
    {&noun_map, "lookup id 7 key 1 2 3 xy", "error parsing byte: xy"},
    {&noun_map, "lookup id 7", "did not find key"},
    {&noun_map, "update id 7 key 1 2 3 4", "did not find value"},
    {&noun_map, "dump id 70", "get map by id (70): No such file or directory"},
    {&noun_map, "dump id x", "can't parse x as ID"},
    {&noun_map, "dump number 7", "expected 'id', 'name' or 'pinned', got: 'number'?"},
    {&noun_map, "dump", "expected 'id', 'name' or 'pinned', got: 'nothing'?"},
    {&noun_map, "dump pinned openat", "incorrect object type: prog"},
    {&noun_map, "dump pinned x", "bpf obj get (x): No such file or directory"},
    {&noun_map, "dump name nosuch",
     "no map has the name 'nosuch'; 'skepctl map list' shows those there are"},
    {&noun_map, "create m type nosuch key 4 value 4 entries 1 name m",
     "unrecognized map type: nosuch; 'skepctl map help' lists them"},
    {&noun_map, "create m type hash key 4 value 4 entries 1", "map name not specified"},
    {&noun_map, "create m type hash key 4x value 4 entries 1 name m", "can't parse 4x as key size"},
    {&noun_prog, "show tag 12345", "can't parse tag"},
    {&noun_prog, "attach id 3 tracepoint nosuch:event",
     "unknown tracepoint: 'nosuch:event'; 'skepctl tracepoint list' shows those there are"},
    {&noun_prog, "attach id 3 tracepoint nosuch",
     "unknown tracepoint: 'nosuch' is not of the form SYSTEM:NAME"},
    {&noun_prog, "attach id 3 kprobe x",
     "expected 'tracepoint', 'raw_tracepoint' or 'xdp', got: 'kprobe'?"},
    {&noun_prog, "attach id 3 xdp",
     "can't attach to xdp: the program is of type tracepoint and must be of type xdp, which its "
     "section's name decides"},
    {&noun_prog, "load nosuch.o x", NULL},
    {&noun_tracepoint, "enable nosuch:event",
     "unknown tracepoint: 'nosuch:event'; 'skepctl tracepoint list' shows those there are"},
    {&noun_link, "detach name x", "expected 'id' or 'pinned', got: 'name'?"},
};

Test(skepctl, bad_input_gets_a_sentence)
{
    answer = -ENOENT;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char expected[512];

        cr_assert_eq(run(bad[i].noun, bad[i].line), -1, "%s", bad[i].line);
        cr_assert_str_eq(text, "", "%s", bad[i].line);
        snprintf(expected, sizeof(expected), "Error: %s\n", bad[i].error ? bad[i].error : "");
        if (bad[i].error)
            cr_assert_str_eq(errors, expected, "%s: %s", bad[i].line, errors);
        else
            cr_assert_eq(strncmp(errors, "Error: failed to open", 21), 0, "%s", errors);
    }
}

Test(skepctl, an_error_in_json)
{
    cr_assert_eq(run_json(&noun_map, "dump id 70", false), -1);
    cr_assert_str_eq(text, "{\"error\":\"get map by id (70): No such file or directory\"}");
    cr_assert_str_eq(errors, "");
}

/* ---- changes
 * --------------------------------------------------------------------------------------- */

Test(skepctl, map_create_pins)
{
    cr_assert_eq(
        run(&noun_map, "create /sys/fs/bpf/m type hash key 4 value 8 entries 16 name m flags 1"),
        0);
    cr_assert_str_eq(pinned, "m");
}

Test(skepctl, prog_unload_unpins)
{
    cr_assert_eq(run(&noun_prog, "unload name count_open"), 0);
    cr_assert_str_eq(unpinned, "openat");
}

Test(skepctl, tracepoint_enable)
{
    cr_assert_eq(run(&noun_tracepoint, "enable syscalls:sys_enter_openat"), 0);
    cr_assert_str_eq(enabled.name, "sys_enter_openat");
    cr_assert_eq(enabled.enable, 1);
    cr_assert_eq(run(&noun_tracepoint, "disable syscalls/sys_enter_openat"), 0);
    cr_assert_eq(enabled.enable, 0);
}

Test(skepctl, verbs_may_be_shortened)
{
    cr_assert_eq(run(&noun_tracepoint, "li virtio_net"), 0);
    cr_assert_str_eq(text, "virtio_net:receive_packet\n\tid 2  record 20B\n");
    cr_assert_eq(run(&noun_map, "frobnicate"), -1);
    cr_assert_eq(strncmp(errors, "Usage: skepctl map { show | list } [MAP]\n", 41), 0);
}

/* ---- JSON
 * ------------------------------------------------------------------------------------------- */

Test(skepctl, json_text_is_always_valid)
{
    struct json writer = {0};

    memset(text, 0, sizeof(text));
    writer.out = fmemopen(text, sizeof(text), "w");
    jsonw_begin(&writer, NULL, '[');
    jsonw_text(&writer, NULL, "a\"b\\c\n\x01\xff\0d", 10);
    jsonw_uint(&writer, NULL, UINT64_MAX);
    jsonw_begin(&writer, NULL, '{');
    jsonw_end(&writer, '}');
    jsonw_end(&writer, ']');
    fclose(writer.out);
    cr_assert_str_eq(text, "[\"a\\\"b\\\\c\\n\\u0001\\u00ff\\u0000d\",18446744073709551615,{}]");
}
