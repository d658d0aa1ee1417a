/*
 * Handle tables, one a session. Internal to ebpf/.
 */
#ifndef SKEP_EBPF_SESSION_H
#define SKEP_EBPF_SESSION_H

#include "ebpf/ebpf.h"
#include "ebpf/object.h"

/* What may be done through a handle; maps only, others have both. */
enum { EBPF_MAY_READ = 1, EBPF_MAY_WRITE = 2, EBPF_MAY_BOTH = 3 };

int ebpf_handle_new(struct ebpf_session *session, struct ebpf_object *object, unsigned access);
struct ebpf_object *ebpf_handle_object(struct ebpf_session *session, uint32_t handle);
struct ebpf_object *ebpf_handle_of_kind(struct ebpf_session *session, uint32_t handle,
                                        enum ebpf_kind kind);
unsigned ebpf_handle_access(struct ebpf_session *session, uint32_t handle);
uint32_t ebpf_session_count(void);

#endif
