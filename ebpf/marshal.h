/*
 * Both ends of the wire walk commands.def through here: which pointers a command's attributes
 * hold, which way their bytes travel, and how many there are. Pure; no allocation.
 */
#ifndef SKEP_EBPF_MARSHAL_H
#define SKEP_EBPF_MARSHAL_H

#include <stdbool.h>
#include <stdint.h>

#define MARSHAL_BUFFERS_MAX 16

enum marshal_dir { MARSHAL_IN = 1, MARSHAL_OUT = 2, MARSHAL_INOUT = 3 }; /* IN: to the server */

struct marshal_buffer {
    int16_t parent;       /* -1: the pointer is in attr; else index of the buffer that holds it */
    uint16_t offset;      /* where the 64-bit pointer stands */
    uint8_t dir;          /* enum marshal_dir */
    bool optional;        /* a null pointer is fine: length is then 0 */
    uint32_t len;         /* bytes, from the request's fields */
};

/* What lengths may depend on beyond attr: looked up by handle. */
struct marshal_ops {
    /* key_size, value_size as on the wire (per-CPU expanded), type. 0 or -EBADF. */
    int (*map_sizes)(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type);
    /* Kind of the object behind a handle (enum ebpf_kind), for info structs. -EBADF. */
    int (*object_kind)(void *arg, uint32_t handle);
    void *arg;
};

struct marshal_plan {
    uint32_t attr_size;   /* bytes of attr that travel */
    unsigned count;
    struct marshal_buffer buffers[MARSHAL_BUFFERS_MAX];
};

/* Fills in the plan of a command for these attributes. Nested pointers (info structs) are planned
 * after their parent's bytes are known: parent_data gives them (may return NULL: no nested ones).
 * -EINVAL unknown command, -E2BIG non-zero tail or too long, -EBADF. */
int marshal_plan(uint32_t cmd, const void *attr, uint32_t attr_size, const struct marshal_ops *ops,
                 const void *(*parent_data)(void *arg, unsigned index), void *parent_arg,
                 struct marshal_plan *plan);

/* Attribute fields that hold handles (offsets), for a client whose handles are local descriptors. */
unsigned marshal_handle_fields(uint32_t cmd, uint16_t offsets[8]);
/* True when the command's result is a new handle. */
bool marshal_returns_handle(uint32_t cmd);
const char *marshal_command_name(uint32_t cmd); /* "MAP_CREATE"; NULL: unknown */

#endif
