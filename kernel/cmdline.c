/*
 * The kernel command line: kept once at start-up, searched when asked; it is short. Called by
 * main.c and by every module that has a setting.
 */
#include "kernel/cmdline.h"

#include <linux/errno.h>

#include "boot/bootinfo.h"
#include "kernel/printk.h"
#include "kernel/string.h"

static char text[BOOT_CMDLINE_SIZE];

/* One word of the command line; the pointers lead into text. */
struct word {
    const char *name, *value; /* value: NULL for a bare name; quotes still in it */
    size_t name_len, value_len;
};

/* Copies the text, cut to fit. Start-up only. */
void cmdline_init(const char *from)
{
    string_copy(text, from, sizeof(text));
}

/* The whole command line. */
const char *cmdline_text(void)
{
    return text;
}

/* The word at or after *at; false at the end. Quotes hide spaces, wherever they stand: a person
 * writes name="a b", and GRUB hands that on as "name=a b". */
static bool next_word(const char **at, struct word *out)
{
    const char *p = *at;

    while (*p == ' ')
        p++;
    if (!*p)
        return false;
    bool whole = *p == '"';
    bool quoted = whole;
    if (whole)
        p++;
    *out = (struct word){.name = p};
    for (; *p && (quoted || *p != ' '); p++) {
        if (*p == '"')
            quoted = !quoted;
        if (*p == '=' && (whole || !quoted) && !out->value) {
            out->name_len = (size_t)(p - out->name);
            out->value = p + 1;
        }
    }
    if (out->value)
        out->value_len = (size_t)(p - out->value);
    else
        out->name_len = (size_t)(p - out->name) - (whole && !quoted && p[-1] == '"');
    *at = p;
    return true;
}

/* The last word of that name, so that what is appended overrides. */
static bool find_word(const char *name, struct word *out)
{
    size_t len = strlen(name);
    const char *at = text;
    struct word word;
    bool found = false;

    while (next_word(&at, &word)) {
        if (word.name_len == len && memcmp(word.name, name, len) == 0) {
            *out = word;
            found = true;
        }
    }
    return found;
}

/* Copies the value of the last word of that name, without quotes; see cmdline.h for the result.
 * Any context. */
int cmdline_get(const char *name, char *buf, size_t size)
{
    struct word word;
    size_t len = 0;

    if (!find_word(name, &word))
        return -ENOENT;
    for (size_t i = 0; i < word.value_len; i++) {
        if (word.value[i] == '"')
            continue;
        if (len + 1 >= size)
            return -ENAMETOOLONG;
        buf[len++] = word.value[i];
    }
    if (size == 0)
        return -ENAMETOOLONG;
    buf[len] = 0;
    return (int)len;
}

/* True for a bare name, and for the values 1 and yes. Any context. */
bool cmdline_flag(const char *name)
{
    char value[8];
    struct word word;

    if (!find_word(name, &word))
        return false;
    if (!word.value)
        return true;
    return cmdline_get(name, value, sizeof(value)) > 0 &&
           (strcmp(value, "1") == 0 || strcmp(value, "yes") == 0);
}

/* The value as a number; fallback when there is none, or none that is a number (which is logged).
 * Any context. */
uint64_t cmdline_u64(const char *name, uint64_t fallback)
{
    char value[32];
    uint64_t number;
    int len = cmdline_get(name, value, sizeof(value));

    if (len == -ENOENT)
        return fallback;
    if (len < 0 || !string_to_u64(value, &number)) {
        pr_warn("command line: %s is not a number; %lu is used", name, (unsigned long)fallback);
        return fallback;
    }
    return number;
}
