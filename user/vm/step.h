/*
 * `skep-vm step`: a recorded run, looked at instruction by instruction, forward and back.
 * step_state.c knows what registers and stack held at a step, step_screen.c shows it on a terminal,
 * vm_step.c as text.
 */
#ifndef SKEP_USER_VM_STEP_H
#define SKEP_USER_VM_STEP_H

#include "user/vm/listing.h"
#include "user/vm/target.h"

#define STEP_WORDS (ISA_FRAMES_MAX * ISA_STACK_SIZE / 8)
#define STEP_LINES (ISA_REGISTERS + 1 + ISA_STACK_SIZE / 8 + 10)
#define STEP_WIDTH 80u

struct step {
    const struct target *target;
    const struct observed *run;
    struct listing listings[OBSERVE_PROGS_MAX];
    uint32_t now; /* index of the moment */
    /* The stack at that moment, the word at the lowest address first. */
    uint32_t applied; /* changes so far */
    struct {
        uint64_t value;
        bool on_stack;
    } stack[STEP_WORDS];
};

void step_go(struct step *s, uint32_t to);
const struct moment *step_moment(const struct step *s);
unsigned step_state(const struct step *s, char lines[STEP_LINES][STEP_WIDTH]);
void step_title(const struct step *s, char *text, size_t size);
void step_end(const struct step *s, char *text, size_t size);

int step_screen(struct step *s);

#endif
