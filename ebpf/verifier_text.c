/*
 * What the verifier knows, as text in the form of Linux 6.1's log (kernel/bpf/verifier.c,
 * print_verifier_state): registers, stack slots, instructions, lines of C. Where Skep knows what
 * Linux does not (a number that is another one plus a constant), later Linux's form is used.
 */
#include "ebpf/base.h"
#include "ebpf/btf.h"
#include "ebpf/disasm.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/verifier_state.h"

const char *reg_type_name(enum reg_type type)
{
    static const char *const names[] = {
        [REG_NONE] = "?",
        [REG_SCALAR] = "scalar",
        [REG_CTX] = "ctx",
        [REG_STACK] = "fp",
        [REG_MAP] = "map_ptr",
        [REG_MAP_VALUE] = "map_value",
        [REG_MAP_VALUE_OR_NULL] = "map_value_or_null",
        [REG_MAP_KEY] = "map_key",
        [REG_PACKET] = "pkt",
        [REG_PACKET_META] = "pkt_meta",
        [REG_PACKET_END] = "pkt_end",
        [REG_RECORD] = "alloc_mem",
        [REG_RECORD_OR_NULL] = "alloc_mem_or_null",
        [REG_MEM] = "mem",
        [REG_MEM_OR_NULL] = "mem_or_null",
        [REG_FUNC] = "func",
        [REG_DYNPTR] = "dynptr",
    };

    return names[type];
}

/* Text that grows in a fixed buffer. */
struct text {
    char *buf;
    uint32_t size, used;
    const char *comma; /* what stands before the next attribute */
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = port_vformat(t->buf + t->used, t->size - t->used, fmt, args);
    va_end(args);
    if (n > 0)
        t->used = t->used + (uint32_t)n < t->size ? t->used + (uint32_t)n : t->size - 1;
}

static void put_signed(struct text *t, const char *name, int64_t n)
{
    put(t, "%s%s=%ld", t->comma, name, (long)n);
    t->comma = ",";
}

static void put_unsigned(struct text *t, const char *name, uint64_t n)
{
    put(t, "%s%s=%lu", t->comma, name, (unsigned long)n);
    t->comma = ",";
}

/* Each bound that says something, and that another does not say already. */
static void put_bounds(struct text *t, const struct scalar *n)
{
    if ((uint64_t)n->smin != n->umin && n->smin != INT64_MIN)
        put_signed(t, "smin", n->smin);
    if ((uint64_t)n->smax != n->umax && n->smax != INT64_MAX)
        put_signed(t, "smax", n->smax);
    if (n->umin != 0)
        put_unsigned(t, "umin", n->umin);
    if (n->umax != UINT64_MAX)
        put_unsigned(t, "umax", n->umax);
    if (n->bits.mask != UINT64_MAX) {
        put(t, "%svar_off=(0x%lx; 0x%lx)", t->comma, (unsigned long)n->bits.value,
            (unsigned long)n->bits.mask);
        t->comma = ",";
    }
    if (n->smin32 != n->smin && n->smin32 != INT32_MIN)
        put_signed(t, "s32_min", n->smin32);
    if (n->smax32 != n->smax && n->smax32 != INT32_MAX)
        put_signed(t, "s32_max", n->smax32);
    if (n->umin32 != n->umin && n->umin32 != 0)
        put_unsigned(t, "u32_min", n->umin32);
    if (n->umax32 != n->umax && n->umax32 != UINT32_MAX)
        put_unsigned(t, "u32_max", n->umax32);
}

static void put_pointer(struct text *t, const struct reg *reg)
{
    put_signed(t, "off", reg->off);
    if (reg->type == REG_PACKET || reg->type == REG_PACKET_META)
        put_signed(t, "r", reg->range);
    if (reg->type == REG_RECORD || reg->type == REG_RECORD_OR_NULL || reg->type == REG_MEM ||
        reg->type == REG_MEM_OR_NULL)
        put_unsigned(t, "sz", reg->size);
    if (reg->type == REG_MAP || reg->type == REG_MAP_VALUE || reg->type == REG_MAP_VALUE_OR_NULL ||
        reg->type == REG_MAP_KEY) {
        put_unsigned(t, "ks", reg->map->key_size);
        put_unsigned(t, "vs", reg->map->value_size);
    }
    if (scalar_is_const(&reg->n)) {
        put(t, "%simm=%lx", t->comma, (unsigned long)reg->n.umin);
        t->comma = ",";
    }
}

/* The value of a register. */
void reg_print(const struct reg *reg, char *out, uint32_t size)
{
    struct text t = {out, size, 0, ""};
    bool number = reg->type == REG_SCALAR;

    out[0] = 0;
    if (reg->type == REG_NONE) {
        put(&t, "%s", reg_type_name(REG_NONE));
        return;
    }
    if (!number || !scalar_is_const(&reg->n))
        put(&t, "%s", reg_type_name((enum reg_type)reg->type));
    if ((number || reg->type == REG_STACK) && scalar_is_const(&reg->n)) {
        put(&t, "%ld", (long)(reg->n.smin + (number ? 0 : reg->off)));
        return;
    }
    put(&t, "(");
    if (reg->id)
        put_unsigned(&t, "id", reg->id & ~ID_LOOP);
    if (reg->id && number && reg->off)
        put(&t, "%+ld", (long)reg->off);
    if (reg->ref)
        put_unsigned(&t, "ref_obj_id", reg->ref);
    if (!number)
        put_pointer(&t, reg);
    if (!scalar_is_const(&reg->n))
        put_bounds(&t, &reg->n);
    put(&t, ")");
}

/* What is in a slot: the register that was spilled to where it begins, or a letter for each byte,
 * the highest address first. False: nothing. */
bool slot_print(const struct slot *slot, char *out, uint32_t size)
{
    static const char letters[] = {[BYTE_NONE] = '?',
                                   [BYTE_MISC] = 'm',
                                   [BYTE_ZERO] = '0',
                                   [BYTE_SPILL] = 'm',
                                   [BYTE_DYNPTR] = 'd'};
    bool written = false;

    for (unsigned i = 0; i < 8; i++) {
        out[7 - i] = letters[slot->bytes[i]];
        written |= slot->bytes[i] != BYTE_NONE;
    }
    out[8] = 0;
    if (slot->size && slot->start == 0 && slot->bytes[0] == BYTE_SPILL)
        reg_print(&slot->spill, out, size);
    return written;
}

/* The line of C that the instruction comes from; NULL when nothing says so. */
const struct bpf_line_info *line_of(const struct verifier *v, uint32_t pc)
{
    const struct bpf_line_info *lines = v->load->line_info;
    uint32_t low = 0, high = v->load->nr_line_info;

    if (!v->load->btf)
        return NULL;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (lines[middle].insn_off <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &lines[low - 1] : NULL;
}

/* Its text, without what it is indented by. */
const char *line_text(const struct verifier *v, const struct bpf_line_info *line)
{
    const char *text = ebpf_btf_name(v->load->btf, line->line_off);

    while (*text == ' ' || *text == '\t')
        text++;
    return text;
}

/* The name of its file, without folders. */
const char *line_file(const struct verifier *v, const struct bpf_line_info *line)
{
    const char *name = ebpf_btf_name(v->load->btf, line->file_name_off);

    for (const char *c = name; *c; c++)
        if (*c == '/')
            name = c + 1;
    return name;
}

/* One instruction, with maps by their ids; out has room for DISASM_MAX. */
void insn_print(const struct verifier *v, uint32_t pc, char *out)
{
    const struct bpf_insn *raw = &v->load->insns[pc];
    bool wide = v->code[pc].op == OP_LD_IMM64;
    struct bpf_insn insn[2] = {raw[0], raw[wide]};

    if (wide && (raw->src_reg == BPF_PSEUDO_MAP_FD || raw->src_reg == BPF_PSEUDO_MAP_VALUE ||
                 raw->src_reg == BPF_PSEUDO_MAP_IDX || raw->src_reg == BPF_PSEUDO_MAP_IDX_VALUE))
        insn[0].imm = (int32_t)v->load->maps[raw->imm]->object.id;
    ebpf_disasm(insn, 1u + wide, out, DISASM_MAX);
}
