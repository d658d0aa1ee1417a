/*
 * The checked interpreter once more, built to tell of each step. The linker leads checked_run here
 * (--wrap), and on to the other one where nothing is watched.
 */
#define EBPF_EMBED   1
#define checked_run  observed_checked_run
#define checked_call observed_checked_call
#include "ebpf/interp_checked.c" /* NOLINT(bugprone-suspicious-include) */
#undef checked_run

#include "user/vm/observe.h"

int __real_checked_run(struct checked *c, uint64_t *result);
int __wrap_checked_run(struct checked *c, uint64_t *result);

void checked_embed(const struct checked *c)
{
    uint64_t *reg = ((struct checked *)(uintptr_t)c)->reg;

    if (observe_watched)
        observe_moment(&(struct observe_at){.prog = observe_prog_index(c->run.prog),
                                            .slot = c->pc,
                                            .fp = reg[ISA_FP],
                                            .stack_size = ISA_STACK_SIZE,
                                            .nr_regs = ISA_REGISTERS},
                       reg);
}

int __wrap_checked_run(struct checked *c, uint64_t *result)
{
    return observe_watched ? observed_checked_run(c, result) : __real_checked_run(c, result);
}
