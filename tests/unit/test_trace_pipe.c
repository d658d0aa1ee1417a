/*
 * The trace pipe: what a line looks like, readers of their own pace, wrapping, losses, and telling
 * the reader.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "kernel/heap.h"
#include "kernel/probe.h"
#include "kernel/timer.h"
#include "kernel/trace_events.h"
#include "kernel/trace_pipe.h"
#include "tests/unit/leakcheck.h"
#include "tests/unit/trace_test.h"

#define SECOND 1000000000ull

void kernel_timer_interrupt(void); /* declared by the guest's arch.h only */

static void set_up(void)
{
    trace_test_init();
    cr_assert_eq(trace_pipe_init(), 0);
    host_time_set(12 * SECOND + 345678999);
}

TestSuite(trace_pipe, .init = set_up, .fini = leakcheck);

static const struct trace_common thread_context = {.pid = 1};

static void write_line(const char *text)
{
    trace_pipe_write(&thread_context, "", text, strlen(text));
}

/* Everything from *cursor on, as a string that lives until the next call. */
static const char *read_text(uint64_t *cursor)
{
    static char buf[4096];
    uint64_t lost = 0;
    size_t len = trace_pipe_read(cursor, buf, sizeof(buf) - 1, &lost);

    buf[len] = 0;
    cr_assert_eq(lost, 0);
    return buf;
}

Test(trace_pipe, a_line_is_as_linux_prints_it)
{
    static const struct {
        struct trace_common common;
        const char *columns;
    } cases[] = {
        {{.pid = 1}, "....."},
        {{.pid = 1, .flags = TRACE_FLAG_IRQS_OFF}, "d...."},
        {{.pid = 1, .flags = TRACE_FLAG_IRQS_OFF | TRACE_FLAG_HARDIRQ}, "d.h.."},
        {{.pid = 1, .preempt_count = 1}, "...1."},
        {{.pid = 0}, "....."},
    };
    uint64_t cursor = 0;
    char expected[128];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        trace_pipe_write(&cases[i].common, "bpf_trace_printk: ", "hello", 5);
        snprintf(expected, sizeof(expected), "%s [000] %s    12.345678: bpf_trace_printk: hello\n",
                 cases[i].common.pid ? "            host-1      " : "          <idle>-0      ",
                 cases[i].columns);
        cr_assert_str_eq(read_text(&cursor), expected);
    }
}

Test(trace_pipe, a_line_ends_at_its_first_newline)
{
    uint64_t cursor = 0;

    write_line("one\n");
    write_line("two\nthree");
    write_line("");
    cr_assert_str_eq(read_text(&cursor), "            host-1       [000] .....    12.345678: one\n"
                                         "            host-1       [000] .....    12.345678: two\n"
                                         "            host-1       [000] .....    12.345678: \n");
}

Test(trace_pipe, a_long_line_is_cut)
{
    char text[3 * TRACE_LINE_MAX];
    uint64_t cursor = 0;

    memset(text, 'x', sizeof(text));
    trace_pipe_write(&thread_context, "", text, sizeof(text));
    write_line("after");
    const char *lines = read_text(&cursor);
    cr_assert_eq(strchr(lines, '\n') - lines, TRACE_LINE_MAX - 1);
    cr_assert_str_eq(strrchr(lines, ':'), ": after\n");
}

Test(trace_pipe, an_enabled_event_goes_to_the_pipe)
{
    uint64_t cursor = 0;
    char expected[160];

    trace_receive_packet("not yet", 7);
    tracepoint_enable(&tracepoint_receive_packet);
    trace_receive_packet((void *)0x10f2a0, 60);
    tracepoint_disable(&tracepoint_receive_packet);
    trace_receive_packet("no more", 7);
    snprintf(expected, sizeof(expected),
             "            host-1       [000] .....    12.345678: receive_packet: "
             "packet_ptr=000000000010f2a0 packet_len=60\n");
    cr_assert_str_eq(read_text(&cursor), expected);
}

Test(trace_pipe, readers_do_not_take_lines_from_each_other)
{
    uint64_t early = 0, late, newest;

    write_line("one");
    late = trace_pipe_end();
    write_line("two");
    newest = trace_pipe_end();
    cr_assert_not_null(strstr(read_text(&early), "one"));
    cr_assert_not_null(strstr(read_text(&late), "two"));
    cr_assert_eq(early, newest);
    cr_assert_eq(late, newest);
    cr_assert_str_empty(read_text(&newest));
}

Test(trace_pipe, a_small_buffer_gets_whole_lines_only)
{
    uint64_t cursor = 0, lost = 0;
    char buf[128];

    write_line("one");
    write_line("two");
    size_t len = strlen("            host-1       [000] .....    12.345678: one\n");
    cr_assert_eq(trace_pipe_read(&cursor, buf, len - 1, &lost), 0);
    cr_assert_eq(cursor, 0);
    cr_assert_eq(trace_pipe_read(&cursor, buf, 2 * len - 1, &lost), len);
    cr_assert_eq(trace_pipe_read(&cursor, buf, len, &lost), len);
    cr_assert_eq(memcmp(buf + len - 4, "two\n", 4), 0);
    cr_assert_eq(trace_pipe_read(&cursor, buf, sizeof(buf), &lost), 0);
    cr_assert_eq(lost, 0);
}

Test(trace_pipe, a_position_beyond_the_end_is_moved_to_it)
{
    uint64_t cursor = UINT64_MAX;

    write_line("old");
    cr_assert_str_empty(read_text(&cursor));
    write_line("new");
    cr_assert_not_null(strstr(read_text(&cursor), "new"));
}

/* Writes lines of random length and reads them in random portions; the model is the text of all
 * lines, of which the reader must see every byte that is not reported lost. */
static void check_against_model(unsigned lines_per_read, bool expect_loss)
{
    enum { LINES = 60000 };
    char *model = malloc(LINES * 256), *buf = malloc(65536), text[200];
    uint64_t cursor = 0, model_len = 0, lost = 0;
    struct trace_pipe_stats stats;
    unsigned seed = lines_per_read;

    for (unsigned i = 0; i < LINES; i++) {
        int len = (int)(rand_r(&seed) % 150u);
        snprintf(text, sizeof(text), "%06u%.*s", i, len,
                 "................................"
                 "................................................................................"
                 "......................................");
        write_line(text);
        model_len += (uint64_t)sprintf(
            model + model_len, "            host-1       [000] .....    12.345678: %s\n", text);
        cr_assert_eq(trace_pipe_end(), model_len);
        if (i % lines_per_read == lines_per_read - 1) {
            uint64_t before = cursor, lost_before = lost;
            size_t got = trace_pipe_read(&cursor, buf, 256 + rand_r(&seed) % 65000u, &lost);
            cr_assert_eq(before + (lost - lost_before) + got, cursor);
            cr_assert(got > 0);
            cr_assert_eq(memcmp(buf, model + cursor - got, got), 0);
            cr_assert_eq(buf[got - 1], '\n');
            cr_assert(cursor - got == 0 || model[cursor - got - 1] == '\n');
        }
    }
    cr_assert(model_len > 4 * TRACE_PIPE_SIZE, "the ring was to wrap");
    cr_assert_eq(lost > 0, expect_loss);
    trace_pipe_get_stats(&stats);
    cr_assert_eq(stats.lines, LINES);
    cr_assert_eq(stats.bytes, model_len);
    cr_assert_geq(stats.overwritten, model_len - TRACE_PIPE_SIZE);
    cr_assert_lt(stats.overwritten, model_len - TRACE_PIPE_SIZE + TRACE_LINE_MAX);
    free(model);
    free(buf);
}

Test(trace_pipe, a_reader_that_keeps_up_loses_nothing_when_the_ring_wraps)
{
    check_against_model(20, false);
}

Test(trace_pipe, a_reader_that_falls_behind_is_told_what_it_lost)
{
    check_against_model(20000, true);
}

/* ---- telling the reader -------------------------------------------------------------------- */

static unsigned notified;

static void notify(void)
{
    notified++;
}

static void pass_time(uint64_t ns)
{
    host_time_set(arch_time_ns() + ns);
    if (host_timer_deadline() <= arch_time_ns())
        kernel_timer_interrupt();
}

Test(trace_pipe, many_lines_within_a_millisecond_tell_the_reader_once)
{
    probe_set_notify(notify);
    for (unsigned i = 0; i < 100; i++)
        write_line("line");
    cr_assert_eq(notified, 0, "never in the context of the event");
    pass_time(1000000);
    cr_assert_eq(notified, 1);
    pass_time(1000000);
    cr_assert_eq(notified, 1);
    write_line("line");
    pass_time(1000000);
    cr_assert_eq(notified, 2);
}

Test(trace_pipe, without_a_reader_no_timer_is_armed)
{
    write_line("line");
    cr_assert_eq(host_timer_deadline(), UINT64_MAX);
}
