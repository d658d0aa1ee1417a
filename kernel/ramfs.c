/*
 * The file system in memory. Owns every node and the contents of every file that was written to;
 * a file from the initrd points into the archive until then. There is no unlink, so nodes live
 * for ever, and a reference only says who uses one.
 */
#include "kernel/ramfs.h"

#include <linux/errno.h>

#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/ustar.h"

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

static struct ramfs_node *root;
static uint64_t next_ino = 1;

bool ramfs_is_directory(const struct ramfs_node *node)
{
    return (node->mode & RAMFS_TYPE_MASK) == RAMFS_DIRECTORY;
}

/* ---- the tree ----------------------------------------------------------------------------- */

static struct ramfs_node *make_node(struct ramfs_node *parent, struct component name, uint32_t mode)
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

void ramfs_init(void)
{
    root = make_node(NULL, (struct component){"", 0}, RAMFS_DIRECTORY | 0755);
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

/* The first component at or after path, which ends at end; len 0 when there is none. */
static struct component next_component(const char *path, const char *end)
{
    while (path < end && *path == '/')
        path++;
    const char *slash = path;
    while (slash < end && *slash != '/')
        slash++;
    return (struct component){path, (size_t)(slash - path)};
}

/* One step. 0, -ENOTDIR, -ENOENT, -ENAMETOOLONG. */
static int step(struct ramfs_node **node, struct component part)
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

    for (part = next_component(path, end); part.len;
         part = next_component(part.name + part.len, end)) {
        int error = step(&node, part);
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

/* The last component, and the length of what is before it. */
static struct component last_component(const char *path, size_t len, size_t *before)
{
    size_t start = len;

    while (start && path[start - 1] != '/')
        start--;
    *before = start;
    return (struct component){path + start, len - start};
}

static int create(struct ramfs_node *from, const char *path, size_t len, uint32_t mode,
                  bool exclusive, struct ramfs_node **out)
{
    size_t bare = len, before;
    struct ramfs_node *directory, *node;

    while (bare && path[bare - 1] == '/')
        bare--;
    struct component name = last_component(path, bare, &before);
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
    error = step(&node, name);
    if (error && error != -ENOENT)
        return error;
    if (!error && exclusive)
        return -EEXIST;
    if (!error && ramfs_is_directory(node))
        return -EISDIR;
    if (error) {
        node = make_node(directory, name, RAMFS_FILE | (mode & 07777));
        if (!node)
            return -ENOMEM;
        directory->mtime_ns = node->mtime_ns;
    }
    *out = node;
    return 0;
}

int ramfs_create(struct ramfs_node *from, const char *path, uint32_t mode, bool exclusive,
                 struct ramfs_node **out)
{
    size_t len;
    int error = check_length(path, &len);

    if (error)
        return error;
    preempt_disable();
    error = create(from, path, len, mode, exclusive, out);
    if (!error)
        (*out)->refs++;
    preempt_enable();
    return error;
}

void ramfs_get(struct ramfs_node *node)
{
    preempt_disable();
    node->refs++;
    preempt_enable();
}

void ramfs_put(struct ramfs_node *node)
{
    preempt_disable();
    ASSERT(node->refs > 0, "file %s, inode %lu", node->name, (unsigned long)node->ino);
    node->refs--;
    preempt_enable();
}

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

/* ---- contents ----------------------------------------------------------------------------- */

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

int64_t ramfs_write(struct ramfs_node *node, uint64_t offset, const void *buf, size_t len)
{
    if (ramfs_is_directory(node))
        return -EISDIR;
    preempt_disable();
    int64_t written = write_at(node, offset, buf, len);
    preempt_enable();
    return written;
}

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
    preempt_enable();
    return error;
}

/* ---- the initrd --------------------------------------------------------------------------- */

/* The directory that holds the last component of path, made if need be together with those above
 * it. */
static int make_parents(const char *path, size_t len, struct ramfs_node **out)
{
    const char *end = path + len;
    struct ramfs_node *node = root;
    struct component part;

    for (part = next_component(path, end); part.len;
         part = next_component(part.name + part.len, end)) {
        int error = step(&node, part);
        if (error == -ENOENT) {
            node = make_node(node, part, RAMFS_DIRECTORY | 0755);
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
        last_component(entry->path, len, &before);
        error = make_parents(entry->path, before, &node);
        if (!error)
            error = create(NULL, entry->path, len, entry->mode, false, &node);
        if (!error && !node->capacity) {
            node->data = entry->data;
            node->size = entry->size;
        }
    }
    if (!error)
        node->mtime_ns = entry->mtime * 1000000000u;
    return error;
}

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
