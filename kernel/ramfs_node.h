/*
 * What ramfs.c (the tree), ramfs_data.c (contents) and ramfs_initrd.c (the archive) share, and
 * nobody else includes. Called with preemption off.
 */
#ifndef SKEP_KERNEL_RAMFS_NODE_H
#define SKEP_KERNEL_RAMFS_NODE_H

#include "kernel/ramfs.h"

struct ramfs_node {
    uint64_t ino;
    uint32_t mode;
    uint32_t refs;
    uint64_t mtime_ns;
    struct ramfs_node *parent;   /* the root's is itself */
    struct ramfs_node *sibling;  /* next child of parent */
    struct ramfs_node *children; /* of a directory */
    const uint8_t *data;         /* of a file; ours to write and free when capacity is not 0 */
    size_t size, capacity;
    char name[];
};

/* A piece of a path. */
struct component {
    const char *name;
    size_t len;
};

/* The first component at or after path, which ends at end; len 0 when there is none. */
struct component ramfs_next_component(const char *path, const char *end);
/* The last component, and the length of what is before it. */
struct component ramfs_last_component(const char *path, size_t len, size_t *before);
/* One step down, or up. 0, -ENOTDIR, -ENOENT, -ENAMETOOLONG. */
int ramfs_step(struct ramfs_node **node, struct component part);
struct ramfs_node *ramfs_root(void);
/* A node in parent, or NULL when out of memory. */
struct ramfs_node *ramfs_make_node(struct ramfs_node *parent, struct component name, uint32_t mode);
/* ramfs_create without a reference, for the len bytes at path. */
int ramfs_create_at(struct ramfs_node *from, const char *path, size_t len, uint32_t mode,
                    bool exclusive, struct ramfs_node **out);

#endif
