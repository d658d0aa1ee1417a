/*
 * format_text: standard conversions held against the C library's snprintf, the kernel's own
 * against their rules, and the bounds of the buffer.
 */
#include <stdio.h>
#include <string.h>

#include "kernel/printk.h"
#include "tests/unit/leakcheck.h"

TestSuite(format, .fini = leakcheck);

/* Some of the combinations below are what -Wformat warns of; C11 gives them a meaning. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-zero-length"

#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours[256], theirs[256];                                                               \
        int our_len = format_text(ours, sizeof(ours), __VA_ARGS__);                                \
        int their_len = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                             \
        cr_assert_str_eq(ours, theirs);                                                            \
        cr_assert_eq(our_len, their_len);                                                          \
    } while (0)

#define GIVES(expected, ...)                                                                       \
    do {                                                                                           \
        char text[256];                                                                            \
        cr_assert_eq(format_text(text, sizeof(text), __VA_ARGS__), (int)strlen(expected));         \
        cr_assert_str_eq(text, expected);                                                          \
    } while (0)

Test(format, integers_match_snprintf)
{
    static const long long values[] = {0,
                                       1,
                                       -1,
                                       9,
                                       42,
                                       -300,
                                       65536,
                                       2147483647,
                                       -2147483648LL,
                                       4294967295LL,
                                       9223372036854775807LL,
                                       -9223372036854775807LL - 1};
    static const char *const flags[] = {"", "-", "+", " ", "0", "#", "-0", "+0", "#0", "-#"};
    static const char *const widths[] = {"", "1", "7", "20", ".0", ".5", "9.4", "3.12"};
    static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z", "j", "t"};

    for (unsigned f = 0; f < sizeof(flags) / sizeof(*flags); f++)
        for (unsigned w = 0; w < sizeof(widths) / sizeof(*widths); w++)
            for (unsigned l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)
                for (const char *c = "diuxXo"; *c; c++)
                    for (unsigned v = 0; v < sizeof(values) / sizeof(*values); v++) {
                        char fmt[32];
                        snprintf(fmt, sizeof(fmt), "[%%%s%s%s%c]", flags[f], widths[w], lengths[l],
                                 *c);
                        SAME(fmt, values[v]);
                    }
}

Test(format, strings_and_characters_match_snprintf)
{
    SAME("");
    SAME("plain");
    SAME("%s|%10s|%-10s|%.2s|%10.2s|%-10.2s|", "abc", "abc", "abc", "abc", "abc", "abc");
    SAME("%.0s|", "abc");
    SAME("%c|%5c|%-5c|", 'x', 'y', 'z');
    SAME("100%% %d%%", 5);
    SAME("%*d|%-*d|%*d|%.*d|%.*s", 6, 1, 6, 2, -6, 3, 4, 5, 2, "xyz");
    SAME("%.*d", -3, 7);
}

Test(format, null_string_and_unknown_conversion_are_shown)
{
    const char *volatile nothing = NULL;

    GIVES("(null)", "%s", nothing);
    GIVES("%q 1", "%q %d", 1);
    GIVES("%", "%");
    GIVES("%-5", "%-5");
}

Test(format, precision_bounds_the_reading_of_a_string)
{
    char unterminated[3] = {'a', 'b', 'c'};

    GIVES("abc", "%.3s", unterminated);
}

Test(format, text_is_cut_but_counted_whole)
{
    char buf[5] = "zzzz";

    cr_assert_eq(format_text(buf, 4, "%s", "abcdef"), 6);
    cr_assert_str_eq(buf, "abc");
    cr_assert_eq(format_text(NULL, 0, "%d", 12345), 5);
    cr_assert_eq(format_text(buf, 1, "x"), 1);
    cr_assert_str_eq(buf, "");
}

Test(format, pointers_and_symbols)
{
    GIVES("0x0000000000000000", "%p", (void *)0);
    GIVES("0x00000000deadbeef", "%p", (void *)0xdeadbeef);
    GIVES("00000000deadbeef!", "%px!", (void *)0xdeadbeef);
    /* The host's symbol_find knows no symbol: the address stands for itself. */
    GIVES("0x0000000000001000", "%pS", (void *)0x1000);
}

Test(format, addresses)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
    static const uint8_t v4[4] = {10, 0, 2, 255};

    GIVES("52:54:00:12:34:56", "%pM", mac);
    GIVES("10.0.2.255:80", "%pI4:%u", v4, 80);
    GIVES("|     10.0.2.255|10.0.2.255     |", "|%15pI4|%-15pI4|", v4, v4);
}

/* RFC 5952, section 4. */
Test(format, ipv6_is_written_in_its_shortest_form)
{
    static const struct {
        uint8_t addr[16];
        const char *text;
    } cases[] = {
        {{0}, "::"},
        {{[15] = 1}, "::1"},
        {{0xfe, 0x80, [15] = 0x15}, "fe80::15"},
        {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, "2001:db8::1"},
        {{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, "2001:db8:0:1:1:1:1:1"},
        {{0x20, 0x01, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}, "2001:0:0:1::1"},
        {{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1}, "2001:db8::1:0:0:1"},
        {{0xff, 0x02}, "ff02::"},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        GIVES(cases[i].text, "%pI6", cases[i].addr);
}
