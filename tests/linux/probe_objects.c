/*
 * Object files: each program of each object is loaded by libbpf in a load of its own, so that one
 * that is refused does not hide the others.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "tests/linux/probe.h"

#define PART "object"

static char log_text[PROBE_LOG_SIZE];

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static struct bpf_program *only(struct bpf_object *object, const char *name)
{
    struct bpf_program *program, *found = NULL;

    bpf_object__for_each_program(program, object)
    {
        bool is = strcmp(bpf_program__name(program), name) == 0;

        bpf_program__set_autoload(program, is);
        if (is)
            found = program;
    }
    return found;
}

static void load_one(const char *path, const char *name)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log_text,
                .kernel_log_size = sizeof(log_text));
    struct bpf_object *object = bpf_object__open_file(path, &opts);
    char id[192], reason[512];
    int err;

    snprintf(id, sizeof(id), "%s:%s", base_name(path), name);
    if (!object) {
        probe_say(PART, id, "load", "%s", probe_error(errno));
        return;
    }
    struct bpf_program *program = only(object, name);
    log_text[0] = 0;
    probe_say(PART, id, "section", "%s", bpf_program__section_name(program));
    err = bpf_object__load(object);
    probe_say(PART, id, "load", "%s", probe_error(err));
    if (err) {
        probe_log_reason(log_text, reason, sizeof(reason));
        probe_say(PART, id, "reason", "%s", reason);
    } else {
        side_loaded(id, bpf_program__fd(program));
    }
    bpf_object__close(object);
}

static void probe_object(const char *path)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_program *program;

    if (!object) {
        probe_say(PART, base_name(path), "open", "%s", probe_error(errno));
        return;
    }
    bpf_object__for_each_program(program, object) load_one(path, bpf_program__name(program));
    bpf_object__close(object);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
    (void)level;
    (void)fmt;
    (void)args;
    return 0;
}

/* Every object of a folder. */
void probe_objects(const char *folder)
{
    char pattern[512];
    glob_t found;

    libbpf_set_print(quiet);
    snprintf(pattern, sizeof(pattern), "%s/*.bpf.o", folder);
    if (glob(pattern, 0, NULL, &found) != 0) {
        probe_say("note", "objects", "missing", "%s", folder);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        probe_object(found.gl_pathv[i]);
    globfree(&found);
}
