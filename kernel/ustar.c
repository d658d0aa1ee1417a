/*
 * The ustar reader, for the initrd. Trusts nothing in the archive. Called by ramfs.c. Does not
 * know the extensions of pax and GNU tar; their extra headers come out as USTAR_OTHER.
 */
#include "kernel/ustar.h"

#include <stdbool.h>

#include <linux/errno.h>

#include "kernel/string.h"

#define BLOCK 512u

struct ustar_header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link_name[100];
    char magic[6]; /* "ustar", terminated; GNU's old format has a space */
    char version[2];
    char user[32];
    char group[32];
    char device_major[8];
    char device_minor[8];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct ustar_header) == BLOCK, "a header is one block");

/* An octal field: leading spaces, digits, then a space or NUL or the end. */
static bool parse_octal(const char *field, size_t len, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;

    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    *out = value;
    return i == len || field[i] == ' ' || field[i] == 0;
}

static bool is_zero(const void *block)
{
    const uint8_t *bytes = block;

    for (unsigned i = 0; i < BLOCK; i++)
        if (bytes[i])
            return false;
    return true;
}

/* The sum of all bytes, the checksum field itself taken as spaces. */
static bool checksum_matches(const struct ustar_header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    const size_t field = offsetof(struct ustar_header, checksum);
    uint64_t stored, sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= field && i < field + sizeof(header->checksum) ? ' ' : bytes[i];
    return parse_octal(header->checksum, sizeof(header->checksum), &stored) && stored == sum;
}

static void copy_path(const struct ustar_header *header, char path[USTAR_PATH_SIZE])
{
    size_t prefix = strnlen(header->prefix, sizeof(header->prefix));
    size_t name = strnlen(header->name, sizeof(header->name));

    memcpy(path, header->prefix, prefix);
    if (prefix)
        path[prefix++] = '/';
    memcpy(path + prefix, header->name, name);
    path[prefix + name] = 0;
}

/* Reads the entry at *offset and moves that behind it. 1; 0 at the end; -EINVAL when the header
 * or the size is damaged. out->data points into the archive. Any context. */
int ustar_next(const void *archive, size_t size, size_t *offset, struct ustar_entry *out)
{
    const struct ustar_header *header;
    uint64_t data_size, mode;

    if (*offset >= size) /* some writers leave out the zero blocks */
        return 0;
    if (size - *offset < BLOCK)
        return -EINVAL;
    header = (const struct ustar_header *)((const uint8_t *)archive + *offset);
    if (is_zero(header))
        return 0;
    if (memcmp(header->magic, "ustar", 5) != 0 || !checksum_matches(header) ||
        !parse_octal(header->size, sizeof(header->size), &data_size) ||
        !parse_octal(header->mode, sizeof(header->mode), &mode) ||
        !parse_octal(header->mtime, sizeof(header->mtime), &out->mtime))
        return -EINVAL;
    size_t left = size - *offset - BLOCK;
    if (data_size > left)
        return -EINVAL;
    copy_path(header, out->path);
    out->type = header->type == '0' || header->type == 0 ? USTAR_FILE
                : header->type == '5'                    ? USTAR_DIRECTORY
                                                         : USTAR_OTHER;
    out->mode = mode & 07777;
    out->data = header + 1;
    out->size = out->type == USTAR_FILE ? data_size : 0;
    uint64_t padded = (data_size + BLOCK - 1) / BLOCK * BLOCK;
    *offset += BLOCK + (padded < left ? padded : left);
    return 1;
}
