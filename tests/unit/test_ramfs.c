/*
 * The file system in memory: the path walk, files from an archive that tar made, reading and
 * writing against a model.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86_64/arch.h"
#include "kernel/ramfs.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/ustar_build.h"
#include "user/vm/kernel_host.h"

static uint8_t archive[1 << 16];

static void set_up(void)
{
    size_t end = 0;

    ramfs_init();
    end = ustar_put(archive, end, "./", '5', NULL, 0);
    end = ustar_put(archive, end, "./hello.txt", '0', "hello", 5);
    end = ustar_put(archive, end, "www/css/style.css", '0', "body", 4);
    end = ustar_put(archive, end, "www/", '5', NULL, 0);
    end = ustar_put(archive, end, "empty", '0', NULL, 0);
    cr_assert_eq(ramfs_add_ustar(archive, end), 0);
}

TestSuite(ramfs, .init = set_up, .fini = leakcheck);

static struct ramfs_node *lookup(const char *path)
{
    struct ramfs_node *node = NULL;

    cr_assert_eq(ramfs_lookup(NULL, path, &node), 0, "%s", path);
    ramfs_put(node);
    return node;
}

static int lookup_error(const char *path)
{
    struct ramfs_node *node;
    return ramfs_lookup(NULL, path, &node);
}

static struct ramfs_node *create(const char *path)
{
    struct ramfs_node *node = NULL;

    cr_assert_eq(ramfs_create(NULL, path, 0644, true, &node), 0, "%s", path);
    ramfs_put(node);
    return node;
}

static uint64_t file_size(const struct ramfs_node *node)
{
    struct ramfs_stat stat;
    ramfs_stat(node, &stat);
    return stat.size;
}

Test(ramfs, paths_lead_to_nodes)
{
    struct ramfs_node *www = lookup("/www"), *css = lookup("/www/css"), *node;

    cr_assert(ramfs_is_directory(www));
    cr_assert_eq(lookup("www//css/"), css);
    cr_assert_eq(lookup("/www/./css/../../www/css/."), css);
    cr_assert_eq(lookup("/../../www"), www);
    cr_assert_eq(lookup("/"), lookup("/www/.."));
    cr_assert_not(ramfs_is_directory(lookup("/www/css/style.css")));
    cr_assert_eq(ramfs_lookup(www, "css", &node), 0);
    cr_assert_eq(node, css);
    cr_assert_eq(ramfs_lookup(css, "/www", &node), 0);
    cr_assert_eq(node, www);
    cr_assert_eq(ramfs_lookup(css, "..", &node), 0);
    cr_assert_eq(node, www);
}

Test(ramfs, paths_that_lead_nowhere)
{
    char *long_path = malloc(5000);

    cr_assert_eq(lookup_error(""), -ENOENT);
    cr_assert_eq(lookup_error("/absent"), -ENOENT);
    cr_assert_eq(lookup_error("/absent/x"), -ENOENT);
    cr_assert_eq(lookup_error("/hello.txt/"), -ENOTDIR);
    cr_assert_eq(lookup_error("/hello.txt/x"), -ENOTDIR);
    cr_assert_eq(lookup_error("/hello.txt/.."), -ENOTDIR);
    memset(long_path, 'x', 4999);
    long_path[4999] = 0;
    cr_assert_eq(lookup_error(long_path), -ENAMETOOLONG);
    long_path[256] = 0;
    cr_assert_eq(lookup_error(long_path), -ENAMETOOLONG, "a component of 256 bytes");
    long_path[255] = 0;
    cr_assert_eq(lookup_error(long_path), -ENOENT, "a component of 255 bytes");
    free(long_path);
}

Test(ramfs, stat_tells_what_the_archive_said)
{
    struct ramfs_stat stat;

    ramfs_stat(lookup("/hello.txt"), &stat);
    cr_assert_eq(stat.mode, (uint32_t)(S_IFREG | 0644));
    cr_assert_eq(stat.size, 5);
    cr_assert_eq(stat.nlink, 1);
    cr_assert_eq(stat.mtime_ns, 1000000000ull * 1000000000ull);
    ramfs_stat(lookup("/www"), &stat);
    cr_assert_eq(stat.mode, (uint32_t)(S_IFDIR | 0755));
    cr_assert_eq(stat.nlink, 3);
}

Test(ramfs, reading_is_cut_at_the_end)
{
    struct ramfs_node *node = lookup("/hello.txt");
    char buf[8] = "zzzzzzz";

    cr_assert_eq(ramfs_read(node, 0, buf, sizeof(buf)), 5);
    cr_assert_arr_eq(buf, "hellozz", 8);
    cr_assert_eq(ramfs_read(node, 3, buf, 1), 1);
    cr_assert_eq(buf[0], 'l');
    cr_assert_eq(ramfs_read(node, 5, buf, 1), 0);
    cr_assert_eq(ramfs_read(node, UINT64_MAX, buf, 8), 0);
    cr_assert_eq(ramfs_read(lookup("/empty"), 0, buf, 8), 0);
    cr_assert_eq(ramfs_read(lookup("/www"), 0, buf, 8), -EISDIR);
}

Test(ramfs, writing_copies_a_file_of_the_archive)
{
    struct ramfs_node *node = lookup("/hello.txt");
    static uint8_t before[sizeof(archive)];
    char buf[8];

    memcpy(before, archive, sizeof(archive));
    cr_assert_eq(ramfs_write(node, 4, "!?", 2), 2);
    cr_assert_eq(ramfs_read(node, 0, buf, sizeof(buf)), 6);
    cr_assert_arr_eq(buf, "hell!?", 6);
    cr_assert_arr_eq(archive, before, sizeof(archive), "the archive itself does not change");
}

Test(ramfs, truncation_of_a_borrowed_file_and_growth_again_gives_zeros)
{
    struct ramfs_node *node = lookup("/hello.txt");
    char buf[8];

    cr_assert_eq(ramfs_truncate(node, 2), 0);
    cr_assert_eq(ramfs_truncate(node, 4), 0);
    cr_assert_eq(ramfs_read(node, 0, buf, sizeof(buf)), 4);
    cr_assert_arr_eq(buf, "he\0\0", 4);
    cr_assert_eq(ramfs_truncate(node, 0), 0);
    cr_assert_eq(file_size(node), 0);
    cr_assert_eq(ramfs_truncate(lookup("/www"), 0), -EISDIR);
    cr_assert_eq(ramfs_truncate(node, RAMFS_FILE_MAX + 1ull), -EFBIG);
}

Test(ramfs, create_makes_or_takes)
{
    struct ramfs_node *made = create("/www/new"), *again = NULL;
    struct ramfs_stat stat;

    ramfs_stat(made, &stat);
    cr_assert_eq(stat.mode, (uint32_t)(S_IFREG | 0644));
    cr_assert_eq(stat.size, 0);
    cr_assert_eq(lookup("/www/new"), made);
    cr_assert_eq(ramfs_create(NULL, "/www/new", 0600, false, &again), 0);
    cr_assert_eq(again, made);
    ramfs_put(again);
    cr_assert_eq(ramfs_create(NULL, "/www/new", 0600, true, &again), -EEXIST);
    cr_assert_eq(ramfs_create(NULL, "/www", 0600, true, &again), -EEXIST);
    cr_assert_eq(ramfs_create(NULL, "/www", 0600, false, &again), -EISDIR);
    cr_assert_eq(ramfs_create(NULL, "/www/x/", 0600, false, &again), -EISDIR);
    cr_assert_eq(ramfs_create(NULL, "/www/..", 0600, false, &again), -EISDIR);
    cr_assert_eq(ramfs_create(NULL, "/absent/x", 0600, false, &again), -ENOENT);
    cr_assert_eq(ramfs_create(NULL, "/hello.txt/x", 0600, false, &again), -ENOTDIR);
    cr_assert_eq(ramfs_create(NULL, "", 0600, false, &again), -ENOENT);
    cr_assert_eq(ramfs_create(lookup("/www"), "rel", 0600, false, &again), 0);
    cr_assert_eq(lookup("/www/rel"), again);
}

Test(ramfs, random_reads_and_writes_match_a_model)
{
    enum { MAX = 5000 };
    static uint8_t model[MAX], buf[MAX];
    struct ramfs_node *node = create("/random");
    size_t size = 0;

    srand(3);
    for (unsigned step = 0; step < 5000; step++) {
        size_t offset = (unsigned)rand() % (MAX - 1), len = (unsigned)rand() % 300;
        if (len > MAX - offset)
            len = MAX - offset;
        switch (rand() % 8) {
        case 0:
            cr_assert_eq(ramfs_truncate(node, offset), 0);
            if (offset < size)
                memset(model + offset, 0, size - offset);
            size = offset;
            break;
        case 1:
        case 2:
        case 3:
            memset(buf, (int)step, len);
            cr_assert_eq(ramfs_write(node, offset, buf, len), (int64_t)len);
            memcpy(model + offset, buf, len);
            if (len && offset + len > size)
                size = offset + len;
            break;
        default: {
            size_t expected = offset >= size ? 0 : len < size - offset ? len : size - offset;
            cr_assert_eq(ramfs_read(node, offset, buf, len), (int64_t)expected);
            cr_assert_arr_eq(buf, model + offset, expected);
        }
        }
        cr_assert_eq(file_size(node), size);
    }
}

Test(ramfs, an_emptied_file_can_be_written_again)
{
    struct ramfs_node *node = create("/again");
    char buf[4];

    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(ramfs_write(node, 2, "ab", 2), 2);
        cr_assert_eq(ramfs_read(node, 0, buf, 4), 4);
        cr_assert_arr_eq(buf, "\0\0ab", 4);
        cr_assert_eq(ramfs_truncate(node, 0), 0);
        cr_assert_eq(ramfs_read(node, 0, buf, 4), 0);
    }
}

Test(ramfs, append_writes_at_the_end)
{
    struct ramfs_node *node = create("/log");
    uint64_t end;

    cr_assert_eq(ramfs_append(node, "abc", 3, &end), 3);
    cr_assert_eq(ramfs_append(node, "de", 2, &end), 2);
    cr_assert_eq(end, 5);
    cr_assert_eq(ramfs_append(lookup("/www"), "x", 1, &end), -EISDIR);
}

Test(ramfs, limits)
{
    struct ramfs_node *node = create("/big");

    cr_assert_eq(ramfs_write(node, RAMFS_FILE_MAX, "x", 1), -EFBIG);
    cr_assert_eq(ramfs_write(node, UINT64_MAX, "x", 1), -EFBIG);
    cr_assert_eq(ramfs_write(node, UINT64_MAX, "x", 0), 0);
    cr_assert_eq(file_size(node), 0);
    cr_assert_eq(ramfs_write(node, RAMFS_FILE_MAX - 1, "xy", 2), 1, "cut at the limit");
    cr_assert_eq(ramfs_truncate(node, 0), 0);
}

Test(ramfs, out_of_memory_changes_nothing)
{
    struct ramfs_node *node = lookup("/hello.txt"), *out;
    char buf[5];

    host_heap_fail_in = 1;
    cr_assert_eq(ramfs_write(node, 0, "x", 1), -ENOMEM);
    host_heap_fail_in = 1;
    cr_assert_eq(ramfs_create(NULL, "/new", 0644, false, &out), -ENOMEM);
    cr_assert_eq(lookup_error("/new"), -ENOENT);
    cr_assert_eq(ramfs_read(node, 0, buf, 5), 5);
    cr_assert_arr_eq(buf, "hello", 5);
    size_t end = ustar_put(archive, 0, "d1/d2/file", '0', "x", 1);
    for (unsigned i = 1; i < 4; i++) {
        host_heap_fail_in = 1; /* one node more is made each time */
        cr_assert_eq(ramfs_add_ustar(archive, end), -ENOMEM);
        host_heap_fail_in = 2;
        cr_assert_eq(ramfs_add_ustar(archive, end), i < 3 ? -ENOMEM : 0);
    }
    host_heap_fail_in = 0;
    cr_assert_eq(file_size(lookup("/d1/d2/file")), 1);
}

Test(ramfs, a_damaged_archive_keeps_what_came_before)
{
    static uint8_t bad[8 * USTAR_BLOCK];
    size_t end = ustar_put(bad, 0, "good", '0', "1", 1);

    end = ustar_put(bad, end, "worse", '0', "2", 1);
    bad[2 * USTAR_BLOCK] ^= 1;
    cr_assert_eq(ramfs_add_ustar(bad, end), -EINVAL);
    cr_assert(strstr(host_console_take(), "damaged at byte 1024"));
    cr_assert_eq(file_size(lookup("/good")), 1);
    cr_assert_eq(lookup_error("/worse"), -ENOENT);
}

Test(ramfs, entries_that_cannot_be_are_left_out)
{
    static uint8_t odd[16 * USTAR_BLOCK];
    size_t end = ustar_put(odd, 0, "hello.txt/below", '0', "1", 1);

    end = ustar_put(odd, end, "link", '2', NULL, 0);
    end = ustar_put(odd, end, "www", '0', "1", 1);
    end = ustar_put(odd, end, "..", '0', "1", 1);
    end = ustar_put(odd, end, "../up", '0', "12", 2);
    cr_assert_eq(ramfs_add_ustar(odd, end), 0);
    cr_assert_eq(lookup_error("/link"), -ENOENT);
    cr_assert(ramfs_is_directory(lookup("/www")));
    cr_assert_eq(file_size(lookup("/up")), 2, "the root is its own parent");
}

/* What the build makes its initrd with. */
Test(ramfs, reads_what_tar_writes)
{
    char dir[] = "/tmp/skep-ramfs-XXXXXX", command[256];
    static uint8_t tar[1 << 16];

    cr_assert_not_null(mkdtemp(dir));
    snprintf(command, sizeof(command),
             "cd %s && mkdir -p sub/deep && seq 1000 >sub/deep/numbers && : >none && "
             "tar --format=ustar -cf - .",
             dir);
    FILE *pipe = popen(command, "r");
    size_t size = fread(tar, 1, sizeof(tar), pipe);
    cr_assert_eq(pclose(pipe), 0);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(ramfs_add_ustar(tar, size), 0);
    cr_assert_eq(file_size(lookup("/sub/deep/numbers")), 3893);
    cr_assert_eq(file_size(lookup("/none")), 0);
}
