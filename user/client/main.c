/*
 * skepctl: the client of a Skep guest, with bpftool's grammar, output and exit status. This file
 * has the options and the nouns; each noun's verbs are in a file of its own. The connection is
 * made before a verb runs, except for help.
 */
#include <errno.h>
#include <getopt.h>
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
        jsonw_uint(json, "wire_version", WIRE_VERSION_PLAIN);
        jsonw_printf(json, "libbpf_version", "\"%u.%u\"", libbpf_major_version(),
                     libbpf_minor_version());
        jsonw_end(json, '}');
    } else {
        printf("skepctl, wire version %d\nusing libbpf %s\n", WIRE_VERSION_PLAIN,
               libbpf_version_string());
    }
    return 0;
}

static bool asks_for_help(const struct args *args)
{
    return args->left > 0 && strcmp(args->next[0], "help") == 0;
}

static int with_guest(const char *target, const struct noun *noun, struct args *args)
{
    int result;

    if (noun && asks_for_help(args)) {
        help_noun(noun);
        return 0;
    }
    if (guest_connect(target))
        return -1;
    result = noun ? select_verb(noun, args) : do_run(args);
    guest_disconnect();
    return result;
}

static int dispatch(const char *target, struct args *args)
{
    if (args->left == 0 || args_match(args, "help"))
        return help(args);
    if (args_match(args, "version"))
        return version();
    for (unsigned i = 0; nouns[i]; i++)
        if (args_match(args, nouns[i]->name))
            return with_guest(target, nouns[i], args);
    if (args_match(args, "run"))
        return with_guest(target, NULL, args);
    help_all();
    return -1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},         {"pretty", no_argument, NULL, 'p'},
        {"bpffs", no_argument, NULL, 'f'},        {"debug", no_argument, NULL, 'd'},
        {"target", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {0},
    };
    static struct json output;
    const char *target = NULL;
    bool wants_version = false;
    int option, result;

    setlinebuf(stdout);
    output.out = stdout;
    opterr = 0;
    /* '+': options stand before the noun, so that data may begin with '-'. */
    while ((option = getopt_long(argc, argv, "+jpfdt:hV", options, NULL)) >= 0) {
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
            target = optarg;
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
    result = wants_version ? version() : dispatch(target, &args);
    if (json)
        printf("\n");
    if (fflush(stdout) != 0 && result == 0) {
        fprintf(stderr, "Error: can't write the output: %s\n", strerror(errno));
        result = -1;
    }
    return result ? EXIT_BAD : 0;
}
