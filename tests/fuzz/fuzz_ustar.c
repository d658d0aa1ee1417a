/*
 * Fuzz target: any bytes as a ustar archive. Checksums are mended in copies, else nothing would get
 * past the first header; entries lie inside of the archive and the reader always goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/ustar.h"

#define BLOCK        512u
#define CHECKSUM     148u /* where it stands in a header */
#define CHECKSUM_LEN 8u

static void walk(const uint8_t *archive, size_t size)
{
    struct ustar_entry entry;
    size_t offset = 0, before = 0;

    while (ustar_next(archive, size, &offset, &entry) == 1) {
        const uint8_t *data = entry.data;

        if (offset <= before || offset > size + BLOCK || strlen(entry.path) >= sizeof(entry.path))
            abort();
        if (entry.size && (data < archive || data > archive + size ||
                           entry.size > (size_t)(archive + size - data)))
            abort();
        before = offset;
    }
}

/* Every block that could be a header gets the checksum that it ought to have. */
static void mend(uint8_t *archive, size_t size)
{
    for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
        unsigned sum = 0;

        if (memcmp(archive + at + 257, "ustar", 5) != 0)
            continue;
        memset(archive + at + CHECKSUM, ' ', CHECKSUM_LEN);
        for (unsigned i = 0; i < BLOCK; i++)
            sum += archive[at + i];
        for (unsigned i = 0; i < 6; i++)
            archive[at + CHECKSUM + i] = (uint8_t)('0' + (sum >> 3 * (5 - i) & 7));
        archive[at + CHECKSUM + 6] = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    memcpy(copy, data, size);
    walk(copy, size);
    mend(copy, size);
    walk(copy, size);
    free(copy);
    return 0;
}
