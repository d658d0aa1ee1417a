/*
 * Makes listings: BTF has the lines of C, ebpf/disasm.h the bytecode's text, Capstone the machine
 * code's.
 */
#include "user/vm/listing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <capstone/capstone.h>

#include "ebpf/disasm.h"
#include "ebpf/jit.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define TEXT_MAX 512u

static int add(struct listing *l, enum listing_kind kind, uint32_t slot, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static int add(struct listing *l, enum listing_kind kind, uint32_t slot, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (l->nr == l->room) {
        uint32_t room = 2 * l->room + 64;
        struct listing_line *lines = realloc(l->lines, room * sizeof(lines[0]));

        if (!lines)
            return -1;
        l->lines = lines;
        l->room = room;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    l->lines[l->nr] = (struct listing_line){kind, slot, strdup(text)};
    return l->lines[l->nr++].text ? 0 : -1;
}

/* The lines of C that begin at a slot. */
static int add_source(struct listing *l, const struct btf *btf, const struct ebpf_prog *prog,
                      uint32_t slot)
{
    const struct bpf_line_info *lines = prog->line_info;
    int err = 0;

    for (uint32_t n = 0; btf && n < prog->nr_line_info && !err; n++) {
        const char *text =
            lines[n].insn_off == slot ? btf__name_by_offset(btf, lines[n].line_off) : NULL;

        if (text)
            err = add(l, LISTING_C, slot, "; %s", text + strspn(text, " \t"));
    }
    return err;
}

/* Machine code of slots [slot, end). */
static int add_code(struct listing *l, csh capstone, const struct ebpf_jit *jit, uint32_t slot,
                    uint32_t end)
{
    const uint8_t *code = jit->code + jit->offsets[slot];
    size_t left = jit->offsets[end] - jit->offsets[slot];
    uint64_t address = jit->offsets[slot];
    cs_insn *insn = cs_malloc(capstone);
    int err = insn ? 0 : -1;

    while (!err && left && cs_disasm_iter(capstone, &code, &left, &address, insn))
        err = add(l, LISTING_X86, slot, "        %4lx: %s%s%s", (unsigned long)insn->address,
                  insn->mnemonic, insn->op_str[0] ? " " : "", insn->op_str);
    if (insn)
        cs_free(insn, 1);
    return err;
}

/* Lists a program; jit NULL: without machine code, btf NULL: without C. 0, or -1 after saying what
 * is wrong. The caller frees the listing in any case. */
int listing_make(struct listing *l, const struct btf *btf, const struct ebpf_prog *prog,
                 const struct ebpf_jit *jit)
{
    char text[DISASM_MAX];
    csh capstone;
    int err = 0;

    *l = (struct listing){.nr = 0};
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &capstone) != CS_ERR_OK)
        return vm_error("Capstone does not know x86-64");
    for (uint32_t slot = 0, slots; slot < prog->nr_insns && !err; slot += slots) {
        slots = ebpf_disasm(&prog->insns[slot], prog->nr_insns - slot, text, sizeof(text));
        err = add_source(l, btf, prog, slot) || add(l, LISTING_INSN, slot, "%4u: %s", slot, text) ||
              (jit && add_code(l, capstone, jit, slot, slot + slots));
    }
    cs_close(&capstone);
    return err ? vm_error("out of memory") : 0;
}

void listing_free(struct listing *l)
{
    for (uint32_t n = 0; n < l->nr; n++)
        free(l->lines[n].text);
    free(l->lines);
}

uint32_t listing_find(const struct listing *l, uint32_t slot)
{
    uint32_t from = 0, to = l->nr;

    while (to - from > 1) { /* the last line of a slot not behind it */
        uint32_t middle = from + (to - from) / 2;

        if (l->lines[middle].slot <= slot)
            from = middle;
        else
            to = middle;
    }
    while (from > 0 && l->lines[from].kind != LISTING_INSN)
        from--;
    return from;
}
