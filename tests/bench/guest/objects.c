/*
 * Ten thousand maps and ten thousand programs in one session: made, walked by id, closed; the time
 * for each thousand, which should not rise, and the guest's memory before, with and after them.
 * Started by objects.py with a guest's address.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <linux/bpf.h>

#include "ebpf/commands.h"
#include "user/lib/skep.h"

#define OBJECTS 10000u
#define STEP    2000u

static struct skep *skep;
static long handles[OBJECTS];

static double milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static long command(uint32_t cmd, union bpf_attr attr, uint32_t *next_id)
{
    long result = skep_command(skep, cmd, &attr, sizeof(attr));

    if (next_id)
        *next_id = attr.next_id;
    return result;
}

static long make_map(unsigned n, uint32_t *id)
{
    (void)n, (void)id;
    return command(
        BPF_MAP_CREATE,
        (union bpf_attr){
            .map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 4},
        NULL);
}

static long make_program(unsigned n, uint32_t *id)
{
    const struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
                                     {.code = BPF_JMP | BPF_EXIT}};

    (void)n, (void)id;
    return command(BPF_PROG_LOAD,
                   (union bpf_attr){.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                                    .insn_cnt = 2,
                                    .insns = (uintptr_t)insns,
                                    .license = (uintptr_t) "GPL"},
                   NULL);
}

static long next_map(unsigned n, uint32_t *id)
{
    (void)n;
    return command(BPF_MAP_GET_NEXT_ID, (union bpf_attr){.start_id = *id}, id);
}

static long next_program(unsigned n, uint32_t *id)
{
    (void)n;
    return command(BPF_PROG_GET_NEXT_ID, (union bpf_attr){.start_id = *id}, id);
}

static long close_object(unsigned n, uint32_t *id)
{
    struct skep_close_attr attr = {.handle = (uint32_t)handles[n]};

    (void)id;
    return skep_command(skep, SKEP_CLOSE, &attr, sizeof(attr));
}

/* OBJECTS times; prints what STEP of them took, per command. 0, or 1 and a sentence. */
static int repeat(const char *what, long (*step)(unsigned n, uint32_t *id))
{
    double from = milliseconds();
    uint32_t id = 0;

    printf("  %-8s", what);
    for (unsigned n = 0; n < OBJECTS; n++) {
        long result = step(n, &id);

        if (result < 0) {
            printf("\n%s: number %u: %s\n", what, n, strerror((int)-result));
            return 1;
        }
        if (step == make_map || step == make_program)
            handles[n] = result;
        if (n % STEP == STEP - 1) {
            printf("  %6.1f", (milliseconds() - from) * 1e3 / STEP);
            from = milliseconds();
        }
    }
    printf("\n");
    return 0;
}

static void print_memory(const char *when)
{
    struct skep_sys_info_attr info = {0};

    if (skep_command(skep, SKEP_SYS_INFO, &info, sizeof(info)) == 0)
        printf("  %-8s  %llu KiB free, heap %llu KiB, %u maps, %u programs\n", when,
               (unsigned long long)info.memory_free >> 10,
               (unsigned long long)info.heap_bytes >> 10, info.maps, info.progs);
}

static int measure(long (*make)(unsigned, uint32_t *), long (*next)(unsigned, uint32_t *))
{
    int failed;

    print_memory("before");
    failed = repeat("make", make) || repeat("walk", next);
    print_memory("with");
    failed = failed || repeat("close", close_object);
    print_memory("after");
    return failed;
}

int main(int argc, char **argv)
{
    struct skep_options options = {.target = argc > 1 ? argv[1] : NULL};
    char error[400];
    int failed;

    skep = skep_open(&options, error, sizeof(error));
    if (!skep) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    printf("%u maps: microseconds a command, for each %u of them\n", OBJECTS, STEP);
    failed = measure(make_map, next_map);
    if (!failed) {
        printf("%u programs\n", OBJECTS);
        failed = measure(make_program, next_program);
    }
    skep_close(skep);
    return failed;
}
