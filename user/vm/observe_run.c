/*
 * Runs programs to be watched. Each run is a process of its own, a copy of this one as it is: so
 * engines start from the same maps and the same memory at the same addresses, none sees what
 * another one did, and one that crashes is a result like any other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ebpf/ebpf.h"
#include "ebpf/engine.h"
#include "ebpf/jit.h"
#include "ebpf/lower.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "user/vm/observe.h"
#include "user/vm/observe_jit.h"
#include "user/vm/vm.h"

#define RUN_SECONDS  60u
#define GROWTH_MAX   512u /* bytes that a program may make its packet longer by */
#define CTX_OUT_SIZE 256u
#define TRACE_SIZE   65536u

/* ---- preparing ------------------------------------------------------------------------------ */

/* Makes the programs ready for every engine; passes as ebpf_lower takes them. A program without a
 * proof is left to the checked interpreter. 0 or a negative errno. */
int observe_prepare(struct watched *w, int passes)
{
    int err = 0;

    for (uint32_t n = 0; n < w->nr_progs && !err; n++) {
        struct ebpf_prog *prog = w->progs[n];

        ebpf_engine_release(prog);
        prog->budget = 100 * EBPF_BUDGET;
        if (prog->proof)
            err = ebpf_lower(prog, prog->proof, passes, &prog->lowered);
        if (prog->proof && !err)
            err = ebpf_jit_compile_probed(prog, prog->lowered, port_cpu_features(), host_jit_probe,
                                          &prog->jit);
    }
    return err;
}

static void *share(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static size_t moments_size(void)
{
    return OBSERVE_MOMENTS_MAX * sizeof(struct moment);
}

static size_t changes_size(void)
{
    return OBSERVE_CHANGES_MAX * sizeof(struct change);
}

void observe_free(struct observed *o)
{
    if (!o)
        return;
    if (o->moments)
        munmap(o->moments, moments_size());
    if (o->changes)
        munmap(o->changes, changes_size());
    if (o->bytes)
        munmap(o->bytes, OBSERVE_BYTES_MAX);
    munmap(o, sizeof(*o));
}

static struct observed *allocate(enum ebpf_engine engine)
{
    struct observed *o = share(sizeof(*o));

    if (!o)
        return NULL;
    o->engine = engine;
    o->moments = share(moments_size());
    o->changes = share(changes_size());
    o->bytes = share(OBSERVE_BYTES_MAX);
    if (o->moments && o->changes && o->bytes)
        return o;
    observe_free(o);
    return NULL;
}

/* ---- what a run leaves behind --------------------------------------------------------------- */

static struct blob *begin_blob(struct observed *o, const char *kind, const char *name)
{
    struct blob *b = &o->blobs[o->nr_blobs];

    if (o->nr_blobs == OBSERVE_BLOBS_MAX) {
        o->full = true;
        return NULL;
    }
    snprintf(b->name, sizeof(b->name), "%s%s", kind, name);
    b->from = o->nr_bytes;
    o->nr_blobs++;
    return b;
}

static bool put_bytes(struct observed *o, struct blob *b, const void *bytes, size_t size)
{
    if (!b || size > OBSERVE_BYTES_MAX - o->nr_bytes) {
        o->full = true;
        return false;
    }
    memcpy(o->bytes + o->nr_bytes, bytes, size);
    o->nr_bytes += size;
    b->size += size;
    return true;
}

/* Types whose elements are found by key and are no objects. */
static void keep_elements(struct observed *o, struct blob *b, struct ebpf_map *map)
{
    uint32_t key_size = map->key_size, value_size = ebpf_map_value_size(map);
    uint8_t *entry = calloc(2, key_size + value_size);
    bool first = true, good = entry != NULL;

    b->key_size = key_size;
    b->value_size = value_size;
    while (good &&
           ebpf_map_next_key(map, first ? NULL : entry + key_size + value_size, entry) == 0) {
        first = false;
        memcpy(entry + key_size + value_size, entry, key_size);
        memset(entry + key_size, 0, value_size);
        if (ebpf_map_read(map, entry, entry + key_size, 0))
            memset(entry + key_size, 0, value_size);
        good = put_bytes(o, b, entry, key_size + value_size);
    }
    free(entry);
}

/* Types that give their elements in turn: this process may take them out. */
static void keep_queue(struct observed *o, struct blob *b, struct ebpf_map *map)
{
    uint8_t *value = calloc(1, map->value_size);

    b->value_size = map->value_size;
    while (value && ebpf_map_take(map, NULL, value, 0) == 0 &&
           put_bytes(o, b, value, map->value_size))
        ;
    free(value);
}

static void keep_records(struct observed *o, struct blob *b, struct ebpf_map *map)
{
    static uint8_t records[65536];
    uint64_t dropped;
    long size;

    while ((size = ebpf_ringbuf_read(map, records, sizeof(records), &dropped)) > 0 &&
           put_bytes(o, b, records, (size_t)size))
        ;
}

static void keep_map(struct observed *o, struct ebpf_map *map)
{
    struct blob *b = begin_blob(o, "map ", map->name);

    if (!b)
        return;
    if (map->ops->take_record)
        keep_records(o, b, map);
    else if (map->ops->pop)
        keep_queue(o, b, map);
    else if (map->ops->next_key && !map->ops->update_object)
        keep_elements(o, b, map);
}

static bool seen_before(const struct watched *w, uint32_t prog, const struct ebpf_map *map)
{
    for (uint32_t p = 0; p < prog; p++)
        for (uint32_t m = 0; m < w->progs[p]->nr_maps; m++)
            if (w->progs[p]->maps[m] == map)
                return true;
    return false;
}

static void keep_outcome(struct observed *o, const struct watched *w,
                         const struct ebpf_test_run *run)
{
    static char trace[TRACE_SIZE];
    uint64_t lost;

    if (run->data_out)
        put_bytes(o, begin_blob(o, "packet or memory", ""), run->data_out, run->data_size_out);
    if (run->ctx_out)
        put_bytes(o, begin_blob(o, "context", ""), run->ctx_out, run->ctx_size_out);
    put_bytes(o, begin_blob(o, "trace", ""), trace, vm_take_trace(trace, sizeof(trace), &lost));
    for (uint32_t p = 0; p < w->nr_progs; p++)
        for (uint32_t m = 0; m < w->progs[p]->nr_maps; m++)
            if (!seen_before(w, p, w->progs[p]->maps[m]))
                keep_map(o, w->progs[p]->maps[m]);
}

/* ---- the run -------------------------------------------------------------------------------- */

/* In the child. */
static void run(const struct watched *w, struct observed *o)
{
    struct ebpf_prog *prog = w->progs[0];
    struct ebpf_test_run run = {.repeat = 1};

    for (uint32_t n = 0; n < w->nr_progs; n++)
        w->progs[n]->engine = o->engine;
    vm_give_input(prog, w->data, w->size, &run);
    if (run.data_in) {
        run.data_size_out = run.data_size_in + GROWTH_MAX;
        run.data_out = calloc(1, run.data_size_out);
    }
    if (prog->type == BPF_PROG_TYPE_XDP || prog->type == BPF_PROG_TYPE_SOCKET_FILTER ||
        prog->type == BPF_PROG_TYPE_SCHED_CLS) {
        run.ctx_size_out = CTX_OUT_SIZE;
        run.ctx_out = calloc(1, CTX_OUT_SIZE);
    }
    observe_start(w, o);
    o->err = ebpf_prog_test_run(prog, &run);
    observe_stop();
    o->result = run.result;
    memcpy(o->fault, prog->last_fault, sizeof(o->fault));
    keep_outcome(o, w, &run);
}

/* Runs prepared programs in an engine. The caller frees the record with observe_free; NULL after
 * saying why there is none. */
struct observed *observe_run(const struct watched *w, enum ebpf_engine engine)
{
    struct observed *o = allocate(engine);
    pid_t child;
    int status;

    if (!o) {
        vm_error("out of memory");
        return NULL;
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(RUN_SECONDS);
        run(w, o);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        vm_error("no process to run in: %s", strerror(errno));
        observe_free(o);
        return NULL;
    }
    o->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return o;
}
