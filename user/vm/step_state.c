/*
 * What registers and stack held at each step of a recorded run. Changes of memory are in the record
 * with what was there before: going back takes them back.
 */
#include <string.h>

#include "user/vm/step.h"
#include "user/vm/vm.h"

#define VALUE_MAX 32u

/* BPF registers and where machine code has them. */
static const char *const homes[ISA_REGISTERS] = {"rax", "rdi", "rsi", "rdx", "rcx", "r8",
                                                 "rbx", "r13", "r14", "r15", "rbp"};

const struct moment *step_moment(const struct step *s)
{
    return &s->run->moments[s->now];
}

static void put(struct step *s, const struct change *c, uint64_t value, bool on_stack)
{
    uint64_t offset = c->place - (PLACE_TOP(0) - ISA_FRAMES_MAX * ISA_STACK_SIZE);

    if (offset / 8 >= STEP_WORDS)
        return;
    s->stack[offset / 8].value = value;
    s->stack[offset / 8].on_stack = on_stack;
}

/* Goes to a moment, back or forward. */
void step_go(struct step *s, uint32_t to)
{
    const struct change *changes = s->run->changes;
    uint32_t changed = s->run->moments[to].changes;

    for (; s->applied < changed; s->applied++)
        put(s, &changes[s->applied], changes[s->applied].after, changes[s->applied].after_on_stack);
    while (s->applied > changed) {
        s->applied--;
        put(s, &changes[s->applied], changes[s->applied].before,
            changes[s->applied].before_on_stack);
    }
    s->now = to;
}

/* Did the step before give this register its value? */
static bool changed(const struct step *s, unsigned reg)
{
    const struct moment *m = step_moment(s), *before = m - 1;

    return s->now > 0 && target_holds(m, reg) &&
           (before->depth != m->depth || before->reg[reg] != m->reg[reg] ||
            !target_holds(before, reg));
}

static void put_register(const struct step *s, unsigned reg, char *line)
{
    const struct moment *m = step_moment(s);
    char value[VALUE_MAX] = "-";

    if (target_holds(m, reg))
        target_value(m->reg[reg], m->on_stack >> reg & 1, value, sizeof(value));
    snprintf(line, STEP_WIDTH, "%c r%-2u %-3s  %s", changed(s, reg) ? '*' : ' ', reg, homes[reg],
             value);
}

/* A word that the step before changed. */
static bool is_new(const struct step *s, uint64_t place)
{
    uint32_t from = s->now ? step_moment(s)[-1].changes : 0;

    for (uint32_t n = from; n < step_moment(s)->changes; n++)
        if (s->run->changes[n].place == place)
            return true;
    return false;
}

/* Words of the function's frame that are not zero. */
static unsigned put_stack(const struct step *s, char lines[][STEP_WIDTH])
{
    uint64_t top = PLACE_TOP(step_moment(s)->depth);
    unsigned nr = 0;

    for (uint64_t place = top - 8; place >= top - ISA_STACK_SIZE; place -= 8) {
        unsigned at = (unsigned)((place - (PLACE_TOP(0) - ISA_FRAMES_MAX * ISA_STACK_SIZE)) / 8);
        char name[VALUE_MAX], value[VALUE_MAX];

        if (s->stack[at].value == 0)
            continue;
        target_place(place, name, sizeof(name));
        target_value(s->stack[at].value, s->stack[at].on_stack, value, sizeof(value));
        snprintf(lines[nr++], STEP_WIDTH, "%c %-8s %s", is_new(s, place) ? '*' : ' ', name, value);
    }
    return nr;
}

/* Other memory that the step before changed. */
static unsigned put_memory(const struct step *s, char lines[][STEP_WIDTH], unsigned room)
{
    uint32_t from = s->now ? step_moment(s)[-1].changes : 0;
    unsigned nr = 0;

    for (uint32_t n = from; n < step_moment(s)->changes && nr < room; n++) {
        const struct change *c = &s->run->changes[n];
        char place[VALUE_MAX], value[VALUE_MAX];

        if (c->place >= PLACE_TOP(0) - ISA_FRAMES_MAX * ISA_STACK_SIZE)
            continue;
        target_place(c->place, place, sizeof(place));
        target_value(c->after, c->after_on_stack, value, sizeof(value));
        snprintf(lines[nr++], STEP_WIDTH, "* %s: %s", place, value);
    }
    return nr;
}

/* Registers, the function's stack, and memory that has just changed; a star marks what has. How
 * many lines. */
unsigned step_state(const struct step *s, char lines[STEP_LINES][STEP_WIDTH])
{
    unsigned nr = 0;

    for (unsigned r = 0; r < ISA_REGISTERS; r++)
        put_register(s, r, lines[nr++]);
    nr += put_stack(s, lines + nr);
    return nr + put_memory(s, lines + nr, STEP_LINES - nr);
}

void step_title(const struct step *s, char *text, size_t size)
{
    const struct moment *m = step_moment(s);

    snprintf(text, size, "step %u of %u: %s in engine %s, call depth %u", s->now + 1,
             s->run->nr_moments, s->target->watched.progs[m->prog]->name,
             vm_engine_name(s->run->engine), m->depth);
}

/* What came of the run. */
void step_end(const struct step *s, char *text, size_t size)
{
    const struct observed *o = s->run;

    if (o->full)
        snprintf(text, size, "the run goes on behind step %u, unwatched; r0 = 0x%lx", o->nr_moments,
                 (unsigned long)o->result);
    else if (o->signal)
        snprintf(text, size, "the run was ended by signal %d (%s)", o->signal,
                 strsignal(o->signal));
    else if (o->err)
        snprintf(text, size, "the run was stopped: %s",
                 o->fault[0] ? o->fault : vm_error_text(o->err));
    else
        snprintf(text, size, "r0 = 0x%lx", (unsigned long)o->result);
}
