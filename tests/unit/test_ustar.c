/*
 * The ustar reader: what tar writes, and every way of damage.
 */
#include <errno.h>
#include <stdlib.h>

#include "kernel/ustar.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/ustar_build.h"

TestSuite(ustar, .fini = leakcheck);

static uint8_t archive[1 << 16];

Test(ustar, entries_come_in_order_with_their_contents)
{
    struct ustar_entry entry;
    size_t end = 0, offset = 0;

    end = ustar_put(archive, end, "dir/", '5', NULL, 0);
    end = ustar_put(archive, end, "dir/a", '0', "hello", 5);
    end = ustar_put(archive, end, "b", 0, "", 0);
    end = ustar_put(archive, end, "link", '2', NULL, 0);
    end += 2 * USTAR_BLOCK;

    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 1);
    cr_assert_str_eq(entry.path, "dir/");
    cr_assert_eq(entry.type, USTAR_DIRECTORY);
    cr_assert_eq(entry.mode, 0755);
    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 1);
    cr_assert_str_eq(entry.path, "dir/a");
    cr_assert_eq(entry.type, USTAR_FILE);
    cr_assert_eq(entry.size, 5);
    cr_assert_arr_eq(entry.data, "hello", 5);
    cr_assert_eq(entry.mtime, 1000000000);
    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 1);
    cr_assert_str_eq(entry.path, "b");
    cr_assert_eq(entry.type, USTAR_FILE, "type NUL is a file too");
    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 1);
    cr_assert_eq(entry.type, USTAR_OTHER);
    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 0);
}

Test(ustar, names_of_full_length_have_no_terminator)
{
    char name[101], prefix[156], expected[USTAR_PATH_SIZE];
    struct ustar_entry entry;
    size_t offset = 0;

    memset(name, 'n', 100);
    name[100] = 0;
    memset(prefix, 'p', 155);
    prefix[155] = 0;
    size_t end = ustar_put(archive, 0, name, '0', "", 0);
    memcpy(archive + 345, prefix, 155);
    ustar_seal(archive);
    cr_assert_eq(ustar_next(archive, end, &offset, &entry), 1);
    snprintf(expected, sizeof(expected), "%s/%s", prefix, name);
    cr_assert_str_eq(entry.path, expected);
}

/* The archive has its exact size on the heap, so that a read past it is an ASan report. */
static int read_exact(size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    struct ustar_entry entry;
    size_t offset = 0;
    int more;

    memcpy(copy, archive, size);
    while ((more = ustar_next(copy, size, &offset, &entry)) > 0)
        cr_assert_leq(offset, size);
    free(copy);
    return more;
}

Test(ustar, an_archive_cut_anywhere_is_damaged_or_ends_there)
{
    size_t end = ustar_put(archive, 0, "a", '0', "hello", 5);
    end = ustar_put(archive, end, "b", '0', "more", 4);

    for (size_t size = 0; size <= end; size++) {
        /* Good are: nothing; the first file up to its last byte or padded; both likewise. */
        bool first = size >= USTAR_BLOCK + 5 && size <= 2 * USTAR_BLOCK;
        bool second = size >= 3 * USTAR_BLOCK + 4;
        cr_assert_eq(read_exact(size), size == 0 || first || second ? 0 : -EINVAL, "size %zu",
                     size);
    }
}

Test(ustar, a_wrong_byte_in_the_header_is_noticed)
{
    for (unsigned at = 0; at < USTAR_BLOCK; at++) {
        size_t end = ustar_put(archive, 0, "a", '0', "hello", 5);
        archive[at] ^= 1;
        if (at == 155) /* behind the end of the checksum's digits */
            continue;
        cr_assert_eq(read_exact(end), -EINVAL, "byte %u", at);
    }
}

Test(ustar, sizes_beyond_the_archive_and_bad_digits_are_damage)
{
    static const char *const sizes[] = {"00000001001", "77777777777", "0000000000x", "-0000000001"};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        size_t end = ustar_put(archive, 0, "a", '0', "hello", 5);
        memcpy(archive + 124, sizes[i], 11);
        ustar_seal(archive);
        cr_assert_eq(read_exact(end), -EINVAL, "size %s", sizes[i]);
    }
}
