/*
 * What the verifier says, whole texts: the cases of tests/data/log. And what it tells those who
 * watch its walk, and how it keeps to a log that is too small.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "ebpf/proof.h"
#include "ebpf/verifier.h"
#include "tests/unit/data_case.h"
#include "tests/unit/leakcheck.h"
#include "user/vm/host_port.h"

#define LINES_MAX 16u
#define LOG_SIZE  65536u
#define LONG_WALK 5000u

static char log_text[LOG_SIZE];
static struct ebpf_log log_buffer;

static void set_up(void)
{
    cr_assert_eq(ebpf_init(1u << 24), 0);
}

static void tear_down(void)
{
    cr_assert_eq(ebpf_shutdown(), 0, "objects are left over");
    cr_assert_eq(host_port_blocks(), 0, "the verifier's memory leaked");
    leakcheck();
}

TestSuite(verifier_log, .init = set_up, .fini = tear_down);

/* ---- programs ------------------------------------------------------------------------------- */

/* BTF without types, of a file /src/prog.c: the section lines of a case. So no compiler has a say
 * in it. */
static struct ebpf_btf *make_btf(const char *lines, struct bpf_line_info *info, uint32_t *nr)
{
    static const char file[] = "/src/prog.c";
    struct {
        struct btf_header header;
        char strings[2048];
    } blob = {
        .header = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(blob.header)}};
    uint32_t used = 1 + sizeof(file);
    struct ebpf_btf *btf;

    memcpy(blob.strings + 1, file, sizeof(file));
    for (*nr = 0; *lines; lines += strcspn(lines, "\n"), ++*nr) {
        unsigned slot, number;
        int at, length;

        lines += strspn(lines, "\n");
        cr_assert_eq(sscanf(lines, "%u %u%n", &slot, &number, &at), 2, "%s", lines);
        cr_assert_lt(*nr, LINES_MAX);
        length = (int)strcspn(lines + at + 1, "\n");
        info[*nr] = (struct bpf_line_info){
            .insn_off = slot, .file_name_off = 1, .line_off = used, .line_col = number << 10 | 5};
        used += (uint32_t)sprintf(blob.strings + used, "%.*s", length, lines + at + 1) + 1;
    }
    blob.header.str_len = used;
    cr_assert_eq(ebpf_btf_create(&blob, (uint32_t)sizeof(blob.header) + used, NULL, &btf), 0);
    return btf;
}

/* Puts N for numbers that differ from run to run. */
static void blank(const char *before)
{
    char *at = strstr(log_text, before);

    for (; at; at = strstr(at, before)) {
        char *from = at += strlen(before), *to = from + strspn(from, "0123456789");

        memmove(from + 1, to, strlen(to) + 1);
        *from = 'N';
    }
}

/* Verifies at a level, with a log of log_size bytes; log_text is then the log. */
static int verify(const struct data_case *c, uint32_t level, uint32_t log_size,
                  const struct ebpf_watch *watch)
{
    struct ebpf_map *maps[DATA_MAPS_MAX] = {0};
    int nr_maps = data_make_maps(c->maps, maps), err;
    struct bpf_line_info info[LINES_MAX];
    struct ebpf_prog_load load = {.type = data_type_by_name(c->type ? c->type : "mem"),
                                  .license = c->license ? c->license : "GPL",
                                  .insns = c->insns,
                                  .nr_insns = c->nr_insns,
                                  .maps = maps,
                                  .nr_maps = (uint32_t)nr_maps,
                                  .line_info = info,
                                  .mem_size = c->type ? 0 : c->mem.size,
                                  .unverified = true,
                                  .watch = watch,
                                  .log = &log_buffer};
    struct ebpf_proof proof;
    struct ebpf_prog *prog;

    cr_assert_geq(nr_maps, 0);
    if (c->lines)
        load.btf = make_btf(c->lines, info, &load.nr_line_info);
    log_text[0] = 0;
    log_buffer = (struct ebpf_log){.buf = log_text, .size = log_size, .level = level};
    data_add_functions(c->functions, &load);
    err = ebpf_prog_create(&load, &prog);
    if (!err) {
        err = ebpf_verify(&load, prog->decoded, 0, &proof);
        ebpf_proof_free(&proof);
        ebpf_prog_put(prog);
    }
    if (c->functions)
        data_remove_functions(&load);
    for (unsigned i = 0; i < DATA_MAPS_MAX; i++)
        ebpf_map_put(maps[i]);
    if (c->lines)
        ebpf_btf_put(load.btf);
    blank("verification time ");
    blank("map[id:");
    blank("max_states_per_insn ");
    blank("total_states ");
    blank("peak_states ");
    blank("mark_read ");
    return err;
}

/* ---- whole texts ----------------------------------------------------------------------------- */

static void check_file(const char *path)
{
    struct data_case *cases = data_read(path);

    for (const struct data_case *c = cases; c; c = c->next) {
        const char *expected = c->log + strspn(c->log, "\n");

        verify(c, c->level, LOG_SIZE, NULL);
        while (log_text[0] && log_text[strlen(log_text) - 1] == '\n')
            log_text[strlen(log_text) - 1] = 0;
        cr_expect_str_eq(log_text, expected, "%s (%s): the log is\n%s\n", c->name, c->rule,
                         log_text);
    }
    data_free(cases);
}

Test(verifier_log, rejections_as_they_read)
{
    check_file("tests/data/log/rejections.log");
}

Test(verifier_log, levels_as_on_linux)
{
    check_file("tests/data/log/levels.log");
}

/* ---- a log that is too small ------------------------------------------------------------------
 */

/* The first path is longer than the log; the second, which is rejected, is not. */
Test(verifier_log, level_1_makes_room_again)
{
    struct data_case *cases = data_read("tests/data/log/parts.log");

    verify(cases, 1, 300, NULL);
    cr_expect(log_buffer.truncated, "the path that is rejected takes more than 300 bytes");
    cr_expect_eq(strlen(log_text), 299);
    verify(cases, 1, 1200, NULL);
    cr_expect_not(log_buffer.truncated, "%s", log_text);
    cr_expect_not_null(strstr(log_text, "\nfrom 1 to 30: "), "%s", log_text);
    cr_expect_not_null(strstr(log_text, "insn 30: R3 !read_ok"), "%s", log_text);
    cr_expect_null(strstr(log_text, "\n12: "), "what ended well is still there: %s", log_text);
    data_free(cases);
}

/* A loop that is walked trip by trip until that is too much: what was in the way of looking at all
 * trips at once says more, and is explained. */
Test(verifier_log, a_loop_that_is_too_long)
{
    static const char why[] =
        "for all trips of the loop at once, insn 13: R4 min value is negative: the access to map "
        "value may begin 399999 bytes before it\n"
        "rule: all paths are walked within the verifier's limits\n"
        "R4=map_value(off=0,ks=4,vs=64,smin=-399999,smax=399999) because (last step first):\n"
        "  12: (0f) r4 += r3                       ; "
        "R4=map_value(off=0,ks=4,vs=64,smin=-399999,smax=399999)\n"
        "  11: (bf) r4 = r0                        ; R4=map_value(off=0,ks=4,vs=64,imm=0)\n"
        "  10: (1f) r3 -= r2                       ; R3=scalar(smin=-399999,smax=399999)\n"
        "  9: (bf) r3 = r1                         ; "
        "R3=scalar(id=2,umax=399999,var_off=(0x0; 0x7ffff))\n"
        "  9: loop, for all trips                  ; "
        "R1=scalar(id=2,umax=399999,var_off=(0x0; 0x7ffff)) "
        "R2=scalar(id=3,umax=399999,var_off=(0x0; 0x7ffff))\n"
        "  8: (b7) r2 = 0                          ;\n";
    struct data_case *cases = data_read("tests/data/log/parts.log");
    const struct data_case *c = cases->next;

    cr_expect_eq(verify(c, 4, LOG_SIZE, NULL), -E2BIG);
    cr_expect_not_null(strstr(log_text, "BPF program is too large. Processed 1000001 insn"));
    cr_expect_not_null(strstr(log_text, why), "%s", log_text);
    data_free(cases);
}

/* ---- those who watch --------------------------------------------------------------------------
 */

#define EVENTS_MAX 64u

struct seen {
    struct ebpf_walk events[EVENTS_MAX];
    unsigned nr;
    char r6[64], slot[64]; /* at insn 12, the function called */
    char why[160], causes[512];
    uint32_t function;
};

static void note_cell(void *arg, const char *name, const char *value)
{
    struct seen *seen = arg;

    if (strcmp(name, "R6") == 0)
        snprintf(seen->r6, sizeof(seen->r6), "%s", value);
    if (strcmp(name, "fp-8") == 0)
        snprintf(seen->slot, sizeof(seen->slot), "%s", value);
}

static void note(void *arg, const struct ebpf_walk *walk)
{
    struct seen *seen = arg;

    cr_assert_lt(seen->nr, EVENTS_MAX);
    seen->events[seen->nr++] = *walk;
    if (walk->event == WALK_INSN && walk->pc == 12) {
        ebpf_walk_cells(walk, 0, note_cell, seen);
        seen->function = ebpf_walk_function(walk, walk->frames - 1);
    }
    if (walk->event == WALK_REJECTED)
        snprintf(seen->why, sizeof(seen->why), "%s", walk->why);
    if (walk->event == WALK_CAUSE)
        snprintf(seen->causes + strlen(seen->causes), 100, "%u%s;", walk->pc, walk->why);
}

static unsigned count(const struct seen *seen, enum ebpf_walk_event event)
{
    unsigned n = 0;

    for (unsigned i = 0; i < seen->nr; i++)
        n += seen->events[i].event == event;
    return n;
}

static const struct data_case *find_case(const struct data_case *c, const char *name)
{
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    cr_assert_not_null(c, "%s", name);
    return c;
}

Test(verifier_log, a_watch_is_told_of_each_step)
{
    static struct seen seen;
    const struct ebpf_watch watch = {.see = note, .arg = &seen};
    struct data_case *cases = data_read("tests/data/log/levels.log");
    const struct ebpf_walk *pruned = NULL, *kept = NULL;

    verify(find_case(cases, "level_2_is_the_whole_walk"), 4, LOG_SIZE, &watch);
    cr_expect_eq(count(&seen, WALK_INSN), 15);
    cr_expect_eq(count(&seen, WALK_EXITED), 1);
    cr_expect_eq(count(&seen, WALK_PUT_ASIDE), 1);
    cr_expect_eq(count(&seen, WALK_RESUMED), 1);
    cr_expect_eq(count(&seen, WALK_PRUNED), 1);
    cr_expect_eq(count(&seen, WALK_REJECTED), 0);
    for (unsigned i = 0; i < seen.nr; i++) {
        const struct ebpf_walk *e = &seen.events[i];

        if (e->event == WALK_KEPT && e->pc == 10)
            kept = e;
        if (e->event == WALK_PRUNED)
            pruned = e;
    }
    cr_assert(kept && pruned);
    cr_expect_eq(pruned->state, kept->state, "the path is pruned by the state kept there");
    cr_expect_eq(pruned->length, 9, "9 instructions lead to the branch's other end");
    cr_expect_str_eq(seen.r6, "scalar(id=2,umax=4294967295,var_off=(0x0; 0xffffffff))");
    cr_expect_str_eq(seen.slot, seen.r6, "the spill of it");
    cr_expect_eq(seen.function, 12);
    data_free(cases);
}

Test(verifier_log, a_watch_is_told_why)
{
    static struct seen seen;
    const struct ebpf_watch watch = {.see = note, .arg = &seen};
    struct data_case *cases = data_read("tests/data/log/levels.log");

    verify(find_case(cases, "level_1_is_the_failing_path"), 4, LOG_SIZE, &watch);
    cr_expect_str_eq(seen.why, "R2 invalid mem access 'scalar'");
    cr_expect_str_eq(seen.causes,
                     "2 taken: R2=scalar(umin=6,umax=4294967295,var_off=(0x0; 0xffffffff));"
                     "0 R2=scalar(umax=4294967295,var_off=(0x0; 0xffffffff));");
    cr_expect_eq(seen.events[seen.nr - 1].event, WALK_CAUSE);
    data_free(cases);
}

/* Without a log nobody asks why, and the walk is gone once. */
Test(verifier_log, no_log_no_explanation)
{
    static struct seen seen;
    const struct ebpf_watch watch = {.see = note, .arg = &seen};
    struct data_case *cases = data_read("tests/data/log/levels.log");

    cr_expect_eq(verify(find_case(cases, "level_1_is_the_failing_path"), 0, LOG_SIZE, &watch),
                 -EACCES);
    cr_expect_str_empty(log_text);
    cr_expect_eq(count(&seen, WALK_CAUSE), 0);
    cr_expect_eq(count(&seen, WALK_REJECTED), 1);
    data_free(cases);
}

/* ---- all programs -----------------------------------------------------------------------------
 */

/* What the events of one walk must keep to. */
struct order {
    const char *name;
    uint32_t length; /* of the path under way */
    uint32_t states; /* numbers that are given away */
    uint32_t insns;
    bool rejected;
};

static void hold(void *arg, const struct ebpf_walk *walk)
{
    struct order *o = arg;

    if (walk->event == WALK_CAUSE) {
        cr_expect(o->rejected && walk->length < o->length, "%s: a cause on the path", o->name);
        return;
    }
    cr_expect(!o->rejected, "%s: the walk goes on behind its end", o->name);
    cr_expect_leq(walk->length, o->length, "%s: the path grows by an instruction", o->name);
    switch (walk->event) {
    case WALK_INSN:
        o->length = walk->length + 1;
        o->insns++;
        break;
    case WALK_KEPT:
    case WALK_LOOP_STARTED:
        cr_expect_gt(walk->state, 0, "%s: a state has a number", o->name);
        if (walk->state > o->states)
            o->states = walk->state;
        break;
    case WALK_PRUNED:
    case WALK_LOOP_CLOSED:
        cr_expect(walk->state > 0 && walk->state <= o->states, "%s: by a state told of", o->name);
        break;
    case WALK_REJECTED:
        o->rejected = true;
        break;
    default:
        /* A helper's return, which is put aside, is a step without an event of its own. */
        o->length = walk->length;
        break;
    }
}

static void check_order(const char *folder)
{
    struct data_case *cases = data_read_all(folder);

    for (const struct data_case *c = cases; c; c = c->next) {
        struct order order = {.name = c->name};
        const struct ebpf_watch watch = {.see = hold, .arg = &order};
        struct ebpf_verify_cost watched, alone;
        int err = verify(c, 4, LOG_SIZE, &watch);

        ebpf_verify_get_cost(&watched);
        cr_expect(!order.rejected || err, "%s", c->name);
        if (watched.processed > LONG_WALK)
            continue;
        for (uint32_t level = 1; level <= 2; level++)
            cr_expect_eq(verify(c, level, LOG_SIZE, NULL), err, "%s: level %u", c->name, level);
        ebpf_verify_get_cost(&alone);
        cr_expect_eq(watched.processed, alone.processed, "%s: watching changes nothing", c->name);
        cr_expect(!order.insns || order.insns <= watched.processed, "%s", c->name);
    }
    data_free(cases);
}

Test(verifier_log, programs_are_walked_alike_whoever_watches)
{
    check_order("tests/data");
    check_order("tests/data/verifier");
}
