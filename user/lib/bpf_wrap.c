/*
 * The C library calls of libbpf that are wrapped at link time (--wrap=NAME in scripts/host.mk: a
 * call of NAME comes to __wrap_NAME, the C library's own is __real_NAME). After this file, libbpf
 * has no way to the host's kernel: bpf(2) goes to bpf_transport.c, perf_event_open fails, the
 * host's BTF, symbols, configuration and version cannot be read, and its bpffs is not touched.
 * Calls that concern none of that pass through.
 */
#define _GNU_SOURCE /* dup3, the names that end with 64 */

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <linux/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ebpf/commands.h"
#include "user/lib/bpf_transport.h"

struct btf;

/* Linux's, where the guest's helpers, types and flags are taken from: what a program that asks for
 * the kernel's version is told. */
#define GUEST_KERNEL_VERSION KERNEL_VERSION(6, 1, 0)

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

static long fail(long error)
{
    errno = (int)error;
    return -1;
}

WRAP(long, syscall, long number, ...)
{
    long a[6];
    va_list args;

    va_start(args, number);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_perf_event_open)
        return fail(EPERM);
    if (number != SYS_bpf)
        return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);

    long result = bpf_transport_command((uint32_t)a[0], (void *)a[1], (uint32_t)a[2]);
    return result < 0 ? fail(-result) : result;
}

/* ---- descriptors ---------------------------------------------------------------------------- */

WRAP(int, close, int fd)
{
    bpf_transport_close(fd);
    return __real_close(fd);
}

WRAP(int, dup, int fd)
{
    int copy = __real_dup(fd);

    if (copy >= 0)
        bpf_transport_dup(fd, copy);
    return copy;
}

WRAP(int, dup2, int fd, int copy)
{
    int result = __real_dup2(fd, copy);

    if (result >= 0)
        bpf_transport_dup(fd, copy);
    return result;
}

WRAP(int, dup3, int fd, int copy, int flags)
{
    int result = __real_dup3(fd, copy, flags);

    if (result >= 0)
        bpf_transport_dup(fd, copy);
    return result;
}

static int after_fcntl(int fd, int command, int result)
{
    if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
        bpf_transport_dup(fd, result);
    return result;
}

/* Two names of one function: which one a library calls depends on its _FILE_OFFSET_BITS. */
WRAP(int, fcntl, int fd, int command, ...)
{
    va_list args;

    va_start(args, command);
    long arg = va_arg(args, long);
    va_end(args);
    return after_fcntl(fd, command, __real_fcntl(fd, command, arg));
}

WRAP(int, fcntl64, int fd, int command, ...)
{
    va_list args;

    va_start(args, command);
    long arg = va_arg(args, long);
    va_end(args);
    return after_fcntl(fd, command, __real_fcntl64(fd, command, arg));
}

/* ---- what libbpf would read of the host ------------------------------------------------------ */

/* Files that speak of the host's kernel or to it: symbols, configuration, BTF, tracefs. How many
 * CPUs there are is asked as well, and does no harm. */
static bool is_kernel_file(const char *path)
{
    static const char *const roots[] = {"/proc/", "/sys/", "/boot/", "/lib/modules/",
                                        "/usr/lib/modules/"};
    static const char cpus[] = "/sys/devices/system/cpu/";

    if (strncmp(path, cpus, strlen(cpus)) == 0)
        return false;
    for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        if (strncmp(path, roots[i], strlen(roots[i])) == 0)
            return true;
    return false;
}

WRAP(FILE *, fopen, const char *path, const char *mode)
{
    if (!is_kernel_file(path))
        return __real_fopen(path, mode);
    errno = EPERM;
    return NULL;
}

WRAP(FILE *, fopen64, const char *path, const char *mode)
{
    if (!is_kernel_file(path))
        return __real_fopen64(path, mode);
    errno = EPERM;
    return NULL;
}

WRAP(int, open, const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return is_kernel_file(path) ? (int)fail(EPERM) : __real_open(path, flags, mode);
}

WRAP(int, open64, const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    return is_kernel_file(path) ? (int)fail(EPERM) : __real_open64(path, flags, mode);
}

/* zlib's, as libbpf reads /proc/config.gz with it; skepctl reads no compressed file at all. */
WRAP(void *, gzopen, const char *path, const char *mode)
{
    (void)path, (void)mode;
    errno = EPERM;
    return NULL;
}

WRAP(void *, gzopen64, const char *path, const char *mode)
{
    (void)path, (void)mode;
    errno = EPERM;
    return NULL;
}

/* libbpf's own: the BTF of the running kernel, which would be the host's. */
WRAP(struct btf *, btf__load_vmlinux_btf, void)
{
    errno = EOPNOTSUPP;
    return NULL;
}

/* libbpf's own, internal. */
WRAP(uint32_t, get_kernel_version, void)
{
    return GUEST_KERNEL_VERSION;
}

/* ---- bpffs: before it pins, libbpf makes the folder and asks whether it is a bpffs ------------
 */

static bool is_bpffs(const char *path)
{
    size_t length = strlen(BPF_TRANSPORT_PIN_ROOT) - 1;

    return strncmp(path, BPF_TRANSPORT_PIN_ROOT, length) == 0 &&
           (path[length] == '/' || path[length] == '\0');
}

WRAP(int, mkdir, const char *path, mode_t mode)
{
    return is_bpffs(path) ? 0 : __real_mkdir(path, mode);
}

WRAP(int, statfs, const char *path, struct statfs *out)
{
    if (!is_bpffs(path))
        return __real_statfs(path, out);
    *out = (struct statfs){.f_type = BPF_FS_MAGIC};
    return 0;
}

WRAP(int, statfs64, const char *path, struct statfs64 *out)
{
    if (!is_bpffs(path))
        return __real_statfs64(path, out);
    *out = (struct statfs64){.f_type = BPF_FS_MAGIC};
    return 0;
}

WRAP(int, unlink, const char *path)
{
    struct skep_pin_attr attr = {0};

    if (!is_bpffs(path))
        return __real_unlink(path);
    if (strlen(path) >= sizeof(attr.name))
        return (int)fail(ENAMETOOLONG);
    strcpy(attr.name, path);

    long result = bpf_transport_command(SKEP_UNPIN, &attr, sizeof(attr));
    return result < 0 ? (int)fail(-result) : 0;
}
