/*
 * skepctl: the client of a Skep guest, with bpftool's grammar, output and exit status. This file
 * has the options and the nouns; each noun's verbs are in a file of its own. The connection is
 * made before a verb runs, except for help.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebpf/wire.h"
#include "user/client/client.h"

#define EXIT_BAD 255 /* bpftool's -1 */

static int help(struct args *args)
{
    if (args->left > 0 && strcmp(args->next[0], "reference") == 0)
        help_reference();
    else
        help_all();
    return 0;
}

static int version(void)
{
    if (json) {
        jsonw_begin(json, NULL, '{');
        jsonw_uint(json, "wire_version", WIRE_VERSION);
        jsonw_printf(json, "libbpf_version", "\"%u.%u\"", libbpf_major_version(),
                     libbpf_minor_version());
        jsonw_end(json, '}');
    } else {
        printf("skepctl, wire version %d\nusing libbpf %s\n", WIRE_VERSION,
               libbpf_version_string());
    }
    return 0;
}

static bool asks_for_help(const struct args *args)
{
    return args->left > 0 && strcmp(args->next[0], "help") == 0;
}

static int with_guest(const struct skep_options *options, const struct noun *noun,
                      struct args *args)
{
    int result;

    if (noun && asks_for_help(args)) {
        help_noun(noun);
        return 0;
    }
    if (guest_connect(options))
        return -1;
    result = noun ? select_verb(noun, args) : do_run(args);
    guest_disconnect();
    return result;
}

static int dispatch(const struct skep_options *options, struct args *args)
{
    if (args->left == 0 || args_match(args, "help"))
        return help(args);
    if (args_match(args, "version"))
        return version();
    for (unsigned i = 0; nouns[i]; i++)
        if (args_match(args, nouns[i]->name))
            return with_guest(options, nouns[i], args);
    if (args_match(args, "run"))
        return with_guest(options, NULL, args);
    help_all();
    return -1;
}

/* Seconds, at most an hour. */
static int parse_timeout(const char *text, unsigned *ms)
{
    char *end;
    unsigned long seconds = strtoul(text, &end, 10);

    if (*end || seconds == 0 || seconds > 3600) {
        p_err("'%s' is no timeout: give 1 to 3600 seconds", text);
        return -1;
    }
    *ms = (unsigned)seconds * 1000;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"pretty", no_argument, NULL, 'p'},
        {"bpffs", no_argument, NULL, 'f'},
        {"debug", no_argument, NULL, 'd'},
        {"target", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"key", required_argument, NULL, 'k'},
        {"insecure", no_argument, NULL, 'i'},
        {"timeout", required_argument, NULL, 'T'},
        {0},
    };
    static struct json output;
    struct skep_options guest = {0};
    bool wants_version = false;
    int option, result;

    setlinebuf(stdout);
    output.out = stdout;
    opterr = 0;
    /* '+': options stand before the noun, so that data may begin with '-'. */
    while ((option = getopt_long(argc, argv, "+jpfdt:k:hV", options, NULL)) >= 0) {
        switch (option) {
        case 'p':
            output.pretty = true;
            json = &output;
            break;
        case 'j':
            json = &output;
            break;
        case 'f':
            show_pinned = true;
            break;
        case 'd':
            verifier_logs = true;
            break;
        case 't':
            guest.target = optarg;
            break;
        case 'k':
            guest.key = optarg;
            break;
        case 'i':
            guest.insecure = 1;
            break;
        case 'T':
            if (parse_timeout(optarg, &guest.timeout_ms))
                return EXIT_BAD;
            break;
        case 'h':
            help_all();
            return 0;
        case 'V':
            wants_version = true;
            break;
        default:
            p_err("unrecognized option '%s'", argv[optind - 1]);
            if (!json)
                help_all();
            else
                printf("\n");
            return EXIT_BAD;
        }
    }
    struct args args = {.left = argc - optind, .next = argv + optind};
    result = wants_version ? version() : dispatch(&guest, &args);
    if (json)
        printf("\n");
    if (fflush(stdout) != 0 && result == 0) {
        fprintf(stderr, "Error: can't write the output: %s\n", strerror(errno));
        result = -1;
    }
    return result ? EXIT_BAD : 0;
}
