/*
 * The file system in memory: nodes and the walk along paths. Contents are in ramfs_data.c, filling
 * it from the initrd in ramfs_initrd.c. There is no unlink, so nodes live for ever, and a
 * reference only says who uses one.
 */
#include "kernel/ramfs.h"

#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/ramfs_node.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/timer.h"

static struct ramfs_node *root;
static uint64_t next_ino = 1;

struct ramfs_node *ramfs_root(void)
{
    return root;
}

bool ramfs_is_directory(const struct ramfs_node *node)
{
    return (node->mode & RAMFS_TYPE_MASK) == RAMFS_DIRECTORY;
}

/* ---- the tree ----------------------------------------------------------------------------- */

struct ramfs_node *ramfs_make_node(struct ramfs_node *parent, struct component name, uint32_t mode)
{
    struct ramfs_node *node = kzalloc(sizeof(*node) + name.len + 1);

    if (!node)
        return NULL;
    memcpy(node->name, name.name, name.len);
    node->ino = next_ino++;
    node->mode = mode;
    node->mtime_ns = time_wall_ns();
    node->parent = parent ? parent : node;
    if (parent) {
        node->sibling = parent->children;
        parent->children = node;
    }
    return node;
}

/* Makes the root directory. Start-up only, after the heap. */
void ramfs_init(void)
{
    root = ramfs_make_node(NULL, (struct component){"", 0}, RAMFS_DIRECTORY | 0755);
    ASSERT(root, "no memory for the root directory");
}

static bool is_name(struct component part, const char *name)
{
    return strlen(name) == part.len && memcmp(name, part.name, part.len) == 0;
}

static struct ramfs_node *find_child(const struct ramfs_node *directory, struct component part)
{
    for (struct ramfs_node *node = directory->children; node; node = node->sibling)
        if (is_name(part, node->name))
            return node;
    return NULL;
}

struct component ramfs_next_component(const char *path, const char *end)
{
    while (path < end && *path == '/')
        path++;
    const char *slash = path;
    while (slash < end && *slash != '/')
        slash++;
    return (struct component){path, (size_t)(slash - path)};
}

int ramfs_step(struct ramfs_node **node, struct component part)
{
    if (!ramfs_is_directory(*node))
        return -ENOTDIR;
    if (part.len > RAMFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (is_name(part, "."))
        return 0;
    struct ramfs_node *found = is_name(part, "..") ? (*node)->parent : find_child(*node, part);
    if (!found)
        return -ENOENT;
    *node = found;
    return 0;
}

/* Walks the len bytes at path. */
static int walk(struct ramfs_node *from, const char *path, size_t len, struct ramfs_node **out)
{
    const char *end = path + len;
    struct ramfs_node *node = from && path[0] != '/' ? from : root;
    struct component part;

    for (part = ramfs_next_component(path, end); part.len;
         part = ramfs_next_component(part.name + part.len, end)) {
        int error = ramfs_step(&node, part);
        if (error)
            return error;
    }
    if (len && end[-1] == '/' && !ramfs_is_directory(node))
        return -ENOTDIR;
    *out = node;
    return 0;
}

static int check_length(const char *path, size_t *len)
{
    *len = strnlen(path, RAMFS_PATH_MAX);
    if (*len == 0)
        return -ENOENT;
    return *len < RAMFS_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Finds what path means, see ramfs.h, and gives a reference to it. Thread context. */
int ramfs_lookup(struct ramfs_node *from, const char *path, struct ramfs_node **out)
{
    size_t len;
    int error = check_length(path, &len);

    if (error)
        return error;
    preempt_disable();
    error = walk(from, path, len, out);
    if (!error)
        (*out)->refs++;
    preempt_enable();
    return error;
}

struct component ramfs_last_component(const char *path, size_t len, size_t *before)
{
    size_t start = len;

    while (start && path[start - 1] != '/')
        start--;
    *before = start;
    return (struct component){path + start, len - start};
}

int ramfs_create_at(struct ramfs_node *from, const char *path, size_t len, uint32_t mode,
                    bool exclusive, struct ramfs_node **out)
{
    size_t bare = len, before;
    struct ramfs_node *directory, *node;

    while (bare && path[bare - 1] == '/')
        bare--;
    struct component name = ramfs_last_component(path, bare, &before);
    int error = walk(from, path, before, &directory);
    if (error)
        return error;
    if (!ramfs_is_directory(directory))
        return -ENOTDIR;
    if (name.len == 0 || is_name(name, ".") || is_name(name, ".."))
        return exclusive ? -EEXIST : -EISDIR;
    if (bare < len) /* the path says that it means a directory */
        return -EISDIR;
    node = directory;
    error = ramfs_step(&node, name);
    if (error && error != -ENOENT)
        return error;
    if (!error && exclusive)
        return -EEXIST;
    if (!error && ramfs_is_directory(node))
        return -EISDIR;
    if (error) {
        node = ramfs_make_node(directory, name, RAMFS_FILE | (mode & 07777));
        if (!node)
            return -ENOMEM;
        directory->mtime_ns = node->mtime_ns;
    }
    *out = node;
    return 0;
}

/* Finds or makes a regular file, see ramfs.h, and gives a reference to it. Thread context. */
int ramfs_create(struct ramfs_node *from, const char *path, uint32_t mode, bool exclusive,
                 struct ramfs_node **out)
{
    size_t len;
    int error = check_length(path, &len);

    if (error)
        return error;
    preempt_disable();
    error = ramfs_create_at(from, path, len, mode, exclusive, out);
    if (!error)
        (*out)->refs++;
    preempt_enable();
    return error;
}

/* Takes one more reference. Thread context. */
void ramfs_get(struct ramfs_node *node)
{
    preempt_disable();
    node->refs++;
    preempt_enable();
}

/* Gives a reference back. Thread context. */
void ramfs_put(struct ramfs_node *node)
{
    preempt_disable();
    ASSERT(node->refs > 0, "file %s, inode %lu", node->name, (unsigned long)node->ino);
    node->refs--;
    preempt_enable();
}

/* Describes a node. The caller holds a reference. Thread context. */
void ramfs_stat(const struct ramfs_node *node, struct ramfs_stat *out)
{
    preempt_disable();
    *out = (struct ramfs_stat){
        .ino = node->ino,
        .size = node->size,
        .mode = node->mode,
        .nlink = 1,
        .mtime_ns = node->mtime_ns,
    };
    if (ramfs_is_directory(node)) {
        out->nlink = 2; /* its name and its "." */
        for (const struct ramfs_node *child = node->children; child; child = child->sibling)
            out->nlink += ramfs_is_directory(child);
    }
    preempt_enable();
}
