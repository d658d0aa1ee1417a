/*
 * Help texts and the reference page (docs/reference/skepctl.md), made of the verb tables.
 */
#include "user/client/client.h"

#define OPTIONS                                                                                    \
    "       OPTIONS := { {-j|--json} [{-p|--pretty}] | {-f|--bpffs} | {-d|--debug} |\n"            \
    "                    {-t|--target} HOST:PORT | {-k|--key} FILE | --insecure |\n"               \
    "                    --timeout SECONDS | {-V|--version} }\n"
#define TARGET_DEFAULT "The target is $SKEP_TARGET, else 127.0.0.1:9970.\n"
#define KEY_DEFAULT    "The key is in $SKEP_KEY, else in the file skep.key beside skepctl.\n"

const struct noun *const nouns[] = {
    &noun_prog, &noun_map, &noun_link, &noun_btf, &noun_tracepoint, &noun_sys, NULL,
};

/* The usage of each verb, a line each, the first behind `lead`. */
static void print_usage(FILE *out, const struct noun *noun, const char *lead)
{
    for (const struct verb *verb = noun->verbs; verb->name; verb++) {
        char names[64];

        if (!verb->usage)
            continue;
        if (verb[1].name && !verb[1].usage)
            snprintf(names, sizeof(names), "{ %s | %s }", verb->name, verb[1].name);
        else
            snprintf(names, sizeof(names), "%s", verb->name);
        fprintf(out, "%-6s skepctl %s %-*s%s%s\n", lead, noun->name, *verb->usage ? 10 : 0, names,
                *verb->usage ? " " : "", verb->usage);
        lead = "";
    }
    fprintf(out, "%-6s skepctl %s help\n\n%s", "", noun->name, noun->terms);
}

/* To standard error, as bpftool does. */
void help_noun(const struct noun *noun)
{
    if (json)
        return jsonw_null(json, NULL);
    print_usage(stderr, noun, "Usage:");
    fputs(OPTIONS, stderr);
}

static void print_overview(FILE *out, const char *lead)
{
    fprintf(out,
            "%-6s skepctl [OPTIONS] OBJECT { COMMAND | help }\n"
            "       skepctl [OPTIONS] run OBJ\n"
            "       skepctl version\n\n"
            "       OBJECT := {",
            lead);
    for (unsigned i = 0; nouns[i]; i++)
        fprintf(out, "%s %s", i ? " |" : "", nouns[i]->name);
    fputs(" }\n" OPTIONS, out);
}

void help_all(void)
{
    if (json)
        return jsonw_null(json, NULL);
    print_overview(stderr, "Usage:");
    fputs("       run: load an object file, attach its programs, show what they say until Ctrl-C\n"
          "       " TARGET_DEFAULT "       " KEY_DEFAULT,
          stderr);
}

/* `skepctl help reference`: the page, in Markdown, to standard output. */
void help_reference(void)
{
    printf(
        "# skepctl\n\n"
        "<!-- Made by `make reference` from the verb tables in user/client/; edit those. -->\n\n"
        "The client of a Skep guest. Grammar, output and exit status (0, or 255 on an error) are "
        "bpftool's.\n" TARGET_DEFAULT KEY_DEFAULT "\n```text\n");
    print_overview(stdout, "");
    printf(
        "```\n\n"
        "| Option | Meaning |\n| --- | --- |\n"
        "| `-j`, `--json` | JSON on one line |\n"
        "| `-p`, `--pretty` | JSON with line breaks |\n"
        "| `-f`, `--bpffs` | lists show what objects are pinned as |\n"
        "| `-d`, `--debug` | all that libbpf and the guest's verifier say |\n"
        "| `-t`, `--target HOST:PORT` | which guest |\n"
        "| `-k`, `--key FILE` | the guest's key: a file of 32 bytes or 64 hexadecimal digits, or "
        "these digits |\n"
        "| `--insecure` | in plain, to a guest that was started with `skep.insecure=1`; also "
        "`SKEP_INSECURE=1` |\n"
        "| `--timeout SECONDS` | how long an answer is waited for, 10 unless given |\n\n"
        "Words may be shortened to any prefix; the first that fits wins. Options stand before "
        "the object.\nA pin's name may be written with or without `/sys/fs/bpf/` before it.\n\n"
        "## skepctl run OBJ\n\n"
        "Loads an object file, attaches each program to what its section names\n"
        "(`tracepoint/SYSTEM/NAME`, `raw_tracepoint/NAME`, `xdp`), and shows the trace pipe and "
        "the ring buffers\nuntil Ctrl-C. Nothing is pinned: all of it goes when the command "
        "ends, however it ends.\n");
    for (unsigned i = 0; nouns[i]; i++) {
        printf("\n## skepctl %s\n\n```text\n", nouns[i]->name);
        print_usage(stdout, nouns[i], "");
        printf("```\n\n| Command | What it does |\n| --- | --- |\n");
        for (const struct verb *verb = nouns[i]->verbs; verb->name; verb++)
            if (verb->usage)
                printf("| `%s` | %s |\n", verb->name, verb->what);
    }
}
