/*
 * The kernel command line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/arch.h"
#include "kernel/cmdline.h"
#include "tests/unit/leakcheck.h"

static char value[32];

TestSuite(cmdline, .fini = leakcheck);

Test(cmdline, values_flags_and_bare_names)
{
    cmdline_init("  skep.ip=10.0.2.15/24 quiet skep.dhcp=0 loglevel=7  skep.empty= skep.on=yes ");
    cr_assert_eq(cmdline_get("skep.ip", value, sizeof(value)), 12);
    cr_assert_str_eq(value, "10.0.2.15/24");
    cr_assert_eq(cmdline_get("quiet", value, sizeof(value)), 0);
    cr_assert_eq(cmdline_get("skep.empty", value, sizeof(value)), 0);
    cr_assert_eq(cmdline_get("skep", value, sizeof(value)), -ENOENT);
    cr_assert_eq(cmdline_get("skep.i", value, sizeof(value)), -ENOENT);
    cr_assert_eq(cmdline_get("", value, sizeof(value)), -ENOENT);
    cr_assert(cmdline_flag("quiet"));
    cr_assert(cmdline_flag("skep.on"));
    cr_assert_not(cmdline_flag("skep.dhcp"));
    cr_assert_not(cmdline_flag("skep.empty"));
    cr_assert_not(cmdline_flag("loud"));
    cr_assert_eq(cmdline_u64("loglevel", 3), 7);
}

Test(cmdline, quotes_hide_spaces_and_are_dropped)
{
    cmdline_init("a=\"one two\" \"b c\"=3 d=x\" \"y e=\"\" f=\"open end");
    cr_assert_eq(cmdline_get("a", value, sizeof(value)), 7);
    cr_assert_str_eq(value, "one two");
    cr_assert_eq(cmdline_get("d", value, sizeof(value)), 3);
    cr_assert_str_eq(value, "x y");
    cr_assert_eq(cmdline_get("e", value, sizeof(value)), 0);
    cr_assert_eq(cmdline_get("f", value, sizeof(value)), 8);
    cr_assert_str_eq(value, "open end");
}

Test(cmdline, the_last_of_several_counts)
{
    cmdline_init("x=1 x=2 x=a=b");
    cr_assert_eq(cmdline_get("x", value, sizeof(value)), 3);
    cr_assert_str_eq(value, "a=b");
}

Test(cmdline, numbers_fall_back_with_a_warning)
{
    cmdline_init("dec=42 hex=0x1F bad=12x none= big=99999999999999999999");
    cr_assert_eq(cmdline_u64("dec", 9), 42);
    cr_assert_eq(cmdline_u64("hex", 9), 31);
    cr_assert_eq(cmdline_u64("absent", 9), 9);
    cr_assert_str_eq(host_console_take(), "");
    cr_assert_eq(cmdline_u64("bad", 9), 9);
    cr_assert(strstr(host_console_take(), "bad is not a number; 9 is used"));
    cr_assert_eq(cmdline_u64("none", 9), 9);
    cr_assert_eq(cmdline_u64("big", 9), 9);
}

Test(cmdline, a_value_that_does_not_fit_is_refused)
{
    char small[4];

    cmdline_init("x=abcd y=abc");
    cr_assert_eq(cmdline_get("x", small, sizeof(small)), -ENAMETOOLONG);
    cr_assert_eq(cmdline_get("y", small, sizeof(small)), 3);
    cr_assert_eq(cmdline_get("y", small, 0), -ENAMETOOLONG);
}

Test(cmdline, a_long_line_is_cut)
{
    char *text = malloc(5000);

    memset(text, 'x', 4999);
    text[4999] = 0;
    cmdline_init(text);
    cr_assert_eq(strlen(cmdline_text()), 1023);
    free(text);
}

/* GRUB turns name="a b" into "name=a b" on the way through its own parser. */
Test(cmdline, quotes_may_stand_around_the_whole_word)
{
    cmdline_init("\"x=a b\" \"flag\" y=1 \"open");
    cr_assert_eq(cmdline_get("x", value, sizeof(value)), 3);
    cr_assert_str_eq(value, "a b");
    cr_assert(cmdline_flag("flag"));
    cr_assert_eq(cmdline_u64("y", 0), 1);
    cr_assert(cmdline_flag("open"));
}
