/*
 * System calls on files: openat, read, write, close, lseek, fstat, as Linux's manual pages (2) say.
 * Not here: signals, so nothing returns EINTR; permissions, since there is one user who may do
 * everything; symbolic links.
 */
#include <stdbool.h>

#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "kernel/access.h"
#include "kernel/file.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/ramfs.h"
#include "kernel/string.h"
#include "kernel/syscall_define.h"

/* Linux's names: the tracepoints' format shows them. */
typedef unsigned short umode_t;
typedef long off_t;

/* Linux calls it so because it replaced an older fstat; the number is plain fstat's. */
#define __NR_newfstat __NR_fstat

/* read and write move at most this much (Linux's MAX_RW_COUNT), in pieces, because each piece
 * holds preemption off. */
#define TRANSFER_MAX   0x7ffff000u
#define TRANSFER_PIECE 65536u

static bool may_read(uint32_t flags)
{
    return (flags & O_ACCMODE) == O_RDONLY || (flags & O_ACCMODE) == O_RDWR;
}

static bool may_write(uint32_t flags)
{
    return (flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR;
}

/* ---- openat ------------------------------------------------------------------------------- */

/* The directory that a relative path starts at, with a reference in *file to be put unless it is
 * NULL. */
static int start_directory(int dfd, const char *path, struct file **file, struct ramfs_node **from)
{
    *file = NULL;
    *from = NULL; /* the root, which is the working directory too */
    if (path[0] == '/' || dfd == AT_FDCWD)
        return 0;
    *file = file_get((unsigned)dfd);
    if (!*file)
        return -EBADF;
    *from = (*file)->node;
    if (*from && ramfs_is_directory(*from))
        return 0;
    file_put(*file);
    return -ENOTDIR;
}

/* A node for an open with these flags, with a reference. */
static int open_node(struct ramfs_node *from, const char *path, uint32_t flags, umode_t mode,
                     struct ramfs_node **out)
{
    int error;

    if (flags & O_CREAT)
        error = ramfs_create(from, path, mode, flags & O_EXCL, out);
    else
        error = ramfs_lookup(from, path, out);
    if (error)
        return error;
    bool directory = ramfs_is_directory(*out);
    if ((flags & O_DIRECTORY) && !directory)
        error = -ENOTDIR;
    else if (directory && (may_write(flags) || flags & O_TRUNC))
        error = -EISDIR;
    else if (flags & O_TRUNC)
        error = ramfs_truncate(*out, 0);
    if (error)
        ramfs_put(*out);
    return error;
}

static int open_path(int dfd, const char *path, uint32_t flags, umode_t mode)
{
    struct file *directory;
    struct ramfs_node *from, *node;
    int error = start_directory(dfd, path, &directory, &from);

    if (error)
        return error;
    error = open_node(from, path, flags, mode, &node);
    if (directory)
        file_put(directory);
    return error ? error : file_open(node, flags);
}

/* Flags that have no meaning here (O_CLOEXEC, O_NOCTTY, O_NOFOLLOW, O_SYNC, ...) are taken, as are
 * unknown ones, which openat(2) ignores. */
SYSCALL_DEFINE4(openat, int, dfd, const char *, filename, int, flags, umode_t, mode)
{
    /* Both are more than one bit. */
    if ((flags & O_TMPFILE) == O_TMPFILE || flags & O_PATH)
        return -EOPNOTSUPP;
    if ((flags & O_CREAT) && (flags & O_DIRECTORY))
        return -EINVAL;
    char *path = kmalloc(RAMFS_PATH_MAX);
    if (!path)
        return -ENOMEM;
    long result = access_copy_string(path, filename, RAMFS_PATH_MAX);
    if (result >= 0)
        result = open_path(dfd, path, (uint32_t)flags, mode);
    kfree(path);
    return result;
}

SYSCALL_DEFINE1(close, unsigned int, fd)
{
    return file_close(fd);
}

/* ---- read, write -------------------------------------------------------------------------- */

/* Moves count bytes in pieces. An error after the first piece shows at the next call. */
static long transfer(struct file *file, bool write, uint8_t *buf, size_t count)
{
    size_t done = 0;

    do {
        size_t piece = count - done < TRANSFER_PIECE ? count - done : TRANSFER_PIECE;
        int64_t n = write ? file->operations->write(file, buf + done, piece)
                          : file->operations->read(file, buf + done, piece);
        if (n < 0)
            return done ? (long)done : (long)n;
        done += (size_t)n;
        if ((size_t)n < piece)
            break;
    } while (done < count);
    return (long)done;
}

SYSCALL_DEFINE3(read, unsigned int, fd, char *, buf, size_t, count)
{
    struct file *file = file_get(fd);
    long result;

    if (!file)
        return -EBADF;
    if (count > TRANSFER_MAX)
        count = TRANSFER_MAX;
    if (!may_read(file->flags))
        result = -EBADF;
    else if (access_check_write(buf, count))
        result = -EFAULT;
    else
        result = transfer(file, false, (uint8_t *)buf, count);
    file_put(file);
    return result;
}

SYSCALL_DEFINE3(write, unsigned int, fd, const char *, buf, size_t, count)
{
    struct file *file = file_get(fd);
    long result;

    if (!file)
        return -EBADF;
    if (count > TRANSFER_MAX)
        count = TRANSFER_MAX;
    if (!may_write(file->flags))
        result = -EBADF;
    else if (access_check_read(buf, count))
        result = -EFAULT;
    else
        result = transfer(file, true, (uint8_t *)(uintptr_t)buf, count);
    file_put(file);
    return result;
}

/* ---- lseek, fstat ------------------------------------------------------------------------- */

SYSCALL_DEFINE3(lseek, unsigned int, fd, off_t, offset, unsigned int, whence)
{
    struct file *file = file_get(fd);

    if (!file)
        return -EBADF;
    long result = file->operations->seek(file, offset, whence);
    file_put(file);
    return result;
}

SYSCALL_DEFINE2(newfstat, unsigned int, fd, struct stat *, statbuf)
{
    struct file *file = file_get(fd);
    struct ramfs_stat from;

    if (!file)
        return -EBADF;
    file->operations->stat(file, &from);
    file_put(file);
    if (access_check_write(statbuf, sizeof(*statbuf)))
        return -EFAULT;
    *statbuf = (struct stat){
        .st_dev = 1,
        .st_ino = from.ino,
        .st_nlink = from.nlink,
        .st_mode = from.mode,
        .st_size = (long)from.size,
        .st_blksize = PAGE_SIZE,
        .st_blocks = (long)((from.size + 511) / 512),
        .st_atime = from.mtime_ns / 1000000000u,
        .st_mtime = from.mtime_ns / 1000000000u,
        .st_mtime_nsec = from.mtime_ns % 1000000000u,
        .st_ctime = from.mtime_ns / 1000000000u,
        .st_ctime_nsec = from.mtime_ns % 1000000000u,
    };
    return 0;
}
