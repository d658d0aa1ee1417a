/*
 * format_text: printf-like formatting (C11 7.21.6.1) without floating point and without %n, with
 * the kernel's own %px, %pS, %pI4, %pI6 and %pM. Called by printk and whoever makes text. Any
 * context.
 */
#include "kernel/printk.h"
#include "kernel/string.h"
#include "kernel/symbols.h"

#include <stdbool.h>

#define FIELD_MAX 9999 /* nothing we print is wider */

/* Where the text goes (len counts on past size), and the arguments that are left. */
struct out {
    char *buf;
    size_t size, len;
    va_list args;
};

/* One conversion specification. */
struct spec {
    bool left, plus, space, zero, alternate;
    int width;
    int precision; /* -1: none given */
    int length;    /* bytes of the integer argument: 1, 2, 4 or 8 */
};

static void put_char(struct out *out, char c)
{
    if (out->len + 1 < out->size)
        out->buf[out->len] = c;
    out->len++;
}

static void put_bytes(struct out *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_char(out, text[i]);
}

static void put_fill(struct out *out, char c, int count)
{
    while (count-- > 0)
        put_char(out, c);
}

/* Text of len bytes in a field of spec->width. */
static void put_field(struct out *out, const struct spec *spec, const char *text, size_t len)
{
    int fill = spec->width > (int)len ? spec->width - (int)len : 0;

    put_fill(out, ' ', spec->left ? 0 : fill);
    put_bytes(out, text, len);
    put_fill(out, ' ', spec->left ? fill : 0);
}

/* Digits of value, written so that they end at end. Returns their start. */
static char *digits_before(char *end, uint64_t value, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (; value; value /= base)
        *--end = digits[value % base];
    return end;
}

/* A number: [blanks] prefix [zeros] digits [blanks]; prefix is a sign or 0x. */
static void put_number(struct out *out, const struct spec *spec, uint64_t value, unsigned base,
                       bool upper, const char *prefix)
{
    char buf[24]; /* 2^64 in octal has 22 digits */
    char *end = buf + sizeof(buf);
    char *digits = digits_before(end, value, base, upper);
    int nr_digits = (int)(end - digits);
    int nr_prefix = (int)strlen(prefix);
    int zeros = (spec->precision >= 0 ? spec->precision : 1) - nr_digits;

    if (zeros < 0)
        zeros = 0;
    if (spec->alternate && base == 8 && zeros == 0 && (nr_digits == 0 || digits[0] != '0'))
        zeros = 1;
    int fill = spec->width - nr_prefix - zeros - nr_digits;
    if (fill > 0 && spec->zero && !spec->left && spec->precision < 0) {
        zeros += fill;
        fill = 0;
    }
    put_fill(out, ' ', spec->left ? 0 : fill);
    put_bytes(out, prefix, (size_t)nr_prefix);
    put_fill(out, '0', zeros);
    put_bytes(out, digits, (size_t)nr_digits);
    put_fill(out, ' ', spec->left ? fill : 0);
}

static void put_signed(struct out *out, const struct spec *spec, int64_t value)
{
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    put_number(out, spec, magnitude, 10, false, sign);
}

static void put_string(struct out *out, const struct spec *spec, const char *text)
{
    if (!text)
        text = "(null)";
    put_field(out, spec, text,
              spec->precision >= 0 ? strnlen(text, (size_t)spec->precision) : strlen(text));
}

/* ---- %p and its extensions ---------------------------------------------------------------- */

static void put_pointer(struct out *out, const struct spec *spec, uint64_t value,
                        const char *prefix)
{
    struct spec hex = *spec;

    hex.precision = spec->precision < 0 && !spec->width ? 16 : spec->precision;
    put_number(out, &hex, value, 16, false, prefix);
}

static void put_symbol(struct out *out, const struct spec *spec, uintptr_t addr)
{
    char text[128];
    uintptr_t offset;
    const char *name = symbol_find(addr, &offset);

    if (!name) {
        put_pointer(out, spec, addr, "0x");
        return;
    }
    int len = format_text(text, sizeof(text), "%s+0x%lx", name, (unsigned long)offset);
    put_field(out, spec, text, strnlen(text, (size_t)len));
}

static void put_ipv4(struct out *out, const struct spec *spec, const uint8_t *addr)
{
    char text[16];
    int len = format_text(text, sizeof(text), "%u.%u.%u.%u", addr[0], addr[1], addr[2], addr[3]);

    put_field(out, spec, text, (size_t)len);
}

static void put_mac(struct out *out, const struct spec *spec, const uint8_t *mac)
{
    char text[18];
    int len = format_text(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                          mac[2], mac[3], mac[4], mac[5]);

    put_field(out, spec, text, (size_t)len);
}

static unsigned ipv6_group(const uint8_t *addr, unsigned index)
{
    return (unsigned)addr[2 * index] << 8 | addr[2 * index + 1];
}

/* RFC 5952: lower case, no leading zeros, the longest run of at least two zero groups (the first
 * of equals) as "::". */
static void put_ipv6(struct out *out, const struct spec *spec, const uint8_t *addr)
{
    char text[40];
    size_t len = 0;
    unsigned run_start = 8, run_len = 1;

    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;
        while (i + n < 8 && ipv6_group(addr, i + n) == 0)
            n++;
        if (n > run_len) {
            run_start = i;
            run_len = n;
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == run_start) {
            len += (size_t)format_text(text + len, sizeof(text) - len, "::");
            i += run_len - 1;
            continue;
        }
        bool colon = i > 0 && i != run_start + run_len;
        len += (size_t)format_text(text + len, sizeof(text) - len, "%s%x", colon ? ":" : "",
                                   ipv6_group(addr, i));
    }
    put_field(out, spec, text, len);
}

/* fmt points behind the p. Returns what follows the extension, if there is one. */
static const char *convert_pointer(struct out *out, const struct spec *spec, const char *fmt,
                                   const void *pointer)
{
    if (fmt[0] == 'S') {
        put_symbol(out, spec, (uintptr_t)pointer);
        return fmt + 1;
    }
    if (fmt[0] == 'I' && fmt[1] == '4') {
        put_ipv4(out, spec, pointer);
        return fmt + 2;
    }
    if (fmt[0] == 'I' && fmt[1] == '6') {
        put_ipv6(out, spec, pointer);
        return fmt + 2;
    }
    if (fmt[0] == 'M') {
        put_mac(out, spec, pointer);
        return fmt + 1;
    }
    if (fmt[0] == 'x') { /* Linux's own form, which its events print */
        put_pointer(out, spec, (uintptr_t)pointer, "");
        return fmt + 1;
    }
    put_pointer(out, spec, (uintptr_t)pointer, "0x");
    return fmt;
}

/* ---- the format string -------------------------------------------------------------------- */

static const char *parse_flags(const char *fmt, struct spec *spec)
{
    for (;; fmt++) {
        switch (*fmt) {
        case '-':
            spec->left = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return fmt;
        }
    }
}

/* A number in the format, cut at FIELD_MAX. */
static const char *parse_number(const char *fmt, int *out)
{
    int value = 0;

    for (; *fmt >= '0' && *fmt <= '9'; fmt++)
        value = value < FIELD_MAX / 10 ? value * 10 + (*fmt - '0') : FIELD_MAX;
    *out = value;
    return fmt;
}

static const char *parse_length(const char *fmt, int *length)
{
    *length = 4;
    switch (*fmt) {
    case 'h':
        *length = fmt[1] == 'h' ? 1 : 2;
        return fmt + (fmt[1] == 'h' ? 2 : 1);
    case 'l':
        *length = 8;
        return fmt + (fmt[1] == 'l' ? 2 : 1);
    case 'z':
    case 't':
    case 'j':
        *length = 8;
        return fmt + 1;
    }
    return fmt;
}

/* Everything between % and the conversion's letter. */
static const char *parse_spec(struct out *out, const char *fmt, struct spec *spec)
{
    *spec = (struct spec){.precision = -1};
    fmt = parse_flags(fmt, spec);
    if (*fmt == '*') {
        spec->width = va_arg(out->args, int);
        fmt++;
    } else {
        fmt = parse_number(fmt, &spec->width);
    }
    if (spec->width < 0) {
        spec->left = true;
        spec->width = spec->width > -FIELD_MAX ? -spec->width : FIELD_MAX;
    }
    if (*fmt == '.' && fmt[1] == '*') {
        spec->precision = va_arg(out->args, int);
        fmt += 2;
    } else if (*fmt == '.') {
        fmt = parse_number(fmt + 1, &spec->precision);
    }
    return parse_length(fmt, &spec->length);
}

/* Arguments narrower than int arrive as int; cut them to the width that was asked for. */
static uint64_t next_unsigned(struct out *out, int length)
{
    if (length == 8)
        return va_arg(out->args, uint64_t);
    return va_arg(out->args, unsigned) & ((1ull << (8 * length)) - 1);
}

static int64_t next_signed(struct out *out, int length)
{
    unsigned shift = 64 - 8 * (unsigned)length;
    return (int64_t)(next_unsigned(out, length) << shift) >> shift;
}

static void put_hex(struct out *out, const struct spec *spec, uint64_t value, bool upper)
{
    const char *prefix = upper ? "0X" : "0x";
    put_number(out, spec, value, 16, upper, spec->alternate && value ? prefix : "");
}

/* The conversion whose letter is at fmt. Returns what follows it, or NULL when there is no such
 * conversion. */
static const char *convert(struct out *out, const struct spec *spec, const char *fmt)
{
    char c;

    switch (*fmt) {
    case 'd':
    case 'i':
        put_signed(out, spec, next_signed(out, spec->length));
        return fmt + 1;
    case 'u':
        put_number(out, spec, next_unsigned(out, spec->length), 10, false, "");
        return fmt + 1;
    case 'o':
        put_number(out, spec, next_unsigned(out, spec->length), 8, false, "");
        return fmt + 1;
    case 'x':
    case 'X':
        put_hex(out, spec, next_unsigned(out, spec->length), *fmt == 'X');
        return fmt + 1;
    case 'c':
        c = (char)va_arg(out->args, int);
        put_field(out, spec, &c, 1);
        return fmt + 1;
    case 's':
        put_string(out, spec, va_arg(out->args, const char *));
        return fmt + 1;
    case 'p':
        return convert_pointer(out, spec, fmt + 1, va_arg(out->args, const void *));
    case '%':
        put_char(out, '%');
        return fmt + 1;
    }
    return NULL;
}

/* Formats into buf, at most size bytes with the terminator. Returns the length of the whole text,
 * as snprintf does. Any context. */
int format_text_va(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out out = {.buf = buf, .size = size};
    struct spec spec;

    va_copy(out.args, args);
    while (*fmt) {
        const char *next = NULL;
        if (*fmt == '%')
            next = convert(&out, &spec, parse_spec(&out, fmt + 1, &spec));
        /* A character of its own, or an unknown conversion, which is shown as it stands. */
        if (!next) {
            put_char(&out, *fmt);
            next = fmt + 1;
        }
        fmt = next;
    }
    va_end(out.args);
    if (size)
        buf[out.len < size ? out.len : size - 1] = 0;
    return (int)out.len;
}

/* As format_text_va, with the arguments in the call. */
int format_text(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = format_text_va(buf, size, fmt, args);
    va_end(args);
    return len;
}
