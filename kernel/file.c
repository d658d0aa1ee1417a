/*
 * Open files: the descriptor table, files of ramfs, and the console behind descriptors 0 to 2.
 * A file's offset is shared by all who use its descriptor, as on Linux.
 */
#include "kernel/file.h"

#include <stdbool.h>

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/thread.h"

#define CONSOLE_PIECE 128u

/* ---- files of ramfs ----------------------------------------------------------------------- */

/* The offset moves with the bytes, preemption off: two readers never get the same ones. */
static int64_t ramfs_file_read(struct file *file, void *buf, size_t len)
{
    preempt_disable();
    int64_t n = ramfs_read(file->node, file->offset, buf, len);
    if (n > 0)
        file->offset += (uint64_t)n;
    preempt_enable();
    return n;
}

static int64_t ramfs_file_write(struct file *file, const void *buf, size_t len)
{
    int64_t n;

    preempt_disable();
    if (file->flags & O_APPEND) {
        n = ramfs_append(file->node, buf, len, &file->offset);
    } else {
        n = ramfs_write(file->node, file->offset, buf, len);
        if (n > 0)
            file->offset += (uint64_t)n;
    }
    preempt_enable();
    return n;
}

/* The position that offset and whence mean. A file here has no holes: data up to its size. */
static int64_t position(const struct file *file, int64_t offset, unsigned whence)
{
    struct ramfs_stat stat;
    int64_t from;

    ramfs_stat(file->node, &stat);
    switch (whence) {
    case SEEK_SET:
        from = 0;
        break;
    case SEEK_CUR:
        from = (int64_t)file->offset;
        break;
    case SEEK_END:
        from = (int64_t)stat.size;
        break;
    case SEEK_DATA:
    case SEEK_HOLE:
        if (offset < 0 || (uint64_t)offset >= stat.size)
            return -ENXIO;
        return whence == SEEK_DATA ? offset : (int64_t)stat.size;
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(from, offset, &from))
        return -EOVERFLOW;
    return from < 0 ? -EINVAL : from;
}

static int64_t ramfs_file_seek(struct file *file, int64_t offset, unsigned whence)
{
    preempt_disable();
    int64_t to = position(file, offset, whence);
    if (to >= 0)
        file->offset = (uint64_t)to;
    preempt_enable();
    return to;
}

static void ramfs_file_stat(const struct file *file, struct ramfs_stat *out)
{
    ramfs_stat(file->node, out);
}

static const struct file_operations ramfs_operations = {
    .read = ramfs_file_read,
    .write = ramfs_file_write,
    .seek = ramfs_file_seek,
    .stat = ramfs_file_stat,
};

/* ---- the console -------------------------------------------------------------------------- */

/* Nothing reads the serial line yet, so standard input is at its end. */
static int64_t console_read(struct file *file, void *buf, size_t len)
{
    (void)file;
    (void)buf;
    (void)len;
    return 0;
}

/* In short pieces: the serial line is slow, and each piece holds interrupts off. */
static int64_t console_write(struct file *file, const void *buf, size_t len)
{
    const char *text = buf;

    (void)file;
    for (size_t done = 0; done < len; done += CONSOLE_PIECE)
        arch_console_write(text + done, len - done < CONSOLE_PIECE ? len - done : CONSOLE_PIECE);
    return (int64_t)len;
}

static int64_t console_seek(struct file *file, int64_t offset, unsigned whence)
{
    (void)file;
    (void)offset;
    (void)whence;
    return -ESPIPE;
}

static void console_stat(const struct file *file, struct ramfs_stat *out)
{
    (void)file;
    *out = (struct ramfs_stat){.mode = 0020620u /* S_IFCHR */, .nlink = 1};
}

static const struct file_operations console_operations = {
    .read = console_read,
    .write = console_write,
    .seek = console_seek,
    .stat = console_stat,
};

static struct file console_file = {.operations = &console_operations, .flags = O_RDWR, .refs = 3};

/* ---- descriptors -------------------------------------------------------------------------- */

static struct file *table[FILE_MAX_DESCRIPTORS] = {&console_file, &console_file, &console_file};

/* Gives node the lowest free descriptor, and takes over the caller's reference to it, on failure
 * too. The descriptor, -EMFILE or -ENOMEM. Thread context. */
int file_open(struct ramfs_node *node, uint32_t flags)
{
    struct file *file = kzalloc(sizeof(*file));
    int fd = 0;

    if (!file) {
        ramfs_put(node);
        return -ENOMEM;
    }
    *file = (struct file){.operations = &ramfs_operations, .flags = flags, .refs = 1, .node = node};
    preempt_disable();
    while (fd < FILE_MAX_DESCRIPTORS && table[fd])
        fd++;
    if (fd < FILE_MAX_DESCRIPTORS)
        table[fd] = file;
    preempt_enable();
    if (fd < FILE_MAX_DESCRIPTORS)
        return fd;
    file_put(file);
    return -EMFILE;
}

/* The open file behind fd, with a reference to be put; NULL when there is none. Thread context. */
struct file *file_get(unsigned fd)
{
    struct file *file = NULL;

    preempt_disable();
    if (fd < FILE_MAX_DESCRIPTORS && table[fd]) {
        file = table[fd];
        file->refs++;
    }
    preempt_enable();
    return file;
}

/* Gives back a reference; the last one frees the file. Thread context. */
void file_put(struct file *file)
{
    preempt_disable();
    bool last = --file->refs == 0;
    preempt_enable();
    if (last && file != &console_file) {
        ramfs_put(file->node);
        kfree(file);
    }
}

/* Frees a descriptor. Calls that still use the file finish. 0, or -EBADF. Thread context. */
int file_close(unsigned fd)
{
    struct file *file = NULL;

    preempt_disable();
    if (fd < FILE_MAX_DESCRIPTORS) {
        file = table[fd];
        table[fd] = NULL;
    }
    preempt_enable();
    if (!file)
        return -EBADF;
    file_put(file);
    return 0;
}
