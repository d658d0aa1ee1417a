/*
 * What two watched runs have in the words of memory that either changed. A word starts equal on
 * both sides: they begin with the same input and maps, and with frames of zeroes.
 */
#include <stdlib.h>

#include "user/vm/diff.h"

struct word {
    uint64_t place;
    uint64_t value[2], before;
    bool used, on_stack[2], before_on_stack;
};

struct memory {
    struct word *words; /* hashed by place */
    uint32_t size, nr;  /* size: a power of two */
    uint64_t *touched;  /* places changed since the last look */
    uint32_t nr_touched, room;
};

static void *must(void *block)
{
    if (!block)
        abort();
    return block;
}

struct memory *memory_new(void)
{
    struct memory *m = must(calloc(1, sizeof(*m)));

    m->size = 1024;
    m->words = must(calloc(m->size, sizeof(m->words[0])));
    return m;
}

void memory_free(struct memory *m)
{
    free(m->words);
    free(m->touched);
    free(m);
}

static struct word *find(struct word *words, uint32_t size, uint64_t place)
{
    uint32_t at = (uint32_t)((place * 0x9e3779b97f4a7c15u) >> 32) & (size - 1);

    while (words[at].used && words[at].place != place)
        at = (at + 1) & (size - 1);
    return &words[at];
}

static void grow(struct memory *m)
{
    uint32_t size = m->size * 2;
    struct word *words = must(calloc(size, sizeof(words[0])));

    for (uint32_t n = 0; n < m->size; n++)
        if (m->words[n].used)
            *find(words, size, m->words[n].place) = m->words[n];
    free(m->words);
    m->words = words;
    m->size = size;
}

static void touch(struct memory *m, uint64_t place)
{
    if (m->nr_touched == m->room) {
        m->room = 2 * m->room + 16;
        m->touched = must(realloc(m->touched, m->room * sizeof(m->touched[0])));
    }
    m->touched[m->nr_touched++] = place;
}

void memory_apply(struct memory *m, unsigned side, const struct change *c)
{
    struct word *w;

    if (2 * m->nr >= m->size)
        grow(m);
    w = find(m->words, m->size, c->place);
    if (!w->used) {
        *w = (struct word){.place = c->place, .used = true};
        w->value[0] = w->value[1] = c->before;
        w->on_stack[0] = w->on_stack[1] = c->before_on_stack;
        m->nr++;
    }
    w->before = c->before;
    w->before_on_stack = c->before_on_stack;
    w->value[side] = c->after;
    w->on_stack[side] = c->after_on_stack;
    touch(m, c->place);
}

bool memory_differs(struct memory *m, struct parting *out)
{
    for (uint32_t n = 0; n < m->nr_touched; n++) {
        const struct word *w = find(m->words, m->size, m->touched[n]);

        if (w->value[0] == w->value[1] && w->on_stack[0] == w->on_stack[1])
            continue;
        out->place = w->place;
        out->before = w->before;
        out->before_on_stack = w->before_on_stack;
        for (unsigned side = 0; side < 2; side++) {
            out->after[side] = w->value[side];
            out->on_stack[side] = w->on_stack[side];
        }
        return true;
    }
    m->nr_touched = 0;
    return false;
}
