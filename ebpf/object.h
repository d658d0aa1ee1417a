/*
 * Objects of the engine: common header, reference counts, ids, the pin table. Internal to ebpf/.
 * Guarded by port_lock; the last put runs the destructor in the caller's context, outside it.
 */
#ifndef SKEP_EBPF_OBJECT_H
#define SKEP_EBPF_OBJECT_H

#include <stdint.h>

#include "ebpf/commands.h" /* enum ebpf_kind */

struct ebpf_object {
    enum ebpf_kind kind;
    uint32_t id;         /* unique within its kind, from 1, never reused */
    uint32_t refs;
    uint64_t created_ns;
    void (*destroy)(struct ebpf_object *object);
    struct ebpf_object *next_by_id;
};

/* Gives the object its id and its first reference. */
int ebpf_object_init(struct ebpf_object *object, enum ebpf_kind kind,
                     void (*destroy)(struct ebpf_object *));
void ebpf_object_get(struct ebpf_object *object);
void ebpf_object_put(struct ebpf_object *object);
/* With a reference, or NULL. */
struct ebpf_object *ebpf_object_by_id(enum ebpf_kind kind, uint32_t id);
/* Smallest id above `id`; 0 when none. */
uint32_t ebpf_object_next_id(enum ebpf_kind kind, uint32_t id);

#endif
