/*
 * The file system behind wire.h: system calls by Linux's numbers over a table of files.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel/syscall.h"
#include "tests/unit/wire.h"

#define MAX_FILES 16

static struct file {
    char name[300];
    uint8_t *data;
    size_t len;
} files[MAX_FILES];

static struct {
    struct file *file;
    size_t at;
} open_files[MAX_FILES];

static unsigned nr_openat;

static struct file *find(const char *name)
{
    unsigned i;

    for (i = 0; i < MAX_FILES; i++) {
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    }
    return NULL;
}

void wire_add_file(const char *name, const void *data, size_t len)
{
    struct file *file = find("");

    cr_assert_not_null(file);
    strcpy(file->name, name);
    file->data = malloc(len + 1);
    memcpy(file->data, data, len);
    file->len = len;
}

const uint8_t *wire_file(const char *name, size_t *len)
{
    const struct file *file = find(name);

    if (file == NULL)
        return NULL;
    *len = file->len;
    return file->data;
}

unsigned wire_open_files(void)
{
    unsigned i, count = 0;

    for (i = 0; i < MAX_FILES; i++)
        count += open_files[i].file != NULL;
    return count;
}

unsigned wire_openat_calls(void)
{
    return nr_openat;
}

void wire_stop(void)
{
    unsigned i;

    for (i = 0; i < MAX_FILES; i++) {
        free(files[i].data);
        files[i] = (struct file){0};
    }
}

static long do_openat(const char *name, int flags)
{
    struct file *file = find(name);
    int fd;

    nr_openat++;
    cr_assert_eq(name[0], '/', "paths are absolute");
    if (file == NULL && !(flags & O_CREAT))
        return -ENOENT;
    if (file != NULL && (flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (file == NULL) {
        wire_add_file(name, "", 0);
        file = find(name);
    }
    for (fd = 0; fd < MAX_FILES; fd++) {
        if (open_files[fd].file == NULL) {
            open_files[fd].file = file;
            open_files[fd].at = 0;
            return fd;
        }
    }
    return -EMFILE;
}

static long do_write(int fd, const void *data, size_t len)
{
    struct file *file = open_files[fd].file;

    file->data = realloc(file->data, file->len + len + 1);
    memcpy(file->data + file->len, data, len);
    file->len += len;
    return (long)len;
}

static long do_read(int fd, void *data, size_t len)
{
    struct file *file = open_files[fd].file;
    size_t left = file->len - open_files[fd].at;

    if (len > left)
        len = left;
    memcpy(data, file->data + open_files[fd].at, len);
    open_files[fd].at += len;
    return (long)len;
}

static long do_fstat(int fd, struct stat *out)
{
    memset(out, 0, sizeof(*out));
    out->st_size = (off_t)open_files[fd].file->len;
    /* A file whose name ends in a slash stands for a folder. */
    out->st_mode = strchr(open_files[fd].file->name + 1, '/') != NULL ? S_IFDIR : S_IFREG;
    return 0;
}

long syscall_dispatch(long nr, const uint64_t args[6])
{
    if (nr == SYS_openat)
        return do_openat((const char *)(uintptr_t)args[1], (int)args[2]);
    cr_assert(args[0] < MAX_FILES && open_files[args[0]].file != NULL, "a descriptor that is open");
    switch (nr) {
    case SYS_read:
        return do_read((int)args[0], (void *)(uintptr_t)args[1], args[2]);
    case SYS_write:
        return do_write((int)args[0], (const void *)(uintptr_t)args[1], args[2]);
    case SYS_fstat:
        return do_fstat((int)args[0], (struct stat *)(uintptr_t)args[1]);
    case SYS_close:
        open_files[args[0]].file = NULL;
        return 0;
    default:
        return -ENOSYS;
    }
}
