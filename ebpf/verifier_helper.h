/*
 * What the files that check one call of a helper share. Private to ebpf/verifier*.c.
 */
#ifndef SKEP_EBPF_VERIFIER_HELPER_H
#define SKEP_EBPF_VERIFIER_HELPER_H

#include "ebpf/helper.h"
#include "ebpf/verifier_state.h"

/* What the arguments of one call said. */
struct call {
    const struct ebpf_helper *helper;
    const struct ebpf_helper_rules *rules;
    struct ebpf_map *map;
    uint32_t map_uid; /* which of the maps like this one; see struct reg's id */
    unsigned memory;  /* the last register that pointed at memory with a size */
    uint64_t size;    /* its size at most, or the constant size of a record or slice */
    const struct ebpf_map *string_map; /* where the last constant string is ... */
    uint32_t string_at;                /* ... in its value */
    uint32_t ref;                      /* reference that is given back */
    uint32_t dynptr_ref;               /* of the dynptr that was passed */
    uint32_t function;                 /* first slot of the one to be called; 0: none */
    bool key_known;
    uint64_t key;
    bool made; /* a dynptr, in this frame from this slot on */
    uint8_t made_frame;
    unsigned made_slot;
    enum dynptr_kind made_kind;
};

/* verifier_args.c */
bool call_check_argument(struct verifier *v, struct call *c, unsigned regno);
bool call_wrong_type(struct verifier *v, unsigned regno, const char *expected);
bool call_check_format(struct verifier *v, const struct call *c);

/* verifier_dynptr.c */
bool dynptr_argument(struct verifier *v, struct call *c, unsigned regno);
void dynptr_make(struct verifier *v, const struct call *c, uint32_t ref);
void dynptr_release(struct verifier *v, uint32_t ref);

/* verifier_lock.c */
bool lock_argument(struct verifier *v, const struct call *c, unsigned regno);
bool timer_argument(struct verifier *v, struct call *c, unsigned regno);

/* verifier_callback.c */
bool callback_argument(struct verifier *v, struct call *c, unsigned regno);
bool callback_step(struct verifier *v, const struct call *c);

#endif
