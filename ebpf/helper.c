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
#define TYPES_XDP TYPE(BPF_PROG_TYPE_XDP)
#define TYPES_SKB (TYPE(BPF_PROG_TYPE_SOCKET_FILTER) | TYPE(BPF_PROG_TYPE_SCHED_CLS))
/* Those that the packet's checksum is of interest to. */
#define TYPES_PACKET (TYPE(BPF_PROG_TYPE_XDP) | TYPE(BPF_PROG_TYPE_SCHED_CLS))
/* Those whose links have a cookie. */
#define TYPES_COOKIE                                                                               \
    (TYPE(BPF_PROG_TYPE_TRACEPOINT) | TYPE(BPF_PROG_TYPE_KPROBE) | TYPE(BPF_PROG_TYPE_PERF_EVENT))
/* Linux: check_map_prog_compatibility. An event may come while what it would wait for is held. */
#define TYPES_TIMER (~TYPES_TRACING | TYPE(EBPF_PROG_TYPE_MEM))
#define TYPES_LOCK  (TYPES_TIMER & ~TYPE(BPF_PROG_TYPE_SOCKET_FILTER))
/* fentry and its like, which Skep does not have yet. */
#define TYPES_FUNCTION TYPE(BPF_PROG_TYPE_TRACING)

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

/* Which maps a helper takes (Linux: check_map_func_compatibility). */
#define MAP(type) ((uint64_t)1 << BPF_MAP_TYPE_##type)
#define MAPS_ANY  UINT64_MAX
#define MAPS_KEYED                                                                                 \
    (MAP(HASH) | MAP(ARRAY) | MAP(PERCPU_HASH) | MAP(PERCPU_ARRAY) | MAP(LRU_HASH) |               \
     MAP(LRU_PERCPU_HASH) | MAP(LPM_TRIE))
#define MAPS_LOOKED_UP        (MAPS_KEYED | MAP(ARRAY_OF_MAPS) | MAP(HASH_OF_MAPS))
#define MAPS_POPPED           (MAP(QUEUE) | MAP(STACK))
#define MAPS_PUSHED           (MAPS_POPPED | MAP(BLOOM_FILTER))
#define MAPS_RINGBUF          MAP(RINGBUF)
#define MAPS_PERF_EVENT_ARRAY MAP(PERF_EVENT_ARRAY)
#define MAPS_STACK_TRACE      MAP(STACK_TRACE)
#define MAPS_PROG_ARRAY       MAP(PROG_ARRAY)

static const struct ebpf_helper_rules rules[ARRAY_LEN(helpers)] = {
#define HELPER_RULES(name, maps, what) [BPF_FUNC_##name] = {MAPS_##maps, what},
#include "ebpf/helpers.def"
};

const struct ebpf_helper *ebpf_helper_get(uint32_t id)
{
    return id < ARRAY_LEN(helpers) && helpers[id].name ? &helpers[id] : NULL;
}

/* Those are handed a context for the function; a timer's function, which comes later, has none. */
bool ebpf_helper_calls_back(const struct ebpf_helper *helper)
{
    for (unsigned n = 0; n < 4; n++)
        if (helper->args[n] == ARG_FUNC && helper->args[n + 1] == ARG_STACK_OR_NULL)
            return true;
    return false;
}

uint32_t ebpf_helper_id(const struct ebpf_helper *helper)
{
    return (uint32_t)(helper - helpers);
}

/* Borrowed. What helpers.def says of it beyond its signature. */
const struct ebpf_helper_rules *ebpf_helper_rules(const struct ebpf_helper *helper)
{
    static const struct ebpf_helper_rules none = {MAPS_ANY, 0};
    const struct ebpf_helper_rules *found = &rules[ebpf_helper_id(helper)];

    return found->maps ? found : &none;
}
