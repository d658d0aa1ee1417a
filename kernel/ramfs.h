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

#define RAMFS_PATH_MAX 4096u       /* with the terminator, as Linux's PATH_MAX */
#define RAMFS_NAME_MAX 255u        /* of one component */
#define RAMFS_FILE_MAX (64u << 20) /* bytes: a file is one block of memory */

/* What a node is, in its mode: Linux's S_IFMT, S_IFREG and S_IFDIR. (The host's C library hides
 * those of <linux/stat.h>.) */
#define RAMFS_TYPE_MASK 0170000u
#define RAMFS_FILE      0100000u
#define RAMFS_DIRECTORY 0040000u

struct ramfs_node;

struct ramfs_stat {
    uint64_t ino;
    uint64_t size;
    uint32_t mode; /* RAMFS_FILE or RAMFS_DIRECTORY, and permission bits */
    uint32_t nlink;
    uint64_t mtime_ns;
};

void ramfs_init(void);
/* Adds every file and directory of a ustar archive. Contents are borrowed until first written
 * (the initrd stays in memory). 0, -ENOMEM, or -EINVAL when the archive is damaged (files before
 * the damage stay). */
int ramfs_add_ustar(const void *archive, size_t size);

/* In the two below, a path that does not begin with a slash starts at the directory `from`; NULL
 * means the root. "." and ".." work. */

/* 0 and a reference in *out; -ENOENT, -ENOTDIR, -ENAMETOOLONG. */
int ramfs_lookup(struct ramfs_node *from, const char *path, struct ramfs_node **out);
/* Makes a regular file, or takes the one that is there (-EEXIST when exclusive). As ramfs_lookup;
 * also -EISDIR when a directory has the name, -ENOMEM. */
int ramfs_create(struct ramfs_node *from, const char *path, uint32_t mode, bool exclusive,
                 struct ramfs_node **out);
void ramfs_get(struct ramfs_node *node);
void ramfs_put(struct ramfs_node *node);
bool ramfs_is_directory(const struct ramfs_node *node);
/* Bytes moved; short at the end of file. -EISDIR, -ENOMEM, -EFBIG. */
int64_t ramfs_read(struct ramfs_node *node, uint64_t offset, void *buf, size_t len);
int64_t ramfs_write(struct ramfs_node *node, uint64_t offset, const void *buf, size_t len);
/* As write at the end of the file; the file's new size goes to *end. */
int64_t ramfs_append(struct ramfs_node *node, const void *buf, size_t len, uint64_t *end);
int ramfs_truncate(struct ramfs_node *node, uint64_t size);
void ramfs_stat(const struct ramfs_node *node, struct ramfs_stat *out);

#endif
