/*
 * What the verbs that run programs share: the choice of an engine (--engine), and where a program's
 * input goes.
 */
#include <errno.h>
#include <string.h>

#include "ebpf/engine.h"
#include "ebpf/map.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

#define DEFAULT_PACKET 64u
#define DEFAULT_RECORD 4096u /* larger than any record */

static const char *const names[] = {
    [EBPF_CHECKED] = "checked", [EBPF_INTERP] = "interp", [EBPF_JIT] = "jit"};

const char *vm_engine_name(enum ebpf_engine engine)
{
    return names[engine];
}

/* By name; false: there is no such engine. */
bool vm_engine_find(const char *name, int *engine)
{
    for (int i = 0; i < VM_NR_ENGINES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *engine = i;
            return true;
        }
    }
    return false;
}

/* Likewise for an option's value: 0, or -1 after naming those there are. */
int vm_engine_parse(const char *name, int *engine)
{
    return vm_engine_find(name, engine)
               ? 0
               : vm_error("there is no engine '%s'; there are %s", name, VM_ENGINES);
}

/* Engines that cannot run what is not verified: -1 after saying so. */
int vm_engine_check(int engine, bool unverified)
{
    return unverified && engine > EBPF_CHECKED
               ? vm_error("engine %s takes verified programs only; --unverified is for checked",
                          names[engine])
               : 0;
}

/* Makes a loaded program ready for an engine; VM_ENGINE_DEFAULT leaves it with the best one that
 * takes it. 0 or a negative errno (ebpf_engine_prepare's). */
int vm_engine_set(struct ebpf_prog *prog, int engine)
{
    return engine == VM_ENGINE_DEFAULT || engine == (int)prog->engine
               ? 0
               : ebpf_engine_prepare(prog, (enum ebpf_engine)engine);
}

/* Likewise, for a verb: -1 after saying why the engine does not take the program. */
int vm_engine_choose(struct ebpf_prog *prog, int engine)
{
    int err = vm_engine_set(prog, engine);

    return err ? vm_error("engine %s does not take program %s: %s", names[engine], prog->name,
                          !prog->proof ? "it is not verified" : vm_error_text(err))
               : 0;
}

/* Puts input where the program's type takes it: a record, or a packet or memory. Borrowed. */
void vm_give_input(const struct ebpf_prog *prog, const void *data, size_t size,
                   struct ebpf_test_run *run)
{
    if (prog->type == BPF_PROG_TYPE_TRACEPOINT || prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT) {
        run->ctx_in = size ? data : NULL;
        run->ctx_size_in = (uint32_t)size;
    } else {
        run->data_in = size ? data : NULL;
        run->data_size_in = (uint32_t)size;
    }
}

/* How many bytes of zeroes stand for input that was not given. */
size_t vm_default_input(const struct ebpf_prog *prog)
{
    if (prog->type == EBPF_PROG_TYPE_MEM || prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT)
        return 0;
    return prog->type == BPF_PROG_TYPE_TRACEPOINT ? DEFAULT_RECORD : DEFAULT_PACKET;
}

/* An engine's answer in words, which strerror does not have for all of them. */
const char *vm_error_text(int err)
{
    if (err == -EBPF_ENOTSUPP)
        return "its type has no such operation";
    return err == -E2BIG ? "it is too large" : strerror(-err);
}

/* The sentence in a refused program's log, which is cut behind it: the line "insn N: ..." or,
 * without one, the first. */
char *vm_find_reason(char *log)
{
    char *reason = strstr(log, "\ninsn ");

    if (!reason || strncmp(log, "insn ", 5) == 0)
        reason = log;
    else
        reason++;
    reason[strcspn(reason, "\n")] = 0;
    return reason;
}
