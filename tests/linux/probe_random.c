/*
 * Random programs (tests/fuzz/generate.h), each as it was made and with one, two and three wrong
 * changes: does PROG_LOAD take it? And what does it give for the same packets, unless it is
 * changed: then it may read stack that it never wrote. Only those for XDP, which both sides know;
 * what is left of a run is r0, the packet, and the maps as one number.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "ebpf/isa.h"
#include "tests/fuzz/generate.h"
#include "tests/linux/probe.h"
#include "tests/unit/data_case.h"

#define PART     "random"
#define PROGRAMS 200u
#define MUTANTS  3u /* of each */
#define INPUTS   2u
#define MIN_SIZE 14u /* Linux: an Ethernet header at least */

static int maps[GENERATE_MAPS_MAX];

static int make_maps(const struct generated *program)
{
    for (uint32_t i = 0; i < program->nr_maps; i++) {
        const struct generated_map *map = &program->maps[i];

        struct data_map line = {
            .value_size = map->value_size, .lock = map->locked ? 0 : -1, .timer = -1};
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        uint8_t bytes[DATA_BTF_MAX];
        uint32_t size = data_map_btf(&line, bytes), zero = 0;

        if (size) {
            int btf = bpf_btf_load(bytes, size, NULL);

            if (btf < 0)
                return -errno;
            opts.btf_fd = (uint32_t)btf;
            opts.btf_key_type_id = DATA_BTF_KEY;
            opts.btf_value_type_id = DATA_BTF_VALUE;
        }
        if (map->inner)
            opts.inner_map_fd = (uint32_t)maps[map->inner - 1];
        maps[i] = bpf_map_create(map->type, "random", map->key_size, map->value_size,
                                 map->max_entries, &opts);
        if (size)
            close((int)opts.btf_fd);
        if (maps[i] < 0)
            return -errno;
        if (map->inner && bpf_map_update_elem(maps[i], &zero, &maps[map->inner - 1], 0))
            return -errno;
    }
    return 0;
}

/* References to maps by index, which the kernel looks up in fd_array. */
static void name_maps(struct generated *program)
{
    for (uint32_t i = 0; i + 1 < program->nr_insns; i++) {
        struct bpf_insn *insn = &program->insns[i];

        if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
            continue;
        if (insn->src_reg == BPF_PSEUDO_MAP_FD)
            insn->src_reg = BPF_PSEUDO_MAP_IDX;
        else if (insn->src_reg == BPF_PSEUDO_MAP_VALUE)
            insn->src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
        i++;
    }
}

/* What only newer kernels know becomes its nearest older kin, so that most programs can be compared
 * with any kernel: sign-extending loads and moves and signed division lose their sign, a byte swap
 * becomes a conversion, a long jump a short one. */
static void make_older(struct generated *program)
{
    for (uint32_t i = 0; i < program->nr_insns; i++) {
        struct bpf_insn *insn = &program->insns[i];
        uint8_t class = BPF_CLASS(insn->code);

        if (class == BPF_LDX && BPF_MODE(insn->code) == BPF_MEMSX) {
            insn->code = (uint8_t)(BPF_LDX | BPF_MEM | BPF_SIZE(insn->code));
        } else if (insn->code == (BPF_ALU64 | BPF_END)) {
            insn->code = BPF_ALU | BPF_END | BPF_TO_BE;
        } else if (insn->code == (BPF_JMP32 | BPF_JA)) {
            *insn = (struct bpf_insn){.code = BPF_JMP | BPF_JA, .off = (int16_t)insn->imm};
        } else if (class == BPF_ALU || class == BPF_ALU64) {
            insn->off = 0;
        } else if (insn->code == (BPF_LD | BPF_IMM | BPF_DW)) {
            i++;
        }
    }
}

/* FNV-1a, continued. */
static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

/* A sum over all elements, since hash maps have no order. */
static uint64_t digest_maps(const struct generated *program)
{
    static uint8_t key[256], value[4096];
    uint64_t sum = 0;

    for (uint32_t i = 0; i < program->nr_maps; i++) {
        const void *last = NULL;

        if (program->maps[i].inner || program->maps[i].type == BPF_MAP_TYPE_RINGBUF)
            continue;
        for (; bpf_map_get_next_key(maps[i], last, key) == 0; last = key)
            if (bpf_map_lookup_elem(maps[i], key, value) == 0)
                sum += mix(mix(0xcbf29ce484222325u + i, key, program->maps[i].key_size), value,
                           program->maps[i].value_size);
    }
    return sum;
}

static void run(const char *id, const struct generated *program, int fd)
{
    uint8_t in[GENERATE_INPUT_MAX], out[2 * GENERATE_INPUT_MAX];
    char field[16];

    for (unsigned i = 0; i < INPUTS; i++) {
        LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_out = out,
                    .data_size_out = sizeof(out));

        opts.data_size_in = generate_input(program->seed * INPUTS + i, in);
        if (opts.data_size_in < MIN_SIZE)
            opts.data_size_in = MIN_SIZE;
        snprintf(field, sizeof(field), "run%u", i);
        if (bpf_prog_test_run_opts(fd, &opts))
            probe_say(PART, id, field, "%s", probe_error(errno));
        else
            probe_say(PART, id, field, "r0 0x%x packet %016lx", opts.retval,
                      (unsigned long)mix(0xcbf29ce484222325u, out, opts.data_size_out));
    }
    probe_say(PART, id, "maps", "%016lx", (unsigned long)digest_maps(program));
}

static void probe_program(const char *id, const struct generated *program, bool runs)
{
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .fd_array = maps);
    const char *needs = probe_needs(program->insns, program->nr_insns);
    int err, fd;

    if (needs)
        probe_say(PART, id, "needs", "%s", needs);
    memset(maps, -1, sizeof(maps));
    err = make_maps(program);
    if (err) {
        probe_say(PART, id, "load", "%s", probe_error(err));
        probe_say(PART, id, "reason", "a map could not be made");
    } else {
        fd = probe_load(PART, id, program->prog_type, "GPL", program->insns, program->nr_insns,
                        &opts);
        if (fd >= 0) {
            if (runs)
                run(id, program, fd);
            close(fd);
        }
    }
    for (uint32_t i = 0; i < program->nr_maps; i++)
        if (maps[i] >= 0)
            close(maps[i]);
}

/* The program of a seed with some wrong changes. False: not one to compare. */
static bool make_program(uint64_t seed, unsigned changes, struct generated *program)
{
    generate_program(seed, program);
    if (program->prog_type != BPF_PROG_TYPE_XDP)
        return false;
    make_older(program);
    if (probe_needs(program->insns, program->nr_insns)) /* may_goto, which has no older kin */
        return false;
    if (changes)
        generate_mutate(seed * (MUTANTS + 1) + changes, changes, program);
    name_maps(program);
    return true;
}

void probe_random(void)
{
    static struct generated program;
    unsigned nr = 0;
    char id[32];

    for (uint64_t seed = 0; nr < PROGRAMS; seed++) {
        for (unsigned changes = 0; changes <= MUTANTS; changes++) {
            if (!make_program(seed, changes, &program))
                break;
            snprintf(id, sizeof(id), "%lu.%u", (unsigned long)seed, changes);
            probe_program(id, &program, changes == 0);
            nr += changes == 0;
        }
    }
}
