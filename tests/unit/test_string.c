/*
 * kernel/string.c under names of its own (the host's C library has the real ones), held against
 * the C library; and kernel/text.c.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/leakcheck.h"

#define memcpy  skep_memcpy
#define memmove skep_memmove
#define memset  skep_memset
#define memcmp  skep_memcmp
#define memchr  skep_memchr
#define strlen  skep_strlen
#define strnlen skep_strnlen
#define strcmp  skep_strcmp
#define strncmp skep_strncmp
#undef strchr
#define strchr  skep_strchr
#define strrchr skep_strrchr
#define strstr  skep_strstr
#define strncpy skep_strncpy
#include "kernel/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#undef strncpy

TestSuite(string, .fini = leakcheck);

#define AREA 64u

static void fill(uint8_t *area)
{
    for (unsigned i = 0; i < AREA; i++)
        area[i] = (uint8_t)(i * 7 + 1);
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

Test(string, memmove_matches_libc_for_every_overlap)
{
    uint8_t ours[AREA], theirs[AREA];

    for (unsigned from = 0; from < 20; from++) {
        for (unsigned to = 0; to < 20; to++) {
            for (unsigned len = 0; len < 40; len++) {
                fill(ours);
                fill(theirs);
                cr_assert_eq(skep_memmove(ours + to, ours + from, len), ours + to);
                memmove(theirs + to, theirs + from, len);
                cr_assert_arr_eq(ours, theirs, AREA, "from %u to %u len %u", from, to, len);
            }
        }
    }
}

Test(string, memcpy_and_memset_touch_only_their_range)
{
    for (unsigned at = 0; at < 9; at++) {
        for (unsigned len = 0; len < 40; len++) {
            uint8_t ours[AREA], theirs[AREA], source[AREA];
            fill(source);
            memset(ours, 0xee, AREA);
            memset(theirs, 0xee, AREA);
            cr_assert_eq(skep_memcpy(ours + at, source, len), ours + at);
            memcpy(theirs + at, source, len);
            cr_assert_arr_eq(ours, theirs, AREA);
            cr_assert_eq(skep_memset(ours + at, -2, len), ours + at);
            memset(theirs + at, -2, len);
            cr_assert_arr_eq(ours, theirs, AREA);
        }
    }
}

/* The blocks are on the heap, so that reading past them is an ASan report. */
Test(string, memcmp_compares_as_unsigned_bytes)
{
    for (unsigned len = 1; len < 20; len++) {
        for (unsigned differs = 0; differs <= len; differs++) {
            uint8_t *a = calloc(1, len), *b = calloc(1, len);
            if (differs < len)
                a[differs] = 0x80, b[differs] = 0x7f;
            cr_assert_eq(sign(skep_memcmp(a, b, len)), differs < len ? 1 : 0);
            cr_assert_eq(sign(skep_memcmp(b, a, len)), differs < len ? -1 : 0);
            free(a);
            free(b);
        }
    }
}

Test(string, searches_match_libc)
{
    static const char *const texts[] = {"", "a", "abc", "abcabc", "ababac", "xyz\xff"};
    static const char *const parts[] = {"", "a", "c", "abc", "abac", "abcd", "\xff"};

    for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        const char *text = texts[i];
        cr_assert_eq(skep_strlen(text), strlen(text));
        cr_assert_eq(skep_strnlen(text, 2), strnlen(text, 2));
        for (unsigned j = 0; j < sizeof(parts) / sizeof(*parts); j++) {
            const char *part = parts[j];
            cr_assert_eq(skep_strstr(text, part), strstr(text, part));
            cr_assert_eq(skep_strchr(text, part[0]), strchr(text, part[0]));
            cr_assert_eq(skep_strrchr(text, part[0]), strrchr(text, part[0]));
            cr_assert_eq(skep_memchr(text, part[0], strlen(text)),
                         memchr(text, part[0], strlen(text)));
            cr_assert_eq(sign(skep_strcmp(text, part)), sign(strcmp(text, part)));
            cr_assert_eq(sign(skep_strncmp(text, part, 2)), sign(strncmp(text, part, 2)));
        }
    }
}

Test(string, strncpy_pads_with_zeros_and_may_leave_no_terminator)
{
    char to[6];

    memset(to, 'x', sizeof(to));
    skep_strncpy(to, "ab", 4);
    cr_assert_arr_eq(to, "ab\0\0xx", 6);
    skep_strncpy(to, "abcdef", 3);
    cr_assert_arr_eq(to, "abc\0xx", 6);
}

Test(string, string_copy_always_terminates)
{
    char to[4];

    cr_assert(string_copy(to, "abc", sizeof(to)));
    cr_assert_str_eq(to, "abc");
    cr_assert_not(string_copy(to, "wxyz", sizeof(to)));
    cr_assert_str_eq(to, "wxy");
    cr_assert_not(string_copy(to, "q", 1));
    cr_assert_str_eq(to, "");
}

Test(string, string_to_u64_takes_whole_numbers_only)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"1234", true, 1234},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"0xfFfFfFfFfFfFfFfF", true, UINT64_MAX},
        {"0x10000000000000000", false, 0},
        {"0x", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"12a", false, 0},
        {" 1", false, 0},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t value = 99;
        cr_assert_eq(string_to_u64(cases[i].text, &value), cases[i].good, "%s", cases[i].text);
        cr_assert_eq(value, cases[i].good ? cases[i].value : 99, "%s", cases[i].text);
    }
}
