/*
 * Files for the network services, opened and read by system calls as an application would: so a
 * browser's request is a real openat, with its tracepoints. Names are paths from the root of the
 * file system. Network thread.
 */
#ifndef SKEP_NET_FILES_H
#define SKEP_NET_FILES_H

#include <stddef.h>
#include <stdint.h>

/* A descriptor of a regular file, opened for reading, and its size; -EISDIR, -EFBIG (over 1 GiB),
 * or what openat and fstat say. The caller closes it. */
int net_file_open(const char *name, uint32_t *size);
/* A descriptor of a new file, opened for writing; -EEXIST when there is one. */
int net_file_create(const char *name);
/* Bytes moved, or a negative errno. */
long net_file_read(int fd, void *buf, size_t len);
long net_file_write(int fd, const void *buf, size_t len);
void net_file_close(int fd);

#endif
