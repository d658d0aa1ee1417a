/*
 * Reads a ustar archive (POSIX.1-2017, pax, "ustar Interchange Format") in memory.
 */
#ifndef SKEP_KERNEL_USTAR_H
#define SKEP_KERNEL_USTAR_H

#include <stddef.h>
#include <stdint.h>

#define USTAR_PATH_SIZE 257 /* prefix (155), '/', name (100), terminator */

enum ustar_type { USTAR_FILE, USTAR_DIRECTORY, USTAR_OTHER };

struct ustar_entry {
    char path[USTAR_PATH_SIZE];
    enum ustar_type type;
    uint32_t mode;    /* permission bits */
    uint64_t mtime;   /* seconds since 1970 */
    const void *data; /* in the archive */
    size_t size;      /* 0 unless USTAR_FILE */
};

/* The entry at *offset, which is advanced behind it (start with 0). 1, 0 at the end of the
 * archive, or -EINVAL when it is damaged there. */
int ustar_next(const void *archive, size_t size, size_t *offset, struct ustar_entry *out);

#endif
