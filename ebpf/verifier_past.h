/*
 * What verifier_past.c finds and verifier_why.c says: the steps of a path that made a register what
 * it is. Private to these two.
 */
#ifndef SKEP_EBPF_VERIFIER_PAST_H
#define SKEP_EBPF_VERIFIER_PAST_H

#include "ebpf/verifier_state.h"

#define CAUSES_MAX 8u
#define FORKS_MAX  4u

/* Before one instruction of the path: the innermost frame's registers. */
struct past_step {
    uint32_t number; /* of the step, from 1; another one: nothing is known of it */
    uint32_t frame;
    bool fork;       /* the other way was possible too */
    uint16_t looped; /* registers that here began to stand for all trips of a loop */
    struct reg regs[ISA_REGISTERS];
};

/* One line of the explanation. */
struct past_cause {
    uint32_t at; /* in the trace */
    uint16_t regs;
    bool loop;
    uint32_t times;
};

struct past_search {
    struct verifier *v;
    struct cells cells; /* whose past is looked for */
    uint32_t frame;
    struct past_cause found[CAUSES_MAX + 1];
    unsigned nr;
};

struct past_step *past_step(struct verifier_past *past, uint32_t at);
bool past_is_branch(const struct ebpf_decoded *insn);
void past_causes(struct past_search *search);
void past_forks(struct past_search *search, uint32_t since);

#endif
