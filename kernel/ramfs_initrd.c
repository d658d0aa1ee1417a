/*
 * Fills ramfs from the initrd, an archive that the boot loader put into memory.
 */
#include <linux/errno.h>

#include "kernel/printk.h"
#include "kernel/ramfs_node.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/ustar.h"

/* The directory that holds the last component of path, made if need be together with those above
 * it. */
static int make_parents(const char *path, size_t len, struct ramfs_node **out)
{
    const char *end = path + len;
    struct ramfs_node *node = ramfs_root();
    struct component part;

    for (part = ramfs_next_component(path, end); part.len;
         part = ramfs_next_component(part.name + part.len, end)) {
        int error = ramfs_step(&node, part);
        if (error == -ENOENT) {
            node = ramfs_make_node(node, part, RAMFS_DIRECTORY | 0755);
            error = node ? 0 : -ENOMEM;
        }
        if (error)
            return error;
    }
    *out = node;
    return ramfs_is_directory(node) ? 0 : -ENOTDIR;
}

static int add_entry(const struct ustar_entry *entry)
{
    size_t len = strlen(entry->path), before;
    struct ramfs_node *node;
    int error;

    while (len && entry->path[len - 1] == '/')
        len--;
    if (entry->type == USTAR_DIRECTORY) {
        error = make_parents(entry->path, len, &node);
        if (!error)
            node->mode = RAMFS_DIRECTORY | entry->mode;
    } else {
        ramfs_last_component(entry->path, len, &before);
        error = make_parents(entry->path, before, &node);
        if (!error)
            error = ramfs_create_at(NULL, entry->path, len, entry->mode, false, &node);
        if (!error && !node->capacity) {
            node->data = entry->data;
            node->size = entry->size;
        }
    }
    if (!error)
        node->mtime_ns = entry->mtime * 1000000000u;
    return error;
}

/* Adds every file and directory of an archive of size bytes, which is borrowed for ever. 0,
 * -ENOMEM, or -EINVAL when it is damaged; what came before stays. Start-up. */
int ramfs_add_ustar(const void *archive, size_t size)
{
    struct ustar_entry entry;
    size_t offset = 0;
    unsigned files = 0;
    int more, error = 0;

    while (!error && (more = ustar_next(archive, size, &offset, &entry)) > 0) {
        if (entry.type == USTAR_OTHER) {
            pr_warn("initrd: %s is neither file nor directory; left out", entry.path);
            continue;
        }
        preempt_disable();
        int added = add_entry(&entry);
        preempt_enable();
        if (added == -ENOMEM)
            error = added;
        else if (added)
            pr_warn("initrd: %s left out: error %d", entry.path, -added);
        else
            files += entry.type == USTAR_FILE;
    }
    if (!error && more < 0) {
        pr_err("initrd: damaged at byte %lu", (unsigned long)offset);
        error = more;
    }
    pr_info("initrd: %u files", files);
    return error;
}
