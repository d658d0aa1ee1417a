/*
 * The id of a request, as the line has it: found in the text itself, so that a number of any size
 * comes back as it was, and so that a line that is no JSON behind its id is still answered with it.
 */
#include <string.h>

#include "user/vm/batch.h"

struct scan {
    const char *text;
    size_t len, at;
};

static bool is_one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->len && is_one_of(s->text[s->at], " \t\r\n"))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->len || s->text[s->at] != c)
        return false;
    s->at++;
    return true;
}

/* A string from its first quote to behind its last. */
static bool skip_string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    for (; s->at < s->len; s->at++) {
        if (s->text[s->at] == '"') {
            s->at++;
            return true;
        }
        s->at += s->text[s->at] == '\\';
    }
    return false;
}

/* An object or array, with all that is in it; by its brackets alone. */
static bool skip_brackets(struct scan *s)
{
    size_t depth = 0;

    while (s->at < s->len) {
        char c = s->text[s->at];

        if (c == '"') {
            if (!skip_string(s))
                return false;
            continue;
        }
        s->at++;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct scan *s)
{
    size_t from;

    skip_space(s);
    if (s->at == s->len)
        return false;
    if (s->text[s->at] == '"')
        return skip_string(s);
    if (s->text[s->at] == '{' || s->text[s->at] == '[')
        return skip_brackets(s);
    for (from = s->at; s->at < s->len && !is_one_of(s->text[s->at], ",]} \t\r\n");)
        s->at++;
    return s->at > from;
}

/* Where the value of the outermost object's member "id" begins and ends. It may yet be something
 * that is no JSON. False: there is none, or the text ends before it does. */
bool batch_find_id(const char *line, size_t len, size_t *from, size_t *to)
{
    struct scan s = {.text = line, .len = len};

    if (!take(&s, '{'))
        return false;
    do {
        size_t name;

        skip_space(&s);
        name = s.at;
        if (!skip_string(&s))
            return false;
        bool found = s.at - name == 4 && memcmp(line + name, "\"id\"", 4) == 0;
        if (!take(&s, ':'))
            return false;
        skip_space(&s);
        *from = s.at;
        if (!skip_value(&s))
            return false;
        *to = s.at;
        if (found)
            return true;
    } while (take(&s, ','));
    return false;
}
