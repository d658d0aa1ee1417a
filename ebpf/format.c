/*
 * The formats of bpf_trace_printk (kernel/trace/bpf_trace.c, bpf_bprintf_prepare): % with flags and
 * width, then d i u x X with up to two l, c, s (read safely), p and its variants, or %.
 * Anything else is refused, as on Linux. Addresses are printed as they are: nothing is hidden in a
 * machine that one comes to look at.
 */
#include "ebpf/base.h"
#include "ebpf/helpers.h"

#define STRING_MAX 512u /* of one %s, as on Linux */

struct output {
    char *buf;
    uint32_t size;
    uint32_t used, wanted; /* characters there, and what there would be with room for all */
};

struct spec {
    bool left, zero, plus, space;
    unsigned width;
    unsigned longs;
    char conversion;
};

static void put(struct output *out, char c)
{
    out->wanted++;
    if (out->used + 1 < out->size)
        out->buf[out->used++] = c;
}

/* text of len characters within the width; sign stands before zeroes. */
static void put_padded(struct output *out, const struct spec *spec, const char *sign,
                       const char *text, size_t len)
{
    size_t all = len + __builtin_strlen(sign);
    size_t pad = spec->width > all ? spec->width - all : 0;

    if (!spec->left && !spec->zero)
        for (; pad; pad--)
            put(out, ' ');
    while (*sign)
        put(out, *sign++);
    if (!spec->left)
        for (; pad; pad--)
            put(out, '0');
    while (len--)
        put(out, *text++);
    for (; pad; pad--)
        put(out, ' ');
}

static void put_number(struct output *out, const struct spec *spec, uint64_t value)
{
    bool is_signed = spec->conversion == 'd' || spec->conversion == 'i';
    bool hex = spec->conversion == 'x' || spec->conversion == 'X';
    const char *digits = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *sign = "";
    char text[24];
    unsigned at = sizeof(text), base = hex ? 16 : 10;

    if (!spec->longs)
        value = is_signed ? (uint64_t)(int64_t)(int32_t)value : (uint32_t)value;
    if (is_signed)
        sign = spec->plus ? "+" : spec->space ? " " : "";
    if (is_signed && (int64_t)value < 0) {
        sign = "-";
        value = 0 - value;
    }
    do {
        text[--at] = digits[value % base];
        value /= base;
    } while (value);
    put_padded(out, spec, sign, text + at, sizeof(text) - at);
}

/* A string that cannot be read prints as nothing. */
static void put_string(struct output *out, const struct spec *spec, uint64_t addr)
{
    char text[STRING_MAX / 4];
    uint32_t done = 0;
    struct spec piece = *spec;
    long n;

    do {
        n = ebpf_read_string(text, sizeof(text), (const char *)addr + done);
        if (n <= 1)
            break;
        put_padded(out, &piece, "", text, (size_t)n - 1);
        done += (uint32_t)n - 1;
        piece.width = 0;
    } while ((size_t)n == sizeof(text) && done < STRING_MAX - 1);
}

/* Parses what follows a %; false when Linux would refuse it. Moves *at behind it. */
static bool parse(const char *fmt, uint32_t len, uint32_t *at, struct spec *spec)
{
    uint32_t i = *at;

    *spec = (struct spec){0};
    for (; fmt[i] == '0' || fmt[i] == '+' || fmt[i] == '-' || fmt[i] == ' '; i++) {
        spec->zero |= fmt[i] == '0';
        spec->plus |= fmt[i] == '+';
        spec->left |= fmt[i] == '-';
        spec->space |= fmt[i] == ' ';
    }
    for (; fmt[i] >= '0' && fmt[i] <= '9'; i++)
        spec->width = spec->width < len ? spec->width * 10 + (unsigned)(fmt[i] - '0') : len;
    for (; fmt[i] == 'l' && spec->longs < 2; i++)
        spec->longs++;
    spec->conversion = fmt[i++];
    if (spec->conversion == 'p') {
        if ((fmt[i] == 'k' || fmt[i] == 'u') && fmt[i + 1] == 's') {
            spec->conversion = 's';
            i += 2;
        } else if (fmt[i] == 'x' || fmt[i] == 'K' || fmt[i] == 's' || fmt[i] == 'S') {
            i++;
        }
    }
    *at = i;
    switch (spec->conversion) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
        return true;
    case 'c':
    case 's':
    case 'p':
        return spec->longs == 0;
    }
    return false;
}

static void put_argument(struct output *out, struct spec *spec, uint64_t value)
{
    char c = (char)value;

    switch (spec->conversion) {
    case 's':
        put_string(out, spec, value);
        break;
    case 'c':
        put_padded(out, spec, "", &c, 1);
        break;
    case 'p':
        spec->conversion = 'x';
        spec->longs = 2;
        spec->zero = true;
        spec->width = 2 * sizeof(value);
        put_number(out, spec, value);
        break;
    default:
        put_number(out, spec, value);
    }
}

/* Formats fmt (fmt_size bytes with its NUL) into out, cut to size and always terminated. Returns
 * the characters that the whole text has, or -EINVAL: no NUL at the end, characters that are not
 * printable ASCII or white space, an unknown conversion, or more conversions than nr_args. Without
 * args, what they would print is left out. Any context. */
long ebpf_format(char *buf, uint32_t size, const char *fmt, uint32_t fmt_size, const uint64_t *args,
                 unsigned nr_args)
{
    struct output out = {buf, size, 0, 0};
    unsigned used = 0;
    struct spec spec;

    if (size == 0 || fmt_size == 0 || fmt[fmt_size - 1] != 0)
        return -EINVAL;
    for (uint32_t i = 0; fmt[i];) {
        char c = fmt[i++];

        if ((c < ' ' && !(c >= '\t' && c <= '\r')) || c > '~')
            return -EINVAL;
        if (c != '%') {
            put(&out, c);
        } else if (fmt[i] == '%') {
            put(&out, fmt[i++]);
        } else {
            if (!parse(fmt, size, &i, &spec) || used == nr_args)
                return -EINVAL;
            if (args)
                put_argument(&out, &spec, args[used]);
            used++;
        }
    }
    buf[out.used] = 0;
    return out.wanted;
}

/* Is fmt, which ends within room bytes, a format for so many arguments? 0 or -EINVAL. */
long ebpf_format_check(const char *fmt, uint32_t room, unsigned nr_args)
{
    char nothing[1];
    long len = ebpf_format(nothing, sizeof(nothing), fmt, (uint32_t)bounded_length(fmt, room) + 1,
                           NULL, nr_args);

    return len < 0 ? len : 0;
}
