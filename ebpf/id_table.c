/*
 * See id_table.h. A node that becomes empty is freed, so that an empty table holds no memory; the
 * height stays until then.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/id_table.h"
#include "ebpf/port.h"

#define DIGIT_BITS 6u
#define FANOUT     (1u << DIGIT_BITS)
#define HEIGHT_MAX 6u /* 36 bits */

struct id_node {
    uint64_t used; /* a bit for each slot that is not NULL */
    void *slot[FANOUT];
};

/* The digit of id that chooses a slot at a level; leaves are level 0. */
static unsigned digit(uint32_t id, unsigned level)
{
    return (uint64_t)id >> (DIGIT_BITS * level) & (FANOUT - 1);
}

static bool is_within(const struct id_table *table, uint32_t id)
{
    return table->root != NULL && (uint64_t)id >> (DIGIT_BITS * table->height) == 0;
}

static void set_slot(struct id_node *node, unsigned n, void *entry)
{
    node->slot[n] = entry;
    node->used |= 1ull << n;
}

static void clear_slot(struct id_node *node, unsigned n)
{
    node->slot[n] = NULL;
    node->used &= ~(1ull << n);
}

/* Levels on top until the id is within. An empty table gets a root alone, at the right height: no
 * node but a new root is ever empty. */
static int grow(struct id_table *table, uint32_t id)
{
    if (table->root == NULL)
        table->height = 0;
    while (!is_within(table, id)) {
        struct id_node *node = NULL;

        if (table->root != NULL || (uint64_t)id >> (DIGIT_BITS * (table->height + 1)) == 0) {
            node = port_alloc(sizeof(*node));
            if (node == NULL)
                return -ENOMEM;
        }
        if (table->root != NULL)
            set_slot(node, 0, table->root);
        table->root = node;
        table->height++;
    }
    return 0;
}

/* Frees the nodes on the way to an id that are empty, from the leaf up. */
static void prune(struct id_table *table, uint32_t id)
{
    struct id_node *path[HEIGHT_MAX], *node = table->root;
    unsigned levels = 0;

    for (unsigned level = table->height; node != NULL && level-- > 0;) {
        path[levels++] = node;
        node = level > 0 ? node->slot[digit(id, level)] : NULL;
    }
    while (levels > 0 && path[levels - 1]->used == 0) {
        port_free(path[--levels]);
        if (levels > 0)
            clear_slot(path[levels - 1], digit(id, table->height - levels));
        else
            *table = (struct id_table){0};
    }
}

/* Puts an entry, not NULL, under an id that has none. 0 or -ENOMEM. */
int id_table_put(struct id_table *table, uint32_t id, void *entry)
{
    struct id_node *node;
    int err = grow(table, id);

    node = table->root;
    for (unsigned level = table->height - 1; err == 0 && level > 0; level--) {
        void *child = node->slot[digit(id, level)];

        if (child == NULL) {
            child = port_alloc(sizeof(*node));
            if (child == NULL)
                err = -ENOMEM;
            else
                set_slot(node, digit(id, level), child);
        }
        node = child;
    }
    if (err == 0)
        set_slot(node, digit(id, 0), entry);
    else
        prune(table, id);
    return err;
}

/* The entry of an id, or NULL. */
void *id_table_get(const struct id_table *table, uint32_t id)
{
    void *at = is_within(table, id) ? table->root : NULL;

    for (unsigned level = table->height; at != NULL && level-- > 0;)
        at = ((struct id_node *)at)->slot[digit(id, level)];
    return at;
}

/* The first entry under node, which is at this level, with an id of at least id. */
static void *first_from(const struct id_node *node, unsigned level, uint32_t id)
{
    uint64_t left = node->used & ~0ull << digit(id, level);

    for (; left != 0; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctzll(left);
        void *found = node->slot[n];

        if (level > 0) /* beyond the id's own digit, all that is below counts */
            found = first_from(found, level - 1, n == digit(id, level) ? id : 0);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* The entry with the lowest id that is at least id, or NULL. */
void *id_table_from(const struct id_table *table, uint32_t id)
{
    return is_within(table, id) ? first_from(table->root, table->height - 1, id) : NULL;
}

/* Takes out the entry of an id that has one. */
void id_table_remove(struct id_table *table, uint32_t id)
{
    struct id_node *node = table->root;

    for (unsigned level = table->height - 1; level > 0; level--)
        node = node->slot[digit(id, level)];
    clear_slot(node, digit(id, 0));
    prune(table, id);
}
