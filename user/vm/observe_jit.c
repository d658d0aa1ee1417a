/*
 * Machine code that is watched: the JIT makes it call host_jit_probe before each instruction, which
 * comes here with all registers.
 */
#include "user/vm/observe_jit.h"

#include "ebpf/base.h"
#include "ebpf/jit.h"
#include "ebpf/jit_x86.h"
#include "user/vm/observe.h"

enum { SAVED_FLAGS = 16, SAVED_RETURN, SAVED_WORDS };

/* The program and slot that code belongs to. False: it is no program's. */
static bool find_slot(uint64_t address, uint32_t *prog, uint32_t *slot)
{
    for (*prog = 0; *prog < observe_watched->nr_progs; ++*prog) {
        const struct ebpf_jit *jit = observe_watched->progs[*prog]->jit;
        uint64_t offset = jit ? address - (uintptr_t)jit->code : UINT64_MAX;
        uint32_t from = 0, to = jit ? jit->nr : 0;

        if (!jit || offset >= jit->size)
            continue;
        while (to - from > 1) { /* the last slot whose code begins before the call's end */
            uint32_t middle = from + (to - from) / 2;

            if (jit->offsets[middle] < offset)
                from = middle;
            else
                to = middle;
        }
        *slot = from;
        return true;
    }
    return false;
}

/* saved: registers by their x86 numbers, flags, return address. What observe_moment changes goes
 * back. */
void observe_jit(uint64_t *saved)
{
    uint64_t reg[LOW_REGISTERS];
    const struct ebpf_lowered *low;
    const struct low_function *f;
    uint32_t prog, slot;

    if (!observe_watched || !find_slot(saved[SAVED_RETURN], &prog, &slot))
        return;
    low = observe_watched->progs[prog]->lowered;
    f = &low->functions[ebpf_lowered_function(low, slot)];
    for (unsigned r = 0; r < LOW_REGISTERS; r++)
        reg[r] = saved[home(r)];
    observe_moment(&(struct observe_at){.prog = prog,
                                        .slot = slot,
                                        .fp = f->uses_fp ? reg[ISA_FP] : 0,
                                        .stack_size = (uint32_t)round_up_to(f->stack, 8),
                                        .sp = (uintptr_t)&saved[SAVED_WORDS],
                                        .nr_regs = LOW_REGISTERS},
                   reg);
    saved[home(0)] = reg[0];
}
