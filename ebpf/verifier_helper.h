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
    struct ebpf_map *map;
    uint64_t size;     /* constant size of a record, or the most that a string can be */
    uint32_t ref;      /* reference that is given back */
    uint32_t function; /* slot of the one that it calls back */
    bool key_known;
    uint64_t key;
};

/* verifier_args.c */
bool call_check_argument(struct verifier *v, struct call *c, unsigned regno);
bool call_wrong_type(struct verifier *v, unsigned regno, const char *expected);

/* verifier_callback.c */
bool callback_step(struct verifier *v, const struct call *c);

#endif
