/*
 * Program objects: from what PROG_LOAD says to something runnable, and back to memory. Called by
 * ebpf_sys() and tools. Running is run.c's.
 */
#include "ebpf/prog.h"

#include "ebpf/base.h"
#include "ebpf/context.h"
#include "ebpf/decode.h"
#include "ebpf/engine.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/proof.h"
#include "ebpf/sha1.h"
#include "ebpf/verifier.h"

void ebpf_prog_get(struct ebpf_prog *prog)
{
    ebpf_object_get(&prog->object);
}

void ebpf_prog_put(struct ebpf_prog *prog)
{
    ebpf_object_put(&prog->object);
}

/* Adds formatted text; what does not fit is dropped and remembered. log may be NULL or off. */
void ebpf_log_write(struct ebpf_log *log, const char *fmt, ...)
{
    va_list args;
    int n;

    if (!log || !log->buf || log->size == 0 || log->level == 0)
        return;
    va_start(args, fmt);
    n = port_vformat(log->buf + log->used, log->size - log->used, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    if ((uint32_t)n >= log->size - log->used) {
        log->truncated = true;
        n = (int)(log->size - log->used - 1);
    }
    log->used += (uint32_t)n;
}

/* Everything that create made, in any state of completion. */
static void free_prog(struct ebpf_prog *prog)
{
    ebpf_engine_release(prog);
    if (prog->proof)
        ebpf_proof_free(prog->proof);
    port_free(prog->proof);
    for (uint32_t i = 0; i < prog->nr_maps; i++)
        ebpf_map_put(prog->maps[i]);
    if (prog->btf)
        ebpf_btf_put(prog->btf);
    port_free(prog->maps);
    port_free(prog->func_info);
    port_free(prog->line_info);
    port_free(prog->insns);
    port_free(prog->decoded);
    port_free(prog);
}

static void destroy(struct ebpf_object *object)
{
    free_prog(CONTAINER_OF(object, struct ebpf_prog, object));
}

/* Linux: license_is_gpl_compatible. */
static bool is_gpl_compatible(const char *license)
{
    static const char *const names[] = {"GPL",          "GPL v2",       "GPL and additional rights",
                                        "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};

    for (unsigned i = 0; license && i < ARRAY_LEN(names); i++)
        if (text_equal(license, names[i]))
            return true;
    return false;
}

static int check_load(const struct ebpf_prog_load *load)
{
    if (!ebpf_context_get(load->type)) {
        ebpf_log_write(load->log, "program type %u is not supported\n", load->type);
        return -EINVAL;
    }
    if (load->nr_insns == 0 || load->nr_insns > EBPF_INSNS_MAX) {
        ebpf_log_write(load->log, "the program has %u instructions, must be 1 to %u\n",
                       load->nr_insns, EBPF_INSNS_MAX);
        return -E2BIG;
    }
    return 0;
}

static void *copy(const void *data, size_t size)
{
    void *block = port_alloc(size);

    if (block)
        __builtin_memcpy(block, data, size);
    return block;
}

/* Copies what the program keeps of the request and takes references. */
static int take_parts(struct ebpf_prog *prog, const struct ebpf_prog_load *load)
{
    prog->insns = copy(load->insns, load->nr_insns * sizeof(load->insns[0]));
    prog->decoded = port_alloc(load->nr_insns * sizeof(prog->decoded[0]));
    if (!prog->insns || !prog->decoded)
        return -ENOMEM;
    prog->nr_insns = load->nr_insns;
    if (load->nr_maps) {
        prog->maps = copy(load->maps, load->nr_maps * sizeof(load->maps[0]));
        if (!prog->maps)
            return -ENOMEM;
        prog->nr_maps = load->nr_maps;
        for (uint32_t i = 0; i < prog->nr_maps; i++)
            ebpf_map_get(prog->maps[i]);
    }
    if (load->btf) {
        prog->btf = load->btf;
        ebpf_btf_get(prog->btf);
    }
    if (load->nr_func_info) {
        prog->func_info = copy(load->func_info, load->nr_func_info * sizeof(struct bpf_func_info));
        prog->nr_func_info = load->nr_func_info;
    }
    if (load->nr_line_info) {
        prog->line_info = copy(load->line_info, load->nr_line_info * sizeof(struct bpf_line_info));
        prog->nr_line_info = load->nr_line_info;
    }
    return (load->nr_func_info && !prog->func_info) || (load->nr_line_info && !prog->line_info)
               ? -ENOMEM
               : 0;
}

static bool is_imm64(const struct bpf_insn *insn)
{
    return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

/* SHA-1 over the instructions without what differs from load to load, descriptors and offsets
 * (Linux: bpf_prog_calc_tag), so that one object file gives one tag everywhere. */
static int make_tag(struct ebpf_prog *prog)
{
    size_t size = prog->nr_insns * sizeof(prog->insns[0]);
    struct bpf_insn *insns = copy(prog->insns, size);
    uint8_t digest[SHA1_SIZE];

    if (!insns)
        return -ENOMEM;
    for (uint32_t i = 0; i + 1 < prog->nr_insns; i++) {
        if (!is_imm64(&insns[i]))
            continue;
        if (insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
            insns[i].imm = insns[i + 1].imm = 0;
        i++;
    }
    sha1(insns, size, digest);
    __builtin_memcpy(prog->tag, digest, sizeof(prog->tag));
    port_free(insns);
    return 0;
}

/* References to maps become map ids, as Linux shows them (bpf_insn_prepare_dump). */
static void show_map_ids(struct ebpf_prog *prog)
{
    for (uint32_t i = 0; i < prog->nr_insns; i++) {
        struct bpf_insn *insn = &prog->insns[i];

        if (!is_imm64(insn))
            continue;
        i++;
        switch (insn->src_reg) {
        case BPF_PSEUDO_MAP_IDX:
        case BPF_PSEUDO_MAP_IDX_VALUE:
            insn->src_reg =
                insn->src_reg == BPF_PSEUDO_MAP_IDX ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
            insn->imm = (int32_t)prog->maps[insn->imm]->object.id;
            break;
        case BPF_PSEUDO_MAP_FD:
        case BPF_PSEUDO_MAP_VALUE:
            insn->imm = (int32_t)prog->maps[insn->imm]->object.id;
            break;
        }
    }
}

/* Proves the program safe. The proof is the program's; there is none when that was not asked for,
 * and then the checked interpreter alone runs it. */
static int verify(struct ebpf_prog *prog, const struct ebpf_prog_load *load)
{
    int err;

    if (load->unverified)
        return 0;
    prog->proof = port_alloc(sizeof(*prog->proof));
    if (!prog->proof)
        return -ENOMEM;
    err = ebpf_verify(load, prog->decoded, load->verify_flags, prog->proof);
    if (err) {
        port_free(prog->proof);
        prog->proof = NULL;
    }
    return err;
}

/* Verified programs run as machine code, or interpreted where there is no memory for that. */
static int choose_engine(struct ebpf_prog *prog)
{
    int err = prog->proof ? ebpf_engine_prepare(prog, EBPF_JIT) : 0;

    return err ? ebpf_engine_prepare(prog, EBPF_INTERP) : 0;
}

/* Decodes and verifies bytecode and makes a program with one reference, which the caller owns.
 * Copies what it keeps, takes references on maps and BTF. -EINVAL, -EACCES, -E2BIG or -ENOMEM with
 * a sentence in load->log. Thread context. */
int ebpf_prog_create(const struct ebpf_prog_load *load, struct ebpf_prog **out)
{
    struct ebpf_prog *prog;
    int err = check_load(load);

    if (err)
        return err;
    prog = port_alloc(sizeof(*prog));
    if (!prog)
        return -ENOMEM;
    prog->type = load->type;
    prog->expected_attach_type = load->expected_attach_type;
    prog->gpl_compatible = is_gpl_compatible(load->license);
    prog->budget = EBPF_BUDGET;
    copy_text(prog->name, load->name ? load->name : "", sizeof(prog->name));
    err = take_parts(prog, load);
    if (!err)
        err = ebpf_decode(load, prog->gpl_compatible, prog->decoded);
    if (!err)
        err = verify(prog, load);
    if (!err)
        err = make_tag(prog);
    if (!err) {
        show_map_ids(prog);
        err = choose_engine(prog);
    }
    if (!err) {
        err = ebpf_object_init(&prog->object, EBPF_PROG, destroy);
    }
    if (err) {
        free_prog(prog);
        return err;
    }
    *out = prog;
    return 0;
}
