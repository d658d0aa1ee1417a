/*
 * The commands, one function each, by the names in commands.def. Internal to sys*.c. Each gets its
 * attributes complete (what the caller did not give is 0) and checked for zeros after the last
 * field that it uses; what it writes there goes back to the caller.
 */
#ifndef SKEP_EBPF_SYS_H
#define SKEP_EBPF_SYS_H

#include "ebpf/btf.h"
#include "ebpf/ebpf.h"
#include "ebpf/link.h"
#include "ebpf/map.h"
#include "ebpf/marshal.h"
#include "ebpf/prog.h"
#include "ebpf/session.h"

#define SERVER_COMMAND(...)
#define COMMAND(number, NAME, ...)                                                                 \
    long ebpf_cmd_##NAME(struct ebpf_session *session, union marshal_attr *attr);
#include "ebpf/commands.def"
#undef COMMAND

/* A pointer field. */
static inline void *ebpf_attr_pointer(uint64_t field)
{
    return (void *)(uintptr_t)field;
}

int ebpf_get_map(struct ebpf_session *session, uint32_t handle, struct ebpf_map **out);
int ebpf_get_prog(struct ebpf_session *session, uint32_t handle, struct ebpf_prog **out);
int ebpf_get_link(struct ebpf_session *session, uint32_t handle, struct ebpf_link **out);
int ebpf_get_btf(struct ebpf_session *session, uint32_t handle, struct ebpf_btf **out);
int ebpf_get_map_for(struct ebpf_session *session, uint32_t handle, unsigned access,
                     struct ebpf_map **map);
int ebpf_write_element(struct ebpf_session *session, struct ebpf_map *map, const void *key,
                       const void *value, uint64_t flags);
int ebpf_access_from_flags(uint32_t flags, unsigned *access);
int ebpf_get_log(struct ebpf_log *log, uint64_t buf, uint32_t size, uint32_t level);

#endif
