/*
 * Sessions: each a table of handles, as a process has descriptors. Handles count from 3, so that
 * 0 in an attribute always means none, and the lowest free one is given first. Called by the one
 * thread that executes commands; the counts of references are object.c's.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/map.h"
#include "ebpf/port.h"
#include "ebpf/prog.h"
#include "ebpf/session.h"

#define FIRST_HANDLE 3u
#define HANDLES_MAX  65536u

struct handle {
    struct ebpf_object *object; /* NULL: free */
    unsigned access;
};

struct ebpf_session {
    struct handle *table;
    uint32_t size;
    uint32_t lowest_free; /* none below it is free */
};

static uint32_t sessions;

/* @return a session without handles, which the caller destroys; NULL when out of memory. */
struct ebpf_session *ebpf_session_create(void)
{
    struct ebpf_session *session = port_alloc(sizeof(*session));

    if (session == NULL)
        return NULL;
    session->lowest_free = FIRST_HANDLE;
    sessions++;
    return session;
}

/* Drops every handle: what nothing else holds is gone. NULL is fine. */
void ebpf_session_destroy(struct ebpf_session *session)
{
    if (session == NULL)
        return;
    for (uint32_t i = FIRST_HANDLE; i < session->size; i++)
        ebpf_close(session, (int)i);
    port_free(session->table);
    port_free(session);
    sessions--;
}

uint32_t ebpf_session_count(void)
{
    return sessions;
}

static int grow(struct ebpf_session *session)
{
    uint32_t size = session->size != 0 ? session->size * 2 : 16;
    struct handle *table;

    if (size > HANDLES_MAX)
        return -EMFILE;
    table = port_alloc(size * sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    if (session->size != 0)
        __builtin_memcpy(table, session->table, session->size * sizeof(*table));
    port_free(session->table);
    session->table = table;
    session->size = size;
    return 0;
}

/* Takes the caller's reference to the object, also when it fails. @return the handle, -EMFILE or
 * -ENOMEM. */
int ebpf_handle_new(struct ebpf_session *session, struct ebpf_object *object, unsigned access)
{
    uint32_t handle = session->lowest_free;

    while (handle < session->size && session->table[handle].object != NULL)
        handle++;
    if (handle >= session->size) {
        int err = grow(session);
        if (err != 0) {
            ebpf_object_put(object);
            return err;
        }
    }
    ebpf_object_use(object);
    session->table[handle] = (struct handle){object, access};
    session->lowest_free = handle + 1;
    return (int)handle;
}

/* close(2). 0 or -EBADF. */
int ebpf_close(struct ebpf_session *session, int handle)
{
    struct ebpf_object *object = ebpf_handle_object(session, (uint32_t)handle);

    if (object == NULL)
        return -EBADF;
    session->table[handle].object = NULL;
    if ((uint32_t)handle < session->lowest_free)
        session->lowest_free = (uint32_t)handle;
    ebpf_object_unuse(object);
    ebpf_object_put(object);
    return 0;
}

/* @return the object behind a handle, borrowed until that is closed; NULL when there is none. */
struct ebpf_object *ebpf_handle_object(struct ebpf_session *session, uint32_t handle)
{
    return handle < session->size ? session->table[handle].object : NULL;
}

/* Likewise, and NULL when it is of another kind. */
struct ebpf_object *ebpf_handle_of_kind(struct ebpf_session *session, uint32_t handle,
                                        enum ebpf_kind kind)
{
    struct ebpf_object *object = ebpf_handle_object(session, handle);
    return object != NULL && object->kind == kind ? object : NULL;
}

/* EBPF_MAY_*; 0 when there is no such handle. */
unsigned ebpf_handle_access(struct ebpf_session *session, uint32_t handle)
{
    return ebpf_handle_object(session, handle) != NULL ? session->table[handle].access : 0;
}

/* enum ebpf_kind of what is behind a handle, or -EBADF. */
int ebpf_session_kind(struct ebpf_session *session, int handle)
{
    struct ebpf_object *object = ebpf_handle_object(session, (uint32_t)handle);
    return object != NULL ? (int)object->kind : -EBADF;
}

/* The map behind a handle, borrowed until that is closed; NULL when it is none. */
struct ebpf_map *ebpf_session_map(struct ebpf_session *session, int handle)
{
    struct ebpf_object *object = ebpf_handle_of_kind(session, (uint32_t)handle, EBPF_MAP);
    return object != NULL ? CONTAINER_OF(object, struct ebpf_map, object) : NULL;
}

/* The program behind a handle, likewise. */
struct ebpf_prog *ebpf_session_prog(struct ebpf_session *session, int handle)
{
    struct ebpf_object *object = ebpf_handle_of_kind(session, (uint32_t)handle, EBPF_PROG);
    return object != NULL ? CONTAINER_OF(object, struct ebpf_prog, object) : NULL;
}
