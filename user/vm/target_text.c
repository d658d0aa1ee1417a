/*
 * Instructions, lines of C and values of a watched program as text.
 */
#include "user/vm/target.h"

#include <string.h>

#include <bpf/btf.h>

#include "ebpf/disasm.h"

/* The line of C that a slot comes from; NULL: that is not known. Borrowed. */
const char *target_line(const struct target *t, uint32_t prog, uint32_t slot)
{
    const struct ebpf_prog *p = t->watched.progs[prog];
    const struct bpf_line_info *lines = p->line_info, *found = NULL;
    const char *text;

    for (uint32_t n = 0; t->btf && n < p->nr_line_info && lines[n].insn_off <= slot; n++)
        found = &lines[n];
    text = found ? btf__name_by_offset(t->btf, found->line_off) : NULL;
    return text ? text + strspn(text, " \t") : NULL;
}

/* An instruction as the disassembler has it; how many slots it takes. */
unsigned target_insn(const struct target *t, uint32_t prog, uint32_t slot, char *text, size_t size)
{
    const struct ebpf_prog *p = t->watched.progs[prog];

    return ebpf_disasm(&p->insns[slot], p->nr_insns - slot, text, size);
}

/* A place on the stack as "fp-8" of the first function, "fp1-8" of what it calls. */
void target_place(uint64_t place, char *text, size_t size)
{
    uint64_t below = PLACE_TOP(0) - place;
    unsigned depth = (unsigned)(below / ISA_STACK_SIZE), offset = below % ISA_STACK_SIZE;
    char number[16] = "";

    if (below > ISA_FRAMES_MAX * (uint64_t)ISA_STACK_SIZE) {
        snprintf(text, size, "0x%lx", (unsigned long)place);
        return;
    }
    if (depth)
        snprintf(number, sizeof(number), "%u", depth);
    if (offset)
        snprintf(text, size, "fp%s-%u", number, offset);
    else
        snprintf(text, size, "fp%s", number);
}

/* Whether a register holds what the program put there. Machine code has no r10 in functions that
 * use no stack. */
bool target_holds(const struct moment *m, unsigned reg)
{
    return (reg == ISA_FP ? m->on_stack : m->written) >> reg & 1;
}

/* What a register or word holds. */
void target_value(uint64_t value, bool on_stack, char *text, size_t size)
{
    if (on_stack)
        target_place(value, text, size);
    else
        snprintf(text, size, "0x%lx", (unsigned long)value);
}
