/*
 * The file system: a tree in memory, filled from the initrd (ustar). Files made at run time live
 * until power off. The system calls in kernel/syscalls_file.c are its only users above.
 * Thread context; guarded by preemption off for each call.
 */
#ifndef SKEP_KERNEL_RAMFS_H
#define SKEP_KERNEL_RAMFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ramfs_node;

struct ramfs_stat {
    uint64_t ino;
    uint64_t size;
    uint32_t mode; /* S_IFREG or S_IFDIR and permission bits */
    uint32_t nlink;
    uint64_t mtime_ns;
};

void ramfs_init(void);
/* Adds every file and directory of a ustar archive. Contents are borrowed until first written
 * (the initrd stays in memory). 0, or -EINVAL when the archive is damaged (files before the damage stay). */
int ramfs_add_ustar(const void *archive, size_t size);

/* Path walk from the root; "." and ".." work. 0 and a reference in *out; -ENOENT, -ENOTDIR,
 * -ENAMETOOLONG. */
int ramfs_lookup(const char *path, struct ramfs_node **out);
/* Makes a regular file, or takes the one that is there (-EEXIST when exclusive). */
int ramfs_create(const char *path, uint32_t mode, bool exclusive, struct ramfs_node **out);
void ramfs_get(struct ramfs_node *node);
void ramfs_put(struct ramfs_node *node);
/* Bytes moved; short at the end of file. -EISDIR, -ENOMEM, -EFBIG. */
int64_t ramfs_read(struct ramfs_node *node, uint64_t offset, void *buf, size_t len);
int64_t ramfs_write(struct ramfs_node *node, uint64_t offset, const void *buf, size_t len);
int ramfs_truncate(struct ramfs_node *node, uint64_t size);
void ramfs_stat(const struct ramfs_node *node, struct ramfs_stat *out);

#endif
