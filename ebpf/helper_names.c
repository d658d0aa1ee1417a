/*
 * The names of Linux's helpers, from the UAPI's own list. Apart from helper.c, so that the
 * disassembler can be linked without the helpers.
 */
#include <stddef.h>

#include "ebpf/base.h"
#include "ebpf/helper.h"

static const char *const names[] = {
#define NAME(name) [BPF_FUNC_##name] = #name
    __BPF_FUNC_MAPPER(NAME)
#undef NAME
};

/* The name, without bpf_, of any helper that Linux 6.1 has, whether Skep has it or not; NULL when
 * there is none of that id. Pure. */
const char *ebpf_helper_name(uint32_t id)
{
    return id < ARRAY_LEN(names) && id != BPF_FUNC_unspec ? names[id] : NULL;
}
