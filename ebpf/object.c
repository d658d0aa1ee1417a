/*
 * Objects: reference counts, and the table of each kind by id. Used by everything
 * that makes objects (map.c, prog.c, link.c, btf.c, session.c) and by the commands that name
 * them (sys_object.c). What an object is made of, and its end, are its own module's.
 */
#include <linux/errno.h>

#include "ebpf/base.h"
#include "ebpf/id_table.h"
#include "ebpf/object.h"
#include "ebpf/port.h"

/* All guarded by port_lock. */
static struct {
    struct id_table objects;
    uint32_t last_id, count;
} kinds[EBPF_NR_KINDS];

/* Gives the object, which must be ready for use, its id and its first reference: from here on it
 * can be found by id. destroy frees it, in the context of the last put. 0, -ENOMEM, or -ENOSPC: ids
 * used up. */
int ebpf_object_init(struct ebpf_object *object, enum ebpf_kind kind,
                     void (*destroy)(struct ebpf_object *))
{
    uint64_t saved;
    int err = -ENOSPC;

    object->kind = kind;
    object->refs = 1;
    object->created_ns = port_time_ns();
    object->destroy = destroy;
    saved = port_lock();
    if (kinds[kind].last_id < INT32_MAX) {
        object->id = kinds[kind].last_id + 1;
        err = id_table_put(&kinds[kind].objects, object->id, object);
    }
    if (err == 0) {
        kinds[kind].last_id++;
        kinds[kind].count++;
    }
    port_unlock(saved);
    return err;
}

/* One more reference, by whoever holds one. Any context. */
void ebpf_object_get(struct ebpf_object *object)
{
    uint64_t saved = port_lock();
    if (object->refs == 0)
        port_fatal("ebpf: reference to a dead object (kind %d, id %u)", object->kind, object->id);
    object->refs++;
    port_unlock(saved);
}

/* One reference less; NULL is fine. The last one destroys the object, here, outside port_lock.
 * Thread context, since destroying a link waits for its program. */
void ebpf_object_put(struct ebpf_object *object)
{
    bool dead;
    uint64_t saved;

    if (object == NULL)
        return;
    saved = port_lock();
    if (object->refs == 0)
        port_fatal("ebpf: reference dropped twice (kind %d, id %u)", object->kind, object->id);
    dead = --object->refs == 0;
    if (dead) {
        id_table_remove(&kinds[object->kind].objects, object->id);
        kinds[object->kind].count--;
    }
    port_unlock(saved);
    if (dead)
        object->destroy(object);
}

/* A handle or a pin begins to hold the object; the reference is another matter. Thread context. */
void ebpf_object_use(struct ebpf_object *object)
{
    uint64_t saved = port_lock();
    object->users++;
    port_unlock(saved);
}

/* A handle or a pin ends, whose reference is still there. */
void ebpf_object_unuse(struct ebpf_object *object)
{
    uint64_t saved = port_lock();
    bool last = --object->users == 0;

    port_unlock(saved);
    if (last && object->unused != NULL)
        object->unused(object);
}

/* @return the object with a reference that the caller puts, or NULL. */
struct ebpf_object *ebpf_object_by_id(enum ebpf_kind kind, uint32_t id)
{
    uint64_t saved = port_lock();
    struct ebpf_object *object = id_table_get(&kinds[kind].objects, id);

    if (object != NULL)
        object->refs++;
    port_unlock(saved);
    return object;
}

/* @return the smallest id above `id`; 0 when there is none. */
uint32_t ebpf_object_next_id(enum ebpf_kind kind, uint32_t id)
{
    uint64_t saved = port_lock();
    const struct ebpf_object *object =
        id < INT32_MAX ? id_table_from(&kinds[kind].objects, id + 1) : NULL;
    uint32_t next = object != NULL ? object->id : 0;

    port_unlock(saved);
    return next;
}

/* How many objects of this kind there are. */
uint32_t ebpf_object_count(enum ebpf_kind kind)
{
    return kinds[kind].count;
}

/* A map's or program's name: letters, digits, '_' and '.', and a NUL within the field (Linux:
 * bpf_obj_name_cpy). */
bool ebpf_name_is_valid(const char *name)
{
    size_t n = bounded_length(name, BPF_OBJ_NAME_LEN);

    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '.')
            return false;
    }
    return n < BPF_OBJ_NAME_LEN;
}
