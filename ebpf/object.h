/*
 * Objects of the engine: common header, reference counts, ids, the pin table. Internal to ebpf/.
 * Guarded by port_lock; the last put runs the destructor in the caller's context, outside it.
 */
#ifndef SKEP_EBPF_OBJECT_H
#define SKEP_EBPF_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "ebpf/commands.h" /* enum ebpf_kind */

struct ebpf_object {
    enum ebpf_kind kind;
    uint32_t id; /* unique within its kind, from 1, never reused */
    uint32_t refs;
    uint64_t created_ns;
    void (*destroy)(struct ebpf_object *object);
    uint32_t users;                             /* handles and pins, of all references */
    void (*unused)(struct ebpf_object *object); /* the last of those is gone; may be NULL */
};

int ebpf_object_init(struct ebpf_object *object, enum ebpf_kind kind,
                     void (*destroy)(struct ebpf_object *));
void ebpf_object_get(struct ebpf_object *object);
void ebpf_object_put(struct ebpf_object *object);
void ebpf_object_use(struct ebpf_object *object);
void ebpf_object_unuse(struct ebpf_object *object);
struct ebpf_object *ebpf_object_by_id(enum ebpf_kind kind, uint32_t id);
uint32_t ebpf_object_next_id(enum ebpf_kind kind, uint32_t id);
uint32_t ebpf_object_count(enum ebpf_kind kind);
bool ebpf_name_is_valid(const char *name);

int ebpf_pin(const char *path, struct ebpf_object *object);
int ebpf_unpin(const char *path);
int ebpf_pin_get(const char *path, struct ebpf_object **out);
int ebpf_pin_next(char name[SKEP_PIN_MAX], enum ebpf_kind *kind, uint32_t *id);
void ebpf_unpin_all(void);

#endif
