/*
 * A table of pointers by number: a trie whose nodes branch 64 ways. Finding one, and the next one
 * above a number, take as many steps as the highest number has digits to the base 64, however many
 * there are. Internal to ebpf/; the caller guards it.
 */
#ifndef SKEP_EBPF_ID_TABLE_H
#define SKEP_EBPF_ID_TABLE_H

#include <stdint.h>

struct id_node;

/* All zeros: an empty table. */
struct id_table {
    struct id_node *root; /* NULL: empty */
    unsigned height;      /* levels of nodes under and with the root */
};

int id_table_put(struct id_table *table, uint32_t id, void *entry);
void *id_table_get(const struct id_table *table, uint32_t id);
void *id_table_from(const struct id_table *table, uint32_t id);
void id_table_remove(struct id_table *table, uint32_t id);

#endif
