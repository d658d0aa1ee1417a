/*
 * The programs of progs/ as two compilers make them, at each level of optimisation and for each
 * version of the instruction set (scripts/host.mk): the verifier accepts all of them, and they run
 * as machine code.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "ebpf/commands.h"
#include "ebpf/ebpf.h"
#include "tests/unit/leakcheck.h"
#include "user/lib/bpf_transport.h"
#include "user/vm/host_port.h"

#define COMPILED_MIN 30u /* 15 ways, two programs at least */

static struct ebpf_session *session;
static char verifier_log[65536];

static long engine(void *arg, uint32_t cmd, void *attr, uint32_t size)
{
    (void)arg;
    if (cmd == SKEP_CLOSE)
        return ebpf_close(session, (int)((struct skep_close_attr *)attr)->handle);
    return ebpf_sys(session, cmd, attr, size);
}

static void set_up(void)
{
    cr_assert_eq(ebpf_init(64u << 20), 0);
    session = ebpf_session_create();
    bpf_transport_set(&(struct bpf_backend){.command = engine});
}

static void tear_down(void)
{
    bpf_transport_set(NULL);
    ebpf_session_destroy(session);
    cr_assert_eq(ebpf_shutdown(), 0);
    host_port_reset();
    leakcheck();
}

TestSuite(compilers, .init = set_up, .fini = tear_down);

static void load(const char *path)
{
    LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = verifier_log,
                .kernel_log_size = sizeof(verifier_log), .kernel_log_level = 1);
    struct bpf_object *object = bpf_object__open_file(path, &opts);
    struct bpf_program *program;

    cr_assert_not_null(object, "%s", path);
    verifier_log[0] = 0;
    cr_assert_eq(bpf_object__load(object), 0, "%s:\n%s", path, verifier_log);
    bpf_object__for_each_program(program, object)
    {
        struct bpf_prog_info info = {0};
        uint32_t size = sizeof(info);

        cr_assert_eq(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), 0);
        cr_assert_gt(info.jited_prog_len, 0, "%s: %s is not machine code", path, info.name);
    }
    bpf_object__close(object);
}

Test(compilers, every_object_is_accepted)
{
    const char *dir = getenv("UNIT_DIR");
    char pattern[512];
    glob_t found;

    cr_assert_not_null(dir, "UNIT_DIR is not set: run through `make unit`");
    snprintf(pattern, sizeof(pattern), "%s/../matrix/*/*/*/*.bpf.o", dir);
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0, "%s", pattern);
    cr_assert_geq(found.gl_pathc, COMPILED_MIN);
    for (size_t i = 0; i < found.gl_pathc; i++)
        load(found.gl_pathv[i]);
    globfree(&found);
}
