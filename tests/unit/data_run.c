/*
 * Runs one case of tests/data through load and test run, and compares what comes of it with what
 * the case expects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/btf.h"
#include "ebpf/context.h"
#include "ebpf/engine.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "tests/unit/data_case.h"
#include "user/vm/host_port.h"

#define LOG_SIZE   16384u
#define GROWTH_MAX 512u /* bytes that a program may make its packet longer by */

#define FAIL(why, size, ...) (snprintf(why, size, __VA_ARGS__), -1)

uint32_t data_type_by_name(const char *name)
{
    for (uint32_t type = 0; type < 64; type++) {
        const struct ebpf_context *context = ebpf_context_get(type);

        if (context && strcmp(ebpf_context_name(context), name) == 0)
            return type;
    }
    return UINT32_MAX;
}

static const struct ebpf_map_ops *ops_by_name(const char *name)
{
    for (uint32_t type = 0; type < 64; type++) {
        const struct ebpf_map_ops *ops = ebpf_map_ops_for(type);

        if (ops && strcmp(ops->name, name) == 0)
            return ops;
    }
    return NULL;
}

static struct ebpf_map *make_map(const struct data_map *line, struct ebpf_map *const *maps, int n)
{
    const struct ebpf_map_ops *ops = ops_by_name(line->type);
    union bpf_attr attr;
    uint8_t bytes[DATA_BTF_MAX];
    uint32_t size = data_map_btf(line, bytes);
    struct ebpf_btf *btf = NULL;
    struct ebpf_map *map = NULL;

    if (!ops || line->inner >= n || (size && ebpf_btf_create(bytes, size, NULL, &btf)))
        return NULL;
    memset(&attr, 0, sizeof(attr));
    attr.map_type = ops->type;
    attr.key_size = line->key_size;
    attr.value_size = line->value_size;
    attr.max_entries = line->max_entries;
    attr.map_flags = line->flags;
    if (btf) {
        attr.btf_key_type_id = DATA_BTF_KEY;
        attr.btf_value_type_id = DATA_BTF_VALUE;
    }
    snprintf(attr.map_name, sizeof(attr.map_name), "map%d", n);
    if (ebpf_map_create_outer(&attr, btf, line->inner < 0 ? NULL : maps[line->inner], &map))
        map = NULL;
    ebpf_btf_put(btf);
    return map;
}

/* Its first element: a text, after which it is frozen, or another map. */
static bool fill(struct ebpf_map *map, const struct data_map *line, struct ebpf_map *const *maps)
{
    static const uint8_t key[64];

    if (line->inner >= 0)
        return ebpf_map_write_object(map, key, &maps[line->inner]->object, 0) == 0;
    if (!line->has_text)
        return true;
    map->frozen = true;
    return ebpf_map_write(map, key, line->text, 0) == 0;
}

int data_make_maps(const char *text, struct ebpf_map **maps)
{
    struct data_map line;
    int n = 0;

    while (text && *text) {
        if (n == DATA_MAPS_MAX || data_map_parse(&text, &line))
            return -1;
        maps[n] = make_map(&line, maps, n);
        if (!maps[n] || !fill(maps[n], &line, maps))
            return -1;
        n++;
    }
    return n;
}

static int compare_after(const struct data_case *c, const uint8_t *after, uint32_t after_size,
                         char *why, size_t size)
{
    if (!c->after.given)
        return 0;
    if (after_size != c->after.size)
        return FAIL(why, size, "%u bytes of memory, expected %u", after_size, c->after.size);
    for (uint32_t i = 0; i < after_size; i++)
        if (after[i] != c->after.bytes[i])
            return FAIL(why, size, "byte %u of memory is %02x, expected %02x", i, after[i],
                        c->after.bytes[i]);
    return 0;
}

static int compare_run(const struct data_case *c, const struct ebpf_prog *prog, int err,
                       const struct ebpf_test_run *run, char *why, size_t size)
{
    const char *trace = host_trace_take();

    if (c->fault) {
        if (!err)
            return FAIL(why, size, "no fault, r0 is 0x%lx", (unsigned long)run->result);
        return strstr(prog->last_fault, c->fault)
                   ? 0
                   : FAIL(why, size, "error %d, fault \"%s\"", err, prog->last_fault);
    }
    if (err)
        return FAIL(why, size, "error %d, fault \"%s\"", err, prog->last_fault);
    if (run->result != strtoull(c->result, NULL, 0))
        return FAIL(why, size, "r0 is 0x%lx, expected %s", (unsigned long)run->result, c->result);
    if (c->trace && (strncmp(trace, c->trace, strlen(c->trace)) != 0 ||
                     strcmp(trace + strlen(c->trace), "\n") != 0))
        return FAIL(why, size, "trace is \"%s\", expected \"%s\"", trace, c->trace);
    return compare_after(c, run->data_out, run->data_size_out, why, size);
}

static int run_loaded(const struct data_case *c, struct ebpf_prog *prog, char *why, size_t size)
{
    struct ebpf_test_run run = {0};
    uint8_t *out = NULL;
    int err, verdict;

    if (c->mem.given) {
        run.data_in = c->mem.bytes;
        run.data_size_in = c->mem.size;
        out = malloc(c->mem.size + GROWTH_MAX);
        run.data_out = out;
        run.data_size_out = c->mem.size + GROWTH_MAX;
    }
    if (c->ctx.given) {
        run.ctx_in = c->ctx.bytes;
        run.ctx_size_in = c->ctx.size;
    }
    if (c->budget)
        prog->budget = c->budget;
    host_trace_take();
    err = ebpf_prog_test_run(prog, &run);
    verdict = compare_run(c, prog, err, &run, why, size);
    free(out);
    return verdict;
}

void data_load(const struct data_case *c, struct ebpf_map *const *maps, int nr_maps,
               struct ebpf_log *log, struct ebpf_prog_load *load)
{
    log->level = 4;
    *load = (struct ebpf_prog_load){
        .type = data_type_by_name(c->type ? c->type : "mem"),
        .name = c->name,
        .license = c->license ? c->license : "GPL",
        .insns = c->insns,
        .nr_insns = c->nr_insns,
        .maps = maps,
        .nr_maps = nr_maps > 0 ? (uint32_t)nr_maps : 0,
        .mem_size = c->type ? 0 : c->mem.size,
        .mem_exact = c->exact != NULL,
        .log = log,
    };
    data_add_functions(c->functions, load);
}

/* Nothing verified faults. */
static bool is_verified(const struct data_case *c)
{
    return !c->fault && !c->unverified && !c->engines;
}

static bool engine_takes(const struct data_case *c, enum ebpf_engine engine)
{
    return engine == EBPF_CHECKED || (is_verified(c) && !c->error);
}

/* Runs the case in one engine. */
static int run_in(const struct data_case *c, enum ebpf_engine engine, char *why, size_t size)
{
    struct ebpf_map *maps[DATA_MAPS_MAX] = {0};
    char log_text[LOG_SIZE] = "";
    struct ebpf_log log = {.buf = log_text, .size = sizeof(log_text)};
    int nr_maps = data_make_maps(c->maps, maps), verdict;
    struct ebpf_prog *prog = NULL;
    struct ebpf_prog_load load;
    int err;

    data_load(c, maps, nr_maps, &log, &load);
    load.unverified = !is_verified(c);
    err = nr_maps < 0 ? -1 : ebpf_prog_create(&load, &prog);
    data_remove_functions(&load);
    if (nr_maps < 0)
        verdict = FAIL(why, size, "its maps cannot be made");
    else if (c->error)
        verdict = err && strstr(log_text, c->error)
                      ? 0
                      : FAIL(why, size, "load gives %d, log \"%s\"", err, log_text);
    else if (err)
        verdict = FAIL(why, size, "load gives %d, log \"%s\"", err, log_text);
    else if (ebpf_engine_prepare(prog, engine))
        verdict = FAIL(why, size, "the program cannot be compiled");
    else
        verdict = run_loaded(c, prog, why, size);
    if (prog)
        ebpf_prog_put(prog);
    for (unsigned i = 0; i < DATA_MAPS_MAX; i++)
        ebpf_map_put(maps[i]);
    return verdict;
}

int data_run(const struct data_case *c, char *why, size_t size)
{
    static const char *const names[] = {" (checked)", " (interp)", " (jit)"};

    for (enum ebpf_engine engine = EBPF_CHECKED; engine <= EBPF_JIT; engine++) {
        if (engine_takes(c, engine) && run_in(c, engine, why, size)) {
            strncat(why, names[engine], size - strlen(why) - 1);
            return -1;
        }
    }
    return 0;
}
