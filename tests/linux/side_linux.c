/*
 * Linux's side of the comparison: the init process (and the only one, but for bpftool) of a virtual
 * machine. Answers go to the second serial port; the console, on the first, shows the kernel's own
 * messages. Ends by powering the machine off.
 *
 * It must never run anywhere else: it loads programs into the kernel that it runs under. Started as
 * another process than the first, it refuses.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tests/linux/probe.h"

#define TRACING "/sys/kernel/tracing/"

static int answers = -1;

/* ---- the machine ----------------------------------------------------------------------------- */

static _Noreturn void finish(void)
{
    if (answers >= 0)
        tcdrain(answers);
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
    finish();
}

/* exit() would be init's death, a kernel panic: whoever calls it ends here. */
static void at_exit(void)
{
    finish();
}

static void mount_at(const char *type, const char *where)
{
    mkdir(where, 0755);
    if (mount(type, where, type, 0, NULL) && errno != EBUSY)
        die(where);
}

static void start(void)
{
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    struct termios mode;

    mount_at("devtmpfs", "/dev");
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    mount_at("tracefs", "/sys/kernel/tracing");
    mount_at("bpf", "/sys/fs/bpf");
    setrlimit(RLIMIT_MEMLOCK, &unlimited);
    answers = open("/dev/ttyS1", O_WRONLY | O_NOCTTY);
    if (answers < 0 || tcgetattr(answers, &mode))
        die("/dev/ttyS1");
    cfmakeraw(&mode);
    cfsetspeed(&mode, B115200);
    if (tcsetattr(answers, TCSANOW, &mode))
        die("/dev/ttyS1");
}

void side_write(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(answers, text, size);

        if (n < 0)
            die("write to /dev/ttyS1");
        text += n;
        size -= (size_t)n;
    }
}

static size_t read_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY);
    size_t used = 0;
    ssize_t n;

    if (fd < 0)
        return 0;
    while (used < size && (n = read(fd, buf + used, size - used)) > 0)
        used += (size_t)n;
    close(fd);
    return used;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        probe_say("note", path, "error", "%s", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* Each line of a text as an answer of its own, numbered, with its white space kept apart from the
 * columns': a tab becomes "\t". */
static void say_lines(const char *part, const char *id, char *text)
{
    char field[16], line[1024];
    unsigned number = 0;

    for (char *next; text && *text; text = next) {
        size_t used = 0;

        next = strchr(text, '\n');
        if (next)
            *next++ = 0;
        for (const char *p = text; *p && used < sizeof(line) - 3; p++) {
            if (*p == '\t')
                line[used++] = '\\';
            line[used++] = *p == '\t' ? 't' : *p;
        }
        line[used] = 0;
        snprintf(field, sizeof(field), "%04u", number++);
        probe_say(part, id, field, "%s", line);
    }
}

/* ---- what programs print --------------------------------------------------------------------- */

void side_trace_clear(void)
{
    write_file(TRACING "trace", "");
}

size_t side_trace_take(char *buf, size_t size)
{
    return read_file(TRACING "trace", buf, size);
}

/* ---- disassembly ----------------------------------------------------------------------------- */

/* bpftool's words for the loaded program. */
void side_loaded(const char *id, int fd)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    static char text[1 << 20];
    char number[16];
    size_t used = 0;
    int ends[2], status;
    ssize_t n;
    pid_t child;

    if (bpf_obj_get_info_by_fd(fd, &info, &size) || pipe(ends))
        return;
    snprintf(number, sizeof(number), "%u", info.id);
    child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        execl("/bin/bpftool", "bpftool", "prog", "dump", "xlated", "id", number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while (used < sizeof(text) - 1 && (n = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)n;
    close(ends[0]);
    text[used] = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        probe_say("note", id, "bpftool", "exit status %d", WEXITSTATUS(status));
    else
        say_lines("xlated", id, text);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The format text of each event that the file events lists, a line each: SYSTEM:NAME. */
static void say_formats(void)
{
    FILE *list = fopen("/events", "r");
    char line[128], path[256], text[16384];

    if (!list)
        return;
    while (fgets(line, sizeof(line), list)) {
        char *name;

        line[strcspn(line, "\n")] = 0;
        name = strchr(line, ':');
        if (!name)
            continue;
        snprintf(path, sizeof(path), TRACING "events/%.*s/%s/format", (int)(name - line), line,
                 name + 1);
        text[read_file(path, text, sizeof(text) - 1)] = 0;
        if (text[0])
            say_lines("format", line, text);
        else
            probe_say("format", line, "0000", "(no such event)");
    }
    fclose(list);
}

/* The same activity as compare.py causes under Skep: files to open, a path each line. */
static struct activity {
    char paths[64][128];
    unsigned count;
} activity;

static void read_activity(void)
{
    FILE *list = fopen("/activity", "r");
    struct activity *a = &activity;

    if (!list)
        die("/activity");
    while (a->count < 64 && fgets(a->paths[a->count], sizeof(a->paths[0]), list)) {
        a->paths[a->count][strcspn(a->paths[a->count], "\n")] = 0;
        a->count++;
    }
    fclose(list);
}

static void open_files(void)
{
    int fd;

    for (unsigned i = 0; i < activity.count; i++) {
        fd = open(activity.paths[i], O_RDONLY);
        if (fd >= 0)
            close(fd);
    }
}

/* Prints what is in the map of openat.bpf.o: a line for each name. */
static void say_opens(int map)
{
    char key[65] = "", next[64];
    uint64_t value;

    for (char *at = NULL; bpf_map_get_next_key(map, at, next) == 0; at = key) {
        memcpy(key, next, sizeof(next));
        if (bpf_map_lookup_elem(map, key, &value) == 0)
            probe_say("event", "openat", key, "%lu", (unsigned long)value);
    }
}

/* progs/openat.bpf.o at its tracepoint, while files are opened. */
static void probe_openat(void)
{
    struct bpf_object *object = bpf_object__open_file("/objects/openat.bpf.o", NULL);
    struct bpf_program *program = object ? bpf_object__next_program(object, NULL) : NULL;
    struct bpf_link *link = NULL;
    static char text[65536];

    read_activity();
    side_trace_clear();
    if (program && bpf_object__load(object) == 0)
        link = bpf_program__attach(program);
    if (!link) {
        probe_say("note", "openat.bpf.o", "attach", "%s", strerror(errno));
    } else {
        open_files();
        bpf_link__destroy(link);
        say_opens(bpf_object__find_map_fd_by_name(object, "opens"));
        text[side_trace_take(text, sizeof(text) - 1)] = 0;
        say_lines("event", "trace", text);
    }
    bpf_object__close(object);
}

int main(void)
{
    struct utsname name;

    if (getpid() != 1) {
        fputs("This is the init process of a virtual machine, and nothing else.\n", stderr);
        return 2;
    }
    atexit(at_exit);
    start();
    uname(&name);
    probe_say("note", "kernel", "release", "%s", name.release);
    chdir("/");
    probe_data();
    probe_maps("tests/linux/maps.table");
    /* With the JIT on, the loader writes map lookups out in place of the call: what bpftool prints
     * is then no longer the program. */
    write_file("/proc/sys/net/core/bpf_jit_enable", "0");
    probe_objects("objects");
    write_file("/proc/sys/net/core/bpf_jit_enable", "1");
    probe_random();
    say_formats();
    probe_openat();
    probe_say("note", "end", "end", "end");
    finish();
}
