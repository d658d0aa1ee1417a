/*
 * Both ends of the wire walk commands.def through here: which pointers a command's attributes
 * hold, which way their bytes travel, and how many there are. Pure; no allocation.
 *
 * A message is a struct marshal_head and the attributes, then each travelling buffer, in the order
 * of the plan, behind a struct marshal_part; all are padded with zeros to a multiple of 8 bytes. In
 * a request all IN and INOUT buffers travel, whole; in a reply the attributes (none where the
 * command does not change them) and all OUT and INOUT buffers, cut to what was written: the rest of
 * the client's memory stays as it was. A reply that only has a status is an empty message.
 *
 * Client:  marshal_plan -> marshal_encode_request -> (wire) -> marshal_decode_reply
 * Server:  marshal_decode_request -> ebpf_sys(&plan.attr) -> marshal_encode_reply
 */
#ifndef SKEP_EBPF_MARSHAL_H
#define SKEP_EBPF_MARSHAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include "ebpf/commands.h"
#include "ebpf/wire.h"

#define MARSHAL_BUFFERS_MAX 16
/* Room for the OUT and INOUT buffers of one command: what a reply can carry back. */
#define MARSHAL_ARENA_SIZE (WIRE_REPLY_MAX - 1024u)

/* Attributes of any command. */
union marshal_attr {
    union bpf_attr bpf;
    struct skep_hello_attr hello;
    struct skep_close_attr close;
    struct skep_tracepoint_attr tracepoint;
    struct skep_read_attr read;
    struct skep_sys_info_attr sys_info;
    struct skep_power_attr power;
    struct skep_pin_attr pin;
    struct skep_handle_attr handle;
    struct skep_map_read_attr map_read;
    struct skep_info_read_attr info_read;
};

struct marshal_head {
    uint32_t attr_size; /* bytes of attributes that follow, before padding */
    uint32_t buffers;   /* how many buffers follow them */
} __attribute__((packed));

struct marshal_part {
    uint32_t index; /* its place in the plan, rising */
    uint32_t len;   /* bytes that follow, before padding */
} __attribute__((packed));

_Static_assert(sizeof(struct marshal_head) == 8, "a message's head is 8 bytes on the wire");
_Static_assert(sizeof(struct marshal_part) == 8, "a buffer's head is 8 bytes on the wire");

enum marshal_dir { MARSHAL_IN = 1, MARSHAL_OUT = 2, MARSHAL_INOUT = 3 }; /* IN: to the server */

/* What a buffer holds that a client with descriptors of its own must translate. */
enum marshal_content {
    MARSHAL_BYTES,
    MARSHAL_INSNS, /* ld_imm64 with source 1 or 2: imm is a map's handle */
    MARSHAL_FDS,   /* u32 handles */
};

struct marshal_rule;

struct marshal_buffer {
    int16_t parent;  /* -1: the pointer is in attr; else index of the buffer that holds it */
    uint16_t offset; /* where the 64-bit pointer stands */
    uint8_t dir;     /* enum marshal_dir */
    uint8_t content; /* enum marshal_content */
    uint32_t len;    /* bytes */
    uint32_t each;   /* of one key or value where a field counts them; else 0 */
    void *data;      /* this end's bytes; a client may point it at a translated copy */
    const struct marshal_rule *rule;
};

/* What lengths may depend on beyond attr, looked up by the handle that stands in attr. */
struct marshal_ops {
    /* key_size, value_size as on the wire (per-CPU expanded), type. 0 or -EBADF. */
    int (*map_sizes)(void *arg, uint32_t handle, uint32_t *key_size, uint32_t *value_size,
                     uint32_t *type);
    /* Kind of the object behind a handle (enum ebpf_kind), for info structs. -EBADF. */
    int (*object_kind)(void *arg, uint32_t handle);
    void *arg;
};

struct marshal_plan {
    uint32_t cmd;
    uint32_t attr_size;      /* bytes of attr that travel */
    union marshal_attr attr; /* a copy; a client translates handles here, a server runs it */
    int kind;                /* enum ebpf_kind behind an info struct; -1: none */
    unsigned count;          /* buffers that are there: a null pointer or no bytes make none */
    struct marshal_buffer buffers[MARSHAL_BUFFERS_MAX];
};

/* An array that an info struct points at. */
struct marshal_array {
    uint32_t count_field; /* offset of the field that counts its records */
    uint32_t each;        /* bytes each; 0: the field at each_field says */
    uint32_t each_field;
};

int marshal_info_array(enum ebpf_kind kind, uint32_t field, struct marshal_array *out);

int marshal_plan(uint32_t cmd, const void *attr, uint32_t attr_size, const struct marshal_ops *ops,
                 struct marshal_plan *plan);
size_t marshal_request_size(const struct marshal_plan *plan);
long marshal_encode_request(const struct marshal_plan *plan, void *out, size_t capacity);
int marshal_decode_request(uint32_t cmd, void *message, size_t size, const struct marshal_ops *ops,
                           void *arena, size_t arena_size, struct marshal_plan *plan);
long marshal_encode_reply(const struct marshal_plan *plan, long status, void *out, size_t capacity);
int marshal_decode_reply(const struct marshal_plan *plan, const void *message, size_t size,
                         void *attr);

unsigned marshal_handle_fields(uint32_t cmd, const void *attr, uint16_t offsets[8]);
bool marshal_returns_handle(uint32_t cmd);
const char *marshal_command_name(uint32_t cmd);
uint32_t marshal_attr_end(uint32_t cmd);
uint32_t marshal_value_size(uint32_t type, uint32_t value_size);

#endif
