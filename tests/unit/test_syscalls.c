/*
 * The system calls as an application makes them, through user/app/skep_app.h: results and errors as
 * Linux's manual pages (2) say, and the events of each call.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/leakcheck.h"
#include "tests/unit/ustar_build.h"

/* Linux's headers after the C library's: skep_app.h has what both define from the former. */
#define stat       linux_stat
#define itimerspec linux_itimerspec
#define timeval    linux_timeval
#define itimerval  linux_itimerval
#define timezone   linux_timezone
#include "user/app/skep_app.h"

#include "arch/x86_64/arch.h"
#include "kernel/file.h"
#include "kernel/ramfs.h"
#include "kernel/random.h"
#include "kernel/syscall_define.h"
#include "kernel/thread.h"
#include "user/vm/kernel_host.h"

/* ---- what kernel/thread.c and kernel/trace_syscalls.c would do ------------------------------- */

static uint64_t slept_ns;

void thread_sleep_ns(uint64_t ns)
{
    slept_ns = ns;
}

uint64_t thread_runtime_ns(const struct thread *thread)
{
    (void)thread;
    return 1500000002;
}

_Noreturn void thread_exit(void)
{
    exit(77);
}

static struct {
    struct tracepoint *tp;
    int nr;
    uint64_t args[6];
    long ret;
} entered, left;

void trace_syscall_enter(struct tracepoint *tp, int nr, const uint64_t *args)
{
    entered.tp = tp;
    entered.nr = nr;
    memcpy(entered.args, args, 8 * (tp->nr_fields - 1u));
}

void trace_syscall_exit(struct tracepoint *tp, int nr, long ret)
{
    left.tp = tp;
    left.nr = nr;
    left.ret = ret;
}

int trace_print_syscall_enter(const struct tracepoint *tp, const void *record, char *buf,
                              size_t size)
{
    (void)record;
    return format_text(buf, size, "%s", tp->name);
}

int trace_print_syscall_exit(const struct tracepoint *tp, const void *record, char *buf,
                             size_t size)
{
    return trace_print_syscall_enter(tp, record, buf, size);
}

/* ---- set-up --------------------------------------------------------------------------------- */

static uint8_t archive[1 << 14];
static void *const null_page = (void *)8;

static void set_up(void)
{
    size_t end = 0;

    host_time_set(0);
    ramfs_init();
    end = ustar_put(archive, end, "hello.txt", '0', "hello", 5);
    end = ustar_put(archive, end, "dir/inside", '0', "inside", 6);
    cr_assert_eq(ramfs_add_ustar(archive, end), 0);
    host_console_take();
}

/* Every test closes what it opens, so that the leak check sees files that were not freed. */
static void tear_down(void)
{
    cr_assert(preempt_enabled());
    cr_assert(arch_irq_enabled());
    leakcheck();
}

TestSuite(syscalls, .init = set_up, .fini = tear_down);

/* ---- openat, close -------------------------------------------------------------------------- */

static int open_error(const char *path, int flags)
{
    int fd = app_open(path, flags, 0644);
    if (fd >= 0)
        app_close(fd);
    return fd < 0 ? fd : 0;
}

Test(syscalls, openat_finds_makes_and_refuses)
{
    static const struct {
        const char *path;
        int flags, result;
    } cases[] = {
        {"/hello.txt", O_RDONLY, 0},
        {"hello.txt", O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0},
        {"/dir", O_RDONLY, 0},
        {"/dir", O_RDONLY | O_DIRECTORY, 0},
        {"/dir", O_WRONLY, -EISDIR},
        {"/dir", O_RDWR, -EISDIR},
        {"/dir", O_RDONLY | O_CREAT, -EISDIR},
        {"/dir", O_RDONLY | O_TRUNC, -EISDIR},
        {"/hello.txt", O_RDONLY | O_DIRECTORY, -ENOTDIR},
        {"/hello.txt/", O_RDONLY, -ENOTDIR},
        {"/hello.txt/x", O_RDONLY, -ENOTDIR},
        {"/absent", O_RDONLY, -ENOENT},
        {"", O_RDONLY, -ENOENT},
        {"/absent/x", O_WRONLY | O_CREAT, -ENOENT},
        {"/hello.txt", O_WRONLY | O_CREAT | O_EXCL, -EEXIST},
        {"/hello.txt", O_WRONLY | O_CREAT, 0},
        {"/made", O_WRONLY | O_CREAT | O_EXCL, 0},
        {"/made", O_WRONLY | O_CREAT | O_EXCL, -EEXIST},
        {"/made2", O_WRONLY | O_CREAT | O_DIRECTORY, -EINVAL},
        {"/dir", O_RDWR | O_TMPFILE, -EOPNOTSUPP},
        {"/dir", O_PATH, -EOPNOTSUPP},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        cr_assert_eq(open_error(cases[i].path, cases[i].flags), cases[i].result,
                     "case %u: %s with 0%o: %d", i, cases[i].path, (unsigned)cases[i].flags,
                     open_error(cases[i].path, cases[i].flags));
}

Test(syscalls, openat_checks_the_path_pointer_and_its_length)
{
    static char path[5000];

    cr_assert_eq(app_open(NULL, O_RDONLY, 0), -EFAULT);
    cr_assert_eq(app_open(null_page, O_RDONLY, 0), -EFAULT);
    memset(path, '/', sizeof(path) - 1);
    cr_assert_eq(app_open(path, O_RDONLY, 0), -ENAMETOOLONG);
    path[4095] = 0;
    cr_assert_eq(open_error(path, O_RDONLY), 0, "4,095 slashes are the root");
}

/* A path may lie right before memory that is not there. */
Test(syscalls, openat_reads_no_further_than_the_terminator)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    munmap(pages + 4096, 4096);
    strcpy(pages + 4096 - 11, "/hello.txt");
    cr_assert_eq(open_error(pages + 4096 - 11, O_RDONLY), 0);
    pages[4095] = 'x';
    cr_assert_eq(open_error(pages + 4096 - 11, O_RDONLY), -EFAULT);
    munmap(pages, 4096);
}

Test(syscalls, openat_starts_at_its_directory)
{
    int dir = app_open("/dir", O_RDONLY | O_DIRECTORY, 0), file = app_open("/hello.txt", 0, 0);
    int fd = app_openat(dir, "inside", O_RDONLY, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(app_close(fd), 0);
    fd = app_openat(dir, "../hello.txt", O_RDONLY, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(app_close(fd), 0);
    cr_assert_eq(app_openat(dir, "hello.txt", O_RDONLY, 0), -ENOENT);
    cr_assert_eq(app_openat(file, "x", O_RDONLY, 0), -ENOTDIR);
    cr_assert_eq(app_openat(1, "x", O_RDONLY, 0), -ENOTDIR, "the console is no directory");
    cr_assert_eq(app_openat(99, "x", O_RDONLY, 0), -EBADF);
    cr_assert_eq(app_openat(-5, "x", O_RDONLY, 0), -EBADF);
    fd = app_openat(-5, "/hello.txt", O_RDONLY, 0);
    cr_assert_geq(fd, 0, "an absolute path needs no directory");
    cr_assert_eq(app_close(fd), 0);
    cr_assert_eq(app_close(dir), 0);
    cr_assert_eq(app_close(file), 0);
}

Test(syscalls, descriptors_are_the_lowest_free_and_can_run_out)
{
    int fds[FILE_MAX_DESCRIPTORS];
    int count = 0, fd;

    while ((fd = app_open("/hello.txt", O_RDONLY, 0)) >= 0)
        fds[count++] = fd;
    cr_assert_eq(fd, -EMFILE);
    cr_assert_eq(count, FILE_MAX_DESCRIPTORS - 3);
    for (int i = 0; i < count; i++)
        cr_assert_eq(fds[i], i + 3);
    cr_assert_eq(app_close(7), 0);
    cr_assert_eq(app_close(7), -EBADF);
    cr_assert_eq(app_open("/hello.txt", O_RDONLY, 0), 7);
    for (int i = 0; i < count; i++)
        cr_assert_eq(app_close(fds[i]), 0);
    cr_assert_eq(app_close(-1), -EBADF);
    cr_assert_eq(app_close(FILE_MAX_DESCRIPTORS), -EBADF);
}

Test(syscalls, out_of_memory_is_an_error)
{
    for (unsigned n = 1; n <= 3; n++) {
        host_heap_fail_in = n; /* the path, the node, the open file */
        cr_assert_eq(app_open("/new", O_WRONLY | O_CREAT, 0644), -ENOMEM, "allocation %u", n);
    }
    host_heap_fail_in = 0;
}

/* ---- read, write, lseek ---------------------------------------------------------------------- */

Test(syscalls, what_is_written_can_be_read)
{
    char buf[16];
    int fd = app_open("/new", O_RDWR | O_CREAT, 0644);

    cr_assert_eq(app_write(fd, "abcdef", 6), 6);
    cr_assert_eq(app_read(fd, buf, 6), 0, "the offset is at the end");
    cr_assert_eq(app_lseek(fd, 2, SEEK_SET), 2);
    cr_assert_eq(app_read(fd, buf, 3), 3);
    cr_assert_arr_eq(buf, "cde", 3);
    cr_assert_eq(app_read(fd, buf, 16), 1);
    cr_assert_eq(app_close(fd), 0);
    fd = app_open("/new", O_WRONLY | O_APPEND, 0);
    cr_assert_eq(app_write(fd, "gh", 2), 2);
    cr_assert_eq(app_lseek(fd, 0, SEEK_CUR), 8);
    cr_assert_eq(app_close(fd), 0);
    fd = app_open("/new", O_RDWR | O_TRUNC, 0);
    cr_assert_eq(app_read(fd, buf, 16), 0);
    cr_assert_eq(app_close(fd), 0);
}

Test(syscalls, large_transfers_go_through_whole)
{
    enum { SIZE = 300000 };
    uint8_t *out = malloc(SIZE), *in = malloc(SIZE);
    int fd = app_open("/large", O_RDWR | O_CREAT, 0644);

    for (unsigned i = 0; i < SIZE; i++)
        out[i] = (uint8_t)(i * 31 >> 3);
    cr_assert_eq(app_write(fd, out, SIZE), SIZE);
    cr_assert_eq(app_lseek(fd, 0, SEEK_SET), 0);
    cr_assert_eq(app_read(fd, in, SIZE), SIZE);
    cr_assert_arr_eq(in, out, SIZE);
    cr_assert_eq(app_close(fd), 0);
    free(out);
    free(in);
}

Test(syscalls, the_access_mode_is_kept)
{
    char buf[4];
    int reader = app_open("/hello.txt", O_RDONLY, 0), writer = app_open("/hello.txt", O_WRONLY, 0);
    int neither = app_open("/hello.txt", O_ACCMODE, 0), dir = app_open("/dir", O_RDONLY, 0);

    cr_assert_eq(app_write(reader, "x", 1), -EBADF);
    cr_assert_eq(app_read(writer, buf, 1), -EBADF);
    cr_assert_eq(app_read(neither, buf, 1), -EBADF);
    cr_assert_eq(app_write(neither, "x", 1), -EBADF);
    cr_assert_eq(app_read(dir, buf, 1), -EISDIR);
    cr_assert_eq(app_read(99, buf, 1), -EBADF);
    cr_assert_eq(app_write(-1, buf, 1), -EBADF);
    app_close(reader);
    app_close(writer);
    app_close(neither);
    app_close(dir);
}

Test(syscalls, bad_buffers_are_efault)
{
    char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = app_open("/hello.txt", O_RDWR, 0);

    mprotect(page + 4096, 4096, PROT_READ);
    munmap(page + 8192, 4096);
    cr_assert_eq(app_read(fd, NULL, 1), -EFAULT);
    cr_assert_eq(app_write(fd, null_page, 1), -EFAULT);
    cr_assert_eq(app_read(fd, page + 4096, 1), -EFAULT, "memory that may only be read");
    cr_assert_eq(app_read(fd, page + 4090, 7), -EFAULT, "good up to its last byte");
    cr_assert_eq(app_read(fd, (void *)(UINTPTR_MAX - 3), 8), -EFAULT, "around the end");
    cr_assert_eq(app_write(fd, page + 8190, 3), -EFAULT);
    cr_assert_eq(app_read(fd, NULL, 0), 0);
    cr_assert_eq(app_write(fd, NULL, 0), 0);
    cr_assert_eq(app_lseek(fd, 0, SEEK_CUR), 0, "nothing was moved");
    app_close(fd);
    munmap(page, 8192);
}

Test(syscalls, lseek_goes_where_whence_says)
{
    int fd = app_open("/hello.txt", O_RDONLY, 0);

    cr_assert_eq(app_lseek(fd, 3, SEEK_SET), 3);
    cr_assert_eq(app_lseek(fd, -2, SEEK_CUR), 1);
    cr_assert_eq(app_lseek(fd, -1, SEEK_END), 4);
    cr_assert_eq(app_lseek(fd, 100, SEEK_END), 105, "past the end is fine");
    cr_assert_eq(app_lseek(fd, -1, SEEK_SET), -EINVAL);
    cr_assert_eq(app_lseek(fd, -200, SEEK_CUR), -EINVAL);
    cr_assert_eq(app_lseek(fd, INT64_MAX, SEEK_CUR), -EOVERFLOW);
    cr_assert_eq(app_lseek(fd, 0, 17), -EINVAL);
    cr_assert_eq(app_lseek(fd, 2, SEEK_DATA), 2);
    cr_assert_eq(app_lseek(fd, 2, SEEK_HOLE), 5);
    cr_assert_eq(app_lseek(fd, 5, SEEK_DATA), -ENXIO);
    cr_assert_eq(app_lseek(99, 0, SEEK_SET), -EBADF);
    app_close(fd);
}

Test(syscalls, a_hole_reads_as_zeros)
{
    char buf[6];
    int fd = app_open("/hole", O_RDWR | O_CREAT, 0644);

    cr_assert_eq(app_lseek(fd, 4, SEEK_SET), 4);
    cr_assert_eq(app_write(fd, "xy", 2), 2);
    cr_assert_eq(app_lseek(fd, 0, SEEK_SET), 0);
    cr_assert_eq(app_read(fd, buf, 6), 6);
    cr_assert_arr_eq(buf, "\0\0\0\0xy", 6);
    app_close(fd);
}

Test(syscalls, the_console_is_behind_0_1_and_2)
{
    char buf[4];
    struct stat stat;

    cr_assert_eq(app_write(1, "out\n", 4), 4);
    cr_assert_eq(app_write(2, "err\n", 4), 4);
    cr_assert_eq(app_printf("%d and %s\n", 1, "two"), 10);
    cr_assert_str_eq(host_console_take(), "out\nerr\n1 and two\n");
    cr_assert_eq(app_read(0, buf, 4), 0);
    cr_assert_eq(app_lseek(1, 0, SEEK_CUR), -ESPIPE);
    cr_assert_eq(app_fstat(1, &stat), 0);
    cr_assert_eq(stat.st_mode, 0020620u, "a character device");
    cr_assert_eq(app_close(1), 0);
    cr_assert_eq(app_write(1, "x", 1), -EBADF);
    cr_assert_eq(app_write(2, "x", 1), 1, "the others stay");
    int fd = app_open("/hello.txt", O_RDONLY, 0);
    cr_assert_eq(fd, 1);
    app_close(fd);
}

Test(syscalls, fstat_describes_the_file)
{
    struct stat stat;
    int fd = app_open("/hello.txt", O_RDONLY, 0), dir = app_open("/dir", O_RDONLY, 0);

    cr_assert_eq(app_fstat(fd, &stat), 0);
    cr_assert_eq(stat.st_mode, 0100644u);
    cr_assert_eq(stat.st_size, 5);
    cr_assert_eq(stat.st_blocks, 1);
    cr_assert_eq(stat.st_nlink, 1);
    cr_assert_eq(stat.st_mtime, 1000000000);
    cr_assert_gt(stat.st_ino, 0);
    cr_assert_eq(app_fstat(dir, &stat), 0);
    cr_assert_eq(stat.st_mode, 0040755u);
    cr_assert_eq(app_fstat(fd, NULL), -EFAULT);
    cr_assert_eq(app_fstat(99, &stat), -EBADF);
    app_close(fd);
    app_close(dir);
}

/* ---- time, process, random ------------------------------------------------------------------- */

Test(syscalls, nanosleep_sleeps_or_refuses)
{
    struct __kernel_timespec time = {2, 500};

    cr_assert_eq(app_nanosleep(&time), 0);
    cr_assert_eq(slept_ns, 2000000500);
    time = (struct __kernel_timespec){INT64_MAX, 0};
    cr_assert_eq(app_nanosleep(&time), 0);
    cr_assert_eq(slept_ns, UINT64_MAX);
    time = (struct __kernel_timespec){0, 1000000000};
    cr_assert_eq(app_nanosleep(&time), -EINVAL);
    time = (struct __kernel_timespec){0, -1};
    cr_assert_eq(app_nanosleep(&time), -EINVAL);
    time = (struct __kernel_timespec){-1, 0};
    cr_assert_eq(app_nanosleep(&time), -EINVAL);
    cr_assert_eq(app_nanosleep(NULL), -EFAULT);
}

Test(syscalls, clock_gettime_reads_each_clock)
{
    struct __kernel_timespec time;

    host_time_set(3000000007);
    cr_assert_eq(app_clock_gettime(CLOCK_MONOTONIC, &time), 0);
    cr_assert_eq(time.tv_sec, 3);
    cr_assert_eq(time.tv_nsec, 7);
    cr_assert_eq(app_clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
    cr_assert_eq(time.tv_sec, 1);
    cr_assert_eq(time.tv_nsec, 500000002);
    cr_assert_eq(app_clock_gettime(CLOCK_REALTIME, &time), 0);
    cr_assert_lt((uint64_t)time.tv_sec - arch_wall_clock_seconds() + 5, 10);
    cr_assert_eq(app_clock_gettime(99, &time), -EINVAL);
    cr_assert_eq(app_clock_gettime(-1, &time), -EINVAL);
    cr_assert_eq(app_clock_gettime(CLOCK_MONOTONIC, NULL), -EFAULT);
}

Test(syscalls, there_is_one_process)
{
    cr_assert_eq(app_getpid(), 1);
}

Test(syscalls, exit_ends_the_thread, .exit_code = 77)
{
    app_exit(3);
}

static unsigned bits(const uint8_t *bytes, size_t len)
{
    unsigned count = 0;
    for (size_t i = 0; i < len; i++)
        count += (unsigned)__builtin_popcount(bytes[i]);
    return count;
}

/* 8,000 fair bits: 4,000 ones, with a deviation of 45. */
static void check_random(void)
{
    uint8_t first[1003], second[1003];

    first[1002] = second[1002] = 0xa5;
    cr_assert_eq(app_getrandom(first, 1000, 0), 1000);
    cr_assert_eq(app_getrandom(second + 1, 1000, GRND_NONBLOCK), 1000);
    cr_assert_eq(first[1002], 0xa5);
    cr_assert_eq(second[1002], 0xa5);
    cr_assert_neq(memcmp(first, second + 1, 1000), 0);
    cr_assert_gt(bits(first, 1000), 3700);
    cr_assert_lt(bits(first, 1000), 4300);
    cr_assert_gt(bits(second + 1, 1000), 3700);
    cr_assert_lt(bits(second + 1, 1000), 4300);
}

Test(syscalls, getrandom_fills_or_refuses)
{
    uint8_t byte;

    check_random();
    cr_assert(random_is_strong());
    cr_assert_eq(app_getrandom(&byte, 0, 0), 0);
    cr_assert_eq(app_getrandom(NULL, 1, 0), -EFAULT);
    cr_assert_eq(app_getrandom(&byte, 1, 0x100), -EINVAL);
    cr_assert_eq(app_getrandom(&byte, 1, GRND_RANDOM | GRND_INSECURE), -EINVAL);
}

Test(syscalls, without_rdrand_the_log_says_once_that_numbers_are_weak)
{
    host_set_rdrand(false);
    cr_assert_not(random_is_strong());
    check_random();
    cr_assert(strstr(host_console_take(), "numbers come from clock jitter and are weak"));
    check_random();
    cr_assert_str_eq(host_console_take(), "");
}

Test(syscalls, without_rdrand_a_seed_makes_numbers_strong)
{
    uint8_t seed[RANDOM_SEED_SIZE] = {1, 2, 3};

    host_set_rdrand(false);
    random_seed(seed);
    cr_assert(random_is_strong());
    check_random();
    random_seed(seed);
    check_random();
    cr_assert_str_eq(host_console_take(), "");
}

/* Two machines whose seeds differ in one bit have nothing in common. */
Test(syscalls, numbers_are_made_of_the_whole_seed)
{
    uint8_t seed[RANDOM_SEED_SIZE] = {0};
    uint64_t first[2];

    host_set_rdrand(false);
    for (unsigned i = 0; i < 2; i++) {
        pid_t child;
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        seed[RANDOM_SEED_SIZE - 1] = (uint8_t)i;
        child = fork();
        if (child == 0) {
            random_seed(seed);
            random_bytes(&first[i], sizeof(first[i]));
            _exit(write(ends[1], &first[i], sizeof(first[i])) != sizeof(first[i]));
        }
        cr_assert_eq(read(ends[0], &first[i], sizeof(first[i])), sizeof(first[i]));
        waitpid(child, NULL, 0);
        close(ends[0]);
        close(ends[1]);
    }
    cr_assert_neq(first[0], first[1]);
}

/* ---- the table and the events ---------------------------------------------------------------- */

Test(syscalls, numbers_not_in_the_table_are_enosys)
{
    cr_assert_eq(app_syscall(__NR_fork, 0, 0, 0, 0), -ENOSYS);
    cr_assert_eq(app_syscall(-1, 0, 0, 0, 0), -ENOSYS);
    cr_assert_eq(app_syscall(100000, 0, 0, 0, 0), -ENOSYS);
}

static const struct syscall_desc *find_call(int nr)
{
    const struct syscall_desc *desc = __start_syscalls;

    while (desc < __stop_syscalls && desc->nr != nr)
        desc++;
    cr_assert_lt(desc, __stop_syscalls, "system call %d", nr);
    return desc;
}

Test(syscalls, every_call_is_in_the_table_once)
{
    static const int numbers[] = {__NR_openat, __NR_read,      __NR_write,        __NR_close,
                                  __NR_lseek,  __NR_fstat,     __NR_nanosleep,    __NR_getpid,
                                  __NR_exit,   __NR_getrandom, __NR_clock_gettime};

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        find_call(numbers[i]);
    cr_assert_eq(__stop_syscalls - __start_syscalls, sizeof(numbers) / sizeof(*numbers));
}

Test(syscalls, events_are_silent_until_enabled_and_then_carry_arguments_and_result)
{
    const struct syscall_desc *desc = find_call(__NR_openat);

    app_open("/absent", O_RDONLY, 0);
    cr_assert_null(entered.tp);
    cr_assert_null(left.tp);
    static_key_set(&desc->enter->key, true);
    static_key_set(&desc->exit->key, true);
    cr_assert_eq(app_openat(-100, "/absent", O_WRONLY, 0600), -ENOENT);
    cr_assert_eq(entered.tp, desc->enter);
    cr_assert_eq(entered.nr, __NR_openat);
    cr_assert_eq((int)entered.args[0], -100);
    cr_assert_str_eq((const char *)(uintptr_t)entered.args[1], "/absent");
    cr_assert_eq(entered.args[2], O_WRONLY);
    cr_assert_eq(entered.args[3], 0600);
    cr_assert_eq(left.tp, desc->exit);
    cr_assert_eq(left.ret, -ENOENT);
    static_key_set(&desc->enter->key, false);
    static_key_set(&desc->exit->key, false);
}
