/*
 * The command line: words, and dispatch by the verb tables (help.c makes the help texts of them).
 * As in bpftool, a verb or keyword may be shortened to any prefix; the first that fits wins.
 */
#include <stdlib.h>
#include <string.h>

#include "user/client/client.h"

bool is_prefix(const char *prefix, const char *word)
{
    return prefix && strncmp(prefix, word, strlen(prefix)) == 0;
}

/* Takes the next word when it is the keyword (or a prefix of it). */
bool args_match(struct args *args, const char *word)
{
    if (args->left == 0 || args->next[0][0] == '\0' || !is_prefix(args->next[0], word))
        return false;
    args_take(args);
    return true;
}

/* The next word; NULL when there is none. */
const char *args_take(struct args *args)
{
    if (args->left == 0)
        return NULL;
    args->left--;
    return *args->next++;
}

/* False, and says so, when fewer words are left. */
bool args_require(const struct args *args, int count)
{
    if (args->left >= count)
        return true;
    p_err("'%s' needs at least %d argument%s, %d found", args->next[-1], count,
          count == 1 ? "" : "s", args->left);
    return false;
}

/* 0 when nothing is left on the command line. */
int args_none(const struct args *args)
{
    if (args->left == 0)
        return 0;
    p_err("unknown argument: '%s'", args->next[0]);
    return -1;
}

/* The number after a keyword; `what` names it in errors. */
int args_u32(struct args *args, const char *what, uint32_t *out)
{
    const char *word = args_take(args);
    char *end;

    if (!word) {
        p_err("%s not given", what);
        return -1;
    }
    if (*out) {
        p_err("%s already specified", what);
        return -1;
    }
    unsigned long value = strtoul(word, &end, 0);
    if (*end || end == word || value > UINT32_MAX) {
        p_err("can't parse %s as %s", word, what);
        return -1;
    }
    *out = (uint32_t)value;
    return 0;
}

/* Runs the verb that comes next on the command line; without one, the first. */
int select_verb(const struct noun *noun, struct args *args)
{
    if (args->left == 0)
        return noun->verbs[0].run(args);
    if (is_prefix(args->next[0], "help") && args->next[0][0]) {
        help_noun(noun);
        return 0;
    }
    for (const struct verb *verb = noun->verbs; verb->name; verb++)
        if (args_match(args, verb->name))
            return verb->run(args);
    help_noun(noun);
    return -1;
}
