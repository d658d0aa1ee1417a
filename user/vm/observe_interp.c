/*
 * The fast interpreter once more, built to tell of each step. The linker leads calls of it here
 * (--wrap), and on to the other one where nothing is watched.
 */
#define EBPF_EMBED          1
#define ebpf_fast_run       observed_fast_run
#define ebpf_fast_call_back observed_fast_call_back
#include "ebpf/interp_fast.c" /* NOLINT(bugprone-suspicious-include) */
#undef ebpf_fast_run
#undef ebpf_fast_call_back

#include "user/vm/observe.h"

uint64_t __real_ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered,
                              uint32_t slot, const uint64_t args[5], uint8_t *stack_end);
uint64_t __wrap_ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered,
                              uint32_t slot, const uint64_t args[5], uint8_t *stack_end);
bool __real_ebpf_fast_call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5],
                                uint64_t *r0);
bool __wrap_ebpf_fast_call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5],
                                uint64_t *r0);

void fast_embed(const struct ebpf_lowered *lowered, const struct ebpf_decoded *i, uint64_t *reg)
{
    uint32_t n = 0;

    if (!observe_watched)
        return;
    while (n < observe_watched->nr_progs && observe_watched->progs[n]->lowered != lowered)
        n++;
    observe_moment(&(struct observe_at){.prog = n,
                                        .slot = (uint32_t)(i - lowered->code),
                                        .fp = reg[ISA_FP],
                                        .stack_size = ISA_STACK_SIZE,
                                        .nr_regs = LOW_REGISTERS},
                   reg);
}

uint64_t __wrap_ebpf_fast_run(struct ebpf_run *run, const struct ebpf_lowered *lowered,
                              uint32_t slot, const uint64_t args[5], uint8_t *stack_end)
{
    return observe_watched ? observed_fast_run(run, lowered, slot, args, stack_end)
                           : __real_ebpf_fast_run(run, lowered, slot, args, stack_end);
}

bool __wrap_ebpf_fast_call_back(struct ebpf_run *run, uint64_t function, const uint64_t args[5],
                                uint64_t *r0)
{
    return observe_watched ? observed_fast_call_back(run, function, args, r0)
                           : __real_ebpf_fast_call_back(run, function, args, r0);
}
