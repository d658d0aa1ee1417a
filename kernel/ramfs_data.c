/*
 * Contents of files in ramfs. A file that was written to owns one block of memory; a file from the
 * initrd points into the archive until then.
 */
#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/ramfs_node.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

/* Copies up to len bytes from offset on; 0 at the end of the file. -EISDIR. Thread context. */
int64_t ramfs_read(struct ramfs_node *node, uint64_t offset, void *buf, size_t len)
{
    if (ramfs_is_directory(node))
        return -EISDIR;
    preempt_disable();
    if (offset >= node->size)
        len = 0;
    else if (len > node->size - offset)
        len = node->size - offset;
    if (len)
        memcpy(buf, node->data + offset, len);
    preempt_enable();
    return (int64_t)len;
}

/* Makes the contents ours, with room for `size` bytes. The room doubles, so that a file written in
 * small pieces is not copied each time. */
static int make_room(struct ramfs_node *node, size_t size)
{
    size_t capacity = node->capacity;
    uint8_t *data;

    if (size < node->size)
        size = node->size;
    if (size <= capacity || size == 0)
        return 0;
    capacity = size > capacity * 2 ? size : capacity * 2;
    if (node->capacity) {
        data = krealloc((void *)(uintptr_t)node->data, capacity);
    } else {
        data = kmalloc(capacity);
        if (data && node->size)
            memcpy(data, node->data, node->size);
    }
    if (!data)
        return -ENOMEM;
    node->data = data;
    node->capacity = capacity;
    return 0;
}

/* Sets the size; bytes that become part of the file are zero. Room is there. */
static void set_size(struct ramfs_node *node, size_t size)
{
    if (size > node->size)
        memset((uint8_t *)(uintptr_t)node->data + node->size, 0, size - node->size);
    node->size = size;
    node->mtime_ns = time_wall_ns();
}

static int64_t write_at(struct ramfs_node *node, uint64_t offset, const void *buf, size_t len)
{
    if (len == 0)
        return 0;
    if (offset >= RAMFS_FILE_MAX)
        return -EFBIG;
    if (len > RAMFS_FILE_MAX - offset)
        len = RAMFS_FILE_MAX - offset;
    int error = make_room(node, offset + len);
    if (error)
        return error;
    set_size(node, offset + len > node->size ? offset + len : node->size);
    memcpy((uint8_t *)(uintptr_t)node->data + offset, buf, len);
    return (int64_t)len;
}

/* Writes at offset, beyond the end too: what lies between becomes zero. Bytes written, cut at
 * RAMFS_FILE_MAX; -EISDIR, -EFBIG, -ENOMEM. Thread context. */
int64_t ramfs_write(struct ramfs_node *node, uint64_t offset, const void *buf, size_t len)
{
    if (ramfs_is_directory(node))
        return -EISDIR;
    preempt_disable();
    int64_t written = write_at(node, offset, buf, len);
    preempt_enable();
    return written;
}

/* As ramfs_write at the end of the file, found and moved in one step. The new size goes to *end. */
int64_t ramfs_append(struct ramfs_node *node, const void *buf, size_t len, uint64_t *end)
{
    if (ramfs_is_directory(node))
        return -EISDIR;
    preempt_disable();
    int64_t written = write_at(node, node->size, buf, len);
    *end = node->size;
    preempt_enable();
    return written;
}

/* Cuts the file, or extends it by zeros. 0, -EISDIR, -EFBIG, -ENOMEM. Thread context. */
int ramfs_truncate(struct ramfs_node *node, uint64_t size)
{
    if (ramfs_is_directory(node))
        return -EISDIR;
    if (size > RAMFS_FILE_MAX)
        return -EFBIG;
    preempt_disable();
    /* A borrowed file that shrinks stays borrowed: it just ends earlier. */
    int error = size > node->size ? make_room(node, size) : 0;
    if (!error)
        set_size(node, size);
    if (size == 0 && node->capacity) { /* the only way to get memory back: there is no unlink */
        kfree((void *)(uintptr_t)node->data);
        node->data = NULL;
        node->capacity = 0;
    }
    preempt_enable();
    return error;
}
