/*
 * bpf(2) of libbpf, carried: which commands a real object file takes, how descriptors and handles
 * are kept, and that nothing gets past the wrap to the host's kernel. The backend here answers
 * like a guest that accepts everything, and writes down what it was asked.
 */
#define _GNU_SOURCE /* dup3 */

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ebpf/commands.h"
#include "ebpf/marshal.h"
#include "tests/unit/leakcheck.h"
#include "user/lib/bpf_transport.h"

#define FIRST_HANDLE 1000u

static struct {
    unsigned calls[0x1100];      /* by command */
    unsigned opened, closed;     /* handles */
    uint8_t open[256];           /* by handle - FIRST_HANDLE */
    uint32_t map_type[256];      /* likewise, of maps */
    struct bpf_insn insns[4096]; /* of the last PROG_LOAD with a program type of tracepoint */
    uint32_t nr_insns;
    int32_t fd_array[3];
    uint32_t value; /* the first 4 bytes of the last update's value */
    char path[64];  /* of the last pin or unpin */
    const void *attr_insns;
    bool refuse;
} seen;

static void see_prog(const union bpf_attr *attr)
{
    if (attr->prog_type != BPF_PROG_TYPE_TRACEPOINT)
        return;
    seen.nr_insns = attr->insn_cnt;
    cr_assert_leq(attr->insn_cnt, 4096);
    memcpy(seen.insns, (void *)(uintptr_t)attr->insns, attr->insn_cnt * sizeof(seen.insns[0]));
    if (attr->fd_array)
        memcpy(seen.fd_array, (void *)(uintptr_t)attr->fd_array, sizeof(seen.fd_array));
}

static long accept_all(void *arg, uint32_t cmd, void *attr, uint32_t size)
{
    union bpf_attr *bpf = attr;

    cr_assert_eq(arg, &seen);
    cr_assert_gt(size, 0);
    seen.calls[cmd]++;
    if (seen.refuse)
        return -ENOSPC;
    switch (cmd) {
    case SKEP_CLOSE: {
        uint32_t index = ((struct skep_close_attr *)attr)->handle - FIRST_HANDLE;

        cr_assert(index < seen.opened && seen.open[index], "closed twice, or never opened");
        seen.open[index] = 0;
        seen.closed++;
        return 0;
    }
    case SKEP_UNPIN:
        strcpy(seen.path, ((struct skep_pin_attr *)attr)->name);
        return 0;
    case BPF_PROG_LOAD:
        see_prog(bpf);
        break;
    case BPF_MAP_CREATE:
        seen.map_type[seen.opened] = bpf->map_type;
        break;
    case BPF_MAP_UPDATE_ELEM:
        memcpy(&seen.value, (void *)(uintptr_t)bpf->value, sizeof(seen.value));
        return 0;
    case BPF_MAP_UPDATE_BATCH:
        cr_assert_eq(bpf->batch.count, 3);
        memcpy(seen.fd_array, (void *)(uintptr_t)bpf->batch.values, sizeof(seen.fd_array));
        return 0;
    case BPF_OBJ_PIN:
        strcpy(seen.path, (char *)(uintptr_t)bpf->pathname);
        return 0;
    case BPF_OBJ_GET_INFO_BY_FD: {
        uint32_t index = bpf->info.bpf_fd - FIRST_HANDLE;
        struct bpf_map_info info = {.type = seen.map_type[index], .key_size = 4, .value_size = 4};

        memcpy((void *)(uintptr_t)bpf->info.info, &info, sizeof(info.type) + 12);
        return 0;
    }
    default:
        break;
    }
    if (!marshal_returns_handle(cmd))
        return 0;
    cr_assert_lt(seen.opened, 256);
    seen.open[seen.opened] = 1;
    return FIRST_HANDLE + seen.opened++;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
    (void)level, (void)fmt, (void)args;
    return 0;
}

/* The first map makes libbpf try out what its kernel can do: that is done before a test counts. */
static void set_up(void)
{
    libbpf_set_print(quiet);
    bpf_transport_set(&(struct bpf_backend){.command = accept_all, .arg = &seen});
    close(bpf_map_create(BPF_MAP_TYPE_ARRAY, "m", 4, 4, 1, NULL));
    memset(&seen, 0, sizeof(seen));
}

static void tear_down(void)
{
    bpf_transport_set(NULL);
    leakcheck();
}

TestSuite(transport, .init = set_up, .fini = tear_down);

static int new_map(enum bpf_map_type type)
{
    int fd = bpf_map_create(type, "m", 4, 4, 1, NULL);

    cr_assert_geq(fd, 0);
    return fd;
}

/* How many handles the backend still holds. */
static unsigned left(void)
{
    return seen.opened - seen.closed;
}

/* A program of progs/, as the build made it. */
static struct bpf_object *open_object(const char *name)
{
    const char *dir = getenv("UNIT_DIR");
    char path[512];

    cr_assert_not_null(dir, "UNIT_DIR is not set: run through `make unit`");
    snprintf(path, sizeof(path), "%s/../progs/%s", dir, name);
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    cr_assert_not_null(object, "%s: %s", path, strerror(errno));
    return object;
}

/* ---- the way is closed -------------------------------------------------------------------- */

Test(transport, without_a_backend_bpf_is_refused)
{
    bpf_transport_set(NULL);
    cr_assert_eq(bpf_map_create(BPF_MAP_TYPE_ARRAY, "m", 4, 4, 1, NULL), -EPERM);
    cr_assert_eq(errno, EPERM);
}

Test(transport, perf_event_open_is_refused)
{
    errno = 0;
    cr_assert_eq(syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0), -1);
    cr_assert_eq(errno, EPERM);
}

Test(transport, other_system_calls_pass)
{
    cr_assert_eq(syscall(SYS_getpid), getpid());
}

Test(transport, the_hosts_kernel_cannot_be_read)
{
    static const char *const paths[] = {
        "/proc/kallsyms",
        "/proc/version_signature",
        "/sys/kernel/btf/vmlinux",
        "/sys/kernel/tracing/trace_pipe",
        "/boot/config",
        "/lib/modules/x/vmlinux",
    };

    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        errno = 0;
        cr_assert_null(fopen(paths[i], "r"));
        cr_assert_eq(errno, EPERM, "%s", paths[i]);
        errno = 0;
        cr_assert_eq(open(paths[i], O_RDONLY), -1);
        cr_assert_eq(errno, EPERM, "%s", paths[i]);
    }
    cr_assert_null(btf__load_vmlinux_btf());
    cr_assert_eq(errno, EOPNOTSUPP);
}

Test(transport, libbpfs_own_ways_of_attaching_fail)
{
    struct bpf_object *object = open_object("openat.bpf.o");
    struct bpf_program *program = bpf_object__next_program(object, NULL);

    cr_assert_eq(bpf_object__load(object), 0);
    cr_assert_null(bpf_program__attach(program));
    cr_assert_null(bpf_program__attach_kprobe(program, false, "do_sys_open"));
    cr_assert_null(bpf_program__attach_uprobe(program, false, -1, "/bin/true", 0));
    bpf_object__close(object);
}

Test(transport, other_files_open)
{
    FILE *file = fopen("/etc/passwd", "r");

    cr_assert_not_null(file);
    fclose(file);
}

/* ---- descriptors and handles -------------------------------------------------------------- */

Test(transport, a_handle_is_a_descriptor_of_this_process)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY);

    cr_assert_eq(bpf_transport_handle(fd), (int)FIRST_HANDLE);
    cr_assert_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0, "must not leak into other programs");
    close(fd);
    cr_assert_eq(left(), 0);
    cr_assert_eq(bpf_transport_handle(fd), -EBADF);
}

Test(transport, the_last_copy_closes_the_handle)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY);
    int copies[] = {
        dup(fd),
        fcntl(fd, F_DUPFD_CLOEXEC, 100),
        dup2(fd, 150),
        dup3(fd, 151, O_CLOEXEC),
    };

    for (unsigned i = 0; i < 4; i++) {
        cr_assert_geq(copies[i], 0);
        cr_assert_eq(bpf_transport_handle(copies[i]), (int)FIRST_HANDLE);
    }
    close(fd);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(left(), 1);
        close(copies[i]);
    }
    cr_assert_eq(left(), 0);
}

Test(transport, a_copy_onto_a_handle_closes_that_one)
{
    int first = new_map(BPF_MAP_TYPE_ARRAY), second = new_map(BPF_MAP_TYPE_ARRAY);

    cr_assert_eq(dup3(first, second, O_CLOEXEC), second);
    cr_assert_eq(left(), 1);
    cr_assert_eq(bpf_transport_handle(second), (int)FIRST_HANDLE);
    cr_assert_eq(dup2(first, first), first, "onto itself");
    close(first);
    cr_assert_eq(left(), 1);
    close(second);
    cr_assert_eq(left(), 0);
}

Test(transport, a_copy_of_something_else_onto_a_handle_closes_it)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY), other = open("/dev/null", O_RDONLY);

    cr_assert_eq(dup2(other, fd), fd);
    cr_assert_eq(left(), 0);
    close(fd);
    close(other);
}

Test(transport, a_descriptor_that_is_no_handle_is_EBADF)
{
    int key = 0, value = 0, other = open("/dev/null", O_RDONLY);

    cr_assert_eq(bpf_map_lookup_elem(other, &key, &value), -EBADF);
    cr_assert_eq(bpf_map_lookup_elem(-1, &key, &value), -EBADF);
    cr_assert_eq(bpf_map_lookup_elem(1 << 20, &key, &value), -EBADF);
    cr_assert_eq(seen.calls[BPF_MAP_LOOKUP_ELEM], 0, "the backend must not see it");
    close(other);
}

Test(transport, out_of_descriptors_the_new_handle_is_closed_again)
{
    int first = dup(2), last = first, next, result;

    while ((next = dup(2)) >= 0)
        last = next;
    result = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);
    close_range((unsigned)first, (unsigned)last, 0); /* the leak check needs some */
    cr_assert_eq(result, -EMFILE);
    cr_assert_eq(left(), 0);
}

Test(transport, a_refusal_is_passed_on_and_makes_no_descriptor)
{
    seen.refuse = true;
    cr_assert_eq(bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL), -ENOSPC);
    cr_assert_eq(seen.opened, 0);
}

/* ---- what attributes hide
 * ------------------------------------------------------------------------ */

Test(transport, handle_fields_are_the_callers_again_afterwards)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY);
    struct bpf_map_info info = {0};
    union bpf_attr attr = {0};

    attr.info.bpf_fd = (uint32_t)fd;
    attr.info.info_len = sizeof(info);
    attr.info.info = (uintptr_t)&info;
    cr_assert_eq(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info)), 0);
    cr_assert_eq(attr.info.bpf_fd, (uint32_t)fd);
    cr_assert_eq(info.type, BPF_MAP_TYPE_ARRAY);
    close(fd);
}

/* Loads instructions; the attributes must come back as they were. */
static int load(struct bpf_insn *insns, unsigned count, int32_t *fd_array)
{
    union bpf_attr attr = {0};
    int fd;

    attr.prog_type = BPF_PROG_TYPE_TRACEPOINT;
    attr.insns = (uintptr_t)insns;
    attr.insn_cnt = count;
    attr.license = (uintptr_t) "GPL";
    attr.fd_array = (uintptr_t)fd_array;
    fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
    cr_assert_eq(attr.insns, (uintptr_t)insns);
    cr_assert_eq(attr.fd_array, (uintptr_t)fd_array);
    return fd;
}

static void ld_imm64(struct bpf_insn *at, uint8_t source, int32_t imm)
{
    at[0] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW, .src_reg = source, .imm = imm};
    at[1] = (struct bpf_insn){.imm = 7};
}

Test(transport, ld_imm64_of_maps_gets_the_backends_handle)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY), prog;
    struct bpf_insn insns[8];

    ld_imm64(insns, BPF_PSEUDO_MAP_FD, fd);
    ld_imm64(insns + 2, BPF_PSEUDO_MAP_VALUE, fd);
    ld_imm64(insns + 4, 0, fd); /* a plain number, by chance the same */
    ld_imm64(insns + 6, BPF_PSEUDO_FUNC, fd);
    prog = load(insns, 8, NULL);
    cr_assert_geq(prog, 0);
    cr_assert_eq(seen.insns[0].imm, (int)FIRST_HANDLE);
    cr_assert_eq(seen.insns[2].imm, (int)FIRST_HANDLE);
    cr_assert_eq(seen.insns[3].imm, 7, "the offset into the value");
    cr_assert_eq(seen.insns[4].imm, fd);
    cr_assert_eq(seen.insns[6].imm, fd);
    cr_assert_eq(insns[0].imm, fd, "the caller's code is untouched");
    close(prog);
    close(fd);
}

Test(transport, ld_imm64_of_something_else_is_EBADF)
{
    struct bpf_insn insns[2];

    ld_imm64(insns, BPF_PSEUDO_MAP_FD, 77);
    cr_assert_eq(load(insns, 2, NULL), -1);
    cr_assert_eq(errno, EBADF);
    cr_assert_eq(seen.calls[BPF_PROG_LOAD], 0);
}

Test(transport, fd_array_is_translated_as_far_as_it_is_used)
{
    int fd = new_map(BPF_MAP_TYPE_ARRAY), prog;
    struct bpf_insn insns[4];
    int32_t fds[] = {fd, -77, fd, -77}; /* no instruction names the second and the last */

    ld_imm64(insns, BPF_PSEUDO_MAP_IDX, 0);
    ld_imm64(insns + 2, BPF_PSEUDO_MAP_IDX_VALUE, 2);
    prog = load(insns, 4, fds);
    cr_assert_geq(prog, 0);
    cr_assert_eq(seen.fd_array[0], (int)FIRST_HANDLE);
    cr_assert_eq(seen.fd_array[1], 0);
    cr_assert_eq(seen.fd_array[2], (int)FIRST_HANDLE);
    cr_assert_eq(seen.insns[0].imm, 0, "an index stays one");
    cr_assert_eq(seen.insns[2].imm, 2);
    close(prog);
    close(fd);
}

/* The kernel reads the array where an index says, and finds no memory there. */
Test(transport, fd_array_is_read_no_further_than_there_is_memory)
{
    long page = sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct bpf_insn insns[2];

    cr_assert_neq(pages, MAP_FAILED);
    cr_assert_eq(mprotect(pages + page, (size_t)page, PROT_NONE), 0);
    ld_imm64(insns, BPF_PSEUDO_MAP_IDX, 1);
    cr_assert_eq(load(insns, 2, (int32_t *)(pages + page) - 1), -1);
    cr_assert_eq(errno, EFAULT);
    cr_assert_eq(seen.calls[BPF_PROG_LOAD], 0);
    munmap(pages, 2 * (size_t)page);
}

Test(transport, values_that_are_objects_are_translated)
{
    int inner = new_map(BPF_MAP_TYPE_ARRAY), outer = new_map(BPF_MAP_TYPE_PROG_ARRAY);
    int plain = new_map(BPF_MAP_TYPE_HASH), key = 0;

    cr_assert_eq(bpf_map_update_elem(outer, &key, &inner, 0), 0);
    cr_assert_eq(seen.value, FIRST_HANDLE);
    cr_assert_eq(bpf_map_update_elem(plain, &key, &inner, 0), 0);
    cr_assert_eq(seen.value, (uint32_t)inner, "a plain map's value is only data");
    close(inner);
    close(outer);
    close(plain);
}

Test(transport, a_batch_of_values_that_are_objects_is_translated)
{
    int inner[3], outer = new_map(BPF_MAP_TYPE_ARRAY_OF_MAPS), plain = new_map(BPF_MAP_TYPE_HASH);
    int given[3], keys[3] = {0, 1, 2};
    uint32_t count = 3;

    for (int i = 0; i < 3; i++)
        given[i] = inner[i] = new_map(BPF_MAP_TYPE_ARRAY);
    cr_assert_eq(bpf_map_update_batch(outer, keys, inner, &count, NULL), 0);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(seen.fd_array[i], (int)FIRST_HANDLE + 2 + i);
    cr_expect_arr_eq(inner, given, sizeof(inner), "the caller's own stay");
    cr_assert_eq(bpf_map_update_batch(plain, keys, inner, &count, NULL), 0);
    cr_expect_arr_eq(seen.fd_array, given, sizeof(given), "a plain map's values are only data");
    inner[1] = 999;
    cr_expect_eq(bpf_map_update_batch(outer, keys, inner, &count, NULL), -EBADF);
    for (int i = 0; i < 3; i++)
        close(given[i]);
    close(outer);
    close(plain);
}

Test(transport, a_map_that_came_by_id_is_asked_for_its_type)
{
    int inner = new_map(BPF_MAP_TYPE_ARRAY), key = 0, outer;

    seen.map_type[1] = BPF_MAP_TYPE_ARRAY_OF_MAPS;
    outer = bpf_map_get_fd_by_id(5);
    cr_assert_eq(bpf_map_update_elem(outer, &key, &inner, 0), 0);
    cr_assert_eq(seen.value, FIRST_HANDLE);
    cr_assert_eq(seen.calls[BPF_OBJ_GET_INFO_BY_FD], 1);
    close(inner);
    close(outer);
}

Test(transport, an_xdp_links_interface_is_no_descriptor)
{
    int prog = bpf_prog_get_fd_by_id(1);
    int link = bpf_link_create(prog, 1, BPF_XDP, NULL);

    cr_assert_geq(link, 0);
    cr_assert_eq(bpf_link_create(prog, 1, BPF_PERF_EVENT, NULL), -EBADF);
    close(link);
    close(prog);
}

/* ---- libbpf with real objects
 * ---------------------------------------------------------------------- */

Test(transport, an_object_loads_and_leaves_nothing)
{
    struct bpf_object *object = open_object("packets.bpf.o");
    const struct bpf_map *map;
    unsigned references = 0;

    cr_assert_eq(bpf_object__load(object), 0);
    map = bpf_object__find_map_by_name(object, "packets");
    cr_assert_not_null(map);
    for (unsigned i = 0; i + 1 < seen.nr_insns; i++)
        if (seen.insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
            seen.insns[i].src_reg == BPF_PSEUDO_MAP_FD) {
            cr_assert_eq(seen.insns[i].imm, bpf_transport_handle(bpf_map__fd(map)));
            references++;
        }
    cr_assert_eq(references, 2, "a lookup and an update");
    cr_assert_geq(seen.calls[BPF_BTF_LOAD], 1);
    cr_assert_geq(seen.calls[BPF_MAP_CREATE], 1);
    cr_assert_geq(seen.calls[BPF_PROG_LOAD], 1);
    bpf_object__close(object);
    cr_assert_eq(left(), 0);
}

Test(transport, global_data_is_written_and_frozen)
{
    struct bpf_object *object = open_object("openat.bpf.o");

    cr_assert_eq(bpf_object__load(object), 0);
    cr_assert_geq(seen.calls[BPF_MAP_UPDATE_ELEM], 1, ".rodata of bpf_printk's format");
    cr_assert_geq(seen.calls[BPF_MAP_FREEZE], 1);
    bpf_object__close(object);
    cr_assert_eq(left(), 0);
}

Test(transport, a_map_can_be_reused)
{
    struct bpf_object *object = open_object("packets.bpf.o");
    int fd = new_map(BPF_MAP_TYPE_HASH);
    struct bpf_map *map = bpf_object__find_map_by_name(object, "packets");

    cr_assert_eq(bpf_map__reuse_fd(map, fd), 0);
    cr_assert_eq(bpf_transport_handle(bpf_map__fd(map)), bpf_transport_handle(fd));
    close(fd);
    cr_assert_eq(left(), 1, "libbpf's copy holds it");
    bpf_object__close(object);
    cr_assert_eq(left(), 0);
}

Test(transport, libbpf_pins_at_the_backend_and_not_in_the_hosts_bpffs)
{
    struct bpf_object *object = open_object("packets.bpf.o");
    struct bpf_map *map = bpf_object__find_map_by_name(object, "packets");

    cr_assert_eq(bpf_object__load(object), 0);
    cr_assert_eq(bpf_map__pin(map, "/sys/fs/bpf/skep-test/packets"), 0);
    cr_assert_str_eq(seen.path, "/sys/fs/bpf/skep-test/packets");
    cr_assert_neq(access("/sys/fs/bpf/skep-test", F_OK), 0);
    seen.path[0] = '\0';
    cr_assert_eq(bpf_map__unpin(map, NULL), 0);
    cr_assert_str_eq(seen.path, "/sys/fs/bpf/skep-test/packets");
    cr_assert_eq(seen.calls[SKEP_UNPIN], 1);
    bpf_object__close(object);
}
