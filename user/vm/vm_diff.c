/*
 * `skep-vm diff OBJ`: one run of a program in two engines or more, and the first instruction where
 * they part. For whoever changes an engine.
 */
#include <stdio.h>
#include <string.h>

#include "ebpf/disasm.h"
#include "ebpf/lower.h"
#include "user/vm/diff.h"
#include "user/vm/target.h"
#include "user/vm/vm.h"

#define VALUE_MAX 32u

struct options {
    struct target target;
    int engines[VM_NR_ENGINES];
    unsigned nr_engines;
    bool plain;
};

static int usage(void)
{
    fputs(
        "usage: skep-vm diff " TARGET_USAGE " [--engines A,B]\n"
        "                    [--plain]\n"
        "  --engines A,B  which to compare: of checked, interp and jit two, or three, of which\n"
        "                 the first is what the others are held against; checked,jit unless said\n"
        "  --plain        without the passes that make the program faster before it is compiled\n"
        "  Exit status 0: no difference; 1: there is one, or the program does not load.\n",
        stderr);
    return 2;
}

static int parse_engines(struct options *o, const char *list)
{
    char name[16];

    for (o->nr_engines = 0; *list; o->nr_engines++) {
        size_t len = strcspn(list, ",");

        if (o->nr_engines == VM_NR_ENGINES)
            return vm_error("--engines takes each engine once, of %s", VM_ENGINES);
        snprintf(name, sizeof(name), "%.*s", (int)(len < 15 ? len : 15), list);
        if (vm_engine_parse(name, &o->engines[o->nr_engines]))
            return -1;
        list += len + (list[len] == ',');
    }
    return o->nr_engines >= 2 ? 0
                              : vm_error("--engines takes two engines or three, of %s", VM_ENGINES);
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {TARGET_LONG,
                                          {"engines", required_argument, NULL, 'e'},
                                          {"plain", no_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    int c, err = 0;

    while (!err && (c = getopt_long(argc, argv, TARGET_SHORT, longs, NULL)) != -1) {
        if (c == 'e')
            err = parse_engines(o, optarg);
        else if (c == 'p')
            o->plain = true;
        else
            err = target_option(&o->target, c, optarg);
    }
    if (!err && optind + !o->target.hex != argc) {
        vm_error("diff takes one object file, or --hex and none");
        err = 2;
    }
    o->target.path = o->target.hex ? NULL : argv[optind];
    return err == 2 ? usage() : err;
}

/* ---- what differs --------------------------------------------------------------------------- */

struct pair {
    const struct target *target;
    const struct observed *o[2];
    struct parting parting;
};

static const char *name(const struct pair *p, unsigned side)
{
    return vm_engine_name(p->o[side]->engine);
}

static void register_text(const struct pair *p, unsigned side, uint32_t at, unsigned r, char *text)
{
    const struct moment *m = &p->o[side]->moments[at];

    if (at < p->o[side]->nr_moments && target_holds(m, r))
        target_value(m->reg[r], m->on_stack >> r & 1, text, VALUE_MAX);
    else
        strcpy(text, "-");
}

static void print_registers(const struct pair *p)
{
    char before[VALUE_MAX] = "-", after[2][VALUE_MAX];

    printf("  %-3s %-20s %-20s %s\n", "", "before", name(p, 0), name(p, 1));
    for (unsigned r = 0; r < ISA_REGISTERS; r++) {
        if (!p->parting.first)
            register_text(p, 0, p->parting.last[0], r, before);
        for (unsigned side = 0; side < 2; side++)
            register_text(p, side, p->parting.here[side], r, after[side]);
        printf("%c r%-2u %-20s %-20s %s\n", p->parting.registers >> r & 1 ? '*' : ' ', r, before,
               after[0], after[1]);
    }
}

static void print_memory(const struct pair *p)
{
    const struct parting *at = &p->parting;
    char place[VALUE_MAX], before[VALUE_MAX], after[2][VALUE_MAX];

    target_place(at->place, place, sizeof(place));
    target_value(at->before, at->before_on_stack, before, sizeof(before));
    for (unsigned side = 0; side < 2; side++)
        target_value(at->after[side], at->on_stack[side], after[side], VALUE_MAX);
    printf("* memory at %s: %s before, %s in %s, %s in %s\n", place, before, after[0], name(p, 0),
           after[1], name(p, 1));
}

static void print_insn(const struct target *t, const struct moment *m)
{
    const char *line = target_line(t, m->prog, m->slot);
    char text[DISASM_MAX];

    target_insn(t, m->prog, m->slot, text, sizeof(text));
    if (line)
        printf("; %s\n", line);
    printf("%4u: %s\n", m->slot, text);
}

static void print_next(const struct pair *p, unsigned side)
{
    const struct observed *o = p->o[side];
    uint32_t at = p->parting.here[side];

    printf("then %s ", name(p, side));
    if (at < o->nr_moments)
        printf("goes on at insn %u\n", o->moments[at].slot);
    else if (o->signal)
        printf("is ended by signal %d (%s)\n", o->signal, strsignal(o->signal));
    else if (o->err)
        printf("stops: %s\n", o->fault[0] ? o->fault : vm_error_text(o->err));
    else
        printf("ends with r0 = 0x%lx\n", (unsigned long)o->result);
}

/* Where the difference is seen, unless that is the next instruction. */
static void print_reader(const struct pair *p)
{
    const struct moment *here = &p->o[0]->moments[p->parting.here[0]];

    if (p->parting.here[0] == p->parting.last[0] + 1)
        return;
    printf("which is seen at insn %u, step %u:\n", here->slot, p->parting.here[0] + 1);
    print_insn(p->target, here);
}

static void print_parting(const struct pair *p)
{
    const struct parting *at = &p->parting;

    if (at->first) {
        printf("%s and %s part before the first instruction\n", name(p, 0), name(p, 1));
    } else {
        const struct moment *m = &p->o[0]->moments[at->last[0]];

        printf("%s and %s part at insn %u of %s, step %u:\n", name(p, 0), name(p, 1), m->slot,
               p->target->watched.progs[m->prog]->name, at->last[0] + 1);
        print_insn(p->target, m);
        if (at->kind == PART_REGISTERS)
            print_reader(p);
    }
    print_registers(p);
    if (at->kind == PART_MEMORY)
        print_memory(p);
    for (unsigned side = 0; side < 2 && (at->kind == PART_PATH || at->kind == PART_END); side++)
        print_next(p, side);
}

/* ---- what is left behind -------------------------------------------------------------------- */

static void print_hex(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && i < 32; i++)
        printf(" %02x", bytes[i]);
    printf("%s\n", size > 32 ? " ..." : "");
}

/* The first entry of a map, or the bytes from 8 before, that are not the same. */
static void print_blob(const struct pair *p, unsigned n, size_t at)
{
    const struct blob *first = &p->o[0]->blobs[n];
    size_t entry = first->key_size + first->value_size;
    size_t from = entry ? at / entry * entry : at & ~(size_t)7;

    printf("%s and %s leave different bytes in %s, from byte %zu on:\n", name(p, 0), name(p, 1),
           first->name, from);
    for (unsigned side = 0; side < 2; side++) {
        const struct blob *b = &p->o[side]->blobs[n];
        const uint8_t *bytes = p->o[side]->bytes + b->from + from;
        size_t left = b->size > from ? b->size - from : 0, key = first->key_size;

        if (left > (entry ? entry : 16))
            left = entry ? entry : 16;
        printf("  %-8s", name(p, side));
        if (entry && left) {
            printf(" key");
            print_hex(bytes, key);
            printf("  %-8s value", "");
            print_hex(bytes + key, left - key);
        } else {
            print_hex(bytes, left);
        }
    }
}

/* True: there is a difference, and it has been told. */
static bool outcome_differs(const struct pair *p)
{
    const struct observed *a = p->o[0], *b = p->o[1];

    for (unsigned n = 0; n < a->nr_blobs && n < b->nr_blobs; n++) {
        const struct blob *x = &a->blobs[n], *y = &b->blobs[n];
        size_t at = 0;

        while (at < x->size && at < y->size && a->bytes[x->from + at] == b->bytes[y->from + at])
            at++;
        if (at == x->size && at == y->size)
            continue;
        print_blob(p, n, at);
        return true;
    }
    if (a->result == b->result && a->err == b->err && a->signal == b->signal)
        return false;
    for (unsigned side = 0; side < 2; side++)
        print_next(p, side);
    return true;
}

/* True: the engines differ. */
static bool compare(const struct target *t, const struct observed *a, const struct observed *b)
{
    struct pair p = {.target = t, .o = {a, b}};

    diff_find(&t->watched, a, b, &p.parting);
    if (p.parting.kind != PART_NOWHERE && !((a->full || b->full) && p.parting.kind == PART_END)) {
        print_parting(&p);
        return true;
    }
    if (outcome_differs(&p))
        return true;
    if (a->err)
        printf("%s and %s do the same: %u steps, then %s\n", name(&p, 0), name(&p, 1),
               a->nr_moments, a->fault[0] ? a->fault : vm_error_text(a->err));
    else
        printf("%s and %s do the same: %u steps, r0 = 0x%lx\n", name(&p, 0), name(&p, 1),
               a->nr_moments, (unsigned long)a->result);
    if (a->full || b->full)
        printf("(of the run, %u steps were watched; what it left behind is the same)\n",
               a->nr_moments < b->nr_moments ? a->nr_moments : b->nr_moments);
    return false;
}

static int diff(const struct options *o)
{
    const struct target *t = &o->target;
    struct observed *records[VM_NR_ENGINES] = {NULL};
    int status = 0;

    for (unsigned n = 0; n < o->nr_engines && status == 0; n++) {
        if (o->engines[n] == EBPF_CHECKED || t->watched.progs[0]->proof)
            records[n] = observe_run(&t->watched, (enum ebpf_engine)o->engines[n]);
        else
            vm_error("engine %s takes verified programs only",
                     vm_engine_name((enum ebpf_engine)o->engines[n]));
        status = records[n] ? 0 : -1;
    }
    for (unsigned n = 1; n < o->nr_engines && status == 0; n++)
        status = compare(t, records[0], records[n]) ? -1 : 0;
    for (unsigned n = 0; n < o->nr_engines; n++)
        observe_free(records[n]);
    return status;
}

int diff_main(int argc, char **argv)
{
    struct options o = {.target = {.type = VM_TYPE_OF_SECTION},
                        .engines = {EBPF_CHECKED, EBPF_JIT},
                        .nr_engines = 2};
    int err = parse(argc, argv, &o);

    if (err)
        return err == 2 ? 2 : 1;
    if (vm_start())
        return 1;
    err = target_load(&o.target, o.plain ? LOWER_NONE : LOWER_ALL);
    if (!err)
        err = diff(&o);
    target_close(&o.target);
    vm_stop();
    return err ? 1 : 0;
}
