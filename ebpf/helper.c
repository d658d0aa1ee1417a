/*
 * The table of helpers, made from helpers.def. Asked by the decoder, which puts the entry's
 * address into the decoded call.
 */
#include "ebpf/helper.h"

#include "ebpf/base.h"
#include "ebpf/helpers.h"
#include "ebpf/prog.h"

#define TYPE(type) ((uint64_t)1 << (type))
#define TYPES_ALL  UINT64_MAX
#define TYPES_TRACING                                                                              \
    (TYPE(BPF_PROG_TYPE_TRACEPOINT) | TYPE(BPF_PROG_TYPE_RAW_TRACEPOINT) |                         \
     TYPE(BPF_PROG_TYPE_KPROBE) | TYPE(BPF_PROG_TYPE_PERF_EVENT) | TYPE(EBPF_PROG_TYPE_MEM))
#define TYPES_SOCKET TYPE(BPF_PROG_TYPE_SOCKET_FILTER)

#define LICENCE_ANY false
#define LICENCE_GPL true

static const struct ebpf_helper helpers[] = {
#define ENTRY(name, call, ret, a1, a2, a3, a4, a5, licence, types)                                 \
    [BPF_FUNC_##name] = {#name,                                                                    \
                         call,                                                                     \
                         RET_##ret,                                                                \
                         {ARG_##a1, ARG_##a2, ARG_##a3, ARG_##a4, ARG_##a5},                       \
                         LICENCE_##licence,                                                        \
                         TYPES_##types},
#define HELPER(name, ret, a1, a2, a3, a4, a5, licence, types)                                      \
    ENTRY(name, helper_##name, ret, a1, a2, a3, a4, a5, licence, types)
#define ENGINE_HELPER(name, ret, a1, a2, a3, a4, a5, licence, types)                               \
    ENTRY(name, NULL, ret, a1, a2, a3, a4, a5, licence, types)
#include "ebpf/helpers.def"
};

const struct ebpf_helper *ebpf_helper_get(uint32_t id)
{
    return id < ARRAY_LEN(helpers) && helpers[id].name ? &helpers[id] : NULL;
}
