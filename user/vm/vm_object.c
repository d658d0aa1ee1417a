/*
 * Object files for skep-vm: libbpf opens and relocates them, as for a guest; its bpf(2) goes to the
 * engine in this process.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebpf/context.h"
#include "ebpf/prog.h"
#include "user/vm/vm.h"

/* By Linux's name ("xdp"), or "mem"; false: there is no such type. */
bool vm_type_find(const char *name, uint32_t *type)
{
    for (uint32_t i = 0; i <= EBPF_PROG_TYPE_MEM; i++) {
        const struct ebpf_context *context = ebpf_context_get(i);

        if (context && strcmp(ebpf_context_name(context), name) == 0) {
            *type = i;
            return true;
        }
    }
    return false;
}

/* Likewise for an option's value: 0, or -1 after naming those there are. */
int vm_type_by_name(const char *name, uint32_t *type)
{
    char known[256] = "";

    if (vm_type_find(name, type))
        return 0;
    for (uint32_t i = 0; i <= EBPF_PROG_TYPE_MEM; i++)
        if (ebpf_context_get(i))
            strcat(strcat(known, " "), ebpf_context_name(ebpf_context_get(i)));
    return vm_error("there is no program type '%s'; there are:%s", name, known);
}

/* The caller closes it with bpf_object__close. NULL after saying why not. */
struct bpf_object *vm_object_open(const char *path)
{
    struct bpf_object *object;
    char why[128];

    libbpf_set_memlock_rlim(0); /* nothing is locked in this process: leave its limit alone */
    object = bpf_object__open_file(path, NULL);
    if (!object) {
        libbpf_strerror(errno, why, sizeof(why));
        vm_error("%s is not an eBPF object file that libbpf can open: %s", path, why);
    }
    return object;
}

/* The program called name, or with NULL the only one there is. NULL after naming those there
 * are. */
struct bpf_program *vm_object_choose(struct bpf_object *object, const char *name)
{
    struct bpf_program *program, *found = NULL;
    char known[1024] = "";
    unsigned nr = 0;

    bpf_object__for_each_program(program, object)
    {
        const char *its_name = bpf_program__name(program);

        if (!name || strcmp(its_name, name) == 0)
            found = program;
        if (strlen(known) + strlen(its_name) + 2 < sizeof(known))
            strcat(strcat(known, " "), its_name);
        nr++;
    }
    if (name && !found)
        vm_error("there is no program '%s'; there are:%s", name, known);
    else if (nr == 0)
        vm_error("%s has no programs", bpf_object__name(object));
    else if (!name && nr > 1)
        vm_error("%s has %u programs, choose one with -s:%s", bpf_object__name(object), nr, known);
    return name || nr == 1 ? found : NULL;
}

/* Loads the object with one program (NULL: all of them), as another type than its section's
 * unless that is VM_TYPE_OF_SECTION. 0, or -1 after saying why not; libbpf has then printed the
 * log. */
int vm_object_load(struct bpf_object *object, struct bpf_program *only, uint32_t type)
{
    struct bpf_program *program;
    int err;

    bpf_object__for_each_program(program, object)
    {
        bpf_program__set_autoload(program, !only || program == only);
        if (type != VM_TYPE_OF_SECTION)
            bpf_program__set_type(program, (enum bpf_prog_type)type);
    }
    err = bpf_object__load(object);
    return err ? vm_error("%s does not load: %s", bpf_object__name(object), strerror(-err)) : 0;
}
