/*
 * Open files and the table of descriptors, of the one process there is. Descriptors 0, 1 and 2
 * are the console from the start. Used by kernel/syscalls_file.c. Thread context; guarded by
 * preemption off.
 */
#ifndef SKEP_KERNEL_FILE_H
#define SKEP_KERNEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/ramfs.h"

#define FILE_MAX_DESCRIPTORS 256

struct file;

/* What an open file can do. Buffers have been checked. Negative errno on failure. */
struct file_operations {
    int64_t (*read)(struct file *file, void *buf, size_t len);
    int64_t (*write)(struct file *file, const void *buf, size_t len);
    int64_t (*seek)(struct file *file, int64_t offset, unsigned whence);
    void (*stat)(const struct file *file, struct ramfs_stat *out);
};

struct file {
    const struct file_operations *operations;
    uint32_t flags; /* O_... of the open */
    uint32_t refs;  /* the descriptor and the calls under way; 0: freed */
    uint64_t offset;
    struct ramfs_node *node; /* NULL: the console */
};

/* Gives node, whose reference it takes over, the lowest free descriptor. That, or -EMFILE or
 * -ENOMEM (and the reference is put). */
int file_open(struct ramfs_node *node, uint32_t flags);
/* -EBADF when it is not open. Calls under way finish. */
int file_close(unsigned fd);
/* A reference to an open file, to be put; NULL when fd is not open. */
struct file *file_get(unsigned fd);
void file_put(struct file *file);

#endif
