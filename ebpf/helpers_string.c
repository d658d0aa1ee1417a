/*
 * Helpers on text: printing, formatting, comparing, reading numbers. Formats are format.c's. Linux:
 * kernel/bpf/helpers.c and kernel/trace/bpf_trace.c.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/port.h"

#define ARGUMENTS_MAX 12u /* Linux: MAX_BPRINTF_VARARGS */
#define BASE_MASK     0x1fu
#define DIGITS_MAX    63u /* what Linux's helper looks at; a number has fewer */

/* ---- formats -------------------------------------------------------------------------------- */

/* As much as the stack may take in an interrupt. */
#define LINE_MAX (EBPF_FORMAT_MAX / 2)

static uint64_t print(const char *fmt, uint32_t fmt_size, const uint64_t *args, unsigned nr)
{
    char line[LINE_MAX];
    long len = ebpf_format(line, sizeof(line), fmt, fmt_size, args, nr);

    if (len >= 0)
        port_trace_printk(line, bounded_length(line, sizeof(line)));
    return helper_error(len);
}

/* trace_printk(fmt, fmt_size, ...): characters, or -EINVAL for a format that Linux refuses. */
uint64_t helper_trace_printk(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    return print((const char *)r1, (uint32_t)r2, (const uint64_t[]){r3, r4, r5}, 3);
}

/* An array of 64-bit arguments: what Linux requires of its size. */
static bool are_arguments(uint64_t data, uint64_t size)
{
    return size % sizeof(uint64_t) == 0 && size <= ARGUMENTS_MAX * sizeof(uint64_t) &&
           (size == 0 || data != 0);
}

/* trace_vprintk(fmt, fmt_size, arguments, their size). */
uint64_t helper_trace_vprintk(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    (void)r5;
    if (!are_arguments(r3, r4))
        return helper_error(-EINVAL);
    return print((const char *)r1, (uint32_t)r2, (const uint64_t *)r3,
                 (unsigned)(r4 / sizeof(uint64_t)));
}

/* snprintf(to, size, fmt, arguments, their size): the bytes that the whole text takes with its NUL,
 * of which as many as fit are there. */
uint64_t helper_snprintf(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const char *fmt = (const char *)r3;
    char nothing[1];
    char *to = r1 && r2 ? (char *)r1 : nothing;
    uint32_t size = r1 && r2 ? (uint32_t)r2 : sizeof(nothing);
    long len;

    if (!are_arguments(r4, r5))
        return helper_error(-EINVAL);
    len = ebpf_format(to, size, fmt, (uint32_t)__builtin_strlen(fmt) + 1, (const uint64_t *)r4,
                      (unsigned)(r5 / sizeof(uint64_t)));
    return helper_error(len < 0 ? len : len + 1);
}

/* ---- strings and numbers -------------------------------------------------------------------- */

/* strncmp(r1, r3, r2): the sign of the first difference. */
uint64_t helper_strncmp(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    const uint8_t *a = (const uint8_t *)r1, *b = (const uint8_t *)r3;

    (void)r4, (void)r5;
    for (uint32_t i = 0; i < (uint32_t)r2; i++) {
        if (a[i] != b[i])
            return helper_error(a[i] < b[i] ? -1 : 1);
        if (a[i] == 0)
            break;
    }
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The digit's value; one that no base has for another character. */
static unsigned digit_of(char c)
{
    char lower = (char)(c | 0x20);

    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return lower >= 'a' && lower <= 'f' ? (unsigned)(lower - 'a') + 10 : UINT32_MAX;
}

struct number {
    uint64_t magnitude;
    bool negative;
};

/* Linux: _parse_integer_fixup_radix. What stands in front of the digits by the base's rules. */
static uint32_t take_prefix(const char *text, uint32_t len, unsigned *base)
{
    bool hex = len > 2 && text[0] == '0' && (text[1] | 0x20) == 'x' && digit_of(text[2]) < 16;

    if (*base == 0)
        *base = hex ? 16 : len && text[0] == '0' ? 8 : 10;
    return *base == 16 && hex ? 2 : 0;
}

/* Linux: __bpf_strtoull. White space, a sign, digits of the base in the low bits of flags (0, 8,
 * 10, 16); characters read, -EINVAL without a digit, -ERANGE. */
static long parse(const char *text, uint32_t len, uint64_t flags, struct number *out)
{
    unsigned base = (unsigned)(flags & BASE_MASK);
    uint32_t at = 0, first;

    if ((base != 0 && base != 8 && base != 10 && base != 16) || (flags & ~(uint64_t)BASE_MASK))
        return -EINVAL;
    while (at < len && is_space(text[at]))
        at++;
    out->negative = at < len && text[at] == '-';
    at += out->negative;
    if (len > at + DIGITS_MAX)
        len = at + DIGITS_MAX;
    at += take_prefix(text + at, len - at, &base);
    out->magnitude = 0;
    for (first = at; at < len && digit_of(text[at]) < base; at++)
        if (__builtin_mul_overflow(out->magnitude, (uint64_t)base, &out->magnitude) ||
            __builtin_add_overflow(out->magnitude, (uint64_t)digit_of(text[at]), &out->magnitude))
            return -ERANGE;
    return at > first ? (long)at : -EINVAL;
}

/* strtol(text, len, flags, result). */
uint64_t helper_strtol(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct number number = {0};
    long taken = parse((const char *)r1, (uint32_t)r2, r3, &number);
    uint64_t most = (uint64_t)INT64_MAX + (number.negative ? 1 : 0);

    (void)r5;
    if (taken < 0)
        return helper_error(taken);
    if (number.magnitude > most)
        return helper_error(-ERANGE);
    *(uint64_t *)r4 = number.negative ? 0 - number.magnitude : number.magnitude;
    return helper_error(taken);
}

/* strtoul(text, len, flags, result). A sign is -EINVAL. */
uint64_t helper_strtoul(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
    struct number number = {0};
    long taken = parse((const char *)r1, (uint32_t)r2, r3, &number);

    (void)r5;
    if (taken < 0)
        return helper_error(taken);
    if (number.negative)
        return helper_error(-EINVAL);
    *(uint64_t *)r4 = number.magnitude;
    return helper_error(taken);
}
