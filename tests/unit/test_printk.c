/*
 * printk: levels, timestamps, the ring and its readers.
 */
#include <string.h>

#include "arch/x86_64/arch.h"
#include "kernel/printk.h"
#include "tests/unit/leakcheck.h"

static void set_up(void)
{
    host_time_set(12345678);
    host_console_take();
}

TestSuite(printk, .init = set_up, .fini = leakcheck);

/* The whole ring from *cursor on. */
static const char *read_all(uint64_t *cursor, uint64_t *lost)
{
    static char text[1 << 18];
    size_t len = 0, more;

    while ((more = klog_read(cursor, text + len, KLOG_LINE_MAX, lost)) > 0)
        len += more;
    text[len] = 0;
    return text;
}

Test(printk, a_line_has_level_time_and_text)
{
    uint64_t cursor = 0, lost = 0;

    pr_info("hello %d", 1);
    cr_assert_str_eq(host_console_take(), "[    0.012345] hello 1\n");
    cr_assert_str_eq(read_all(&cursor, &lost), "<6>[    0.012345] hello 1\n");
    cr_assert_eq(lost, 0);
    cr_assert_str_eq(read_all(&cursor, &lost), "");
}

Test(printk, the_console_level_filters_the_console_only)
{
    uint64_t cursor = 0, lost = 0;

    pr_debug("quiet");
    cr_assert_str_eq(host_console_take(), "");
    printk_set_console_level(LOG_DEBUG);
    pr_debug("loud");
    cr_assert_str_eq(host_console_take(), "[    0.012345] loud\n");
    cr_assert_str_eq(read_all(&cursor, &lost), "<7>[    0.012345] quiet\n<7>[    0.012345] loud\n");
}

Test(printk, each_line_of_a_message_is_a_record)
{
    pr_warn("one\ntwo\n");
    cr_assert_str_eq(host_console_take(), "[    0.012345] one\n[    0.012345] two\n");
    pr_warn("%s", "");
    cr_assert_str_eq(host_console_take(), "[    0.012345] \n");
}

Test(printk, a_long_message_is_cut_to_one_record)
{
    char text[2000];
    uint64_t cursor = 0, lost = 0;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    host_time_set(UINT64_MAX - 1); /* the widest timestamp */
    pr_info("%s", text);
    const char *line = read_all(&cursor, &lost);
    cr_assert_leq(strlen(line), KLOG_LINE_MAX);
    cr_assert_geq(strlen(line), KLOG_LINE_MAX - 40);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(printk, a_reader_gets_whole_lines)
{
    char buf[KLOG_LINE_MAX];
    uint64_t cursor = 0, lost = 0;

    for (int i = 0; i < 100; i++)
        pr_info("line %d", i);
    for (int i = 0; i < 100;) {
        size_t len = klog_read(&cursor, buf, sizeof(buf), &lost);
        cr_assert_gt(len, 0);
        cr_assert_eq(buf[len - 1], '\n');
        for (size_t at = 0; at < len; i++) {
            char expected[64];
            int n = format_text(expected, sizeof(expected), "<6>[    0.012345] line %d\n", i);
            cr_assert_arr_eq(buf + at, expected, (size_t)n);
            at += (size_t)n;
        }
    }
}

Test(printk, a_slow_reader_is_told_what_it_lost)
{
    uint64_t cursor = 0, lost = 0, from_start = 0, none = 0;

    for (int i = 0; i < 20000; i++)
        pr_info("line number %d of many", i);
    const char *text = read_all(&cursor, &lost);
    cr_assert_gt(lost, 0);
    cr_assert_eq(cursor, lost + strlen(text), "what was lost and what was read make up the log");
    cr_assert_eq(strncmp(text, "<6>[    0.012345] line number ", 30), 0, "starts at a line");
    cr_assert_gt(strlen(text), 130000, "the ring is used up to its size");
    cr_assert(strstr(text, "line number 19999 of many\n"));
    klog_read(&from_start, (char[KLOG_LINE_MAX]){0}, KLOG_LINE_MAX, &none);
    cr_assert_eq(none, lost);
}

Test(printk, a_cursor_past_the_end_reads_nothing)
{
    char buf[KLOG_LINE_MAX];
    uint64_t cursor = UINT64_MAX, lost = 0;

    pr_info("x");
    cr_assert_eq(klog_read(&cursor, buf, sizeof(buf), &lost), 0);
    cr_assert_eq(lost, 0);
}

Test(printk, interrupts_are_as_before)
{
    pr_info("x");
    cr_assert(arch_irq_enabled());
    uint64_t flags = arch_irq_save();
    pr_info("y");
    cr_assert_not(arch_irq_enabled());
    arch_irq_restore(flags);
}
