/*
 * The programs of tests/data under load and PROG_TEST_RUN. Linux's test run gives 32 bits of r0 and
 * Linux has no type `mem`, so each program becomes a function of a frame that both sides load
 * alike:
 *
 *     main:   r1 = memory's address, r2 = its size        (mem; other types keep their context)
 *             call case
 *             result = r0                                 (a map's value, all 64 bits)
 *             r0 = 0
 *             exit
 *     case:   ...
 *
 * Memory is the value of an array map; type mem becomes raw_tracepoint.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "ebpf/isa.h"
#include "ebpf/prog.h"
#include "tests/linux/probe.h"
#include "tests/unit/data_case.h"

#define MAPS_MAX   8u
#define INSNS_MAX  4200u
#define MEMORY_MAX 2048u
#define PART       "data"
#define FOLDER     "tests/data"

struct frame {
    const struct data_case *c;
    char id[160];
    uint32_t type;          /* as it is loaded */
    int maps[MAPS_MAX + 2]; /* the case's own, then memory and result */
    unsigned nr_maps;
    const uint8_t *mem; /* the memory's first content */
    uint32_t mem_size;
    int memory, result; /* indices into maps; -1: none */
    struct bpf_insn insns[INSNS_MAX];
    unsigned nr_insns;
};

/* ---- names ----------------------------------------------------------------------------------- */

static uint32_t type_by_name(const char *name)
{
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {
#define CONTEXT(TYPE, name, first, view, fields, nr) {TYPE, name},
#include "ebpf/contexts.def"
    };

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return BPF_PROG_TYPE_UNSPEC;
}

/* ---- maps ------------------------------------------------------------------------------------ */

static int note_map(struct frame *f, int fd)
{
    if (fd < 0)
        return -errno;
    f->maps[f->nr_maps] = fd;
    return (int)f->nr_maps++;
}

static int add_map(struct frame *f, uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
                   struct bpf_map_create_opts *opts)
{
    char name[16];

    if (f->nr_maps == MAPS_MAX + 2)
        return -E2BIG;
    snprintf(name, sizeof(name), "map%u", f->nr_maps);
    return note_map(f, bpf_map_create(type, name, key, value, entries, opts));
}

static uint32_t map_type_by_name(const char *name)
{
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {
#define MAP(TYPE, name) {TYPE, #name},
#include "ebpf/maps.def"
#undef MAP
    };

    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    return BPF_MAP_TYPE_UNSPEC;
}

/* Its first element: a text, after which it is frozen, or another map. */
static int fill(const struct frame *f, int map, const struct data_map *line)
{
    static const uint8_t key[64];
    uint8_t value[512] = {0};

    if (line->inner >= 0)
        return bpf_map_update_elem(f->maps[map], key, &f->maps[line->inner], 0) ? -errno : 0;
    if (!line->has_text)
        return 0;
    if (line->value_size > sizeof(value))
        return -E2BIG;
    strcpy((char *)value, line->text);
    return bpf_map_update_elem(f->maps[map], key, value, 0) || bpf_map_freeze(f->maps[map]) ? -errno
                                                                                            : 0;
}

/* As tests/unit/data_run.c makes them. */
static int make_maps(struct frame *f)
{
    const char *text = f->c->maps;
    struct data_map line;
    int map = 0, btf = 0;

    while (text && *text && map >= 0) {
        uint8_t bytes[DATA_BTF_MAX];
        uint32_t size;

        if (data_map_parse(&text, &line))
            return -EINVAL;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = line.flags);
        size = data_map_btf(&line, bytes);
        if (size) {
            btf = bpf_btf_load(bytes, size, NULL);
            if (btf < 0)
                return -errno;
            opts.btf_fd = (uint32_t)btf;
            opts.btf_key_type_id = DATA_BTF_KEY;
            opts.btf_value_type_id = DATA_BTF_VALUE;
        }
        if (line.inner >= 0)
            opts.inner_map_fd = (uint32_t)f->maps[line.inner];
        map = add_map(f, map_type_by_name(line.type), line.key_size, line.value_size,
                      line.max_entries, &opts);
        if (size)
            close(btf);
        if (map >= 0 && fill(f, map, &line) < 0)
            return -errno;
    }
    return map < 0 ? map : 0;
}

/* The memory and the place for the result. */
static int make_frame_maps(struct frame *f, bool mem)
{
    uint64_t size = f->mem_size;
    uint32_t zero = 0;

    f->memory = -1;
    if (mem && f->mem_size) {
        f->memory = add_map(f, BPF_MAP_TYPE_ARRAY, 4, f->mem_size, 1, NULL);
        if (f->memory < 0)
            return f->memory;
        if (bpf_map_update_elem(f->maps[f->memory], &zero, f->mem, 0))
            return -errno;
    }
    f->result = add_map(f, BPF_MAP_TYPE_ARRAY, 4, 8, 1, NULL);
    if (f->result < 0)
        return f->result;
    /* Until there is a result it holds the size: a number that no verifier knows. */
    return bpf_map_update_elem(f->maps[f->result], &zero, &size, 0) ? -errno : 0;
}

/* ---- the frame ------------------------------------------------------------------------------- */

static void emit(struct frame *f, uint8_t code, uint8_t dst, uint8_t src, int32_t imm)
{
    f->insns[f->nr_insns++] =
        (struct bpf_insn){.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .imm = imm};
}

static void emit_map_value(struct frame *f, uint8_t dst, int map)
{
    emit(f, BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_IDX_VALUE, map);
    emit(f, 0, 0, 0, 0);
}

static void emit_frame(struct frame *f, bool mem)
{
    f->nr_insns = 0;
    if (f->memory >= 0) {
        emit_map_value(f, BPF_REG_1, f->memory);
        emit_map_value(f, BPF_REG_2, f->result);
        emit(f, BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_2, 0);
    } else if (mem) {
        emit(f, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0);
        emit(f, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0);
    }
    emit(f, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 5); /* over what stands here to exit */
    emit_map_value(f, BPF_REG_1, f->result);
    emit(f, BPF_STX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, 0);
    emit(f, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0);
    emit(f, BPF_JMP | BPF_EXIT, 0, 0, 0);
    memcpy(f->insns + f->nr_insns, f->c->insns, f->c->nr_insns * sizeof(f->insns[0]));
    f->nr_insns += f->c->nr_insns;
}

/* ---- load and run ---------------------------------------------------------------------------- */

static int load(const struct frame *f)
{
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .fd_array = f->maps);

    return probe_load(PART, f->id, f->type, f->c->license ? f->c->license : "GPL", f->insns,
                      f->nr_insns, &opts);
}

/* What programs printed, without who and when. */
static void say_trace(const struct frame *f)
{
    static const char mark[] = "bpf_trace_printk: ";
    char text[4096], *at, *line = text, all[4096] = "";

    text[side_trace_take(text, sizeof(text) - 1)] = 0;
    while ((at = strstr(line, mark)) != NULL) {
        line = at + sizeof(mark) - 1;
        strncat(all, line, strcspn(line, "\n"));
        strcat(all, " / ");
    }
    if (all[0])
        probe_say(PART, f->id, "trace", "%s", all);
}

static void say_memory(const struct frame *f, const uint8_t *packet, size_t packet_size)
{
    uint8_t memory[MEMORY_MAX];
    uint32_t zero = 0;
    uint64_t r0 = 0;

    if (bpf_map_lookup_elem(f->maps[f->result], &zero, &r0))
        probe_say(PART, f->id, "r0", "%s", probe_error(errno));
    else
        probe_say(PART, f->id, "r0", "0x%lx", (unsigned long)r0);
    if (f->memory >= 0 && bpf_map_lookup_elem(f->maps[f->memory], &zero, memory) == 0)
        probe_say_hex(PART, f->id, "memory", memory, f->mem_size);
    else if (packet)
        probe_say_hex(PART, f->id, "memory", packet, packet_size);
}

static void run(const struct frame *f, int fd)
{
    const struct data_case *c = f->c;
    bool packet = f->type == BPF_PROG_TYPE_XDP || f->type == BPF_PROG_TYPE_SOCKET_FILTER;
    uint8_t out[MEMORY_MAX], ctx_out[sizeof(struct __sk_buff)] = {0};
    LIBBPF_OPTS(bpf_test_run_opts, opts);

    if (packet && c->mem.given) {
        opts.data_in = c->mem.bytes;
        opts.data_size_in = c->mem.size;
        opts.data_out = out;
        opts.data_size_out = sizeof(out);
    }
    if (c->ctx.given) {
        opts.ctx_in = c->ctx.bytes;
        opts.ctx_size_in = c->ctx.size;
    }
    /* Linux's xdp gives its context back only to those who gave one. */
    if (f->type == BPF_PROG_TYPE_SOCKET_FILTER || (packet && c->ctx.given)) {
        opts.ctx_out = ctx_out;
        opts.ctx_size_out = sizeof(ctx_out);
    }
    side_trace_clear();
    if (bpf_prog_test_run_opts(fd, &opts)) {
        probe_say(PART, f->id, "run", "%s", probe_error(errno));
        return;
    }
    probe_say(PART, f->id, "run", "ok");
    say_memory(f, opts.data_out, opts.data_size_out);
    if (opts.ctx_out)
        probe_say_hex(PART, f->id, "context", ctx_out, opts.ctx_size_out);
    say_trace(f);
}

static void probe_case(const struct data_case *c)
{
    static struct frame f;
    const char *file = c->file + strlen(FOLDER "/"); /* every path begins with it */
    const char *type = c->type ? c->type : "mem", *needs;
    bool mem = strcmp(type, "mem") == 0, verdict = strncmp(file, "verifier/", 9) == 0;
    /* To the verifier r1 is a pointer even where a case gives no memory to point at. */
    static const uint8_t no_content[64];
    int err, fd;

    f = (struct frame){.c = c, .type = mem ? BPF_PROG_TYPE_RAW_TRACEPOINT : type_by_name(type)};
    snprintf(f.id, sizeof(f.id), "%s:%s", file, c->name);
    probe_say(PART, f.id, "type", "%s", type);
    probe_say(PART, f.id, "expected", "%s", c->result ? c->result : c->fault ? "fault" : "error");
    if (c->error)
        probe_say(PART, f.id, "error", "%s", c->error);
    needs = probe_needs(c->insns, c->nr_insns);
    if (needs)
        probe_say(PART, f.id, "needs", "%s", needs);
    f.mem = c->mem.given ? c->mem.bytes : no_content;
    f.mem_size = c->mem.given ? c->mem.size : verdict ? sizeof(no_content) : 0;
    err = c->mem.size > MEMORY_MAX || c->nr_insns + 16 > INSNS_MAX ? -E2BIG : make_maps(&f);
    if (!err)
        err = make_frame_maps(&f, mem);
    if (err) {
        probe_say(PART, f.id, "maps", "%s", probe_error(err));
    } else {
        emit_frame(&f, mem);
        fd = load(&f);
        if (fd >= 0) {
            run(&f, fd);
            close(fd);
        }
    }
    for (unsigned i = 0; i < f.nr_maps; i++)
        close(f.maps[i]);
}

/* Every case of every .data file: those of the engines, then those of the verifier. */
void probe_data(void)
{
    static const char *const folders[] = {FOLDER, FOLDER "/verifier"};

    for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        struct data_case *cases = data_read_all(folders[i]);

        for (const struct data_case *c = cases; c; c = c->next)
            probe_case(c);
        data_free(cases);
    }
}
