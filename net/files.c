/*
 * System calls for the network services. See files.h.
 */
#include "net/files.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <asm/stat.h>
#include <asm/unistd.h>

#include "kernel/printk.h"
#include "kernel/syscall.h"

#define MAX_PATH_SIZE 512
#define MAX_FILE_SIZE (1u << 30)
/* S_IFMT and S_IFREG, which <linux/stat.h> hides where there is a C library. */
#define MODE_TYPE    0170000
#define MODE_REGULAR 0100000

static long call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const uint64_t args[6] = {a, b, c, d, 0, 0};

    return syscall_dispatch(nr, args);
}

/* openat of name, made absolute. */
static int open_path(const char *name, int flags, unsigned mode)
{
    char path[MAX_PATH_SIZE];
    int len = format_text(path, sizeof(path), "%s%s", name[0] == '/' ? "" : "/", name);

    if (len >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return (int)call(__NR_openat, (uint32_t)AT_FDCWD, (uintptr_t)path, (uint32_t)flags, mode);
}

int net_file_open(const char *name, uint32_t *size)
{
    int fd = open_path(name, O_RDONLY, 0);
    struct stat status = {0};
    int error;

    if (fd < 0)
        return fd;
    error = (int)call(__NR_fstat, (uint64_t)fd, (uintptr_t)&status, 0, 0);
    if (error == 0 && (status.st_mode & MODE_TYPE) != MODE_REGULAR)
        error = -EISDIR;
    if (error == 0 && (uint64_t)status.st_size > MAX_FILE_SIZE)
        error = -EFBIG;
    if (error != 0) {
        net_file_close(fd);
        return error;
    }
    *size = (uint32_t)status.st_size;
    return fd;
}

int net_file_create(const char *name)
{
    return open_path(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
}

long net_file_read(int fd, void *buf, size_t len)
{
    return call(__NR_read, (uint64_t)fd, (uintptr_t)buf, len, 0);
}

long net_file_write(int fd, const void *buf, size_t len)
{
    return call(__NR_write, (uint64_t)fd, (uintptr_t)buf, len, 0);
}

void net_file_close(int fd)
{
    call(__NR_close, (uint64_t)fd, 0, 0, 0);
}
