/*
 * The PROG_* commands but info: what PROG_LOAD brings is turned from handles and pointers into what
 * ebpf_prog_create takes; checks and errors as Linux has them (kernel/bpf/syscall.c bpf_prog_load,
 * verifier.c check_btf_info and resolve_pseudo_ldimm64). What the instructions mean is decode.c's.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/port.h"
#include "ebpf/sys.h"
#include "ebpf/verifier.h"

/* A client's test run may repeat 2^32 times; the server serves nobody else meanwhile. */
#define TEST_RUN_LIMIT_NS 3000000000u

#define USED_MAPS_MAX 64u  /* Linux: MAX_USED_MAPS */
#define RECORD_MAX    252u /* Linux: MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE */

/* Set by tools in this process; no command reaches it. */
static bool unverified;

/* PROG_LOAD on its way. */
struct load {
    struct ebpf_session *session;
    const union bpf_attr *attr;
    struct ebpf_log log;
    struct ebpf_prog_load prog;
    struct bpf_insn *insns;               /* copy, whose map references are indices */
    struct ebpf_map *maps[USED_MAPS_MAX]; /* borrowed */
    struct bpf_func_info *func_info;
    struct bpf_line_info *line_info;
    char name[BPF_OBJ_NAME_LEN];
};

static int check_attr(const union bpf_attr *a)
{
    const uint32_t flags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ |
                           BPF_F_SLEEPABLE | BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS;

    if ((a->prog_flags & ~flags) != 0 || a->prog_ifindex != 0 || !ebpf_name_is_valid(a->prog_name))
        return -EINVAL;
    /* Programs that attach to a function or to a program are of types that Skep does not have. */
    if (a->attach_btf_id != 0 || a->attach_prog_fd != 0 || a->core_relo_cnt != 0)
        return -EINVAL;
    return a->insn_cnt == 0 || a->insn_cnt > EBPF_INSNS_MAX ? -E2BIG : 0;
}

/* Index of a map in the list of those used, where it is put if it is new. */
static int use_map(struct load *load, struct ebpf_map *map)
{
    uint32_t i = 0;

    while (i < load->prog.nr_maps && load->maps[i] != map)
        i++;
    if (i == USED_MAPS_MAX) {
        ebpf_log_write(&load->log, "the program uses more than %u maps\n", USED_MAPS_MAX);
        return -E2BIG;
    }
    if (i == load->prog.nr_maps)
        load->maps[load->prog.nr_maps++] = map;
    return (int)i;
}

/* One ld_imm64 that names a map: its handle, given here or in fd_array, becomes an index. */
static int resolve_map(struct load *load, uint32_t slot)
{
    struct bpf_insn *insn = &load->insns[slot];
    const int32_t *fd_array = ebpf_attr_pointer(load->attr->fd_array);
    bool by_index =
        insn->src_reg == BPF_PSEUDO_MAP_IDX || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
    struct ebpf_map *map;
    int32_t handle = insn->imm;
    int result;

    if (by_index && fd_array == NULL) {
        ebpf_log_write(&load->log, "insn %u: fd_idx without fd_array is invalid\n", slot);
        return -EPROTO;
    }
    if (by_index)
        __builtin_memcpy(&handle, &fd_array[insn->imm], sizeof(handle));
    result = ebpf_get_map(load->session, (uint32_t)handle, &map);
    if (result != 0) {
        ebpf_log_write(&load->log, "insn %u: fd %d is not pointing to valid bpf_map\n", slot,
                       handle);
        return result;
    }
    result = use_map(load, map);
    if (result < 0)
        return result;
    insn->imm = result;
    return 0;
}

static bool names_map(const struct bpf_insn *insn)
{
    return insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE ||
           insn->src_reg == BPF_PSEUDO_MAP_IDX || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
}

static int take_insns(struct load *load)
{
    size_t size = (size_t)load->attr->insn_cnt * sizeof(struct bpf_insn);

    load->insns = port_alloc(size);
    if (load->insns == NULL)
        return -ENOMEM;
    __builtin_memcpy(load->insns, ebpf_attr_pointer(load->attr->insns), size);
    for (uint32_t i = 0; i + 1 < load->attr->insn_cnt; i++) {
        if (load->insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        int err = names_map(&load->insns[i]) ? resolve_map(load, i) : 0;
        if (err != 0)
            return err;
        i++;
    }
    load->prog.insns = load->insns;
    load->prog.nr_insns = load->attr->insn_cnt;
    load->prog.maps = load->maps;
    return 0;
}

/* Copies count records of the caller's size into records of ours: what the caller's have more
 * must be zero (Linux: bpf_check_uarg_tail_zero in check_btf_func). */
static int take_records(uint64_t from, uint32_t count, uint32_t their_size, uint32_t our_size,
                        void **out)
{
    const uint8_t *records = ebpf_attr_pointer(from);
    uint8_t *copy;

    if (count == 0)
        return 0;
    if (their_size < 8 || their_size > RECORD_MAX || their_size % 4 != 0)
        return -EINVAL;
    if (records == NULL)
        return -EFAULT;
    copy = port_alloc((size_t)count * our_size);
    if (copy == NULL)
        return -ENOMEM;
    *out = copy;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *record = records + (size_t)i * their_size;

        if (their_size > our_size && !all_zero(record + our_size, their_size - our_size))
            return -E2BIG;
        __builtin_memcpy(copy + (size_t)i * our_size, record,
                         their_size < our_size ? their_size : our_size);
    }
    return 0;
}

/* Function and line information, which need BTF; without them BTF is not looked at. */
static int take_btf(struct load *load)
{
    const union bpf_attr *a = load->attr;
    int err;

    if (a->func_info_cnt == 0 && a->line_info_cnt == 0)
        return 0;
    err = ebpf_get_btf(load->session, a->prog_btf_fd, &load->prog.btf);
    if (err != 0)
        return err;
    if (a->func_info_cnt > a->insn_cnt || a->line_info_cnt > a->insn_cnt)
        return -EINVAL;
    err = take_records(a->func_info, a->func_info_cnt, a->func_info_rec_size,
                       sizeof(struct bpf_func_info), (void **)&load->func_info);
    if (err == 0)
        err = take_records(a->line_info, a->line_info_cnt, a->line_info_rec_size,
                           sizeof(struct bpf_line_info), (void **)&load->line_info);
    load->prog.func_info = load->func_info;
    load->prog.nr_func_info = a->func_info_cnt;
    load->prog.line_info = load->line_info;
    load->prog.nr_line_info = a->line_info_cnt;
    return err;
}

/* As on Linux where the machine reads memory at any address: alignment is checked when asked for,
 * unless any is asked for. */
static uint32_t verify_flags(uint32_t prog_flags)
{
    bool strict = (prog_flags & BPF_F_STRICT_ALIGNMENT) && !(prog_flags & BPF_F_ANY_ALIGNMENT);

    return strict ? EBPF_VERIFY_STRICT_ALIGNMENT : 0;
}

/* skep-vm alone: from now on, programs are loaded as they are, for the checked interpreter. */
void ebpf_load_unverified(bool on)
{
    unverified = on;
}

static int make_prog(struct load *load, struct ebpf_prog **prog)
{
    int err = ebpf_prog_create(&load->prog, prog);

    if (err != 0)
        return err;
    err = ebpf_prog_arrays_use((*prog)->maps, (*prog)->nr_maps, *prog);
    if (err != 0) {
        ebpf_log_write(&load->log, "a program array is for programs of another type or engine\n");
        ebpf_prog_put(*prog);
    }
    return err;
}

long ebpf_cmd_PROG_LOAD(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct load *load;
    struct ebpf_prog *prog;
    int result = check_attr(a);

    if (result != 0)
        return result;
    load = port_alloc(sizeof(*load));
    if (load == NULL)
        return -ENOMEM;
    load->session = session;
    load->attr = a;
    copy_text(load->name, a->prog_name, sizeof(load->name));
    load->prog.type = a->prog_type;
    load->prog.expected_attach_type = a->expected_attach_type;
    load->prog.name = load->name;
    load->prog.license = ebpf_attr_pointer(a->license);
    load->prog.verify_flags = verify_flags(a->prog_flags);
    load->prog.unverified = unverified;
    load->prog.log = &load->log;
    result = ebpf_get_log(&load->log, a->log_buf, a->log_size, a->log_level);
    if (result == 0)
        result = take_insns(load);
    if (result == 0)
        result = take_btf(load);
    if (result == 0)
        result = make_prog(load, &prog);
    if (result == 0)
        result = ebpf_handle_new(session, &prog->object, EBPF_MAY_BOTH);
    if (result < 0 && load->log.truncated)
        result = -ENOSPC;
    port_free(load->func_info);
    port_free(load->line_info);
    port_free(load->insns);
    port_free(load);
    return result;
}

/* A map that the program does not use lives as long as the program then. */
long ebpf_cmd_PROG_BIND_MAP(struct ebpf_session *session, union marshal_attr *attr)
{
    const union bpf_attr *a = &attr->bpf;
    struct ebpf_map **maps, **old, *map;
    struct ebpf_prog *prog;
    uint64_t saved;
    int err = a->prog_bind_map.flags != 0 ? -EINVAL : 0;

    if (err == 0)
        err = ebpf_get_prog(session, a->prog_bind_map.prog_fd, &prog);
    if (err == 0)
        err = ebpf_get_map(session, a->prog_bind_map.map_fd, &map);
    if (err != 0)
        return err;
    for (uint32_t i = 0; i < prog->nr_maps; i++)
        if (prog->maps[i] == map)
            return 0;
    maps = port_alloc((prog->nr_maps + 1) * sizeof(*maps));
    if (maps == NULL)
        return -ENOMEM;
    old = prog->maps;
    if (prog->nr_maps != 0)
        __builtin_memcpy(maps, old, prog->nr_maps * sizeof(*maps));
    maps[prog->nr_maps] = map;
    ebpf_map_get(map);
    saved = port_lock();
    prog->maps = maps;
    prog->nr_maps++;
    port_unlock(saved);
    port_free(old);
    return 0;
}

long ebpf_cmd_PROG_TEST_RUN(struct ebpf_session *session, union marshal_attr *attr)
{
    union bpf_attr *a = &attr->bpf;
    struct ebpf_test_run run = {
        .data_in = ebpf_attr_pointer(a->test.data_in),
        .data_size_in = a->test.data_size_in,
        .data_out = ebpf_attr_pointer(a->test.data_out),
        .data_size_out = a->test.data_size_out,
        .ctx_in = ebpf_attr_pointer(a->test.ctx_in),
        .ctx_size_in = a->test.ctx_size_in,
        .ctx_out = ebpf_attr_pointer(a->test.ctx_out),
        .ctx_size_out = a->test.ctx_size_out,
        .repeat = a->test.repeat,
        .limit_ns = TEST_RUN_LIMIT_NS,
    };
    struct ebpf_prog *prog;
    int err;

    if ((run.ctx_size_in != 0) != (run.ctx_in != NULL) ||
        (run.ctx_size_out != 0) != (run.ctx_out != NULL) || a->test.flags != 0 ||
        a->test.cpu != 0 || a->test.batch_size != 0)
        return -EINVAL;
    err = ebpf_get_prog(session, a->test.prog_fd, &prog);
    if (err != 0)
        return err;
    err = ebpf_prog_test_run(prog, &run);
    if (err == 0 || err == -ENOSPC) {
        uint64_t each = run.total_ns / (run.repeat != 0 ? run.repeat : 1);

        a->test.retval = (uint32_t)run.result;
        a->test.duration = each < UINT32_MAX ? (uint32_t)each : UINT32_MAX;
        a->test.data_size_out = run.data_size_out;
        a->test.ctx_size_out = run.ctx_size_out;
    }
    return err;
}

static void destroy_stats(struct ebpf_object *object)
{
    port_free(object);
}

/* Run time and counts are kept all the time (docs/figures.md says what that costs); the handle is
 * there for those who ask for one. */
long ebpf_cmd_ENABLE_STATS(struct ebpf_session *session, union marshal_attr *attr)
{
    struct ebpf_object *stats;
    int err;

    if (attr->bpf.enable_stats.type != BPF_STATS_RUN_TIME)
        return -EINVAL;
    stats = port_alloc(sizeof(*stats));
    if (stats == NULL)
        return -ENOMEM;
    err = ebpf_object_init(stats, EBPF_STATS, destroy_stats);
    if (err != 0) {
        port_free(stats);
        return err;
    }
    return ebpf_handle_new(session, stats, EBPF_MAY_BOTH);
}
